//! The bodies of the fuzz targets, as property tests: they compile, and hold for as many inputs as
//! a test run has time for.
//!
//! The fuzzer searches for longer (`cargo xtask fuzz`, `fuzz/`). Beside any bytes this tries nearly
//! right ones: those get past the first check.
#![allow(missing_docs, clippy::needless_pass_by_value)] // the bodies take what the fuzzer gives

#[path = "../fuzz/bodies/copy.rs"]
mod copy;
#[path = "../fuzz/bodies/frame.rs"]
mod frame;
#[path = "../fuzz/bodies/message.rs"]
mod message;
#[path = "../fuzz/bodies/mux.rs"]
mod mux;
#[path = "../fuzz/bodies/proxy_header.rs"]
mod proxy_header;
#[path = "../fuzz/bodies/separation.rs"]
mod separation;
#[path = "../fuzz/bodies/smux.rs"]
mod smux;
#[path = "../fuzz/bodies/smux_parser.rs"]
mod smux_parser;

use proptest::collection::vec;
use proptest::prelude::*;
use towline_wire::client::{FromClient, ToClient};
use towline_wire::copy::{Answer, Ask, Entry, Kind};
use towline_wire::frame::Frame;
use towline_wire::lane::Lanes;
use towline_wire::message::{EndReason, ExitStatus, FromAgent, Held, Size, ToAgent, encode};
use towline_wire::separation::{
    Dial, FromNetwork, Judged, Place, ToNetwork, Via, certificate_verify,
};
use towline_wire::smux::{Command, Header, Version};

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

/// One of `right`, with up to four bytes changed and its end cut or grown.
fn nearly(right: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(right), edits, any::<prop::sample::Index>(), bytes(8)).prop_map(
        |(mut one, edits, cut, more)| {
            for (at, byte) in edits.into_iter().filter(|_| !one.is_empty()).collect::<Vec<_>>() {
                let at = at.index(one.len());
                one[at] = byte;
            }
            one.truncate(cut.index(one.len() + 1).max(one.len() / 2));
            one.extend(more);
            one
        },
    )
}

/// Frames without their prefix: of each kind one.
fn frames() -> Vec<Vec<u8>> {
    let control = encode(&FromAgent::HeldEnd).unwrap_or_default();
    let all = [
        Frame::Control(&control),
        Frame::Data { stream: 1, offset: 0, data: b"some bytes" },
        Frame::Data { stream: 2, offset: 300, data: &[7; 600] },
        Frame::Credit { stream: 1, acked: 0, limit: 9_000 },
        Frame::Credit { stream: 3, acked: 300, limit: 1 << 40 },
        Frame::Fin { stream: 2, length: 0 },
        Frame::Ping { next_in: 60 },
        Frame::Pong,
        Frame::Version { min: 1, max: 1 },
    ];
    let body = |frame: &Frame<'_>| {
        let mut bytes = Vec::new();
        frame.encode_body(&mut bytes);
        bytes
    };
    all.iter().map(body).collect()
}

/// Control messages of each side.
fn messages() -> Vec<Vec<u8>> {
    let session = || "ann-0123456789abcdefg".to_owned();
    let held =
        Held { session: session(), io: 1, err: Some(2), exited: Some(ExitStatus::Signal(9)) };
    let size = Size { rows: 24, cols: 80 };
    let attach = FromClient::Attach {
        token: "t".into(),
        received: Some(Lanes::new(1, 2)),
        room: Lanes::new(9, 9),
        size: Some(size),
    };
    let ended = ToClient::Ended { reason: EndReason::Terminated, text: "so".into() };
    let all = [
        encode(&FromAgent::Held(held)),
        encode(&FromAgent::Attached {
            session: session(),
            attachment: 1,
            output: Lanes::new(300, 0),
            input: 9,
            room: 8,
        }),
        encode(&FromAgent::Gone { session: session(), reason: EndReason::IdleTimeout }),
        encode(&ToAgent::Resize { session: session(), size }),
        encode(&ToAgent::Close { session: session(), reason: EndReason::MaxDuration }),
        encode(&attach),
        encode(&ended),
    ];
    all.into_iter().flatten().collect()
}

/// What the agent's two processes say, and what the device's key signs.
fn separated() -> Vec<Vec<u8>> {
    let place = Place { ip: [7; 16], port: 443, scope: 3 };
    let via = Via { host: "proxy".into(), port: 3128, credentials: Some("ann:word".into()) };
    let dial = Dial {
        host: "gw.example".into(),
        port: 8443,
        proxy: Some(via),
        addresses: vec![place; 3],
        trust: Judged::Pin { current: [1; 32], next: Some([2; 32]) },
        signed: 1_700_000_000,
        spki: vec![5; 44],
    };
    let root = Some("/run/towline/empty".to_owned());
    let to = [
        ToNetwork::Begin { uid: 990, gid: 990, root },
        ToNetwork::Resolve { host: "gw.example".into(), port: 443 },
        ToNetwork::Dial(dial),
    ];
    let from = [
        FromNetwork::Sign(vec![9; 32]),
        FromNetwork::Addresses(vec![place]),
        FromNetwork::Failed { text: "refused".into(), note: "a pin".into() },
    ];
    let to = to.iter().filter_map(|message| encode(message).ok());
    let from = from.iter().filter_map(|message| encode(message).ok());
    to.chain(from).chain(certificate_verify(&[4; 48])).collect()
}

/// What both ends of a copy say.
fn copies() -> Vec<Vec<u8>> {
    let entry = Entry { kind: Kind::File, size: 300, mode: 0o644 };
    let path = || "/srv/a".to_owned();
    let all = [
        encode(&Ask::Look(path())),
        encode(&Ask::Read { path: path(), offset: 7 }),
        encode(&Ask::Write { path: path(), mode: 0o600, size: 1 << 40, mark: [3; 8] }),
        encode(&Ask::Whole([9; 32])),
        encode(&Answer::Item { name: "b".into(), entry }),
        encode(&Answer::Have(1 << 33)),
        encode(&Answer::Failed("no room".into())),
    ];
    all.into_iter().flatten().collect()
}

/// Frames of a tunnel, with data on streams that may be there.
fn tunnel_frames() -> Vec<Vec<u8>> {
    let of = |command, stream, data: &[u8]| {
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
        [&Header { version: Version::Two, command, length, stream }.encode()[..], data].concat()
    };
    let mut all = Vec::new();
    for stream in [3, 5, 7] {
        all.push(of(Command::Syn, stream, &[]));
        all.push(of(Command::Psh, stream, &[7; 900]));
        all.push(of(Command::Fin, stream, &[]));
        all.push(of(Command::Rst, stream, b"no"));
        all.push(of(Command::Upd, stream, &[0, 0, 0, 0, 0, 0, 1, 0]));
    }
    all.push(of(Command::Nop, 0, &[]));
    all
}

fn proxy_headers() -> Vec<Vec<u8>> {
    vec![
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1234 8443\r\n\x16\x03".to_vec(),
        b"PROXY TCP6 2001:db8::7 ::1 1234 8443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x04\xd2\x20\xfb".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(),
    ]
}

fn prefixed(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], body].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_in_any_cuts_are_frames_or_an_error(input in bytes(600), cuts in bytes(8)) {
        frame::run((input, cuts));
    }

    #[test]
    fn nearly_right_frames_in_any_cuts_are_frames_or_an_error(input in vec(nearly(frames()), 0..12), cuts in bytes(8)) {
        frame::run((input.iter().flat_map(|body| prefixed(body)).collect(), cuts));
    }

    #[test]
    fn any_bytes_are_a_message_with_one_encoding_or_an_error(input in prop_oneof![bytes(200), nearly(messages())]) {
        message::run(&input);
    }

    #[test]
    fn a_hostile_peer_cannot_make_a_mux_grow(input in vec(nearly(frames()), 0..40), steps in bytes(40)) {
        mux::run((input, steps));
    }

    #[test]
    fn what_the_ends_of_a_copy_say_has_one_encoding_and_no_path_leads_out(
        input in prop_oneof![bytes(100), nearly(copies())], root in "[a./]{0,6}", path in "[ab./\u{0}]{0,10}",
    ) {
        copy::run((input, root, path));
    }

    #[test]
    fn what_the_agents_processes_say_has_one_encoding_and_asks_for_handshakes_alone(
        input in prop_oneof![bytes(200), nearly(separated())],
    ) {
        separation::run(&input);
    }

    #[test]
    fn any_bytes_are_a_header_of_the_proxy_protocol_or_none(
        input in prop_oneof![bytes(600), nearly(proxy_headers())],
    ) {
        proxy_header::run(&input);
    }

    #[test]
    fn frames_of_a_tunnel_are_the_same_in_any_cuts(
        input in prop_oneof![vec(prop::sample::select(tunnel_frames()), 0..20), vec(nearly(tunnel_frames()), 0..20)],
        cuts in bytes(8),
    ) {
        smux_parser::run((input.concat(), cuts));
    }

    #[test]
    fn a_hostile_client_of_a_tunnel_gets_no_more_than_its_streams(
        input in prop_oneof![vec(prop::sample::select(tunnel_frames()), 0..60), vec(nearly(tunnel_frames()), 0..40)],
        steps in bytes(40),
    ) {
        smux::run((input.concat(), steps));
    }
}
