//! Whole websocket messages of the operator's client, as another implementation writes and reads
//! them: the web console's tests read the same file.
//!
//! Data flow: `data/client_frames.txt` -> bytes -> frame and message, and back.
#![allow(clippy::unwrap_used)] // a test that cannot go on says so by failing

use std::collections::BTreeMap;

use towline_wire::client::{FromClient, ToClient};
use towline_wire::frame::Frame;
use towline_wire::lane::Lanes;
use towline_wire::message::{EndReason, ExitStatus, Size, encode};

/// The file's lines, by name.
fn golden() -> BTreeMap<String, Vec<u8>> {
    let text = include_str!("data/client_frames.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, hex) = line.split_once(' ').unwrap();
            let digits: Vec<u32> =
                hex.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16).unwrap()).collect();
            let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
            (name.to_owned(), digits.chunks(2).map(byte).collect())
        })
        .collect()
}

fn message(message: &impl serde::Serialize) -> Vec<u8> {
    body(Frame::Control(&encode(message).unwrap()))
}

fn body(frame: Frame<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode_body(&mut out);
    assert_eq!(Frame::decode(&out).unwrap(), frame);
    out
}

fn ended(reason: EndReason, text: &str) -> Vec<u8> {
    message(&ToClient::Ended { reason, text: text.into() })
}

#[test]
fn the_file_holds_what_this_end_writes() {
    let attach = |received, room, size| {
        message(&FromClient::Attach { token: "t".into(), received, room, size })
    };
    let size = Size { rows: 24, cols: 80 };
    let far = (1_u64 << 53) - 1;
    let ours: Vec<(&str, Vec<u8>)> = vec![
        ("attach-anew", attach(None, Lanes::new(300, 1), Some(size))),
        ("attach-again", attach(Some(Lanes::new(300, 0)), Lanes::new(262_144, 262_144), None)),
        ("resize", message(&FromClient::Resize(Size { rows: 40, cols: 132 }))),
        ("close", message(&FromClient::Close)),
        (
            "attached",
            message(&ToClient::Attached { output: Lanes::new(300, 0), input: 7, room: 65_536 }),
        ),
        ("waiting", message(&ToClient::Waiting { grace: 600 })),
        ("exited-3", ended(EndReason::Exited(ExitStatus::Code(3)), "")),
        ("exited-signal", ended(EndReason::Exited(ExitStatus::Signal(9)), "")),
        ("exited-late", ended(EndReason::Exited(ExitStatus::TimedOut), "")),
        ("idle", ended(EndReason::IdleTimeout, "id")),
        ("terminated", ended(EndReason::Terminated, "")),
        ("violation", ended(EndReason::Violation, "")),
        ("refused", message(&ToClient::Refused { text: "no!".into(), taken_over: true })),
        ("not-connected", message(&ToClient::NotConnected { text: "no".into() })),
        ("watch", message(&FromClient::Watch { token: "t".into() })),
        ("watching", message(&ToClient::Watching { size: Some(size) })),
        ("watching-unknown", message(&ToClient::Watching { size: None })),
        ("resized", message(&ToClient::Resized(size))),
        ("viewer-missed", message(&ToClient::Missed { bytes: 300 })),
        ("watched", message(&ToClient::Watched { by: vec!["a".into(), "b".into()] })),
        ("message", message(&ToClient::Message { from: "a".into(), text: "hi".into() })),
        ("seat-asked", message(&ToClient::SeatAsked { request: 300, by: "a".into() })),
        (
            "access-ends",
            message(&ToClient::AccessEnds {
                request: "a".into(),
                seconds: 300,
                ends_session: true,
            }),
        ),
        ("answer-seat", message(&FromClient::AnswerSeat { request: 300, give: true })),
        ("data", body(Frame::Data { stream: 0, offset: 300, data: b"ab\r" })),
        ("data-far", body(Frame::Data { stream: 1, offset: far, data: &[0] })),
        ("credit", body(Frame::Credit { stream: 0, acked: 300, limit: 262_444 })),
        ("fin", body(Frame::Fin { stream: 0, length: 5 })),
        ("ping", body(Frame::Ping { next_in: 60 })),
        ("pong", body(Frame::Pong)),
    ];
    let mut golden = golden();
    for (name, bytes) in ours {
        assert_eq!(golden.remove(name), Some(bytes), "{name}");
    }
    let unknown = golden.remove("unknown").unwrap();
    assert_eq!(Frame::decode(&unknown).unwrap(), Frame::Unknown(0x4d));
    assert!(golden.is_empty(), "lines without a row here: {golden:?}");
}
