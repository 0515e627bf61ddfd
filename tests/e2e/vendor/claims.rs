//! Devices that claim what is not so: tokens of the other side, sessions and steps of other
//! devices, two data channels for one session, words with control characters, input that is never
//! acknowledged.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use towline_ssm::message::MessageType;
use towline_testkit::lab::Lab;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, https, process};
use tungstenite::client::IntoClientRequest as _;

use super::clients::{id_of, preferences_of, running};
use super::hostile::{DATA_QUERY, opening, token, wait_closed};
use super::{online, send, wait_for, wait_online};
use crate::codes::ENDED;
use crate::peers::vendor::{KEYS, LINUX, Socket, VendorAgent};

/// Words that would paint, clear and reorder a terminal.
const PAINT: &str = "\u{1b}[2Jred\u{9b}31m\u{202e}\u{2066}back\u{7}\r\nnext";

fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| {
        (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

/// A websocket as a plugin opens it: without a signature.
fn unsigned(agent: &VendorAgent, path: &str) -> Outcome<Socket> {
    let address = format!("wss://{}{path}?{DATA_QUERY}", agent.host);
    let stream = https::connect(&agent.host, &agent.ca, None)?;
    let request = address.into_client_request()?;
    let (socket, _) = tungstenite::client(request, stream)
        .map_err(|error| Trouble::new(format!("no websocket: {error}")))?;
    Ok(socket)
}

#[test]
fn the_token_of_one_side_opens_nothing_for_the_other() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    preferences_of(&lab, "operator", &json!({}))?;
    let started = lab.admin().api("AmazonSSM.StartSession", &json!({ "Target": agent.id() }))?;
    let session = started["SessionId"].as_str().unwrap_or_default().to_owned();
    let of_client = started["TokenValue"].as_str().unwrap_or_default();
    let path = format!("/v1/data-channel/{session}");
    let mut data = agent.upgrade(&path, DATA_QUERY)?;
    data.send(opening(&agent, of_client))?;
    wait_closed(data, "a client's token at the device's side")?;
    let of_device = token(&agent, &path)?;
    let mut data = unsigned(&agent, &path)?;
    data.send(tungstenite::Message::text(
        json!({
            "MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": of_device,
            "ClientId": "c", "ClientVersion": "1.2.677.0",
        })
        .to_string(),
    ))?;
    wait_closed(data, "a device's token at the client's side")?;
    let state = running(&lab)?;
    ensure(id_of(&state) == session && state["Status"] != "Connected", || {
        format!("a stranger is its client: {state}")
    })
}

#[test]
fn what_one_device_says_of_another_s_sessions_and_steps_changes_nothing() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let liar = VendorAgent::new(&lab, KEYS[1], LINUX)?;
    liar.join(&lab)?;
    wait_online(&lab, &liar)?;
    let id = agent.id();
    let mut shell =
        Terminal::start(&lab.admin().towline(&["shell", "--user", "operator", &id]), 24, 80)?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let session = id_of(&running(&lab)?);
    let gate = lab.directory().join("gate");
    let script = format!("while [ ! -e {} ]; do sleep 0.05; done; echo end", gate.display());
    let command = send(&lab, &id, &script)?;
    wait_for(&lab, &command, &id, "InProgress")?;
    let job = eventually("the job is taken", PATIENCE, || {
        let taken =
            |line: &String| line.strip_prefix("job ")?.strip_suffix(" taken").map(str::to_owned);
        agent.seen().iter().find_map(taken)
    })?;
    let failed = json!({ "documentStatus": "Failed", "runtimeStatus": { "step": { "code": 9 } } });
    for (kind, payload) in [
        (MessageType::AgentJobAck, json!({ "jobId": job, "statusCode": "51406" })),
        (MessageType::AgentJobReply, json!({ "jobId": job, "content": failed.to_string() })),
        (MessageType::AgentTaskComplete, complete(&session, "false words")),
    ] {
        ensure(liar.send_up((kind, payload)), || "no control channel".into())?;
    }
    let heard = format!("end of {session} heard");
    eventually("all was heard", PATIENCE, || liar.seen().contains(&heard).then_some(()))?;
    shell.line("echo again-$((6 * 7))")?;
    shell.expect("again-42")?;
    towline_testkit::files::write(&gate, "")?;
    let done = wait_for(&lab, &command, &id, "Success")?;
    ensure(done["StandardOutputContent"] == "end\n", || format!("{done}"))?;
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())
}

/// `agent_task_complete` of a session that failed.
fn complete(session: &str, words: &str) -> Value {
    json!({
        "SchemaVersion": 1, "TaskId": session, "Topic": "agent_task_complete",
        "FinalTaskStatus": "Failed", "Output": words, "RetryNumber": 1,
    })
}

/// The newest channel carries the session; the agent comes back with its own.
#[test]
fn a_second_data_channel_of_a_session_loses_no_byte_of_it() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let id = agent.id();
    let mut shell =
        Terminal::start(&lab.admin().towline(&["shell", "--user", "operator", &id]), 24, 80)?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let path = format!("/v1/data-channel/{}", id_of(&running(&lab)?));
    for round in 0..3 {
        let token = token(&agent, &path)?;
        let mut second = agent.upgrade(&path, DATA_QUERY)?;
        second.send(opening(&agent, &token))?;
        shell.line(&format!("echo round-$(({round} + 10))"))?;
        drop(second);
        shell.expect(&format!("round-{}", round + 10))?;
    }
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())
}

#[test]
fn words_of_a_device_do_not_paint_on_an_operator_s_screen() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let id = agent.id();
    let health = json!({
        "InstanceId": id, "AgentVersion": PAINT, "PlatformType": "Linux", "PlatformName": PAINT,
        "PlatformVersion": PAINT, "ComputerName": PAINT, "IPAddress": PAINT,
    });
    let answer = agent.call("AmazonSSM.UpdateInstanceInformation", "ssm", &health)?;
    ensure(answer.status == 200, || format!("{answer:?}"))?;
    let table = lab.admin().text(&["devices"])?;
    ensure(is_harmless(&table) && table.lines().count() == 2, || format!("{table:?}"))?;
    let words = ["exec", "--user", "operator", &id, "--", "sleep", "1000"];
    let mut command = lab.admin().towline(&words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let session = eventually("the session runs", PATIENCE, || {
        running(&lab).ok().filter(|session| session["Status"] == "Connected")
    })?;
    agent.send_up((MessageType::AgentTaskComplete, complete(&id_of(&session), PAINT)));
    let out = process::finish_child(child, "towline exec", PATIENCE)?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("red"), || format!("{out:?}"))?;
    ensure(is_harmless(&said) && said.lines().count() == 1, || format!("{said:?}"))
}

/// What finds no room must wait on the websocket: repeated one by one, most of it comes too late.
#[test]
fn output_that_comes_faster_than_it_is_taken_is_whole() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    agent.faults.hurried.store(true, Ordering::Relaxed);
    let words = ["exec", "--user", "operator", &agent.id(), "--", "seq", "1", "800000"];
    let mut command = lab.admin().towline(&words);
    command.stdin(Stdio::null());
    let out = process::finish(command, PATIENCE * 3)?;
    let wanted: String = (1..=800_000).map(|number| format!("{number}\n")).collect();
    ensure(out.stdout == wanted.as_bytes() && out.status.success(), || {
        let complained = String::from_utf8_lossy(&out.stderr).into_owned();
        format!("{} of {} bytes, {}, {complained}", out.stdout.len(), wanted.len(), out.status)
    })
}

/// An agent that ends in the middle: success would hide it.
#[test]
fn a_command_whose_exit_code_never_comes_does_not_end_well() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    agent.faults.no_exit_code.store(true, Ordering::Relaxed);
    let words = ["exec", "--user", "operator", &agent.id(), "--", "echo", "text"];
    let mut command = lab.admin().towline(&words);
    command.stdin(Stdio::null());
    let out = process::finish(command, PATIENCE)?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(out.status.code() == Some(ENDED) && said.contains("exit code are lost"), || {
        format!("{out:?}")
    })
}

#[test]
fn a_device_that_acknowledges_nothing_is_left_and_others_go_on() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    agent.faults.no_acknowledgements.store(true, Ordering::Relaxed);
    let id = agent.id();
    let mut shell =
        Terminal::start(&lab.admin().towline(&["shell", "--user", "operator", &id]), 24, 80)?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let session = id_of(&running(&lab)?);
    let line = format!("echo {} >/dev/null", "x".repeat(200));
    for _ in 0..100 {
        shell.line(&line)?;
    }
    let other: Arc<VendorAgent> = VendorAgent::new(&lab, KEYS[1], LINUX)?;
    other.join(&lab)?;
    wait_online(&lab, &other)?;
    let mut command =
        lab.admin().towline(&["exec", "--user", "operator", &other.id(), "--", "echo", "fine"]);
    command.stdin(Stdio::null());
    let out = process::finish(command, PATIENCE)?;
    ensure(out.stdout == b"fine\n", || format!("{out:?}"))?;
    lab.admin().api("AmazonSSM.TerminateSession", &json!({ "SessionId": session }))?;
    shell.expect("terminated by").map(drop)
}
