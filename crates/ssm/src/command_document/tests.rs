//! What documents may say, and what becomes of it.

use serde_json::json;

use super::*;
use crate::documents::Parameters;
use crate::error::{ApiError, ErrorCode};

fn parameters(pairs: &[(&str, &[&str])]) -> Parameters {
    pairs
        .iter()
        .map(|(k, vs)| ((*k).to_owned(), vs.iter().map(|v| (*v).to_owned()).collect()))
        .collect()
}

fn run_shell_script(pairs: &[(&str, &[&str])]) -> Result<Plan, ApiError> {
    CommandDocument::parse(&serde_json::from_str(RUN_SHELL_SCRIPT_TEXT).unwrap())
        .unwrap()
        .bind(RUN_SHELL_SCRIPT, &parameters(pairs))
}

/// A document that restarts a service, with `parameter` as its `service`.
#[allow(clippy::needless_pass_by_value)] // the calls read better
fn restart(parameter: serde_json::Value) -> Result<CommandDocument, ApiError> {
    CommandDocument::parse(&json!({
        "schemaVersion": "2.2",
        "parameters": { "service": parameter },
        "mainSteps": [{ "action": "aws:runShellScript", "name": "restart",
            "inputs": { "runCommand": ["systemctl restart '{{ service }}'"], "timeoutSeconds": 30 } }]
    }))
}

#[test]
fn commands_become_the_lines_of_one_script() {
    let plan = run_shell_script(&[
        ("commands", &["#!/bin/bash", "echo {{x}}"]),
        ("executionTimeout", &["60"]),
    ])
    .unwrap();
    let step = &plan.steps[0];
    assert_eq!((step.script.as_str(), step.timeout), ("#!/bin/bash\necho {{x}}\n", 60));
    assert_eq!(
        (step.name.as_str(), step.folder.as_str()),
        ("aws:runShellScript", "awsrunShellScript/0.awsrunShellScript")
    );
    assert_eq!(run_shell_script(&[("commands", &["true"])]).unwrap().steps[0].timeout, 3600);
}

#[test]
fn the_largest_script_passes_and_one_byte_more_does_not() {
    let largest = "x".repeat(MAX_SCRIPT - 1); // and its line feed
    assert_eq!(
        run_shell_script(&[("commands", &[&largest])]).unwrap().steps[0].script.len(),
        MAX_SCRIPT
    );
    let error = run_shell_script(&[("commands", &[&format!("{largest}x")])]).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidParameters);
    assert!(error.message.contains("65537 bytes; at most 65536"), "{}", error.message);
}

#[test]
fn a_parameter_that_is_missing_unknown_or_not_allowed_is_refused() {
    for (given, words) in [
        (&[][..], "needs the parameter commands"),
        (&[("commands", &["x"][..]), ("comands", &["y"][..])], "no parameter \"comands\""),
        (&[("commands", &["x"]), ("executionTimeout", &["172801"])], "must match"),
        (&[("commands", &["x"]), ("executionTimeout", &["1", "2"])], "exactly one value"),
        (&[("commands", &[])], "at least 1 values"),
        (&[("commands", &["a\0b"])], "zero byte"),
        (&[("commands", &["echo {{ ssm:secret }}"])], "parameter store"),
    ] {
        let error = run_shell_script(given).unwrap_err();
        assert!(
            error.message.contains(words) && error.code == ErrorCode::InvalidParameters,
            "{error}"
        );
    }
}

#[test]
fn a_pattern_guards_the_whole_value_with_or_without_anchors() {
    for pattern in ["[a-z]+", "^[a-z]+$"] {
        let document = restart(json!({ "type": "String", "allowedPattern": pattern })).unwrap();
        let plan = document.bind("Restart", &parameters(&[("service", &["nginx"])])).unwrap();
        assert_eq!(plan.steps[0].script, "systemctl restart 'nginx'\n");
        for bad in ["nginx'; reboot; '", "nginx\nreboot", ""] {
            let error = document.bind("Restart", &parameters(&[("service", &[bad])])).unwrap_err();
            assert!(
                error.message.contains(pattern) && !error.message.contains("reboot"),
                "{error}"
            );
        }
    }
}

#[test]
fn what_stands_in_a_value_is_never_a_placeholder() {
    let document = restart(json!({ "type": "String" })).unwrap();
    let plan = document.bind("Restart", &parameters(&[("service", &["{{ service }}"])])).unwrap();
    assert_eq!(plan.steps[0].script, "systemctl restart '{{ service }}'\n");
}

#[test]
fn values_have_the_type_and_the_choice_that_the_document_gives() {
    for (parameter, good, bad) in [
        (json!({ "type": "String", "allowedValues": ["a", "b"] }), "a", "c"),
        (json!({ "type": "Boolean" }), "true", "yes"),
        (json!({ "type": "Integer" }), "-7", "seven"),
        (json!({ "type": "String", "minChars": 2, "maxChars": "3" }), "üü", "x"),
        (json!({ "type": "StringMap" }), "{\"a\": 1}", "[]"),
    ] {
        let document = restart(parameter).unwrap();
        assert!(document.bind("R", &parameters(&[("service", &[good])])).is_ok(), "{good}");
        assert!(document.bind("R", &parameters(&[("service", &[bad])])).is_err(), "{bad}");
    }
}

#[test]
fn a_document_that_could_not_be_run_as_written_is_not_one() {
    let step = json!({ "action": "aws:runShellScript", "name": "step", "inputs": { "runCommand": ["true"] } });
    let with = |key: &str, value: serde_json::Value| {
        let mut document = json!({ "schemaVersion": "2.2", "mainSteps": [step.clone()] });
        document[key] = value;
        document
    };
    let mut other_action = step.clone();
    other_action["action"] = json!("aws:runPowerShellScript");
    for (document, words) in [
        (with("schemaVersion", json!("0.3")), "schemaVersion"),
        (with("mainSteps", json!([])), "at least one step"),
        (with("mainSteps", json!([step.clone(), step.clone()])), "two steps"),
        (with("mainSteps", json!([other_action])), "action is not served"),
        (with("parameters", json!({ "a": { "type": "Text" } })), "type must be one of"),
        (
            with("parameters", json!({ "a": { "type": "String", "allowedPattern": "(" } })),
            "allowedPattern",
        ),
        (
            with(
                "parameters",
                json!({ "a": { "type": "String", "default": "x", "allowedValues": ["y"] } }),
            ),
            "own default",
        ),
        (
            with(
                "parameters",
                json!({ "a": { "type": "String", "interpolationType": "ENV_VAR" } }),
            ),
            "interpolationType",
        ),
    ] {
        let error = CommandDocument::parse(&document).unwrap_err();
        assert!(
            error.message.contains(words) && error.code == ErrorCode::InvalidDocumentContent,
            "{error}"
        );
    }
    assert!(CommandDocument::parse(&with("description", json!("x"))).is_ok());
}

#[test]
fn steps_for_another_platform_are_left_out() {
    let step = |name: &str, platform: &str| {
        json!({ "action": "aws:runShellScript", "name": name, "inputs": { "runCommand": ["true"], "onFailure": "exit" },
            "precondition": { "StringEquals": ["platformType", platform] } })
    };
    let steps = json!([step("here", "Linux"), step("there", "MacOS")]);
    let document =
        CommandDocument::parse(&json!({ "schemaVersion": "2.2", "mainSteps": steps })).unwrap();
    let plan = document.bind("Two", &Parameters::new()).unwrap();
    assert_eq!((plan.steps.len(), plan.steps[0].on_failure), (1, After::Exit));
    assert_eq!(plan.steps[0].folder, "awsrunShellScript/here");
}

#[test]
fn a_working_directory_has_one_spelling() {
    let at = |directory: &str| {
        run_shell_script(&[("commands", &["pwd"]), ("workingDirectory", &[directory])])
    };
    for good in ["", "/srv", "/", "~", "~/work"] {
        assert_eq!(at(good).unwrap().steps[0].working_directory, good);
    }
    for bad in ["srv", "/srv/../root", "/srv/", "//srv", "./x", "~root"] {
        let error = at(bad).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidParameters);
        assert!(error.message.contains("the working directory of step"), "{}", error.message);
    }
}

#[test]
fn the_command_line_is_the_whole_script() {
    let lines = |commands: &[&str]| {
        let plan = run_shell_script(&[("commands", commands)]).unwrap();
        plan.command_lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&["uptime"]), ["uptime"]);
    assert_eq!(lines(&["uptime", "touch /x"]), ["uptime\ntouch /x"]);
    assert_eq!(lines(&["uptime", ""]), ["uptime\n"], "an empty line is a line");
}

#[test]
fn parameters_that_differ_in_letter_case_only_are_refused() {
    let error = CommandDocument::parse(&json!({
        "schemaVersion": "2.2",
        "parameters": { "service": { "type": "String" }, "Service": { "type": "String" } },
        "mainSteps": [{ "action": "aws:runShellScript", "name": "x",
            "inputs": { "runCommand": ["true"] } }]
    }))
    .unwrap_err();
    assert!(error.message.contains("letter case"), "{}", error.message);
}
