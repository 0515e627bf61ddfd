//! Session documents on each system: the branch that runs, the profile of a shell, and the user of
//! a session on Windows.

use serde_json::{Value, json};
use towline_testkit::lab::operator::COMMAND;
use towline_testkit::lab::{Lab, Operator};
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, process};

use super::clients::preferences_of;
use super::wait_online;
use crate::codes::DENIED;
use crate::peers::vendor::{KEYS, MACOS, VendorAgent, WINDOWS};
use crate::plugin::start_session_on;

/// A device on Windows and one on macOS, both connected.
fn two(lab: &Lab) -> Outcome<[std::sync::Arc<VendorAgent>; 2]> {
    let windows = VendorAgent::connected(lab, WINDOWS)?;
    let mac = VendorAgent::new(lab, KEYS[1], MACOS)?;
    mac.join(lab)?;
    wait_online(lab, &windows)?;
    wait_online(lab, &mac)?;
    Ok([windows, mac])
}

fn create(lab: &Lab, name: &str, content: &Value) -> Outcome<Value> {
    let request =
        json!({ "Name": name, "DocumentType": "Session", "Content": content.to_string() });
    lab.admin().api("AmazonSSM.CreateDocument", &request)
}

#[test]
fn a_session_document_runs_the_branch_of_the_device() -> Outcome {
    let lab = Lab::start()?;
    let [windows, mac] = two(&lab)?;
    preferences_of(&lab, "ssm-user", &json!({}))?;
    let branch = |system: &str| json!({ "commands": format!("echo {system}-{{{{ word }}}}"), "separateOutputStream": true });
    let document = |branches: Value| {
        json!({
            "schemaVersion": "1.0", "sessionType": "NonInteractiveCommands",
            "parameters": { "word": { "type": "String", "allowedPattern": "[a-z]+" } },
            "properties": branches,
        })
    };
    let all = document(json!({ "linux": branch("linux"), "windows": branch("windows"),
        "macOS": branch("macos") }));
    create(&lab, "Say-Everywhere", &all)?;
    let made = create(&lab, "Say-On-Linux", &document(json!({ "linux": branch("linux") })))?;
    ensure(made["DocumentDescription"]["PlatformTypes"] == json!(["Linux"]), || format!("{made}"))?;
    let filter = json!({ "Filters": [{ "Key": "PlatformTypes", "Values": ["Windows"] },
        { "Key": "Owner", "Values": ["Self"] }] });
    let listed = lab.admin().api("AmazonSSM.ListDocuments", &filter)?;
    let names: Vec<_> = listed["DocumentIdentifiers"].as_array().into_iter().flatten().collect();
    ensure(names.iter().all(|document| document["Name"] != "Say-On-Linux"), || {
        format!("{listed}")
    })?;
    ensure(names.iter().any(|document| document["Name"] == "Say-Everywhere"), || {
        format!("{listed}")
    })?;
    let mut elevated = document(json!({ "windows": branch("windows") }));
    elevated["properties"]["windows"]["runAsElevated"] = json!(true);
    create(&lab, "Say-As-System", &elevated)?;
    let body = json!({ "Target": windows.id(), "DocumentName": "Say-As-System",
        "Parameters": { "word": ["hi"] } });
    let refused = lab.admin().api_raw("AmazonSSM.StartSession", &body.to_string())?;
    ensure(refused.0 == 400 && refused.1.contains("as SYSTEM"), || format!("{refused:?}"))?;
    for (agent, said) in [(&windows, "windows-hi\n"), (&mac, "macos-hi\n")] {
        let words = ["--document-name", "Say-Everywhere", "--parameters", "word=hi"];
        let mut command = start_session_on(&lab, &agent.id(), &words)?;
        command.stdin(std::process::Stdio::null());
        let out = process::finish(command, COMMAND)?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        ensure(text.contains(said), || format!("{out:?}\n{:?}", agent.seen()))?;
        let body = json!({ "Target": agent.id(), "DocumentName": "Say-On-Linux",
            "Parameters": { "word": ["hi"] } });
        let refused = lab.admin().api_raw("AmazonSSM.StartSession", &body.to_string())?;
        let name = if agent.id() == windows.id() { "Windows" } else { "MacOS" };
        let words = format!("has no commands for {name}");
        ensure(refused.0 == 400 && refused.1.contains(&words), || format!("{refused:?}"))?;
    }
    Ok(())
}

#[test]
fn a_shell_begins_with_the_profile_of_its_system() -> Outcome {
    let lab = Lab::start()?;
    let [windows, mac] = two(&lab)?;
    let profile = json!({ "linux": "echo unix-$((6 * 7))", "windows": "echo windows-$((6 * 7))" });
    preferences_of(&lab, "ssm-user", &json!({ "shellProfile": profile }))?;
    for (agent, said) in [(&windows, "windows-42"), (&mac, "unix-42")] {
        let mut shell = Terminal::start(&lab.admin().towline(&["shell", &agent.id()]), 24, 80)?;
        shell.expect(said)?;
        shell.line("exit")?;
        ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())?;
    }
    Ok(())
}

#[test]
fn run_as_of_other_systems_keeps_nobody_from_windows_and_policy_decides() -> Outcome {
    let lab = Lab::start()?;
    let agent = VendorAgent::connected(&lab, WINDOWS)?;
    wait_online(&lab, &agent)?;
    preferences_of(&lab, "operator", &json!({}))?;
    let id = agent.id();
    let exec = |operator: &Operator, user: &[&str]| {
        let mut words = vec!["exec"];
        words.extend(user);
        words.extend([&*id, "--", "echo", "it's", "a b"]);
        let mut command = operator.towline(&words);
        command.stdin(std::process::Stdio::null());
        process::finish(command, COMMAND)
    };
    let other = exec(&lab.admin(), &[])?;
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    ensure(!other.status.success() && said.contains("ask for ssm-user"), || format!("{other:?}"))?;
    let own = exec(&lab.admin(), &["--user", "ssm-user"])?;
    ensure(own.status.success() && own.stdout == b"it's a b\n", || format!("{own:?}"))?;
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": "ssm:StartSession", "Resource": "*",
              "Condition": { "StringEquals": { "towline:DocumentParameter/runAsUser": "ssm-user" } } },
        ],
    });
    let ann = lab.user("ann", Some(&policy.to_string()))?;
    let denied = exec(&ann, &["--user", "ssm-user"])?;
    ensure(denied.status.code() == Some(DENIED), || format!("{denied:?}"))?;
    // The preferences name the user: policy judges it all the same.
    let update = json!({
        "Name": "SSM-SessionManagerRunShell", "DocumentVersion": "$LATEST",
        "Content": json!({ "schemaVersion": "1.0", "sessionType": "Standard_Stream",
            "inputs": { "runAsEnabled": true, "runAsDefaultUser": "ssm-user" } }).to_string(),
    });
    let update = lab.admin().api("AmazonSSM.UpdateDocument", &update)?;
    let version = json!({ "Name": "SSM-SessionManagerRunShell",
        "DocumentVersion": update["DocumentDescription"]["DocumentVersion"] });
    lab.admin().api("AmazonSSM.UpdateDocumentDefaultVersion", &version)?;
    ensure(exec(&lab.admin(), &[])?.status.success(), || "the preferences name ssm-user".into())?;
    let denied = exec(&ann, &[])?;
    ensure(denied.status.code() == Some(DENIED), || format!("{denied:?}"))
}
