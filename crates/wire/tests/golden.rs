//! The exact bytes of every control message: what `docs/wire.md` promises to those who write
//! another end.
//!
//! Data flow: a message with small values -> its bytes, written out by hand from the rules of
//! postcard (numbers as varints, a string or list behind its length, a variant by its number, an
//! array without one) -> and back.
//!
//! # Invariants
//! - Each variant of each message has a row: [`every_variant_has_a_row`] counts them by the first
//!   byte.
#![allow(clippy::unwrap_used)] // a test that cannot go on says so by failing

use towline_wire::client::{FromClient, ToClient};
use towline_wire::echo::{Echo, Echoed};
use towline_wire::epoch::Epoch;
use towline_wire::extension::{
    CLIENT_KEY, ClientKey, DEVICE_ANSWER, DeviceAnswer, ELSEWHERE, SEPARATION, Separation,
    elsewhere_bytes,
};
use towline_wire::grant::{Grant, SignedGrant, SignedTime};
use towline_wire::lane::Lanes;
use towline_wire::message::{
    Destination, EndReason, Enroll, ExitStatus, Framing, FromAgent, Held, Hello, Launch, Open,
    Platform, RefusalCode, Script, Size, Terminal, ToAgent, Welcome, decode, encode,
};
use towline_wire::pin::SignedPin;
use towline_wire::record::Batch;
use towline_wire::rotation::NewKey;

/// A row: the message's bytes, and that they are read back as the same message.
#[track_caller]
#[allow(clippy::needless_pass_by_value)] // rows read better without a reference each
fn row<M>(message: M, parts: &[&[u8]]) -> u8
where
    M: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let bytes = parts.concat();
    assert_eq!(encode(&message).unwrap(), bytes, "{message:?}");
    assert_eq!(decode::<M>(&bytes).unwrap(), message);
    bytes[0]
}

const SIXTEEN: [u8; 16] = [7; 16];
const THIRTY_TWO: [u8; 32] = [8; 32];

fn name() -> String {
    "a".to_owned()
}

fn platform() -> Platform {
    Platform {
        agent_version: "1".into(),
        target: "t".into(),
        name: "D".into(),
        version: "9".into(),
        hostname: "h".into(),
        address: String::new(),
    }
}

/// `platform()`, six strings.
const PLATFORM: &[u8] = &[1, b'1', 1, b't', 1, b'D', 1, b'9', 1, b'h', 0];

/// The first messages of a link, and those about sessions.
fn from_the_agent_of_links_and_sessions() -> Vec<u8> {
    let epoch = Epoch { boot: SIXTEEN, connection: 300 };
    let hello = Hello { device: "mi".into(), epoch, challenge: [9; 16], platform: platform() };
    let enroll = Enroll {
        activation_id: "i".into(),
        activation_code: "c".into(),
        name: "n".into(),
        tags: vec![("k".into(), "v".into())],
        platform: platform(),
    };
    let enroll_bytes: &[u8] = &[1, 1, b'i', 1, b'c', 1, b'n', 1, 1, b'k', 1, b'v'];
    let held = Held { session: name(), io: 1, err: Some(2), exited: Some(ExitStatus::Code(3)) };
    let not_opened = FromAgent::NotOpened {
        session: name(),
        code: RefusalCode::DevicePolicy,
        text: "no".into(),
    };
    let (session, output) = (name(), Lanes::new(2, 3));
    let attached = FromAgent::Attached { session, attachment: 1, output, input: 4, room: 300 };
    vec![
        row(
            FromAgent::Hello(hello),
            &[&[0, 2, b'm', b'i'], &SIXTEEN, &[0xac, 2], &[9; 16], PLATFORM],
        ),
        row(FromAgent::Enroll(enroll), &[enroll_bytes, PLATFORM]),
        row(FromAgent::Held(held), &[&[2, 1, b'a', 1, 1, 2, 1, 0, 3]]),
        row(FromAgent::HeldEnd, &[&[3]]),
        row(FromAgent::Opened { session: name() }, &[&[4, 1, b'a']]),
        row(not_opened, &[&[5, 1, b'a', 9, 2, b'n', b'o']]),
        row(attached, &[&[6, 1, b'a', 1, 2, 3, 4, 0xac, 2]]),
        row(
            FromAgent::Exited { session: name(), status: ExitStatus::Signal(9) },
            &[&[7, 1, b'a', 1, 9]],
        ),
        row(
            FromAgent::Gone { session: name(), reason: EndReason::OperatorGone },
            &[&[8, 1, b'a', 5]],
        ),
    ]
}

/// Keys, tunnels, the command log and echo.
fn from_the_agent_of_other_things() -> Vec<u8> {
    let new_key = NewKey { spki: vec![1, 2], proof: vec![3] };
    let batch = Batch { boot: SIXTEEN, first: 300, next: 301, records: vec![7, 8] };
    let (session, echo) = (name(), Echo::Hidden);
    let echoed = Echoed { session, from: 3, until: 300, output: 4, echo };
    vec![
        row(FromAgent::NewKey(new_key), &[&[9, 2, 1, 2, 1, 3]]),
        row(FromAgent::NoNewKey { text: "x".into() }, &[&[10, 1, b'x']]),
        row(
            FromAgent::NotConnected { session: name(), text: "x".into() },
            &[&[11, 1, b'a', 1, b'x']],
        ),
        row(FromAgent::Log(batch), &[&[12], &SIXTEEN, &[0xac, 2, 0xad, 2, 2, 7, 8]]),
        row(FromAgent::Echoed(echoed), &[&[13, 1, b'a', 3, 0xac, 2, 4, 2]]),
        row(FromAgent::AskTime { challenge: SIXTEEN }, &[&[14], &SIXTEEN]),
        row(FromAgent::Limits { sessions: 300 }, &[&[15, 0xac, 2]]),
        row(FromAgent::PinKept { issued: 300, pinned: true }, &[&[16, 0xac, 2, 1]]),
    ]
}

#[test]
fn from_the_agent() {
    let mut seen = from_the_agent_of_links_and_sessions();
    seen.extend(from_the_agent_of_other_things());
    every_variant_has_a_row(&seen);
}

#[test]
fn why_a_program_was_not_started_since_version_3() {
    for (code, byte) in
        [(RefusalCode::ProgramNotFound, 16), (RefusalCode::ProgramNotExecutable, 17)]
    {
        let message = FromAgent::NotOpened { session: name(), code, text: "no".into() };
        row(message, &[&[5, 1, b'a', byte, 2, b'n', b'o']]);
    }
}

/// An order to open a session.
fn order() -> Open {
    Open {
        session: name(),
        grant: SignedGrant { grant: vec![1, 2], signature: vec![3] },
        launch: vec![0],
        terminal: Some(Terminal { term: "x".into(), size: Size { rows: 24, cols: 300 } }),
        io: 1,
        err: None,
    }
}

#[test]
fn to_the_agent() {
    let time = SignedTime { unix_ms: 300, signature: vec![6; 3] };
    let told = time.clone();
    let (open, reserved) = (order(), order());
    let pin = SignedPin { pin: Some(THIRTY_TWO), issued: 300, signature: vec![5, 6] };
    let seen = [
        row(
            ToAgent::Welcome(Welcome { time, longest_ping: 60, grace: 600 }),
            &[&[0, 0xac, 2, 3, 6, 6, 6, 60, 0xd8, 4]],
        ),
        row(
            ToAgent::Refuse { code: RefusalCode::Pending, text: "w".into(), retry_after: 60 },
            &[&[1, 1, 1, b'w', 60]],
        ),
        row(
            ToAgent::Enrolled { device: "mi".into(), authority: THIRTY_TWO, pending: true },
            &[&[2, 2, b'm', b'i'], &THIRTY_TWO, &[1]],
        ),
        row(
            ToAgent::Open(open),
            &[&[3, 1, b'a', 2, 1, 2, 1, 3, 1, 0, 1, 1, b'x', 24, 0xac, 2, 1, 0]],
        ),
        row(
            ToAgent::Attach {
                session: name(),
                attachment: 1,
                received: Some(Lanes::new(2, 0)),
                room: Lanes::new(9, 0),
            },
            &[&[4, 1, b'a', 1, 1, 2, 0, 9, 0]],
        ),
        row(ToAgent::Detach { session: name() }, &[&[5, 1, b'a']]),
        row(
            ToAgent::Resize { session: name(), size: Size { rows: 24, cols: 300 } },
            &[&[6, 1, b'a', 24, 0xac, 2]],
        ),
        row(ToAgent::Signal { session: name(), signal: 15 }, &[&[7, 1, b'a', 15]]),
        row(
            ToAgent::Close { session: name(), reason: EndReason::IdleTimeout },
            &[&[8, 1, b'a', 1]],
        ),
        row(ToAgent::Forget { session: name() }, &[&[9, 1, b'a']]),
        row(ToAgent::GoAway { retry_after: 5 }, &[&[10, 5]]),
        row(ToAgent::KeepAlive { longest: 300 }, &[&[11, 0xac, 2]]),
        row(ToAgent::RotateKey, &[&[12]]),
        row(ToAgent::KeyAdded, &[&[13]]),
        row(ToAgent::LogStored { boot: SIXTEEN, next: 300 }, &[&[14], &SIXTEEN, &[0xac, 2]]),
        row(ToAgent::TellEcho { session: name() }, &[&[15, 1, b'a']]),
        row(ToAgent::Time(told), &[&[16, 0xac, 2, 3, 6, 6, 6]]),
        row(
            ToAgent::OpenReserved(reserved),
            &[&[17, 1, b'a', 2, 1, 2, 1, 3, 1, 0, 1, 1, b'x', 24, 0xac, 2, 1, 0]],
        ),
        row(ToAgent::NextPin(pin), &[&[18, 1], &THIRTY_TWO, &[0xac, 2, 2, 5, 6]]),
    ];
    every_variant_has_a_row(&seen);
}

#[test]
fn what_is_launched() {
    let script = Script {
        length: 300,
        sha256: THIRTY_TWO,
        working_directory: "/".into(),
        timeout: 60,
        given_to: vec![SIXTEEN],
    };
    let seen = [
        row(Launch::Shell, &[&[0]]),
        row(
            Launch::Exec { argv: vec!["ls".into(), "-l".into()] },
            &[&[1, 2, 2, b'l', b's', 2, b'-', b'l']],
        ),
        row(Launch::Interactive { command: "top".into() }, &[&[2, 3, b't', b'o', b'p']]),
        row(
            Launch::ShellWithProfile { profile: "cd /".into() },
            &[&[3, 4, b'c', b'd', b' ', b'/']],
        ),
        row(
            Launch::Tunnel(Destination {
                host: Some("db".into()),
                port: 300,
                framing: Framing::Smux,
            }),
            &[&[4, 1, 2, b'd', b'b', 0xac, 2, 1]],
        ),
        row(Launch::Copy { path: "/x".into(), put: true }, &[&[5, 2, b'/', b'x', 1]]),
        row(Launch::Script(script), &[&[6, 0xac, 2], &THIRTY_TWO, &[1, b'/', 60, 1], &SIXTEEN]),
        row(Launch::ExecOnTerminal { argv: vec!["top".into()] }, &[&[7, 1, 3, b't', b'o', b'p']]),
        row(Launch::CopyFollowing { path: "/x".into(), put: false }, &[&[8, 2, b'/', b'x', 0]]),
        row(Launch::Detached { argv: vec!["d".into()] }, &[&[9, 1, 1, b'd']]),
    ];
    every_variant_has_a_row(&seen);
}

/// What an older end skips; the frame itself is in `frame.rs`.
#[test]
fn extensions() {
    let signature = vec![5, 6];
    let key = ClientKey { session: name(), key: THIRTY_TWO, signature: signature.clone() };
    row(key, &[&[1, b'a'], &THIRTY_TWO, &[2, 5, 6]]);
    let answer = DeviceAnswer { session: name(), key: THIRTY_TWO, signature };
    row(answer, &[&[1, b'a'], &THIRTY_TWO, &[2, 5, 6]]);
    assert_eq!((SEPARATION, CLIENT_KEY, DEVICE_ANSWER, ELSEWHERE), (1, 2, 3, 4));
    assert_eq!(elsewhere_bytes(&["a:1".into(), "b:2".into()]), b"a:1\nb:2");
    assert_eq!(Separation::Impossible("no").bytes(), [2, b'n', b'o']);
}

#[test]
fn how_a_terminal_stands() {
    every_variant_has_a_row(&[
        row(Echo::Terminal, &[&[0]]),
        row(Echo::Program, &[&[1]]),
        row(Echo::Hidden, &[&[2]]),
    ]);
}

#[test]
fn a_grant() {
    let grant = Grant {
        device: "d".into(),
        session: "s".into(),
        principal: "p".into(),
        document: "x".into(),
        launch: THIRTY_TWO,
        run_as: Some("u".into()),
        boot: SIXTEEN,
        nonce: [9; 16],
        issued_at: 300,
        not_after: 1,
    };
    let words = [1, b'd', 1, b's', 1, b'p', 1, b'x'];
    row(grant, &[&words, &THIRTY_TWO, &[1, 1, b'u'], &SIXTEEN, &[9; 16], &[0xac, 2, 1]]);
}

#[test]
fn between_client_and_gateway() {
    let attach = FromClient::Attach {
        token: "t".into(),
        received: None,
        room: Lanes::new(300, 1),
        size: Some(Size { rows: 24, cols: 80 }),
    };
    every_variant_has_a_row(&[
        row(attach, &[&[0, 1, b't', 0, 0xac, 2, 1, 1, 24, 80]]),
        row(FromClient::Resize(Size { rows: 1, cols: 2 }), &[&[1, 1, 2]]),
        row(FromClient::Signal(2), &[&[2, 2]]),
        row(FromClient::Close, &[&[3]]),
        row(FromClient::Watch { token: "t".into() }, &[&[4, 1, b't']]),
        row(FromClient::AnswerSeat { request: 300, give: true }, &[&[5, 0xac, 2, 1]]),
    ]);
    let reason = EndReason::Exited(ExitStatus::Code(3));
    every_variant_has_a_row(&[
        row(
            ToClient::Attached { output: Lanes::new(1, 2), input: 3, room: 4 },
            &[&[0, 1, 2, 3, 4]],
        ),
        row(ToClient::Waiting { grace: 600 }, &[&[1, 0xd8, 4]]),
        row(ToClient::Ended { reason, text: String::new() }, &[&[2, 0, 0, 3, 0]]),
        row(ToClient::Refused { text: "r".into(), taken_over: true }, &[&[3, 1, b'r', 1]]),
        row(ToClient::NotConnected { text: "n".into() }, &[&[4, 1, b'n']]),
        row(ToClient::Watching { size: None }, &[&[5, 0]]),
        row(ToClient::Resized(Size { rows: 1, cols: 2 }), &[&[6, 1, 2]]),
        row(ToClient::Missed { bytes: 300 }, &[&[7, 0xac, 2]]),
        row(ToClient::Watched { by: vec!["a".into()] }, &[&[8, 1, 1, b'a']]),
        row(ToClient::Message { from: "a".into(), text: "t".into() }, &[&[9, 1, b'a', 1, b't']]),
        row(ToClient::SeatAsked { request: 1, by: "a".into() }, &[&[10, 1, 1, b'a']]),
        row(
            ToClient::AccessEnds { request: "a".into(), seconds: 60, ends_session: false },
            &[&[11, 1, b'a', 60, 0]],
        ),
    ]);
}

/// The first byte is the variant's number: appended variants must not leave a hole, and none may be
/// forgotten here. (That there is no further one is seen by the decoder: the next number is not a
/// message.)
#[track_caller]
fn every_variant_has_a_row(seen: &[u8]) {
    let numbers: Vec<u8> = (0..u8::try_from(seen.len()).unwrap()).collect();
    assert_eq!(seen, numbers);
}

#[test]
fn there_is_no_variant_beyond_the_rows() {
    use towline_wire::message::MessageError::Malformed;
    let beyond = |last: u8| vec![last + 1; 64];
    assert!(matches!(decode::<FromAgent>(&beyond(16)), Err(Malformed(_))));
    assert!(matches!(decode::<ToAgent>(&beyond(18)), Err(Malformed(_))));
    assert!(matches!(decode::<Launch>(&beyond(5)), Err(Malformed(_))));
    assert!(matches!(decode::<FromClient>(&beyond(5)), Err(Malformed(_))));
    assert!(matches!(decode::<ToClient>(&beyond(10)), Err(Malformed(_))));
}
