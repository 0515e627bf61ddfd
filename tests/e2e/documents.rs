//! Documents on a real device: what they say reaches the shell; and the commands for roles, groups,
//! boundaries and access.

use std::time::Duration;

use serde_json::{Value, json};
use towline_testkit::Outcome;
use towline_testkit::lab::Lab;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;

use super::plugin::start_session;

fn create(lab: &Lab, name: &str, content: &Value) -> Outcome<Value> {
    let request =
        json!({ "Name": name, "DocumentType": "Session", "Content": content.to_string() });
    lab.admin().api("AmazonSSM.CreateDocument", &request)
}

#[test]
fn the_shell_profile_is_typed_before_the_user() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let inputs = json!({ "shellProfile": { "linux": "MARK=profile-$((6 * 7)); echo $MARK" } });
    let preferences =
        json!({ "schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": inputs });
    create(&lab, "SSM-SessionManagerRunShell", &preferences)?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.expect("profile-42")?;
    shell.line("echo again-$MARK; exit")?;
    shell.expect("again-profile-42")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())
}

/// A minute is the shortest that the document knows, so this test takes one; the gateway's own is
/// twenty.
#[test]
fn an_idle_session_ends_when_the_preferences_say_so() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let inputs = json!({ "idleSessionTimeout": "1" });
    let preferences =
        json!({ "schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": inputs });
    create(&lab, "SSM-SessionManagerRunShell", &preferences)?;
    let mut idle = lab.admin().shell(device.id())?;
    idle.expect_within("idle for too long", Duration::from_secs(180))?;
    ensure(!idle.finish(PATIENCE)?.success(), || "nobody left it".into())
}

#[test]
fn the_aws_cli_runs_an_own_document_with_its_parameter_and_no_other_value() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let document = json!({
        "schemaVersion": "1.0", "sessionType": "InteractiveCommands",
        "parameters": { "word": { "type": "String", "allowedPattern": "[a-z]+" } },
        "properties": { "linux": { "commands": "echo said-{{ word }}-$((6 * 7))" } },
    });
    create(&lab, "Say-Word", &document)?;
    let run = |word: &str| {
        start_session(&lab, &device, &["--document-name", "Say-Word", "--parameters", word])
    };
    let mut said = Terminal::start(&run("word=hello")?, 24, 80)?;
    said.expect("said-hello-42")?;
    ensure(said.finish(PATIENCE)?.success(), || "the document did not end well".into())?;
    let refused = run("word=a;id")?.output()?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure(!refused.status.success() && words.contains("InvalidParameters"), || words.clone())
}

#[test]
fn towline_makes_roles_groups_and_boundaries_and_explains_what_they_give() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let admin = lab.admin();
    let file = |name: &str, text: &str| -> Outcome<String> {
        Ok(lab.file(name, text)?.display().to_string())
    };
    let start = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ssm:StartSession","Resource":"*"}]}"#;
    let start = file("start.json", start)?;
    let none = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}"#;
    let none = file("none.json", none)?;
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
    let trust = file("trust.json", trust)?;
    for words in [
        vec!["admin", "user", "create", "ann"],
        vec!["admin", "group", "create", "edge"],
        vec!["admin", "group", "add", "edge", "ann"],
        vec!["admin", "policy", "--of", "group", "put", "edge", "p", &start],
        vec!["admin", "role", "create", "ops", "--trust", &trust, "--max-session", "7200"],
        vec!["admin", "policy", "--of", "role", "put", "ops", "p", &start],
    ] {
        admin.text(&words)?;
    }
    let groups = admin.text(&["admin", "group", "list"])?;
    ensure(groups.contains("edge") && groups.contains("ann"), || groups.clone())?;
    let roles = admin.text(&["admin", "role", "list"])?;
    ensure(roles.contains("ops") && roles.contains("7200"), || roles.clone())?;
    let who = admin.text(&["policy", "who", device.id()])?;
    ensure(who.contains("user/ann") && who.contains("role/ops"), || who.clone())?;
    let question = [
        "policy",
        "test",
        "--principal",
        "ann",
        "--action",
        "ssm:StartSession",
        "--resource",
        device.id(),
    ];
    let told = admin.text(&question)?;
    ensure(told.contains("Allowed") && told.contains("group/edge: p"), || told.clone())?;
    admin.text(&["admin", "boundary", "put", "ann", &none])?;
    let told = admin.run(&question)?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    ensure(told.status.code() == Some(254) && text.contains("permission boundary"), || text.clone())
}
