//! Own session documents: what is stored, what they mean, and what their parameters may not do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use serde_json::{Value, json};
use towline_ssm::ErrorCode::{
    self, InvalidDocument, InvalidDocumentContent, InvalidDocumentSchemaVersion, InvalidParameters,
};
use towline_ssm::api::session::Parameters;
use towline_ssm::command_document::Platform;
use towline_ssm::documents::content::{Content, Format, Kind, MAX_CONTENT, converted};
use towline_ssm::documents::own::OwnDocument;
use towline_ssm::documents::{
    BUILT_IN, SessionPlan, TOWLINE_COPY, TOWLINE_EXEC, built_in, resolve,
};
use towline_ssm::error::ApiError;

fn parameters(pairs: &[(&str, &[&str])]) -> Parameters {
    pairs
        .iter()
        .map(|(name, values)| {
            ((*name).to_owned(), values.iter().map(|v| (*v).to_owned()).collect())
        })
        .collect()
}

fn read(tree: &Value) -> Result<OwnDocument, ApiError> {
    Content::read(Kind::Session, Format::Json, &tree.to_string())
        .and_then(|content| OwnDocument::read(&content))
}

/// The document of AWS's own guide that shows a log file.
fn tail() -> Value {
    json!({
        "schemaVersion": "1.0",
        "description": "Document to view a log file on a Linux instance",
        "sessionType": "InteractiveCommands",
        "parameters": { "logpath": {
            "type": "String", "description": "The log file path to read.",
            "default": "/var/log/amazon/ssm/amazon-ssm-agent.log", "allowedPattern": "^[a-zA-Z0-9-_/]+(.log)$"
        } },
        "properties": { "linux": { "commands": "tail -f {{ logpath }}", "runAsElevated": true } }
    })
}

#[track_caller]
fn refused(tree: &Value, code: ErrorCode, named: &str) {
    let error = read(tree).unwrap_err();
    assert_eq!(error.code, code, "{error}");
    assert!(error.message.contains(named), "{error}");
}

#[test]
fn a_parameter_goes_into_the_command_only_when_its_pattern_matches_all_of_it() {
    let document = read(&tail()).unwrap();
    let meant = document
        .resolve(&parameters(&[("logpath", &["/var/log/x.log"])]), Platform::Linux)
        .unwrap();
    assert_eq!(
        meant.plan,
        SessionPlan::InteractiveCommand { command: "tail -f /var/log/x.log".into() }
    );
    assert!(meant.elevated);
    let default = document.resolve(&Parameters::new(), Platform::Linux).unwrap();
    assert_eq!(default.parameters["logpath"], ["/var/log/amazon/ssm/amazon-ssm-agent.log"]);
    for value in [
        "/etc/shadow",
        "x.log; id",
        "x.log\n",
        "\nx.log",
        "$(id).log",
        "x.log || id",
        "",
        "x.log\0",
    ] {
        let error =
            document.resolve(&parameters(&[("logpath", &[value])]), Platform::Linux).unwrap_err();
        assert_eq!(error.code, InvalidParameters, "{value:?}");
    }
    assert!(
        document
            .resolve(&parameters(&[("logpath", &["a.log", "b.log"])]), Platform::Linux)
            .is_err()
    );
    assert!(document.resolve(&parameters(&[("logPath", &["a.log"])]), Platform::Linux).is_err());
}

#[test]
fn a_pattern_cannot_open_the_frame_that_holds_it() {
    for pattern in
        ["a)|(.*", "(?x)a #", "a\\", "(", "(a{1000}){1000}", "(?!root)[a-z]+", &"a".repeat(2000)]
    {
        let mut tree = tail();
        tree["parameters"]["logpath"] = json!({"type": "String", "allowedPattern": pattern});
        refused(&tree, InvalidDocumentContent, "allowedPattern");
    }
    let mut tree = tail();
    tree["parameters"]["logpath"] = json!({"type": "String", "allowedPattern": "a|b"});
    let document = read(&tree).unwrap();
    for (value, good) in [("a", true), ("b", true), ("ab", false), ("b; id", false), ("x a", false)]
    {
        assert_eq!(
            document.resolve(&parameters(&[("logpath", &[value])]), Platform::Linux).is_ok(),
            good,
            "{value}"
        );
    }
}

#[test]
fn a_value_that_looks_like_a_placeholder_stays_a_value() {
    let tree = json!({
        "schemaVersion": "1.0", "sessionType": "InteractiveCommands",
        "parameters": {"a": {"type": "String"}, "b": {"type": "String", "default": "secret"}},
        "properties": {"linux": {"commands": "echo {{a}} {{ b }} {{}} {{ not closed"}}
    });
    let meant =
        read(&tree).unwrap().resolve(&parameters(&[("a", &["{{ b }}"])]), Platform::Linux).unwrap();
    assert_eq!(
        meant.plan,
        SessionPlan::InteractiveCommand {
            command: "echo {{ b }} secret {{}} {{ not closed".into()
        }
    );
}

#[test]
fn only_allowed_values_are_taken() {
    let mut tree = tail();
    tree["parameters"]["logpath"] = json!({"type": "String", "allowedValues": ["a", "b"]});
    let document = read(&tree).unwrap();
    assert!(document.resolve(&parameters(&[("logpath", &["a"])]), Platform::Linux).is_ok());
    assert!(document.resolve(&parameters(&[("logpath", &["A"])]), Platform::Linux).is_err());
    assert_eq!(
        document.resolve(&Parameters::new(), Platform::Linux).unwrap_err().code,
        InvalidParameters
    );
}

#[test]
fn each_system_has_its_own_command_and_one_without_is_refused_in_words() {
    let tree = json!({
        "schemaVersion": "1.0", "sessionType": "NonInteractiveCommands",
        "parameters": { "word": { "type": "String", "default": "x", "allowedPattern": "[a-z]+" } },
        "properties": {
            "linux": { "commands": "echo {{ word }}", "runAsElevated": true },
            "windows": { "commands": "Write-Output {{ word }}", "separateOutputStream": true },
            "macOS": { "commands": "" },
        },
    });
    let document = read(&tree).unwrap();
    assert_eq!(document.platforms(), [Platform::Windows, Platform::Linux]);
    let meant = |platform| document.resolve(&parameters(&[("word", &["y"])]), platform);
    let plan = |command: &str, separate_output| SessionPlan::NonInteractiveCommand {
        command: command.into(),
        separate_output,
        stdout_prefix: String::new(),
        stderr_prefix: String::new(),
    };
    let linux = meant(Platform::Linux).unwrap();
    assert_eq!((linux.plan, linux.elevated), (plan("echo y", false), true));
    let windows = meant(Platform::Windows).unwrap();
    assert_eq!((windows.plan, windows.elevated), (plan("Write-Output y", true), false));
    let none = meant(Platform::MacOs).unwrap_err();
    assert_eq!(none.code, InvalidDocument);
    assert!(none.message.contains("for MacOS") && none.message.contains("Windows and Linux"));
    let named = |properties: Value, named: &str| {
        let mut wrong = tree.clone();
        wrong["properties"] = properties;
        refused(&wrong, InvalidDocumentContent, named);
    };
    named(json!({"beos": {"commands": "x"}}), "beos");
    named(json!({"windows": {"commands": "{{ other }}"}}), "other");
    named(json!({"macos": {"commands": "x"}, "macOS": {"commands": "y"}}), "twice");
    named(json!({"windows": {"commands": "x", "user": "y"}}), "windows.user");
}

#[test]
fn what_a_document_says_wrongly_is_refused_with_its_place() {
    let change = |path: &str, value: Value| {
        let mut tree = tail();
        *tree.pointer_mut(path).unwrap() = value;
        tree
    };
    refused(&change("/schemaVersion", json!("2.2")), InvalidDocumentSchemaVersion, "1.0");
    refused(&change("/schemaVersion", json!(1.0)), InvalidDocumentContent, "schemaVersion");
    refused(&change("/sessionType", json!("Shell")), InvalidDocumentContent, "sessionType");
    refused(&change("/properties", json!({"linux": {}})), InvalidDocumentContent, "commands");
    refused(
        &change("/properties", json!({"linux": {"commands": "{{ other }}"}})),
        InvalidDocumentContent,
        "other",
    );
    refused(
        &change("/properties", json!({"linux": {"commands": "x", "user": "y"}})),
        InvalidDocumentContent,
        "user",
    );
    refused(
        &change("/parameters", json!({"p": {"type": "StringList"}})),
        InvalidDocumentContent,
        "type",
    );
    refused(
        &change("/parameters", json!({"p": {"type": "String", "pattern": "x"}})),
        InvalidDocumentContent,
        "pattern",
    );
    let bad_default =
        json!({"logpath": {"type": "String", "default": "x", "allowedValues": ["y"]}});
    refused(&change("/parameters", bad_default), InvalidDocumentContent, "default");
    let mut extra = tail();
    extra["propertys"] = json!({});
    refused(&extra, InvalidDocumentContent, "propertys");
    let mut shell = tail();
    shell["sessionType"] = json!("Standard_Stream");
    refused(&shell, InvalidDocumentContent, "properties");
    let long = json!({"schemaVersion": "1.0", "sessionType": "Standard_Stream", "description": "x".repeat(MAX_CONTENT)});
    assert_eq!(read(&long).unwrap_err().code, ErrorCode::MaxDocumentSizeExceeded);
}

#[test]
fn ports_of_own_documents_are_fixed_or_asked_for() {
    let tree = |properties: Value| {
        json!({
            "schemaVersion": "1.0", "sessionType": "Port",
            "parameters": {"p": {"type": "String", "allowedPattern": "^[0-9]+$"}}, "properties": properties
        })
    };
    let fixed = json!({"portNumber": "5432", "host": "db.local", "localPortNumber": "{{ p }}", "type": "LocalPortForwarding"});
    let meant = read(&tree(fixed))
        .unwrap()
        .resolve(&parameters(&[("p", &["15432"])]), Platform::Linux)
        .unwrap();
    assert_eq!(
        meant.plan,
        SessionPlan::Port { host: Some("db.local".into()), port: 5432, local_port: 15432 }
    );
    let ssh = read(&tree(json!({"portNumber": "{{ p }}"}))).unwrap();
    assert_eq!(
        ssh.resolve(&parameters(&[("p", &["2222"])]), Platform::Linux).unwrap().plan,
        SessionPlan::Ssh { port: 2222 }
    );
    for port in ["0", "65536", "022"] {
        assert_eq!(
            ssh.resolve(&parameters(&[("p", &[port])]), Platform::Linux).unwrap_err().code,
            InvalidParameters,
            "{port}"
        );
    }
    refused(&tree(json!({"portNumber": "1", "type": "Other"})), InvalidDocumentContent, "type");
    refused(&tree(json!({})), InvalidDocumentContent, "portNumber");
}

#[test]
fn yaml_means_the_same_and_is_given_back_as_either() {
    let yaml = "schemaVersion: '1.0'\nsessionType: InteractiveCommands\nproperties:\n  linux:\n    commands: |\n      uptime\n";
    let content = Content::read(Kind::Session, Format::Yaml, yaml).unwrap();
    let meant =
        OwnDocument::read(&content).unwrap().resolve(&Parameters::new(), Platform::Linux).unwrap();
    assert_eq!(meant.plan, SessionPlan::InteractiveCommand { command: "uptime\n".into() });
    let as_json = converted(Format::Yaml, Format::Json, yaml).unwrap();
    assert_eq!(Content::read(Kind::Session, Format::Json, &as_json).unwrap().tree, content.tree);
    let back = converted(Format::Json, Format::Yaml, &as_json).unwrap();
    assert_eq!(Content::read(Kind::Session, Format::Yaml, &back).unwrap().tree, content.tree);
}

#[test]
fn a_command_document_is_outlined() {
    let tree = json!({
        "schemaVersion": "2.2", "description": "d",
        "parameters": {"commands": {"type": "StringList", "default": ["a", "b"], "displayType": "textarea"}},
        "mainSteps": [{"action": "aws:runShellScript", "name": "one", "inputs": {"runCommand": "{{ commands }}"}}]
    });
    let content = Content::read(Kind::Command, Format::Json, &tree.to_string()).unwrap();
    assert_eq!(content.parameters[0].default.as_deref(), Some(r#"["a","b"]"#));
    assert!(content.parameters[0].list);
    for (pointer, value) in [
        ("/mainSteps", json!([])),
        ("/mainSteps/0/action", json!("runShellScript")),
        ("/mainSteps/0/name", json!("")),
        ("/mainSteps/0/inputs", json!([])),
        ("/parameters/commands", json!("x")),
    ] {
        let mut wrong = tree.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        let error = Content::read(Kind::Command, Format::Json, &wrong.to_string()).unwrap_err();
        assert_eq!(error.code, InvalidDocumentContent, "{pointer}");
    }
}

/// The text that GetDocument shows, taken as an own document, means what StartSession does.
#[test]
fn the_text_of_a_built_in_document_means_what_it_does() {
    let given = |name: &str| match name {
        "AWS-StartInteractiveCommand" => parameters(&[("command", &["uptime"])]),
        "AWS-StartNonInteractiveCommand" => {
            parameters(&[("command", &["uptime"]), ("separateOutputStream", &["true"])])
        }
        "AWS-StartPortForwardingSessionToRemoteHost" => {
            parameters(&[("host", &["db"]), ("portNumber", &["22"])])
        }
        _ => Parameters::new(),
    };
    // Ours mean what no content in AWS's form can say.
    for document in
        BUILT_IN.iter().filter(|document| ![TOWLINE_EXEC, TOWLINE_COPY].contains(&document.name))
    {
        let (kind, text) = built_in::text(document.name).unwrap();
        let content = Content::read(kind, Format::Json, &text)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        let own = OwnDocument::read(&content).unwrap();
        assert_eq!(own.platforms(), Platform::ALL, "{}", document.name);
        for platform in Platform::ALL {
            assert_eq!(
                own.resolve(&given(document.name), platform).map(|own| own.plan),
                resolve(Some(document.name), &given(document.name)),
                "{}",
                document.name
            );
        }
    }
}

/// The patterns that people read, against the code that counts.
#[test]
fn the_patterns_of_built_in_documents_allow_what_their_code_allows() {
    let values = [
        "",
        "0",
        "1",
        "01",
        "80",
        "65535",
        "65536",
        "99999",
        "true",
        "True",
        "false",
        "x",
        "a b",
        "root",
        "_x$",
        "-x",
        "A",
        "db.local",
        "::1",
        "a;b",
        "OUT:",
        "x\ny",
        &"p".repeat(31),
        &"h".repeat(254),
    ];
    for document in BUILT_IN {
        for parameter in document.parameters {
            let tree = json!({
                "schemaVersion": "1.0", "sessionType": "InteractiveCommands",
                "parameters": {"p": {"type": "String", "allowedPattern": parameter.allowed_pattern}},
                "properties": {"linux": {"commands": "x"}}
            });
            let own = read(&tree).unwrap();
            for value in values {
                let by_pattern =
                    own.resolve(&parameters(&[("p", &[value])]), Platform::Linux).is_ok();
                let by_code = (parameter.allows)(value);
                // Booleans are taken in any case by the code, as the official agent takes them.
                let case = parameter.name == "separateOutputStream" && value == "True";
                assert!(
                    by_pattern == by_code || case,
                    "{} {value:?}: pattern {by_pattern}",
                    parameter.name
                );
            }
        }
    }
}

#[test]
fn parameters_that_differ_in_letter_case_only_are_refused() {
    let mut tree = tail();
    tree["parameters"]["LogPath"] = tree["parameters"]["logpath"].clone();
    refused(&tree, InvalidDocumentContent, "letter case");
}

#[test]
fn the_host_of_a_document_has_one_spelling() {
    let document = read(&json!({
        "schemaVersion": "1.0",
        "sessionType": "Port",
        "parameters": { "target": { "type": "String" } },
        "properties": { "host": "{{ target }}", "portNumber": "22", "type": "LocalPortForwarding" }
    }))
    .unwrap();
    let host = |host: &str| document.resolve(&parameters(&[("target", &[host])]), Platform::Linux);
    for good in ["10.0.0.7", "::1", "db.lan"] {
        assert!(host(good).is_ok(), "{good}");
    }
    for bad in ["0x7f000001", "127.1", "::ffff:10.0.0.7", "2001:DB8::1", "DB.lan", "db.lan."] {
        let error = host(bad).unwrap_err();
        assert!(error.code == InvalidParameters && error.message.starts_with("host "), "{error}");
    }
}
