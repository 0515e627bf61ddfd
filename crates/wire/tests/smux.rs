//! Two ends of a tunnel over a pipe that cuts anywhere: bytes arrive whole, windows hold, streams
//! come and go.

use proptest::prelude::*;
use std::collections::BTreeMap;
use towline_wire::smux::{
    Broken, Event, INITIAL_WINDOW, MAX_CONTROL, MAX_DATA, Rule, Streams, Version,
};

const RULE: Rule = Rule { most: 4, first: 16 * 1024, widest: 64 * 1024, capacity: 128 * 1024 };

/// All frames without data that are due.
fn control(end: &mut Streams) -> Vec<u8> {
    let (mut out, mut frame) = (Vec::new(), [0; MAX_CONTROL]);
    while end.has_control() {
        let n = end.next_control(&mut frame);
        out.extend_from_slice(&frame[..n]);
    }
    out
}

fn data(end: &mut Streams, id: u32, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() <= end.quota(id), "{} of {}", bytes.len(), end.quota(id));
    [&end.data_header(id, bytes.len())[..], bytes].concat()
}

/// What arrived, in words; data joined.
fn take(end: &mut Streams, mut bytes: &[u8]) -> Result<Vec<String>, Broken> {
    let mut said = Vec::new();
    while let Some(event) = end.on_bytes(&mut bytes)? {
        said.push(match event {
            Event::Data(id, data) => format!("{id}:{}", data.len()),
            Event::Opened(id) => format!("open {id}"),
            Event::Refused(id) => format!("refused {id}"),
            Event::Ended(id) => format!("end {id}"),
            Event::Reset(id, why) => format!("reset {id} {why}"),
            Event::Room(id) => format!("room {id}"),
        });
    }
    Ok(said)
}

fn pair(version: Version) -> (Streams, Streams) {
    (Streams::client(RULE, version), Streams::server(RULE))
}

#[test]
fn the_first_bytes_go_with_the_opening_and_each_direction_ends_by_itself() {
    let (mut client, mut server) = pair(Version::Two);
    let id = client.open().unwrap();
    assert_eq!(client.quota(id), 0, "nothing before the opening is on its way");
    let opening = control(&mut client);
    assert_eq!(opening[..8], [2, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(client.quota(id), INITIAL_WINDOW as usize);
    let request = data(&mut client, id, b"GET /");
    client.finish(id);
    let rest = control(&mut client);
    assert_eq!(
        take(&mut server, &[opening, request, rest].concat()).unwrap(),
        ["open 3", "room 3", "3:5", "end 3"]
    );
    assert_eq!(server.quota(id), MAX_DATA, "the client has told of its window");
    let answer = data(&mut server, id, &[7; 1000]);
    server.finish(id);
    let end = control(&mut server);
    assert_eq!(take(&mut client, &[answer, end].concat()).unwrap(), ["3:1000", "end 3"]);
    assert!(client.is_empty() && server.is_empty());
}

#[test]
fn in_version_1_the_end_is_the_end_of_both_directions() {
    let (mut client, mut server) = pair(Version::One);
    let id = client.open().unwrap();
    let opening = control(&mut client);
    assert_eq!(opening, [1, 0, 0, 0, 3, 0, 0, 0], "no window is told");
    take(&mut server, &opening).unwrap();
    server.finish(id);
    assert_eq!(control(&mut server), [1, 1, 0, 0, 3, 0, 0, 0]);
    assert!(server.is_empty());
    let late = data(&mut client, id, b"late");
    assert_eq!(take(&mut server, &late).unwrap(), [""; 0], "nobody takes what comes for it");
    assert_eq!(take(&mut client, &[1, 1, 0, 0, 3, 0, 0, 0]).unwrap(), ["end 3"]);
    assert_eq!(client.quota(id), 0);
    client.finish(id);
    control(&mut client);
    assert!(client.is_empty());
}

#[test]
fn a_stream_that_is_not_taken_has_a_full_window_and_the_others_go_on() {
    let (mut client, mut server) = pair(Version::Two);
    let (stuck, other) = (client.open().unwrap(), client.open().unwrap());
    take(&mut server, &control(&mut client)).unwrap();
    take(&mut client, &control(&mut server)).unwrap();
    let mut sent = 0;
    while client.quota(stuck) > 0 {
        let n = client.quota(stuck);
        let frame = data(&mut client, stuck, &vec![0; n]);
        sent += n;
        take(&mut server, &frame).unwrap();
    }
    assert_eq!(sent, RULE.first as usize);
    assert!(client.quota(other) > 0);
    server.consumed(stuck, sent);
    assert_eq!(take(&mut client, &control(&mut server)).unwrap(), ["room 3"]);
    assert!(client.quota(stuck) > 0, "and the window is wider now");
}

#[test]
fn windows_grow_with_use_and_never_beyond_what_all_may_have() {
    let (mut client, mut server) = pair(Version::Two);
    let ids: Vec<u32> = (0..RULE.most).map(|_| client.open().unwrap()).collect();
    assert_eq!(client.open(), None);
    take(&mut server, &control(&mut client)).unwrap();
    let mut most = BTreeMap::new();
    for _ in 0..40 {
        for &id in &ids {
            take(&mut client, &control(&mut server)).unwrap();
            let mut sent = 0;
            while client.quota(id) > 0 {
                let n = client.quota(id);
                let frame = data(&mut client, id, &vec![0; n]);
                take(&mut server, &frame).unwrap();
                sent += n;
            }
            let widest = most.entry(id).or_insert(0);
            *widest = sent.max(*widest);
            server.consumed(id, sent);
        }
    }
    let all: usize = most.values().sum();
    assert!(all <= RULE.capacity as usize && all > 4 * RULE.first as usize, "{most:?}");
}

#[test]
fn one_stream_too_many_is_refused_and_a_flood_ends_the_session() {
    let mut server = Streams::server(RULE);
    let syn = |id: u32| [&[2, 0, 0, 0][..], &id.to_le_bytes()].concat();
    for id in [3, 5, 7, 9] {
        take(&mut server, &syn(id)).unwrap();
    }
    assert_eq!(take(&mut server, &syn(11)).unwrap(), ["refused 11"]);
    let told = control(&mut server);
    let text = b"too many connections at once in this tunnel";
    assert!(told.windows(text.len()).any(|part| part == text));
    for id in [13, 15, 17, 19] {
        take(&mut server, &syn(id)).unwrap();
    }
    assert_eq!(take(&mut server, &syn(21)), Err(Broken::Flood));
}

#[test]
fn rules_that_are_broken_are_found_out() {
    let open = [2, 0, 0, 0, 3, 0, 0, 0];
    let with = |more: &[u8]| {
        let mut server = Streams::server(RULE);
        take(&mut server, &[&open[..], more].concat())
    };
    assert_eq!(with(&open), Err(Broken::Opened(3)));
    assert_eq!(
        with(&[2, 4, 8, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0]),
        Err(Broken::Overrun(3)),
        "taken, but never sent"
    );
    assert_eq!(
        with(&[2, 1, 0, 0, 3, 0, 0, 0, 2, 2, 1, 0, 3, 0, 0, 0, 0]),
        Err(Broken::Overrun(3)),
        "behind its end"
    );
    let long = [&[2, 2, 0xff, 0xff, 3, 0, 0, 0][..], &[0; 0xffff]].concat();
    assert_eq!(with(&long), Err(Broken::Overrun(3)), "beyond the window");
    let (mut client, _) = pair(Version::Two);
    assert_eq!(take(&mut client, &open), Err(Broken::Opened(3)), "the agent opens none");
}

#[test]
fn a_reset_says_why_on_one_line_and_forgets_the_stream() {
    let (mut client, mut server) = pair(Version::Two);
    let id = client.open().unwrap();
    take(&mut server, &control(&mut client)).unwrap();
    let long = "é".repeat(200);
    server.reset(id, &long);
    let told = take(&mut client, &control(&mut server)).unwrap();
    assert_eq!(told, [format!("reset 3 {}", "é".repeat(127))]);
    assert!(client.is_empty() && server.is_empty());
}

proptest! {
    /// Bytes in both directions over many streams, cut anywhere, taken whenever: all arrive, in
    /// order, once.
    #[test]
    fn all_bytes_arrive_in_order_on_their_own_streams(
        steps in proptest::collection::vec((0..6_u8, 0..4_u32, 1..5000_usize), 1..200),
        version in prop_oneof![Just(Version::One), Just(Version::Two)],
    ) {
        let (client, server) = pair(version);
        let mut ends = [client, server];
        let mut pipes = [Vec::new(), Vec::new()]; // by receiver
        let mut sent: [BTreeMap<u32, usize>; 2] = Default::default();
        let mut got: [BTreeMap<u32, usize>; 2] = Default::default();
        let mut open: Vec<u32> = Vec::new();
        for (what, which, n) in steps {
            let id = open.get(which as usize).copied().unwrap_or(3);
            let side = usize::from(what & 1);
            match what {
                0 if open.len() < RULE.most => open.extend(ends[0].open()),
                2..=3 => {
                    let n = n.min(ends[side].quota(id));
                    if n > 0 {
                        let from = *sent[side].entry(id).or_default();
                        let bytes: Vec<u8> = (from..from + n).map(|at| (at % 251) as u8).collect();
                        let frame = data(&mut ends[side], id, &bytes);
                        pipes[1 - side].extend(frame);
                        *sent[side].get_mut(&id).unwrap() += n;
                    }
                }
                _ => {
                    let frames = control(&mut ends[side]);
                    pipes[1 - side].extend(frames);
                    let cut = n.min(pipes[side].len());
                    let piece: Vec<u8> = pipes[side].drain(..cut).collect();
                    let mut rest = &piece[..];
                    let mut taken = Vec::new();
                    while let Some(event) = ends[side].on_bytes(&mut rest).unwrap() {
                        if let Event::Data(id, data) = event {
                            let at = got[side].entry(id).or_default();
                            for byte in data {
                                prop_assert_eq!(*byte, (*at % 251) as u8);
                                *at += 1;
                            }
                            taken.push((id, data.len()));
                        }
                    }
                    for (id, n) in taken {
                        ends[side].consumed(id, n);
                    }
                }
            }
        }
        for _ in 0..200 {
            for side in [0, 1] {
                let frames = control(&mut ends[side]);
                pipes[1 - side].extend(frames);
                let piece = std::mem::take(&mut pipes[side]);
                let mut rest = &piece[..];
                while let Some(event) = ends[side].on_bytes(&mut rest).unwrap() {
                    if let Event::Data(id, data) = event {
                        *got[side].entry(id).or_default() += data.len();
                    }
                }
            }
        }
        prop_assert_eq!(&got[1], &sent[0]);
        prop_assert_eq!(&got[0], &sent[1]);
    }

    #[test]
    fn any_bytes_are_events_or_an_error(bytes in proptest::collection::vec(prop_oneof![0..6_u8, any::<u8>()], 0..400)) {
        let _ = take(&mut Streams::server(RULE), &bytes);
        let _ = take(&mut Streams::client(RULE, Version::Two), &bytes);
    }
}
