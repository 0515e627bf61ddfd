//! Devices that do not keep to the protocol: tokens of another channel, frames that are too large,
//! another device's session. Each time the gateway and the other devices go on.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use towline_ssm::message::{HEADER, MAX_CONTROL_PAYLOAD, MAX_PAYLOAD};
use towline_testkit::lab::Lab;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, process};
use tungstenite::Message;

use super::{online, send, wait_for, wait_online};
use crate::peers::vendor::stream::look;
use crate::peers::vendor::{KEYS, LINUX, Socket, VendorAgent, token_of};

const CONTROL_QUERY: &str = "role=subscribe&stream=input";
pub(super) const DATA_QUERY: &str = "role=publish_subscribe";

/// The frame that opens a channel.
pub(super) fn opening(agent: &VendorAgent, token: &str) -> Message {
    let frame = json!({
        "Cookie": null, "MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": token,
        "AgentVersion": "3.3.0.0", "PlatformType": "linux", "ClientInstanceId": agent.id(),
        "ClientId": "",
    });
    Message::text(frame.to_string())
}

/// The token of a channel.
pub(super) fn token(agent: &VendorAgent, path: &str) -> Outcome<String> {
    let body = json!({ "MessageSchemaVersion": "1.0", "RequestId": "r", "ClientId": "" });
    token_of(&agent.ask_channel(path, &body)?)
}

/// Reads until the gateway has closed the websocket.
pub(super) fn wait_closed(mut socket: Socket, what: &str) -> Outcome {
    socket.get_ref().sock.set_read_timeout(Some(Duration::from_millis(50)))?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if look(&mut socket).is_err() {
            return Ok(());
        }
    }
    Err(Trouble::new(format!("{what}: the websocket is open still")))
}

/// Whether the device is connected.
fn connected(lab: &Lab, id: &str) -> Outcome<bool> {
    let answer = lab.admin().api("AmazonSSM.GetConnectionStatus", &json!({ "Target": id }))?;
    Ok(answer["Status"] == "connected")
}

#[test]
fn a_token_opens_its_own_channel_of_its_own_device_alone() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let other = VendorAgent::new(&lab, KEYS[1], LINUX)?;
    ensure(other.register(&lab.activation(1)?)?.status == 200, || "refused".into())?;
    ensure(other.renew()?.status == 200, || "no keys".into())?;
    let own = format!("/v1/control-channel/{}", other.id());
    let data = "/v1/data-channel/admin-00000000000000000";
    let wrong = [
        ("of another device", token(&agent, &format!("/v1/control-channel/{}", agent.id()))?),
        ("of a data channel", token(&other, data)?),
        ("that nobody has made", "AAAA".to_owned()),
    ];
    for (what, token) in wrong {
        let mut socket = other.upgrade(&own, CONTROL_QUERY)?;
        socket.send(opening(&other, &token))?;
        wait_closed(socket, what)?;
        ensure(!connected(&lab, &other.id())?, || format!("a token {what} opened it"))?;
    }
    other.start()?;
    wait_online(&lab, &other)
}

#[test]
fn a_frame_that_is_too_large_ends_its_channel_and_nothing_else() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let words = ["shell", "--user", "operator", &agent.id()];
    let mut shell = Terminal::start(&lab.admin().towline(&words), 24, 80)?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let other = VendorAgent::new(&lab, KEYS[1], LINUX)?;
    ensure(other.register(&lab.activation(1)?)?.status == 200, || "refused".into())?;
    ensure(other.renew()?.status == 200, || "no keys".into())?;
    let mut control = other.open_control()?;
    wait_online(&lab, &other)?;
    let _ = control.send(Message::binary(vec![0; HEADER + MAX_CONTROL_PAYLOAD + 1]));
    wait_closed(control, "a control channel")?;
    let path = "/v1/data-channel/admin-00000000000000000";
    let token = token(&other, path)?;
    let mut data = other.upgrade(path, DATA_QUERY)?;
    data.send(opening(&other, &token))?;
    let _ = data.send(Message::binary(vec![0; HEADER + MAX_PAYLOAD + 1]));
    wait_closed(data, "a data channel")?;
    shell.line("echo again-$((6 * 7))")?;
    shell.expect("again-42")?;
    other.start()?;
    wait_online(&lab, &other)
}

#[test]
fn frames_that_are_no_messages_are_ignored() -> Outcome {
    let lab = Lab::start()?;
    let agent = VendorAgent::new(&lab, KEYS[0], LINUX)?;
    ensure(agent.register(&lab.activation(1)?)?.status == 200, || "refused".into())?;
    ensure(agent.renew()?.status == 200, || "no keys".into())?;
    let mut control = agent.open_control()?;
    wait_online(&lab, &agent)?;
    for bytes in [vec![], vec![0xff; 4], vec![0; HEADER], vec![0xff; HEADER + 100]] {
        control.send(Message::binary(bytes))?;
    }
    control.send(Message::text("{}"))?;
    control.send(Message::Ping("keepalive".into()))?;
    control.get_ref().sock.set_read_timeout(Some(PATIENCE))?;
    let answer = control.read()?;
    ensure(matches!(&answer, Message::Pong(text) if *text == "keepalive"), || {
        format!("{answer:?}")
    })?;
    ensure(connected(&lab, &agent.id())?, || "the device was sent away".into())
}

#[test]
fn a_job_that_an_agent_drops_while_it_starts_is_ordered_again_and_runs_once() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    agent.faults.drop_jobs.store(1, Ordering::Relaxed);
    let id = agent.id();
    let command = send(&lab, &id, "echo fine")?;
    let done = wait_for(&lab, &command, &id, "Success")?;
    ensure(done["StandardOutputContent"] == "fine\n", || format!("{done}"))?;
    let seen = agent.seen();
    let count = |what: &str| seen.iter().filter(|line| line.contains(what)).count();
    ensure(count("job dropped") == 1 && count(" taken") == 1, || format!("{seen:?}"))
}

#[test]
fn false_frames_beside_true_ones_change_no_byte() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    agent.faults.false_frames.store(3, Ordering::Relaxed);
    agent.faults.lose.store(11, Ordering::Relaxed);
    agent.faults.double.store(7, Ordering::Relaxed);
    let script =
        "i=0; while [ $i -lt 3000 ]; do echo line-$i; i=$((i + 1)); done; echo e >&2; exit 9";
    let id = agent.id();
    let mut command =
        lab.admin().towline(&["exec", "--user", "operator", &id, "--", "sh", "-c", script]);
    command.stdin(std::process::Stdio::null());
    let out = process::finish(command, PATIENCE * 3)?;
    let wanted: String = (0..3000).map(|i| format!("line-{i}\n")).collect();
    ensure(out.stdout == wanted.as_bytes() && out.status.code() == Some(9), || {
        let complained = String::from_utf8_lossy(&out.stderr).into_owned();
        format!("{} of {} bytes, {complained}, {:?}", out.stdout.len(), wanted.len(), agent.seen())
    })?;
    ensure(out.stderr == b"e\n", || format!("{out:?}"))?;
    // Input, too: what was never sent is not taken for acknowledged.
    let mut shell =
        Terminal::start(&lab.admin().towline(&["shell", "--user", "operator", &id]), 24, 80)?;
    for round in 0..20 {
        shell.line(&format!("echo sum-$(({round} * 7))-"))?;
        shell.expect(&format!("sum-{}-", round * 7))?;
    }
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())
}

#[test]
fn another_device_s_session_is_not_given_out() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let words = ["shell", "--user", "operator", &agent.id()];
    let mut shell = Terminal::start(&lab.admin().towline(&words), 24, 80)?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let listed = lab.admin().api("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))?;
    let session = listed["Sessions"][0]["SessionId"].as_str().unwrap_or_default().to_owned();
    let other = VendorAgent::new(&lab, KEYS[1], LINUX)?;
    ensure(other.register(&lab.activation(1)?)?.status == 200, || "refused".into())?;
    ensure(other.renew()?.status == 200, || "no keys".into())?;
    let path = format!("/v1/data-channel/{session}");
    let token = token(&other, &path)?;
    let mut data = other.upgrade(&path, DATA_QUERY)?;
    data.send(opening(&other, &token))?;
    data.get_ref().sock.set_read_timeout(Some(PATIENCE))?;
    let told = data.read()?;
    let said = String::from_utf8_lossy(&told.into_data()).into_owned();
    ensure(said.contains("channel_closed"), || said)?;
    drop(data);
    shell.line("echo again-$((6 * 7))")?;
    shell.expect("again-42").map(drop)
}

#[test]
fn a_device_in_quarantine_gets_no_new_key_by_its_old_one() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let id = agent.id();
    let copy = VendorAgent::new(&lab, KEYS[0], LINUX)?;
    copy.is(&id);
    copy.start()?;
    let state = || {
        let listed = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &json!({})).ok()?;
        Some(listed["InstanceInformationList"][0]["TowlineState"].clone())
    };
    eventually("the device is quarantined", PATIENCE, || {
        state().filter(|state| *state == "quarantined").map(drop)
    })?;
    let refused = copy.rotate(KEYS[1])?;
    ensure(refused.status != 200, || format!("a copied key was replaced: {refused:?}"))?;
    lab.admin().text(&["admin", "device", "approve", &id])?;
    let done = agent.rotate(KEYS[1])?;
    ensure(done.status == 200, || format!("the device's own key is no key of it: {done:?}"))?;
    let late = copy.renew()?;
    ensure(late.status != 200, || format!("the copied key gives keys still: {late:?}"))
}
