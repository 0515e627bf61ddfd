//! Peers that were let in and then break the rules: a device after its welcome, a client of
//! `towline.stream.1` with a right token. Each is told, or written down, what it did; the gateway
//! and everybody else go on.

use std::collections::BTreeSet;

use towline_testkit::lab::{Device, Lab};
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, facts};
use towline_wire::client::{ERR, FromClient, IO, ToClient};
use towline_wire::frame::{Frame, StreamId};
use towline_wire::lane::Lanes;
use towline_wire::message::{EndReason, ExitStatus, FromAgent, Held, Size, ToAgent, encode};

use crate::peers::agent::{self, AgentLine};
use crate::peers::client::{self, Channel, Started};
use crate::peers::line::Heard;

/// What a gateway may grow by while somebody floods it, KiB: two outboxes at their bounds (1 MiB of
/// data and 64 KiB of control bytes each), a client's window, and what the allocator keeps. A flood
/// that is kept would be ten times that.
const MOST_GROWTH: u64 = 16 << 10;

/// Somebody decent at work while others misbehave, on a device of their own.
struct Bystander {
    shell: Terminal,
    sums: u32,
}

impl Bystander {
    fn at_work(lab: &Lab, device: &Device) -> Outcome<Self> {
        let mut bystander = Self { shell: lab.admin().shell(device.id())?, sums: 0 };
        bystander.works()?;
        Ok(bystander)
    }

    /// The same shell still answers.
    fn works(&mut self) -> Outcome {
        self.sums += 1;
        self.shell.line(&format!("echo sum-$((1000 + {}))-", self.sums))?;
        self.shell.expect(&format!("sum-{}-", 1000 + self.sums)).map(drop)
    }
}

/// A device that has a key and a name, and no good intentions. Each link is one connection later
/// than the last.
struct BadDevice {
    key: Vec<u8>,
    id: String,
    connection: u32,
}

impl BadDevice {
    fn enrolled(lab: &Lab) -> Outcome<Self> {
        let key = agent::fresh_key()?;
        let mut line = agent::connect(lab, &key, None)?;
        agent::ask_to_enroll(&mut line, &lab.activation(1)?)?;
        let ToAgent::Enrolled { device, .. } = agent::answer(&mut line)? else {
            return Err(Trouble::new("not enrolled"));
        };
        Ok(Self { key, id: device, connection: 0 })
    }

    /// A link of it, welcomed.
    fn welcomed(&mut self, lab: &Lab) -> Outcome<AgentLine> {
        self.connection += 1;
        let mut line = agent::connect(lab, &self.key, None)?;
        agent::say_hello_again(&mut line, &self.id, self.connection)?;
        let answer = agent::answer(&mut line)?;
        ensure(matches!(answer, ToAgent::Welcome(_)), || format!("{answer:?}"))?;
        Ok(line)
    }
}

/// The gateway still reads this link: it answers a ping.
fn answers(line: &mut AgentLine) -> Outcome {
    line.send(&Frame::Ping { next_in: 60 })?;
    loop {
        match line.hear()? {
            Heard::Pong => return Ok(()),
            Heard::End => return Err(Trouble::new("the link was closed")),
            _ => {}
        }
    }
}

fn say(line: &mut AgentLine, message: &FromAgent) -> Outcome {
    line.send(&Frame::Control(&encode(message)?))
}

/// The id of the only session on a device.
fn session_on(lab: &Lab, device: &Device) -> Outcome<String> {
    let active =
        lab.admin().api("AmazonSSM.DescribeSessions", &serde_json::json!({ "State": "Active" }))?;
    let all = active["Sessions"].as_array().cloned().unwrap_or_default();
    let ours = all.iter().find(|session| session["Target"].as_str() == Some(device.id()));
    let id = ours.and_then(|session| session["SessionId"].as_str());
    id.map(str::to_owned)
        .ok_or_else(|| Trouble::new(format!("no session on {}: {active}", device.id())))
}

#[test]
fn a_welcomed_device_that_breaks_the_wire_loses_its_link_and_the_gateway_says_why() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut bystander = Bystander::at_work(&lab, &device)?;
    let mut bad = BadDevice::enrolled(&lab)?;
    for (bytes, why) in [
        (&[0xff, 0xff][..], "frame length"),
        (&[0, 0], "frame length"),
        // A control message of a kind that does not exist, and one with bytes behind its end.
        (&[0, 4, 0, 0xff, 0xff, 0xff], "message"),
        (&[0, 3, 0, 3, 9], "message"),
        // A data frame without data; a credit that ends in the middle of a number.
        (&[0, 3, 1, 7, 0], "empty"),
        (&[0, 3, 2, 0xff, 0xff], "malformed header"),
    ] {
        let before = lab.gateway.logged().len();
        let mut line = bad.welcomed(&lab)?;
        line.send_bytes(bytes)?;
        line.hear_the_end()?;
        eventually("the gateway says why", PATIENCE, || {
            let logged = lab.gateway.logged();
            let new = logged.get(before..)?;
            new.lines().any(|line| line.contains("link ended") && line.contains(why)).then_some(())
        })
        .map_err(|e| {
            Trouble::new(format!(
                "{bytes:?}: {e}; {}",
                lab.gateway.logged().get(before..).unwrap_or_default()
            ))
        })?;
        bystander.works()?;
    }
    // It is not locked out for it: a device with a broken agent comes back when that was mended.
    answers(&mut bad.welcomed(&lab)?)
}

#[test]
fn a_greeting_that_comes_twice_ends_the_link() -> Outcome {
    let lab = Lab::start()?;
    let mut bad = BadDevice::enrolled(&lab)?;
    let mut line = bad.welcomed(&lab)?;
    agent::say_hello_again(&mut line, &bad.id, 99)?;
    line.hear_the_end()?;
    eventually("the gateway says why", PATIENCE, || {
        lab.gateway
            .logged()
            .contains("the agent sent a message of the handshake after it")
            .then_some(())
    })
}

#[test]
fn what_a_device_says_about_sessions_and_streams_of_others_is_without_effect() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut bystander = Bystander::at_work(&lab, &device)?;
    let session = session_on(&lab, &device)?;
    let mut bad = BadDevice::enrolled(&lab)?;
    let mut line = bad.welcomed(&lab)?;
    // As one that it held before: the gateway tells it to let go.
    say(
        &mut line,
        &FromAgent::Held(Held { session: session.clone(), io: 1, err: None, exited: None }),
    )?;
    let answer = agent::answer(&mut line)?;
    ensure(matches!(&answer, ToAgent::Close { session: s, .. } if *s == session), || {
        format!("{answer:?}")
    })?;
    say(&mut line, &FromAgent::HeldEnd)?;
    for message in [
        FromAgent::Opened { session: session.clone() },
        FromAgent::Attached {
            session: session.clone(),
            attachment: 1,
            output: Lanes::default(),
            input: 0,
            room: 9,
        },
        FromAgent::Exited { session: session.clone(), status: ExitStatus::Code(0) },
        FromAgent::Gone { session: session.clone(), reason: EndReason::DeviceGone },
    ] {
        say(&mut line, &message)?;
    }
    for stream in [0, 1, 2, 3, u32::MAX] {
        line.send(&Frame::Data { stream, offset: 0, data: b"rm -rf /\n" })?;
        line.send(&Frame::Credit { stream, acked: 1 << 40, limit: u64::MAX })?;
        line.send(&Frame::Fin { stream, length: 0 })?;
    }
    answers(&mut line)?;
    bystander.works()?;
    ensure(session_on(&lab, &device)? == session, || "the session was ended by a stranger".into())
}

#[test]
fn a_device_that_names_more_sessions_than_any_has_is_hung_up_on() -> Outcome {
    let lab = Lab::start()?;
    let mut bad = BadDevice::enrolled(&lab)?;
    let mut line = bad.welcomed(&lab)?;
    for number in 0..2_000 {
        let held = Held { session: format!("x-{number}"), io: number, err: None, exited: None };
        // It may be hung up on in the middle of this.
        if say(&mut line, &FromAgent::Held(held)).is_err() {
            break;
        }
    }
    line.hear_the_end()?;
    eventually("the gateway says why", PATIENCE, || {
        let logged = lab.gateway.logged();
        (logged.contains("were named as held") || logged.contains("does not drain")).then_some(())
    })
}

#[test]
fn a_device_that_floods_is_held_to_its_bounds_and_slows_nobody() -> Outcome {
    let mut lab = Lab::start()?;
    let gateway = lab.gateway.process().pid();
    let device = lab.device()?;
    let mut bystander = Bystander::at_work(&lab, &device)?;
    let mut bad = BadDevice::enrolled(&lab)?;
    let before = facts::memory(gateway)?.rss;
    // Data for streams that nobody has: thrown away, however much it is.
    let mut line = bad.welcomed(&lab)?;
    for number in 0..4_000_u32 {
        line.send(&Frame::Data {
            stream: number % 7,
            offset: u64::from(number),
            data: &[b'x'; 8_000],
        })?;
        if number % 1_000 == 0 {
            bystander.works()?;
        }
    }
    answers(&mut line)?;
    bystander.works()?;
    // Pings whose answers it never reads: its link is closed at the bound of what may wait for it.
    let mut line = bad.welcomed(&lab)?;
    let ping = [0, 2, 4, 60].repeat(4_000);
    let closed = (0..2_000).any(|_| line.send_bytes(&ping).is_err());
    ensure(closed, || "a device may leave any number of answers unread".into())?;
    eventually("the gateway says why", PATIENCE, || {
        lab.gateway.logged().contains("does not drain").then_some(())
    })?;
    bystander.works()?;
    let after = facts::memory(gateway)?.rss;
    ensure(after <= before + MOST_GROWTH, || {
        format!("the gateway grew from {before} KiB to {after} KiB")
    })
}

/// A session on `device` with a client of the test's own attached, and what the gateway told it.
fn attached(lab: &Lab, device: &Device) -> Outcome<(Started, Channel, u64, u32)> {
    let started = client::start(lab, device)?;
    let mut channel = client::open(lab, &started.url)?;
    match client::attach(&mut channel, &started.token)? {
        ToClient::Attached { input, room, .. } => Ok((started, channel, input, room)),
        other => Err(Trouble::new(format!("not attached: {other:?}"))),
    }
}

/// The gateway's words for why it does not go on with this client.
fn refusal(channel: &mut Channel) -> Outcome<String> {
    loop {
        match client::hear(channel)? {
            ToClient::Refused { text, taken_over: false } => return Ok(text),
            ToClient::Attached { .. } | ToClient::Waiting { .. } => {}
            other => return Err(Trouble::new(format!("no refusal: {other:?}"))),
        }
    }
}

/// Something that a client must not do. It is told its position and its room for input.
type Misdeed = fn(&mut Channel, u64, u32) -> Outcome;

fn data(channel: &mut Channel, stream: StreamId, offset: u64) -> Outcome {
    client::send(channel, &Frame::Data { stream, offset, data: b"x" })
}

const MISDEEDS: &[(&str, Misdeed)] = &[
    ("text messages mean nothing here", |channel, _, _| Ok(channel.send("ls\n".into())?)),
    ("a frame is malformed", |channel, _, _| Ok(channel.send(vec![1_u8, 0xff].into())?)),
    ("a frame is malformed", |channel, _, _| Ok(channel.send(Vec::<u8>::new().into())?)),
    ("a control message is malformed", |channel, _, _| {
        Ok(channel.send(vec![0_u8, 0xff, 0xff].into())?)
    }),
    ("input was sent beyond the credit", |channel, input, room| {
        data(channel, IO, input + u64::from(room))
    }),
    ("there is no input on that stream", |channel, _, _| data(channel, ERR, 0)),
    ("there is no input on that stream", |channel, _, _| {
        client::send(channel, &Frame::Fin { stream: 9, length: 0 })
    }),
    ("there is no such stream", |channel, _, _| {
        client::send(channel, &Frame::Credit { stream: 9, acked: 0, limit: 1 })
    }),
    ("output was acknowledged that was never sent", |channel, _, _| {
        client::send(channel, &Frame::Credit { stream: IO, acked: 1 << 40, limit: 1 << 41 })
    }),
    ("a client attaches once", |channel, _, _| {
        let again = FromClient::Attach {
            token: "x".into(),
            received: None,
            room: Lanes::new(1, 1),
            size: None,
        };
        client::say(channel, &again)
    }),
];

#[test]
fn a_client_that_breaks_the_rules_is_told_which_and_its_session_waits_for_a_better_one() -> Outcome
{
    let lab = Lab::start()?;
    let device = lab.device()?;
    // On the same device, so on the same link.
    let mut bystander = Bystander::at_work(&lab, &device)?;
    let links = device.relay.count().connections;
    let (started, mut channel, mut input, mut room) = attached(&lab, &device)?;
    for (why, misdeed) in MISDEEDS {
        misdeed(&mut channel, input, room)?;
        let text = refusal(&mut channel).map_err(|e| Trouble::new(format!("{why}: {e}")))?;
        ensure(text == *why, || format!("not {why:?} but {text:?}"))?;
        bystander.works()?;
        let (url, token) = client::resume(&lab, &started.id)?;
        channel = client::open(&lab, &url)?;
        match client::attach(&mut channel, &token)? {
            ToClient::Attached { input: at, room: left, .. } => (input, room) = (at, left),
            other => return Err(Trouble::new(format!("after {why:?}: {other:?}"))),
        }
    }
    ensure(device.relay.count().connections == links, || {
        "the device lost its link over a client".into()
    })?;
    client::say(&mut channel, &FromClient::Close)
}

#[test]
fn a_client_whose_first_word_is_no_attach_is_told_so() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let started = client::start(&lab, &device)?;
    let resize = encode(&FromClient::Resize(Size { rows: 1, cols: 1 }))?;
    let mut said = BTreeSet::new();
    for first in [
        tungstenite::Message::text("attach"),
        tungstenite::Message::binary(vec![0xff; 100]),
        tungstenite::Message::binary(Vec::new()),
        tungstenite::Message::binary([&[0], &resize[..]].concat()),
        tungstenite::Message::binary(vec![5]),
    ] {
        let mut channel = client::open(&lab, &started.url)?;
        channel.send(first.clone())?;
        let text = refusal(&mut channel).map_err(|e| Trouble::new(format!("{first:?}: {e}")))?;
        ensure(text.starts_with("the first message must be"), || text.clone())?;
        said.insert(text);
    }
    ensure(said.len() >= 2, || format!("all faults are told in the same words: {said:?}"))?;
    // Its token is not used up by that.
    let answer = client::attach(&mut client::open(&lab, &started.url)?, &started.token)?;
    ensure(matches!(answer, ToClient::Attached { .. }), || format!("{answer:?}"))
}

/// One message of a flood; it is told its position for input, and how many went before.
type Flood = fn(&mut Channel, u64, u16) -> Outcome;

#[test]
fn a_client_that_floods_the_device_harms_only_itself() -> Outcome {
    let mut lab = Lab::start()?;
    let gateway = lab.gateway.process().pid();
    let device = lab.device()?;
    let mut bystander = Bystander::at_work(&lab, &device)?;
    let (links, before) = (device.relay.count().connections, facts::memory(gateway)?.rss);
    let floods: [(u16, Flood); 4] = [
        (20_000, |channel, _, n| {
            client::say(channel, &FromClient::Resize(Size { rows: 1 + n % 99, cols: 80 }))
        }),
        (20_000, |channel, _, _| client::say(channel, &FromClient::Signal(28))),
        (20_000, |channel, input, _| {
            client::send(channel, &Frame::Fin { stream: IO, length: input })
        }),
        (2_000, |channel, input, _| {
            client::send(channel, &Frame::Data { stream: IO, offset: input, data: &[b'#'; 8_000] })
        }),
    ];
    for (times, flood) in floods {
        let (_, mut channel, input, _) = attached(&lab, &device)?;
        for n in 0..times {
            // It may be refused in the middle of this.
            if flood(&mut channel, input, n).is_err() {
                break;
            }
        }
        bystander.works()?;
        drop(channel);
    }
    ensure(device.relay.count().connections == links, || {
        "the device lost its link over a client".into()
    })?;
    let after = facts::memory(gateway)?.rss;
    ensure(after <= before + MOST_GROWTH, || {
        format!("the gateway grew from {before} KiB to {after} KiB")
    })
}
