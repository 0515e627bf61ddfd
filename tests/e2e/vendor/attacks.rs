//! A device that speaks on the data channel of a session as it likes: out of turn, twice, cut
//! anywhere, with numbers and times that cannot be. Each session ends, and no other one hears of
//! it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use towline_ssm::message::{AgentMessage, MessageIds, MessageType, PayloadType};
use towline_testkit::lab::Lab;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, https, process};
use tungstenite::Message;

use super::clients::running;
use super::hostile::{DATA_QUERY, opening, token, wait_closed};
use super::online;
use crate::peers::vendor::{KEYS, LINUX, Socket, VendorAgent};
use crate::tunnel::{Forward, echo_server};

/// More connections than one address may have over which nobody has proved anything.
const MORE_THAN_STRANGERS: usize = 300;
/// Input that comes before a late handshake, bytes.
const EARLY: &[u8] = b"echo early-$((6 * 7))\r";

/// The data channel of a session, on which the test speaks.
struct Hand {
    socket: Socket,
    ids: MessageIds,
    session: String,
    next: i64,
}

impl Hand {
    /// Opens the data channel of a session.
    fn open(agent: &VendorAgent, session: &str) -> Outcome<Self> {
        let path = format!("/v1/data-channel/{session}");
        let token = token(agent, &path)?;
        let mut socket = agent.upgrade(&path, DATA_QUERY)?;
        socket.send(opening(agent, &token))?;
        let ids = MessageIds::new([5; 16]);
        Ok(Self { socket, ids, session: session.to_owned(), next: 0 })
    }

    /// Says something under this number. Its clock shows the first second of 1970.
    fn put(&mut self, kind: MessageType, sequence: i64, what: (PayloadType, &[u8])) -> Outcome {
        let (payload_type, payload) = what;
        let message = AgentMessage {
            message_type: kind,
            created: 1,
            sequence,
            flags: 0,
            id: self.ids.next_id(),
            payload_type,
            payload: payload.to_vec(),
        };
        Ok(self.socket.send(Message::binary(message.encode()))?)
    }

    fn state(&mut self, word: &str) -> Outcome {
        let state = json!({ "SchemaVersion": 1, "SessionState": word, "SessionId": self.session });
        let payload = state.to_string();
        self.put(MessageType::AgentSessionState, 0, (PayloadType::None, payload.as_bytes()))
    }

    /// The next message of the numbered stream.
    fn says(&mut self, kind: PayloadType, payload: &[u8]) -> Outcome {
        self.put(MessageType::OutputStreamData, self.next, (kind, payload))?;
        self.next += 1;
        Ok(())
    }

    fn asks(&mut self, action: &str, parameters: &Value) -> Outcome {
        let action = json!({ "ActionType": action, "ActionParameters": parameters });
        let request = json!({ "AgentVersion": "3.3.0.0", "RequestedClientActions": [action] });
        self.says(PayloadType::HandshakeRequest, request.to_string().as_bytes())
    }

    fn shakes(&mut self, kind: &str) -> Outcome {
        self.asks("SessionType", &json!({ "SessionType": kind, "Properties": {} }))?;
        let complete = json!({ "HandshakeTimeToComplete": 1, "CustomerMessage": "" });
        self.says(PayloadType::HandshakeComplete, complete.to_string().as_bytes())
    }
}

/// A device whose sessions the test carries by hand.
fn by_hand(lab: &Lab) -> Outcome<Arc<VendorAgent>> {
    let agent = online(lab)?;
    agent.faults.by_hand.store(true, Ordering::Relaxed);
    Ok(agent)
}

/// The session that was ordered after so many others.
fn ordered(agent: &VendorAgent, others: usize) -> Outcome<String> {
    eventually("a session is ordered", PATIENCE, || orders(agent).nth(others))
}

/// Sessions that were ordered.
fn orders(agent: &VendorAgent) -> impl Iterator<Item = String> + use<> {
    let named = |line: String| line.strip_prefix("ordered ").map(str::to_owned);
    agent.seen().into_iter().filter_map(named)
}

fn shell(lab: &Lab, agent: &VendorAgent) -> Outcome<Terminal> {
    Terminal::start(&lab.admin().towline(&["shell", "--user", "operator", &agent.id()]), 24, 80)
}

/// `towline exec` of anything, in the background.
fn exec(lab: &Lab, agent: &VendorAgent) -> Outcome<std::process::Child> {
    let id = agent.id();
    let mut command = lab.admin().towline(&["exec", "--user", "operator", &id, "--", "true"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command.spawn()?)
}

#[test]
fn keys_that_are_typed_before_a_late_handshake_reach_the_shell() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    agent.faults.shakes_hands.store(true, Ordering::Relaxed);
    agent.faults.ignores.store(u32::try_from(EARLY.len())?, Ordering::Relaxed);
    let mut shell = shell(&lab, &agent)?;
    shell.send(EARLY)?;
    shell.expect("early-42")?;
    shell.line("echo late-$((6 * 7)); stty size")?;
    shell.expect("late-42")?;
    shell.expect("24 80")?;
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())
}

#[test]
fn output_has_the_order_of_its_numbers_whatever_else_has_one() -> Outcome {
    let lab = Lab::start()?;
    let agent = by_hand(&lab)?;
    let mut shell = shell(&lab, &agent)?;
    let mut hand = Hand::open(&agent, &ordered(&agent, 0)?)?;
    hand.state("Connected")?;
    for (number, text) in [
        (0, "first-"),
        (0, "doubled-"),
        (i64::MAX, "far-"),
        (i64::MIN, "below-"),
        (-1, "below-"),
        (2, "third-"),
        (2, "other-"),
        (1, "second-"),
        (3, "last\r\n"),
    ] {
        let what = (PayloadType::Output, text.as_bytes());
        hand.put(MessageType::OutputStreamData, number, what)?;
    }
    let before = shell.expect("first-second-third-last")?;
    ensure(!before.contains("doubled") && !before.contains("far"), || before)?;
    hand.state("Terminating")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())
}

#[test]
fn a_session_is_terminated_wherever_its_agent_stands() -> Outcome {
    let lab = Lab::start()?;
    let agent = by_hand(&lab)?;
    let states = ["silent", "speaking", "shaking hands", "away", "ending"];
    for (number, state) in states.into_iter().enumerate() {
        let at = |trouble: Trouble| Trouble::new(format!("{state}: {trouble}"));
        let mut shell = shell(&lab, &agent)?;
        let session = ordered(&agent, number)?;
        let mut hand = Hand::open(&agent, &session)?;
        hand.state("Connected")?;
        match state {
            "speaking" => hand.says(PayloadType::Output, b"$ ")?,
            "shaking hands" => hand.asks("SessionType", &json!({ "SessionType": "Port" }))?,
            "ending" => hand.state("Terminating")?,
            _ => {}
        }
        let kept = (state != "away").then_some(hand);
        eventually("the session runs", PATIENCE, || {
            let named = json!({ "SessionId": session });
            let done = lab.admin().api("AmazonSSM.TerminateSession", &named).is_ok();
            (done || running(&lab).is_err()).then_some(())
        })
        .map_err(at)?;
        shell.finish(PATIENCE).map_err(at)?;
        if let Some(hand) = kept {
            wait_closed(hand.socket, state)?;
        }
    }
    let listed = lab.admin().api("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))?;
    ensure(listed["Sessions"].as_array().is_some_and(Vec::is_empty), || format!("{listed}"))
}

#[test]
fn handshakes_out_of_turn_change_nothing_and_keys_of_kms_are_refused_in_words() -> Outcome {
    let lab = Lab::start()?;
    let agent = by_hand(&lab)?;
    let child = exec(&lab, &agent)?;
    let mut hand = Hand::open(&agent, &ordered(&agent, 0)?)?;
    hand.state("Connected")?;
    for kind in [PayloadType::HandshakeComplete, PayloadType::EncChallengeRequest] {
        for text in ["{", r#"{"Challenge":"AAAA"}"#] {
            hand.says(kind, text.as_bytes())?;
        }
    }
    for _ in 0..3 {
        hand.shakes("NonInteractiveCommands")?;
    }
    hand.says(PayloadType::Output, b"once\n")?;
    hand.shakes("NonInteractiveCommands")?;
    hand.says(PayloadType::ExitCode, b"EXIT_CODE: 7")?;
    hand.state("Terminating")?;
    let out = process::finish_child(child, "towline exec", PATIENCE)?;
    ensure(out.stdout == b"once\n" && out.status.code() == Some(7), || format!("{out:?}"))?;
    let child = exec(&lab, &agent)?;
    let mut hand = Hand::open(&agent, &ordered(&agent, 1)?)?;
    hand.state("Connected")?;
    hand.asks("KMSEncryption", &json!({ "KMSKeyId": "alias/none" }))?;
    let out = process::finish_child(child, "towline exec", PATIENCE)?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("KMSEncryption"), || format!("{out:?}"))
}

#[test]
fn a_port_whose_frames_are_cut_anywhere_carries_each_byte() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let server = echo_server()?;
    let forward = Forward::on(&lab.admin(), &lab, &agent.id(), &format!("0:{}", server.port()))?;
    let text: Vec<u8> = (0..3_000_u32).map(|n| u8::try_from(n % 251).unwrap_or(0)).collect();
    for piece in [1, 3, 7, 9] {
        agent.faults.piece.store(piece, Ordering::Relaxed);
        let mut connection = forward.connect()?;
        connection.write_all(&text)?;
        let mut back = vec![0; text.len()];
        connection.read_exact(&mut back)?;
        ensure(back == text, || format!("pieces of {piece}: other bytes came back"))?;
    }
    Ok(())
}

#[test]
fn frames_of_a_port_that_cannot_be_end_the_forward_and_nothing_else() -> Outcome {
    let lab = Lab::start()?;
    let agent = by_hand(&lab)?;
    let frames: [&[u8]; 4] = [
        &[9, 2, 1, 0, 1, 0, 0, 0, 7],     // a version that is none
        &[1, 77, 0, 0, 1, 0, 0, 0],       // a command that is none
        &[1, 2, 0xff, 0xff, 99, 0, 0, 0], // bytes of a connection that is none
        &[1, 0, 0, 0, 2, 0, 0, 0, 1, 1, 0, 0, 2, 0, 0, 0], // a connection that the device opens
    ];
    for (number, frame) in frames.into_iter().enumerate() {
        let (played, others) = (Arc::clone(&agent), orders(&agent).count());
        let hand = std::thread::spawn(move || {
            let mut hand = Hand::open(&played, &ordered(&played, others).ok()?).ok()?;
            hand.state("Connected").ok()?;
            hand.shakes("Port").ok()?;
            Some(hand)
        });
        let route = format!("0:{}", 9000 + number); // nobody dials it
        let forward = Forward::on(&lab.admin(), &lab, &agent.id(), &route)?;
        let hand = hand.join().map_err(|_| Trouble::new("the device panicked"))?;
        let mut hand = hand.ok_or_else(|| Trouble::new("no data channel"))?;
        let mut connection = forward.connect()?;
        connection.write_all(b"x")?;
        for byte in frame {
            hand.says(PayloadType::Output, &[*byte])?;
        }
        hand.state("Terminating")?;
        let mut back = Vec::new();
        let hung = connection.read_to_end(&mut back).is_err_and(|error| {
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        });
        ensure(back.is_empty() && !hung, || format!("{frame:?} gave {back:?}, hung: {hung}"))?;
    }
    agent.faults.by_hand.store(false, Ordering::Relaxed);
    let out = process::finish_child(exec(&lab, &agent)?, "towline exec", PATIENCE)?;
    ensure(out.status.success(), || format!("{out:?}"))
}

#[test]
fn a_registration_that_is_replayed_makes_no_second_device_and_takes_no_use() -> Outcome {
    let lab = Lab::start()?;
    let activation = lab.activation(2)?;
    let agent = VendorAgent::new(&lab, KEYS[0], LINUX)?;
    ensure(agent.register(&activation)?.status == 200, || "refused".into())?;
    let id = agent.id();
    for _ in 0..3 {
        let again = agent.register(&activation)?;
        ensure(agent.id() == id, || format!("one key, two devices: {again:?}"))?;
    }
    let other = VendorAgent::new(&lab, KEYS[1], LINUX)?;
    let answer = other.register(&activation)?;
    ensure(answer.status == 200, || format!("a replay took a use: {answer:?}"))?;
    let listed = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &json!({}))?;
    let count = listed["InstanceInformationList"].as_array().map_or(0, Vec::len);
    ensure(count == 2, || format!("{listed}"))
}

#[test]
fn a_device_whose_clock_is_a_day_off_is_told_so_and_comes_when_it_is_right() -> Outcome {
    let lab = Lab::start()?;
    let agent = VendorAgent::new(&lab, KEYS[0], LINUX)?;
    ensure(agent.register(&lab.activation(1)?)?.status == 200, || "refused".into())?;
    for off in [86_400, -86_400] {
        agent.faults.clock.store(off, Ordering::Relaxed);
        let refused = agent.renew()?;
        ensure(refused.status >= 400 && refused.body.contains("clock"), || format!("{refused:?}"))?;
    }
    agent.faults.clock.store(0, Ordering::Relaxed);
    agent.start()?;
    super::wait_online(&lab, &agent)?;
    agent.faults.clock.store(86_400, Ordering::Relaxed);
    let out = process::finish_child(exec(&lab, &agent)?, "towline exec", PATIENCE);
    let refused = out.is_err() || out.is_ok_and(|out| !out.status.success());
    ensure(refused, || "a data channel with a signature of tomorrow".into())
}

/// Long polls of one address, as of devices behind one router.
#[test]
fn polls_that_wait_are_no_strangers_and_displace_nobody() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let mut open = Vec::new();
    for _ in 0..MORE_THAN_STRANGERS {
        open.push(agent.poll()?);
    }
    let out = process::finish_child(exec(&lab, &agent)?, "towline exec", PATIENCE)?;
    ensure(out.status.success(), || format!("{out:?}"))?;
    let mut answer = Vec::new();
    let read = open.remove(0).read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    ensure(answer.contains(" 200 ") && answer.contains("Messages"), || {
        format!("the first poll was hung up on: {read:?} {answer:?}")
    })
}

#[test]
fn strangers_at_the_address_of_a_device_cut_no_session_of_it() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let mut shell = shell(&lab, &agent)?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let mut strangers = Vec::new();
    for _ in 0..MORE_THAN_STRANGERS {
        let mut stranger = https::connect(&agent.host, &agent.ca, None)?;
        let _ = stranger.write_all(b"POST / HTTP/1.1\r\n"); // hung up on by now, perhaps
        strangers.push(stranger);
    }
    shell.line("echo again-$((6 * 7))")?;
    shell.expect("again-42")?;
    let lost = agent.seen().into_iter().find(|line| line.ends_with(" lost"));
    ensure(lost.is_none(), || format!("{lost:?}"))
}
