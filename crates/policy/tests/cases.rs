//! The published rules as data: every case of `tests/cases/*.json` through one `check`.
//!
//! A case has a `name`, a `source` (title of the page whose rule it shows, with the section where a
//! page has many rules; or our own rule where IAM leaves one open) and is one of three kinds:
//! - `condition`, `context`, `met`: asked once in an `Allow` and once in a `Deny` statement;
//! - `line`, `expect`: a line of a batch and its word;
//! - `document`, `error`: what parses, or where and why it does not.
//!
//! Expectations are written from the pages, not from the code.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use towline_policy::batch::{evaluate_line, read_line};
use towline_policy::{Effect, Outcome, Policy, explain};

const FILES: [&str; 8] = [
    "condition_strings",
    "condition_numbers_and_dates",
    "condition_bool_null_binary",
    "condition_addresses_and_arns",
    "condition_existence_and_sets",
    "condition_variables",
    "decisions",
    "grammar",
];

/// Issue 3 asks for at least so many.
const ENOUGH: usize = 500;
/// Most cases of one source: a page that stands for more is too general to find the rule in.
const MOST_OF_ONE_SOURCE: usize = 150;
/// Where the rules come from.
const GUIDES: [&str; 4] =
    ["IAM User Guide: ", "Systems Manager User Guide: ", "W3C note: ", "Towline "];

fn cases(file: &str) -> Vec<Value> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(format!("{file}.json"));
    let text = std::fs::read_to_string(&path).expect("the file of cases");
    serde_json::from_str(&text).expect("an array of cases")
}

fn text<'c>(case: &'c Value, member: &str) -> &'c str {
    case[member].as_str().unwrap_or_else(|| panic!("{member} of {case}"))
}

/// The only place that knows how a case is asked.
fn check(file: &str) {
    let wrong: Vec<String> = cases(file)
        .iter()
        .filter_map(|case| {
            let said = if case.get("condition").is_some() {
                ask_condition(case)
            } else if case.get("line").is_some() {
                ask_line(case)
            } else {
                ask_grammar(case)
            };
            said.err()
                .map(|said| format!("{} ({}): {said}", text(case, "name"), text(case, "source")))
        })
        .collect();
    assert!(wrong.is_empty(), "{} cases of {file}:\n{}", wrong.len(), wrong.join("\n"));
}

fn word(line: &Value) -> Result<Outcome, String> {
    evaluate_line(&line.to_string()).map_err(|error| error.to_string())
}

fn expect(wanted: &str, line: &Value) -> Result<(), String> {
    let said = word(line)?;
    if said.to_string() == wanted {
        Ok(())
    } else {
        Err(format!("says {said}, not {wanted}: {line}"))
    }
}

fn ask_condition(case: &Value) -> Result<(), String> {
    let met = case["met"].as_bool().ok_or("met is missing")?;
    let policy = |effect: &str| {
        let statement = json!({"Effect": effect, "Action": "*", "Resource": "*", "Condition": case["condition"]});
        match case.get("version").map(|version| version.as_str().unwrap_or_default()) {
            None => json!({"Version": "2012-10-17", "Statement": statement}),
            Some("") => json!({"Statement": statement}),
            Some(version) => json!({"Version": version, "Statement": statement}),
        }
    };
    let request = json!({
        "principal": "arn:aws:iam::123456789012:role/tester", "action": "ssm:StartSession",
        "resource": "arn:aws:ssm:eu-central-1:123456789012:managed-instance/mi-0123456789abcdef0",
        "context": case["context"],
    });
    let everything = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
    let allow = json!({"policies": [policy("Allow")], "request": request});
    let deny = json!({"policies": [everything, policy("Deny")], "request": request});
    expect(if met { "Allowed" } else { "ImplicitlyDenied" }, &allow)?;
    expect(if met { "ExplicitlyDenied" } else { "Allowed" }, &deny)
}

fn ask_line(case: &Value) -> Result<(), String> {
    expect(text(case, "expect"), &case["line"])?;
    let line = read_line(&case["line"].to_string()).map_err(|error| error.to_string())?;
    let account = explain(&line.policies, &line.request);
    let denied = account.statements.iter().any(|one| one.effect == Effect::Deny && one.applies());
    if (account.decision.effect == Outcome::ExplicitlyDenied) == denied {
        Ok(())
    } else {
        Err(format!("decision and explanation differ: {account}"))
    }
}

fn ask_grammar(case: &Value) -> Result<(), String> {
    let document = match &case["document"] {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    match (Policy::parse(&document), case.get("error")) {
        (Ok(_), None) => Ok(()),
        (Ok(_), Some(_)) => Err("parses".to_owned()),
        (Err(error), None) => Err(format!("does not parse: {error}")),
        (Err(error), Some(wanted)) => {
            let here = error.path() == text(wanted, "path");
            let so = error.rule().contains(text(wanted, "rule"));
            if here && so { Ok(()) } else { Err(format!("says \"{error}\", not {wanted}")) }
        }
    }
}

#[test]
fn texts_compare_as_published() {
    check("condition_strings");
}

#[test]
fn numbers_and_dates_compare_as_published() {
    check("condition_numbers_and_dates");
}

#[test]
fn booleans_existence_and_bytes_compare_as_published() {
    check("condition_bool_null_binary");
}

#[test]
fn addresses_and_arns_compare_as_published() {
    check("condition_addresses_and_arns");
}

#[test]
fn missing_keys_and_several_values_count_as_published() {
    check("condition_existence_and_sets");
}

#[test]
fn policy_variables_stand_for_what_is_published() {
    check("condition_variables");
}

#[test]
fn requests_are_decided_as_published() {
    check("decisions");
}

#[test]
fn documents_parse_or_are_refused_as_published() {
    check("grammar");
}

#[test]
fn there_are_enough_cases_each_with_a_source_and_a_name_of_its_own() {
    let (mut names, mut asked, mut sources) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for file in FILES {
        for mut case in cases(file) {
            let (name, source) = (text(&case, "name").to_owned(), text(&case, "source").to_owned());
            assert!(
                GUIDES.iter().any(|guide| source.len() > guide.len() && source.starts_with(guide)),
                "{case}"
            );
            assert!(names.insert((file, name.clone())), "twice: {name}");
            *sources.entry(source).or_insert(0_usize) += 1;
            // What is asked, whatever it is called: a case under a second name proves nothing.
            if let Some(case) = case.as_object_mut() {
                case.remove("name");
                case.remove("source");
            }
            asked.insert(case.to_string());
        }
    }
    assert!(asked.len() >= ENOUGH, "only {} cases that differ", asked.len());
    let general: Vec<_> =
        sources.iter().filter(|(_, count)| **count > MOST_OF_ONE_SOURCE).collect();
    assert!(general.is_empty(), "too general to find the rule in: {general:?}");
}

#[test]
fn no_file_of_cases_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let found: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, FILES.iter().map(|file| format!("{file}.json")).collect());
}
