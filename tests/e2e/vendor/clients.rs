//! What operators see of a device with amazon-ssm-agent: clients of AWS, ssh, recordings, watchers,
//! time limits.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};
use towline_testkit::lab::Lab;
use towline_testkit::lab::operator::COMMAND;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, process};

use super::online;
use crate::plugin::{start_port, start_session_on};
use crate::tunnel::connect;
use crate::tunnel::ssh::Ssh;

/// The preferences of all sessions: they run as `operator`, and have these inputs besides.
fn preferences(lab: &Lab, more: &Value) -> Outcome {
    preferences_of(lab, "operator", more)
}

/// The same with another user.
pub(super) fn preferences_of(lab: &Lab, user: &str, more: &Value) -> Outcome {
    let mut inputs = json!({ "runAsEnabled": true, "runAsDefaultUser": user });
    for (name, value) in more.as_object().into_iter().flatten() {
        inputs[name] = value.clone();
    }
    let content =
        json!({ "schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": inputs });
    let body = json!({
        "Name": "SSM-SessionManagerRunShell", "DocumentType": "Session",
        "Content": content.to_string(),
    });
    lab.admin().api("AmazonSSM.CreateDocument", &body).map(drop)
}

/// The only session that runs.
pub(super) fn running(lab: &Lab) -> Outcome<Value> {
    let listed = lab.admin().api("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))?;
    let session = listed["Sessions"][0].clone();
    ensure(session["SessionId"].is_string(), || format!("no session: {listed}"))?;
    Ok(session)
}

/// Its id.
pub(super) fn id_of(session: &Value) -> String {
    session["SessionId"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_aws_cli_has_a_shell_with_its_size_and_its_keys() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    preferences(&lab, &json!({}))?;
    let mut shell = Terminal::start(&start_session_on(&lab, &agent.id(), &[])?, 33, 99)?;
    shell.expect("Starting session with SessionId: ")?;
    shell.line("echo sum-$((6 * 7)); stty size")?;
    shell.expect("sum-42")?;
    shell.expect("33 99")?;
    shell.line("echo begin-$((1 + 1)); sleep 1000")?;
    shell.expect("begin-2")?;
    shell.send("\u{3}")?;
    shell.expect("vendor$ ")?;
    shell.line("exit")?;
    shell.expect("Exiting session with sessionId: ")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())?;
    let seen = agent.seen();
    ensure(
        seen.iter().any(|line| line == r#"session Standard_Stream as "operator" runAs true"#),
        || format!("{seen:?}"),
    )
}

#[test]
fn the_aws_cli_runs_command_documents_with_and_without_a_terminal() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    preferences(&lab, &json!({}))?;
    let id = agent.id();
    let start = |document: &str, parameters: &str| {
        let words = ["--document-name", document, "--parameters", parameters];
        start_session_on(&lab, &id, &words)
    };
    let asked = r#"{"command":["read -r line; echo \"<$line> $(tty | cut -c1-9)\""]}"#;
    let mut shell = Terminal::start(&start("AWS-StartInteractiveCommand", asked)?, 24, 80)?;
    shell.expect("Starting session")?;
    shell.line("a word")?;
    shell.expect("<a word> /dev/pts/")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the command ended".into())?;
    let apart = r#"{"command":["echo out-$((6 * 7)); echo err-$((6 * 7)) >&2; exit 3"],
        "separateOutputStream":["true"],"stdOutSeparatorPrefix":["O:"]}"#;
    let out = process::finish(start("AWS-StartNonInteractiveCommand", apart)?, COMMAND)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complained) = (text(&out.stdout), text(&out.stderr));
    ensure(said.contains("O:out-42\n") && said.contains("EXIT_CODE: 3"), || format!("{out:?}"))?;
    ensure(complained.contains("err-42\n"), || format!("{out:?}"))?;
    let together = r#"{"command":["echo out-$((6 * 7)); echo err-$((6 * 7)) >&2"]}"#;
    let out = process::finish(start("AWS-StartNonInteractiveCommand", together)?, COMMAND)?;
    ensure(text(&out.stdout).contains("out-42\nerr-42\n"), || format!("both are one: {out:?}"))
}

#[test]
fn the_aws_cli_forwards_a_port_of_a_host_behind_the_device() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let server = crate::tunnel::echo_server()?;
    let parameters = json!({
        "host": ["localhost"], "portNumber": [server.port().to_string()],
        "localPortNumber": ["0"],
    });
    let parameters = parameters.to_string();
    let document = "AWS-StartPortForwardingSessionToRemoteHost";
    let words = ["--document-name", document, "--parameters", &parameters];
    let command = start_session_on(&lab, &agent.id(), &words)?;
    let (mut aws, port) = start_port(command, &lab.directory().join("aws-port.log"))?;
    for round in 0..3_u8 {
        let text = vec![round + 1; 50_000];
        let mut connection = connect(port)?;
        let (mut writer, sent) = (connection.try_clone()?, text.clone());
        let writing = std::thread::spawn(move || writer.write_all(&sent));
        let mut back = vec![0; text.len()];
        connection.read_exact(&mut back)?;
        ensure(back == text, || format!("round {round}: other bytes came back"))?;
        let _ = writing.join();
    }
    aws.kill()
}

#[test]
fn ssh_and_scp_reach_the_device_and_have_their_exit_code() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let ssh = Ssh::start(&lab, &lab.admin().text(&["ssh-config", "--only-ids"])?)?;
    let id = agent.id();
    let out = ssh.command(&lab, "ssh").args([&*id, "echo sum-$((6 * 7)); exit 7"]).output()?;
    ensure(out.stdout == b"sum-42\n" && out.status.code() == Some(7), || format!("{out:?}"))?;
    let (from, there) = (lab.directory().join("from"), lab.directory().join("there"));
    let content = crate::tunnel::pattern(7, 300_000);
    towline_testkit::files::write(&from, &content)?;
    let to = format!("{id}:{}", there.display());
    ssh.run(&lab, "scp", &["-q", &from.display().to_string(), &to])?;
    ensure(std::fs::read(&there)? == content, || "scp put another file there".into())?;
    let seen = agent.seen();
    ensure(seen.iter().any(|line| line.starts_with("session Port")), || format!("{seen:?}"))
}

#[test]
fn a_session_is_recorded_watched_and_verified_and_names_its_agent() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let id = agent.id();
    let mut shell =
        Terminal::start(&lab.admin().towline(&["shell", "--user", "operator", &id]), 24, 80)?;
    shell.line("echo before-$((40+2))")?;
    shell.expect("before-42")?;
    let session = running(&lab)?;
    ensure(session["TowlineAgentKind"] == "vendor", || format!("{session}"))?;
    let mut viewer = lab.admin().terminal(&["watch", &id_of(&session)])?;
    viewer.expect("before-42")?;
    shell.line("echo after-$((40+2))")?;
    viewer.expect("after-42")?;
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())?;
    ensure(viewer.finish(PATIENCE)?.success(), || "the viewer did not end well".into())?;
    let session = id_of(&session);
    let played = eventually("the recording is there", PATIENCE, || {
        lab.admin().text(&["play", &session, "--speed", "1000"]).ok()
    })?;
    ensure(played.contains("before-42") && played.contains("after-42"), || played)?;
    let verified = lab.admin().text(&["verify", &session])?;
    ensure(verified.contains("0 faults"), || verified)?;
    let log = lab.gateway.logged();
    let line = log
        .lines()
        .find(|line| line.contains("\"eventName\":\"StartSession\"") && line.contains(&session));
    let line = line.ok_or_else(|| Trouble::new("no audit line of StartSession"))?;
    ensure(line.contains("\"agentKind\":\"vendor\""), || line.to_owned())
}

/// A minute is the shortest that the document knows.
#[test]
fn an_idle_session_ends_on_the_device_when_the_preferences_say_so() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    preferences(&lab, &json!({ "idleSessionTimeout": "1" }))?;
    let mut idle = Terminal::start(&lab.admin().towline(&["shell", &agent.id()]), 24, 80)?;
    idle.expect_within("idle for too long", Duration::from_secs(180))?;
    ensure(!idle.finish(PATIENCE)?.success(), || "nobody left it".into())?;
    eventually("the agent has ended it", PATIENCE, || {
        let seen = agent.seen();
        seen.iter().any(|line| line.starts_with("session Standard_Stream over")).then_some(())
    })
}
