//! Steps of a document.
//!
//! Data flow: a member of `mainSteps`, or of a 1.2 document's `runtimeConfig` -> [`Step`] ->
//! binding.
//!
//! # Invariants
//! - A step for one platform is kept with that condition, and each device judges it. One with an
//!   action of AWS's agent on Windows alone, or with another action and a condition, is kept as
//!   skipped everywhere; its inputs are not read. A step that this gateway could not run as written
//!   is refused.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::platform::{Condition, Interpreter, Platform, in_words};
use super::refusal::content;
use crate::error::ApiError;

/// Actions that AWS's agent has on Windows only, and skips elsewhere.
const WINDOWS_ONLY: &[&str] = &["aws:applications", "aws:cloudWatch", "aws:psModule"];

/// What follows a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum After {
    /// The next step.
    #[default]
    Continue,
    /// The end: as well as this step went.
    Exit,
    /// The end, which counts as success.
    SuccessAndExit,
}

/// One step as it was written, its placeholders still in it.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name, unique in the document.
    pub name: String,
    /// What runs its script.
    pub interpreter: Interpreter,
    /// The platform that it is for; none: every one.
    pub only_on: Option<Condition>,
    /// Lines of its script; one that is nothing but a list's placeholder becomes the list.
    pub run_command: Vec<String>,
    /// Where it runs.
    pub working_directory: String,
    /// Seconds, or a placeholder for them.
    pub timeout_seconds: String,
    /// What follows when it went well.
    pub on_success: After,
    /// What follows when it did not.
    pub on_failure: After,
    /// Runs whatever came before.
    pub finally: bool,
    /// Why no device here runs it, in the words of AWS's agent; none: it is run.
    pub skipped: Option<String>,
}

impl Step {
    /// Reads a step of `mainSteps`.
    ///
    /// # Errors
    /// `InvalidDocumentContent`.
    pub(super) fn parse(value: &Value) -> Result<Self, ApiError> {
        let name = name_of(&value["name"])?;
        let wrong = |what: &str| content(format!("step {name}: {what}"));
        let Some(action) = value["action"].as_str().filter(|action| action.starts_with("aws:"))
        else {
            return Err(wrong("its action must be a text such as aws:runShellScript"));
        };
        let only_on = condition(&value["precondition"]).ok_or_else(|| wrong(PRECONDITIONS))?;
        match Interpreter::of(action) {
            Some(interpreter) => {
                Self::of_inputs(name, (interpreter, only_on), &value["inputs"], "inputs.")
            }
            None if WINDOWS_ONLY.contains(&action) || only_on.is_some() => {
                let reason = format!("unsupported plugin: {action}");
                Ok(Self::skipped(name, in_words(&reason, name)))
            }
            None => Err(wrong(
                "its action is not served by this gateway, which runs aws:runShellScript and \
                 aws:runPowerShellScript",
            )),
        }
    }

    /// Reads what a step's script is, from the members of `inputs`, which errors call `at`.
    pub(super) fn of_inputs(
        name: &str,
        (interpreter, only_on): (Interpreter, Option<Condition>),
        inputs: &Value,
        at: &str,
    ) -> Result<Self, ApiError> {
        let wrong = |what: &str| content(format!("step {name}: {what}"));
        let run_command = match &inputs["runCommand"] {
            Value::String(line) => vec![line.clone()],
            Value::Array(lines) if lines.iter().all(Value::is_string) && !lines.is_empty() => {
                lines.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => return Err(wrong(&format!("{at}runCommand must be a list of lines"))),
        };
        let text = |key: &str| match &inputs[key] {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(wrong(&format!("{at}{key} must be a text"))),
        };
        let after = |key: &str| match inputs[key].as_str() {
            None => Ok(After::Continue),
            Some("exit") => Ok(After::Exit),
            Some("successAndExit") => Ok(After::SuccessAndExit),
            Some(_) => Err(wrong(&format!("{key} must be exit or successAndExit"))),
        };
        let finally = &inputs["finallyStep"];
        Ok(Self {
            name: name.to_owned(),
            interpreter,
            only_on,
            run_command,
            working_directory: text("workingDirectory")?,
            timeout_seconds: text("timeoutSeconds")?,
            on_success: after("onSuccess")?,
            on_failure: after("onFailure")?,
            finally: finally.as_bool() == Some(true) || finally.as_str() == Some("true"),
            skipped: None,
        })
    }

    /// The folder of its output: two names may have one.
    pub(super) fn folder(&self) -> String {
        format!("{}/{}", self.interpreter.folder(), self.name.replace(':', ""))
    }

    /// A step that no device here runs: it is shown, and nothing of it runs.
    fn skipped(name: &str, reason: String) -> Self {
        Self {
            name: name.to_owned(),
            interpreter: Interpreter::Shell,
            only_on: None,
            run_command: Vec::new(),
            working_directory: String::new(),
            timeout_seconds: String::new(),
            on_success: After::Continue,
            on_failure: After::Continue,
            finally: false,
            skipped: Some(reason),
        }
    }
}

/// The name of a step, which is also a folder of its output.
pub(super) fn name_of(value: &Value) -> Result<&str, ApiError> {
    let good = |name: &&str| {
        (1..=128).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b))
            && name.bytes().any(|b| b.is_ascii_alphanumeric())
    };
    value.as_str().filter(good).ok_or_else(|| {
        content(
            "each step has a name of 1 to 128 letters, digits and _-.:, with a letter or digit \
             among them",
        )
    })
}

/// What a precondition may be.
const PRECONDITIONS: &str = "its precondition must be {\"StringEquals\": [\"platformType\", \
     \"Linux\"]}, with Linux, Windows or MacOS, or be left out";

/// The condition of a precondition; `Some(None)`: there is none. `None` for a precondition that
/// cannot be judged here. As at AWS the two words may stand in either order, and the platform has
/// no letter case.
fn condition(precondition: &Value) -> Option<Option<Condition>> {
    let conditions = match precondition {
        Value::Null => return Some(None),
        Value::Object(conditions) => conditions,
        _ => return None,
    };
    if conditions.is_empty() {
        return Some(None);
    }
    if conditions.len() > 1 {
        return None;
    }
    let [one, other] = conditions.get("StringEquals")?.as_array()?.as_slice() else { return None };
    let (one, other) = (one.as_str()?, other.as_str()?);
    let platform = match (one, other) {
        ("platformType", platform) | (platform, "platformType") => platform,
        _ => return None,
    };
    let shown = format!("\"StringEquals\": [{one}, {other}]");
    Some(Some(Condition { platform: Platform::parse(platform)?, shown }))
}
