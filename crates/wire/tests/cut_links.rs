//! The promise of the wire: cut the link at any byte, any number of times, in both directions, and
//! what comes out is what went in, with never more memory than the bound.
//!
//! Two ends with one duplex stream talk over a pipe that this test cuts after any number of bytes.
//! After each cut both ends attach again from what they have, as agent and client do.

#![allow(clippy::unwrap_used)] // a test that fails should say where

use proptest::prelude::*;
use towline_wire::frame::{FrameReader, MAX_FRAME};
use towline_wire::mux::{Incoming, Mux};
use towline_wire::stream::{Receiver, Sender};

const STREAM: u32 = 3;

/// One end: a mux with one stream, what it still has to say, what it has heard.
struct End {
    mux: Mux,
    to_say: Vec<u8>,
    said: usize,
    heard: Vec<u8>,
    /// Received and not yet passed on, as in an application's buffer.
    buffer: Vec<u8>,
    complete: bool,
    capacity: usize,
    memory_cap: usize,
}

impl End {
    fn new(to_say: Vec<u8>, ring: usize, budget: usize, capacity: u32) -> Self {
        let mut mux = Mux::new(1, budget);
        mux.add(STREAM, Sender::new(ring), Receiver::new(capacity)).unwrap();
        let memory_cap = budget.max(8 * 1024).min(ring.max(8 * 1024));
        Self {
            mux,
            to_say,
            said: 0,
            heard: Vec::new(),
            buffer: Vec::new(),
            complete: false,
            capacity: capacity as usize,
            memory_cap,
        }
    }

    fn produce(&mut self) {
        let (stream, budget) = self.mux.stream(STREAM).unwrap();
        self.said += stream.tx.push(&self.to_say[self.said..], budget);
        if self.said == self.to_say.len() {
            stream.tx.finish();
        }
        assert!(
            self.mux.memory() <= self.memory_cap,
            "{} > {}",
            self.mux.memory(),
            self.memory_cap
        );
    }

    /// Passes on some of what was received; the rest stays in the buffer.
    fn consume(&mut self, n: usize) {
        let n = n.min(self.buffer.len());
        self.heard.extend(self.buffer.drain(..n));
        let (stream, _) = self.mux.stream(STREAM).unwrap();
        stream.rx.consumed(n);
    }

    fn transmit(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while out.len() < MAX_FRAME
            && self.mux.next_frame(5000, |frame| frame.encode(&mut out).unwrap())
        {}
        out
    }

    fn receive(&mut self, reader: &mut FrameReader, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let spare = reader.spare();
            let n = spare.len().min(bytes.len());
            spare[..n].copy_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            reader.filled(n);
            while let Some(frame) = reader.next().unwrap() {
                match self.mux.on_frame(frame).unwrap() {
                    Incoming::Data(_, new) => self.buffer.extend_from_slice(new),
                    Incoming::End(_) => self.complete = true,
                    _ => {}
                }
            }
            assert!(self.buffer.len() <= self.capacity);
        }
    }

    fn done(&mut self) -> bool {
        let (stream, _) = self.mux.stream(STREAM).unwrap();
        self.complete && self.buffer.is_empty() && stream.tx.is_drained()
    }
}

/// A new link: each end goes on from what the other one has.
fn attach(a: &mut End, b: &mut End) {
    let ((a, budget_a), (b, budget_b)) =
        (a.mux.stream(STREAM).unwrap(), b.mux.stream(STREAM).unwrap());
    a.tx.attach(Some(b.rx.received()), b.rx.room(), budget_a).unwrap();
    b.tx.attach(Some(a.rx.received()), a.rx.room(), budget_b).unwrap();
}

/// Runs until both are done; each link lives for the bytes that `cuts` says, then the last one for
/// ever.
fn converse(mut a: End, mut b: End, cuts: &[usize], bites: &[usize]) -> (End, End) {
    let mut bites = bites.iter().cycle();
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        attach(&mut a, &mut b);
        let (mut read_a, mut read_b, mut left, mut idle) =
            (FrameReader::new(), FrameReader::new(), cut, 0);
        while left > 0 && !(a.done() && b.done()) {
            a.produce();
            b.produce();
            let (mut to_b, mut to_a) = (a.transmit(), b.transmit());
            idle = if to_a.is_empty() && to_b.is_empty() { idle + 1 } else { 0 };
            assert!(idle < 3000, "nothing moves: the ends wait for each other");
            for bytes in [&mut to_b, &mut to_a] {
                bytes.truncate(left);
                left -= bytes.len();
            }
            b.receive(&mut read_b, &to_b);
            a.receive(&mut read_a, &to_a);
            a.consume(*bites.next().unwrap());
            b.consume(*bites.next().unwrap());
        }
        a.mux.link_lost();
        b.mux.link_lost();
    }
    (a, b)
}

fn text(n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_comes_out_is_what_went_in_wherever_the_link_is_cut(
        up in 0_usize..80_000,
        down in 0_usize..80_000,
        ring in 8_usize..128,
        budget in 0_usize..100_000,
        capacity in 64_u32..70_000,
        cuts in proptest::collection::vec(1_usize..20_000, 0..50),
        bites in proptest::collection::vec(1_usize..9000, 1..9),
        seed in any::<u64>(),
    ) {
        let (said_a, said_b) = (text(up, seed), text(down, !seed));
        let a = End::new(said_a.clone(), ring * 1024, budget, capacity);
        let b = End::new(said_b.clone(), ring * 1024, budget, capacity);
        let (a, b) = converse(a, b, &cuts, &bites);
        prop_assert!(a.heard == said_b, "down: {} of {} bytes", a.heard.len(), said_b.len());
        prop_assert!(b.heard == said_a, "up: {} of {} bytes", b.heard.len(), said_a.len());
    }
}

#[test]
fn a_link_cut_after_every_single_byte_of_a_conversation_loses_nothing() {
    let (said_a, said_b) = (text(300, 1), text(500, 2));
    for cut in 1..1200 {
        let a = End::new(said_a.clone(), 8192, 8192, 128);
        let b = End::new(said_b.clone(), 8192, 8192, 100);
        let (a, b) = converse(a, b, &[cut, cut], &[37, 61]);
        assert!(a.heard == said_b && b.heard == said_a, "cut at {cut}");
    }
}

#[test]
fn while_bytes_wait_a_quarter_of_them_is_acknowledged_at_once_and_never_less_when_none_wait() {
    let mut receiver = Receiver::new(256 * 1024);
    receiver.on_data(0, &vec![0; 200_000]).unwrap();
    receiver.consumed(40_000);
    assert!(!receiver.is_credit_due(), "bytes wait, and less than a quarter was passed on");
    receiver.consumed(10_000);
    assert!(receiver.credit_due(1).is_some());
    receiver.consumed(150_000);
    assert!(receiver.credit_due(1).is_some(), "none wait");
    receiver.on_data(200_000, &[0; 4096]).unwrap();
    receiver.consumed(4095);
    assert!(!receiver.is_credit_due());
    receiver.consumed(1);
    assert!(receiver.is_credit_due(), "a sender whose ring is the smallest waits for this");
}

#[test]
fn a_far_end_that_lies_is_found_out() {
    let mut sender = Sender::new(8192);
    let mut budget = towline_wire::stream::Budget::new(8192);
    sender.push(b"hello", &mut budget);
    sender.attach(None, 3, &mut budget).unwrap();
    while sender.next_frame(1, 100).is_some() {}
    assert!(
        sender.on_credit(4, 9, &mut budget).is_err(),
        "acknowledged what the credit never allowed"
    );
    sender.on_credit(2, 9, &mut budget).unwrap();
    assert!(sender.attach(Some(1), 9, &mut budget).is_err(), "asked for what it had acknowledged");
    assert!(sender.attach(Some(6), 9, &mut budget).is_err(), "has what was never sent");

    let mut receiver = Receiver::new(4);
    assert!(receiver.on_data(0, b"12345").is_err(), "sent beyond the credit");
    assert_eq!(receiver.on_data(0, b"1234").unwrap(), b"1234");
    assert!(receiver.on_fin(3).is_err(), "ended before what was sent");
    receiver.consumed(4);
    assert_eq!(receiver.on_fin(4), Ok(true));
    assert!(receiver.on_data(4, b"5").is_err(), "sent after the end");
}
