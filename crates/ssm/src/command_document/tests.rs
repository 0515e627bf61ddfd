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
fn a_pattern_that_closes_its_own_group_makes_no_document() {
    for pattern in ["a)|(?:b", "a)|b|(?:c"] {
        let error = restart(json!({ "type": "String", "allowedPattern": pattern })).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidDocumentContent, "{pattern}");
        assert!(error.message.contains("allowedPattern"), "{}", error.message);
    }
}

/// A document with steps of these names.
fn steps(names: &[&str]) -> CommandDocument {
    let step = |name: &&str| json!({ "action": "aws:runShellScript", "name": name, "inputs": { "runCommand": ["true"] } });
    let steps: Vec<_> = names.iter().map(step).collect();
    CommandDocument::parse(&json!({ "schemaVersion": "2.2", "mainSteps": steps })).unwrap()
}

#[test]
fn steps_that_cannot_be_told_apart_are_not_stored() {
    for (names, words) in [
        (["step:1", "step1"], "one folder of output"),
        (["a:b:", "ab"], "one folder of output"),
        (["Deploy", "deploy"], "letter case only"),
    ] {
        let error = steps(&names).check_names().unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidDocumentContent);
        assert!(error.message.contains(words), "{}", error.message);
        assert!(names.iter().all(|name| error.message.contains(name)), "{}", error.message);
    }
    assert!(steps(&["step:1", "step-1", "step.1", "other"]).check_names().is_ok());
}

#[test]
fn each_step_of_an_older_document_has_a_folder_of_its_own() {
    let folders = |names: &[&str]| {
        let plan = steps(names).bind("Older", &Parameters::new()).unwrap();
        plan.steps.into_iter().map(|step| step.folder).collect::<Vec<_>>()
    };
    let shell = |names: &[&str]| {
        names.iter().map(|name| format!("awsrunShellScript/{name}")).collect::<Vec<_>>()
    };
    assert_eq!(folders(&["step:1", "step1"]), shell(&["step1", "step1.1"]));
    assert_eq!(folders(&["a.2", "a", "a:"]), shell(&["a.2", "a", "a.2.2"]));
    assert_eq!(folders(&["x:y", "z"]), shell(&["xy", "z"]));
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
    other_action["action"] = json!("aws:runDocument");
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

const OURS: Host = Host { platform: Platform::Linux, powershell: false };
const WINDOWS: Host = Host { platform: Platform::Windows, powershell: true };
const MACOS: Host = Host { platform: Platform::MacOs, powershell: true };

#[test]
fn each_platform_runs_its_own_steps_and_says_why_it_skips_the_others() {
    let step = |action: &str, name: &str, precondition: serde_json::Value| {
        json!({ "action": action, "name": name, "inputs": { "runCommand": [name], "onFailure": "exit" },
            "precondition": precondition })
    };
    let on = |platform: &str| json!({ "StringEquals": ["platformType", platform] });
    let steps = json!([
        step("aws:runPowerShellScript", "there", on("Windows")),
        step("aws:applications", "older", json!(null)),
        step("aws:runShellScript", "here", json!({ "StringEquals": ["linux", "platformType"] })),
        step("aws:runShellScript", "any", json!(null)),
    ]);
    let document =
        CommandDocument::parse(&json!({ "schemaVersion": "2.2", "mainSteps": steps })).unwrap();
    let plan = document.bind("Four", &Parameters::new()).unwrap();
    let run = |host: Host| -> Vec<&str> {
        let runs = plan.steps.iter().filter(|step| step.skipped_on(host).is_none());
        runs.map(|step| step.name.as_str()).collect()
    };
    assert_eq!(run(OURS), ["here", "any"]);
    assert_eq!(run(WINDOWS), ["there"]);
    assert_eq!(run(MACOS), ["any"]);
    let words = |at: usize, host: Host| plan.steps[at].skipped_on(host).unwrap();
    assert_eq!(
        words(0, OURS),
        "Step execution skipped due to unsatisfied preconditions: '\"StringEquals\": \
         [platformType, Windows]'. Step name: there"
    );
    for host in [OURS, WINDOWS] {
        assert_eq!(
            words(1, host),
            "Step execution skipped due to unsupported plugin: aws:applications. Step name: older"
        );
    }
    assert_eq!(
        words(3, WINDOWS),
        "Step execution skipped due to unsupported plugin: aws:runShellScript. Step name: any"
    );
    assert_eq!((plan.steps[2].on_failure, plan.timeout()), (After::Exit, 3 * 3600));
    assert_eq!(plan.steps[2].folder, "awsrunShellScript/here");
    assert_eq!(plan.steps[0].folder, "awsrunPowerShellScript/there");
    let lines: Vec<_> = plan.command_lines().collect();
    assert_eq!(lines, ["there", "here", "any"], "policies see what runs on some device");
}

#[test]
fn a_document_for_one_platform_runs_there_alone() {
    let on = json!({ "StringEquals": ["platformType", "MacOS"] });
    let step = json!({ "action": "aws:runShellScript", "name": "mac", "precondition": on,
        "inputs": { "runCommand": ["true"] } });
    let document = json!({ "schemaVersion": "2.2", "mainSteps": [step] });
    let plan = CommandDocument::parse(&document).unwrap().bind("Mac", &Parameters::new()).unwrap();
    assert!(plan.runs_on(MACOS) && !plan.runs_on(OURS) && !plan.runs_on(WINDOWS));
    let none = json!({ "action": "aws:psModule", "name": "x", "inputs": {} });
    let none = json!({ "schemaVersion": "2.2", "mainSteps": [none] });
    let error = CommandDocument::parse(&none).unwrap().bind("None", &Parameters::new());
    assert_eq!(error.unwrap_err().code, ErrorCode::UnsupportedPlatformType);
}

#[test]
fn powershell_has_its_own_document_folder_and_paths() {
    let document = serde_json::from_str(RUN_POWERSHELL_SCRIPT_TEXT).unwrap();
    let document = CommandDocument::parse(&document).unwrap();
    let at = |folder: &str| {
        let given = parameters(&[("commands", &["Get-Date"]), ("workingDirectory", &[folder])]);
        document.bind(RUN_POWERSHELL_SCRIPT, &given)
    };
    let plan = at("").unwrap();
    let step = &plan.steps[0];
    assert_eq!(step.interpreter, Interpreter::PowerShell);
    assert_eq!(step.folder, "awsrunPowerShellScript/0.awsrunPowerShellScript");
    assert!(plan.runs_on(WINDOWS) && plan.runs_on(MACOS) && !plan.runs_on(OURS));
    for good in ["C:\\", "D:\\Program Files\\x", "D:\\a~b", "/srv"] {
        assert_eq!(at(good).unwrap().steps[0].working_directory, good);
    }
    for bad in [
        "C:",
        "C:\\x\\..\\y",
        "C:\\x\\",
        "C:/x",
        "\\\\host\\x",
        "CD:\\x",
        "C:\\a:b",
        "C:\\a.",
        "c:\\Secrets",
        "C:\\SECRET~1",
        "C:\\a\\SE12AB~2.X\\b",
    ] {
        assert!(at(bad).is_err(), "{bad}");
    }
    let error = at("c:\\Secrets").unwrap_err();
    assert!(error.message.contains("a drive in upper case"), "{}", error.message);
    let shell = run_shell_script(&[("commands", &["pwd"]), ("workingDirectory", &["C:\\x"])]);
    assert!(shell.is_err(), "a shell has no drives");
}

#[test]
fn a_precondition_that_cannot_be_judged_is_refused() {
    for precondition in [
        json!({ "StringEquals": ["platformType", "Plan9"] }),
        json!({ "StringEquals": ["{{ x }}", "y"] }),
        json!({ "StringLike": ["platformType", "Linux"] }),
        json!("Linux"),
    ] {
        let step = json!({ "action": "aws:runShellScript", "name": "s", "precondition": precondition,
            "inputs": { "runCommand": ["true"] } });
        let document = json!({ "schemaVersion": "2.2", "mainSteps": [step] });
        assert!(CommandDocument::parse(&document).unwrap_err().message.contains("precondition"));
    }
}

#[test]
fn a_stored_parameter_is_refused_as_a_default_as_a_value_and_in_a_script() {
    for kind in ["String", "StringList"] {
        let error = restart(json!({ "type": kind, "default": "{{ ssm:name }}" })).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidDocumentContent);
        assert!(error.message.contains("default of parameter service"), "{}", error.message);
    }
    let listed = restart(json!({ "type": "StringList", "default": ["a", "{{ssm:b}}"] }));
    assert!(listed.is_err());
    let document = restart(json!({ "type": "String", "default": "x" })).unwrap();
    for value in ["{{ssm:name}}", "a {{ resolve:ssm:name }} b"] {
        assert!(document.bind("R", &parameters(&[("service", &[value])])).is_err(), "{value}");
    }
    let pieces = CommandDocument::parse(&json!({
        "schemaVersion": "2.2",
        "parameters": { "a": { "type": "String", "default": "{{" } },
        "mainSteps": [{ "action": "aws:runShellScript", "name": "s",
            "inputs": { "runCommand": ["echo {{ a }} ssm:name }}"] } }]
    }))
    .unwrap();
    assert!(pieces.bind("P", &Parameters::new()).is_err(), "put together from two pieces");
}

#[test]
fn documents_of_schema_1_2_and_2_0_run() {
    let run =
        json!({ "id": "0.aws:runShellScript", "runCommand": ["ifconfig"], "timeoutSeconds": "60" });
    let old = |properties: serde_json::Value| {
        json!({ "schemaVersion": "1.2", "description": "Check ip configuration.", "parameters": {},
            "runtimeConfig": { "aws:runShellScript": { "properties": properties } } })
    };
    for properties in [json!([run.clone()]), run.clone()] {
        let plan =
            CommandDocument::parse(&old(properties)).unwrap().bind("Old", &Parameters::new());
        let step = &plan.unwrap().steps[0];
        assert_eq!(
            (step.name.as_str(), step.script.as_str()),
            ("aws:runShellScript", "ifconfig\n")
        );
        assert_eq!(step.timeout, 60);
    }
    let two = json!([{ "id": "one", "runCommand": "a" }, { "id": "two", "runCommand": "b" }]);
    assert_eq!(CommandDocument::parse(&old(two)).unwrap().steps.len(), 2);
    let mut windows = old(run.clone());
    windows["runtimeConfig"] = json!({ "aws:runPowerShellScript": { "properties": [run] } });
    let plan = CommandDocument::parse(&windows).unwrap().bind("Old", &Parameters::new()).unwrap();
    assert_eq!(plan.steps[0].interpreter, Interpreter::PowerShell);
    let both = windows["runtimeConfig"].as_object().unwrap().clone();
    windows["runtimeConfig"]["aws:psModule"] = both["aws:runPowerShellScript"].clone();
    let error = CommandDocument::parse(&windows).unwrap_err();
    assert!(error.message.contains("and no other"), "{error}");
    windows["runtimeConfig"] = json!({ "aws:psModule": {} });
    let error = CommandDocument::parse(&windows).unwrap_err();
    assert!(error.message.contains("\"aws:psModule\" is not served"), "{error}");
    let middle = json!({ "schemaVersion": "2.0", "mainSteps": [{ "action": "aws:runShellScript",
        "name": "a", "inputs": { "runCommand": ["true"] } }] });
    assert!(CommandDocument::parse(&middle).is_ok());
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
fn what_no_parameter_can_change_is_judged_when_the_document_is_stored() {
    let with = |member: &str, text: &str| {
        let mut step = json!({ "action": "aws:runShellScript", "name": "x",
            "inputs": { "runCommand": ["true"] } });
        step["inputs"][member] = text.into();
        let parameters = json!({ "p": { "type": "String", "default": "/srv" } });
        CommandDocument::parse(
            &json!({ "schemaVersion": "2.2", "parameters": parameters, "mainSteps": [step] }),
        )
    };
    for (member, text) in [
        ("timeoutSeconds", "-5"),
        ("timeoutSeconds", "1.5"),
        ("timeoutSeconds", "172801"),
        ("workingDirectory", "../etc"),
        ("workingDirectory", "tmp"),
    ] {
        let error = with(member, text).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidDocumentContent, "{member} {text}: {error}");
    }
    for (member, text) in [
        ("timeoutSeconds", "172800"),
        ("timeoutSeconds", "{{ p }}"),
        ("workingDirectory", "/tmp"),
        ("workingDirectory", "{{ p }}"),
        ("workingDirectory", ""),
    ] {
        assert!(with(member, text).is_ok(), "{member} {text}");
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
