//! Tests: a stream goes on in another process, from what its ends were in the first.

use super::{Budget, Receiver, ReceiverState, Sender, SenderState};
use crate::frame::Frame;
use alloc::vec::Vec;
use proptest::prelude::*;

fn successor(old: &Sender, cap: usize, budget: &mut Budget) -> Option<Sender> {
    let bytes: Vec<u8> = old.held().flatten().copied().collect();
    let mut new = Sender::new(cap);
    new.succeed(&old.state(), &bytes, budget).then_some(new)
}

proptest! {
    #[test]
    fn what_was_not_acknowledged_is_sent_by_the_successor(
        produced in proptest::collection::vec(0_usize..5_000, 1..20),
        taken in 0_u64..40_000,
    ) {
        let (mut budget, cap) = (Budget::new(1 << 20), 1 << 18);
        let mut old = Sender::new(cap);
        let mut all: Vec<u8> = Vec::new();
        old.attach(None, u32::MAX, &mut budget).unwrap();
        for (i, n) in produced.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..n).map(|at| (at ^ i) as u8).collect();
            all.extend(&bytes[..old.push(&bytes, &mut budget)]);
        }
        while old.next_frame(1, 999).is_some() {}
        let taken = taken.min(old.end());
        old.on_credit(taken, u64::MAX, &mut budget).unwrap();

        let mut budget = Budget::new(1 << 20);
        let mut new = successor(&old, cap, &mut budget).unwrap();
        prop_assert_eq!(new.state(), old.state());
        prop_assert!(!new.is_ready(), "nobody is attached to it yet");
        new.attach(Some(taken), u32::MAX, &mut budget).unwrap();
        let mut got = Vec::new();
        while let Some(Frame::Data { data, .. }) = new.next_frame(1, 777) {
            got.extend_from_slice(data);
        }
        prop_assert_eq!(&got, &all[taken as usize..]);
    }
}

#[test]
fn a_finished_stream_tells_its_end_again() {
    let mut budget = Budget::new(1 << 16);
    let mut old = Sender::new(1 << 14);
    old.attach(None, 100, &mut budget).unwrap();
    assert_eq!(old.push(b"bye", &mut budget), 3);
    old.finish();
    while old.next_frame(7, 100).is_some() {}
    let mut new = successor(&old, 1 << 14, &mut budget).unwrap();
    new.attach(Some(3), 100, &mut budget).unwrap();
    assert_eq!(new.next_frame(7, 100), Some(Frame::Fin { stream: 7, length: 3 }));
}

#[test]
fn a_state_that_contradicts_itself_or_its_bytes_is_refused() {
    let good = SenderState { base: 10, end: 13, sent: 12, finished: false, fin_acked: false };
    let refused = |state: SenderState, bytes: &[u8], total: usize| {
        !Sender::new(1 << 14).succeed(&state, bytes, &mut Budget::new(total))
    };
    assert!(!refused(good, b"abc", 1 << 14));
    assert!(refused(good, b"ab", 1 << 14));
    assert!(refused(SenderState { sent: 14, ..good }, b"abc", 1 << 14));
    assert!(refused(SenderState { sent: 9, ..good }, b"abc", 1 << 14));
    assert!(refused(SenderState { base: u64::MAX, ..good }, b"abc", 1 << 14));
    let much = SenderState { base: 0, end: 20_000, sent: 0, ..good };
    assert!(refused(much, &[0; 20_000], 0), "more than its share of memory");
}

#[test]
fn a_receiver_takes_what_comes_behind_what_its_predecessor_had() {
    let mut old = Receiver::new(100);
    assert_eq!(old.on_data(0, b"abcdef").unwrap(), b"abcdef");
    old.consumed(2);
    let mut new = Receiver::succeeding(&old.state(), 100).unwrap();
    assert_eq!((new.received(), new.room(), new.unconsumed()), (6, 96, 4));
    assert_eq!(new.on_data(4, b"efgh").unwrap(), b"gh");
    let state = ReceiverState { received: 3, consumed: 4, length: None };
    assert!(Receiver::succeeding(&state, 100).is_none());
    let state = ReceiverState { received: 3, consumed: 3, length: Some(5) };
    assert!(Receiver::succeeding(&state, 100).is_none());
}
