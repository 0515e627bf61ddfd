//! Any text as a document of each kind and format, with any parameters: refused with a reason, or
//! stored, converted, resolved and bound without a panic. The second input fills in parameters.
//!
//! Run by the fuzzer (`fuzz_targets/documents.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use serde_json::Value;
use towline_ssm::api::session::Parameters;
use towline_ssm::command_document::{CommandDocument, Host, MAX_SCRIPT, Platform};
use towline_ssm::documents::content::{Content, Format, Kind, converted};
use towline_ssm::documents::own::OwnDocument;
use towline_ssm::documents::preferences::SessionPreferences;

/// One run.
pub(crate) fn run(input: (String, Vec<String>)) {
    let (text, values) = input;
    for kind in Kind::ALL {
        for (format, other) in [(Format::Json, Format::Yaml), (Format::Yaml, Format::Json)] {
            let Ok(content) = Content::read(kind, format, &text) else { continue };
            let given = parameters(&content, &values);
            match kind {
                Kind::Session => session(&content, &given),
                Kind::Command => command(&content, &given),
                Kind::ManualApproval | Kind::AutoApproval => {} // read when they are stored
            }
            let written = converted(format, other, &text).unwrap_or_default();
            let again = Content::outline(kind, other, &written);
            assert!(again.is_ok_and(|again| same(&again.tree, &content.tree)), "{written}");
        }
    }
}

/// One value for each parameter that the document has.
fn parameters(content: &Content, values: &[String]) -> Parameters {
    let names = content.parameters.iter().map(|parameter| parameter.name.clone());
    names.zip(values).map(|(name, value)| (name, vec![value.clone()])).collect()
}

fn session(content: &Content, given: &Parameters) {
    if let Some(Value::Object(inputs)) = content.tree.get("inputs")
        && let Ok(preferences) = SessionPreferences::read(inputs)
    {
        let _ = (preferences.s3(), preferences.cloud_watch());
    }
    let document = OwnDocument::read(content);
    let document = document.unwrap_or_else(|error| unreachable!("stored, and yet: {error:?}"));
    for platform in Platform::ALL {
        let resolved = document.resolve(given, platform);
        assert!(resolved.is_err() || document.platforms().contains(&platform));
        if let Ok(resolved) = resolved {
            assert!(!resolved.plan.session_type().is_empty());
            let _ = resolved.plan.handshake_properties();
        }
    }
}

fn command(content: &Content, given: &Parameters) {
    let tree = Value::Object(content.tree.clone());
    let Ok(document) = CommandDocument::parse(&tree) else { return };
    if let Ok(plan) = document.bind("own", given) {
        assert!(plan.steps.iter().all(|step| step.script.len() <= MAX_SCRIPT));
        let _ = plan.timeout();
        for platform in Platform::ALL {
            let hosts = [true, false].map(|powershell| Host { platform, powershell });
            assert!(
                document.platforms().contains(&platform)
                    || !hosts.map(|h| plan.runs_on(h)).contains(&true)
            );
        }
    }
}

/// The same tree, numbers with a fraction but for their last digit.
fn same(one: &serde_json::Map<String, Value>, other: &serde_json::Map<String, Value>) -> bool {
    fn alike(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => {
                let (one, other) = (one.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(1.0));
                (one - other).abs() <= one.abs() * 1e-12
            }
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(a, b)| alike(a, b))
            }
            (Value::Object(one), Value::Object(other)) => same(one, other),
            (one, other) => one == other,
        }
    }
    one.len() == other.len() && one.iter().zip(other).all(|((a, x), (b, y))| a == b && alike(x, y))
}
