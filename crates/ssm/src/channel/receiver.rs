//! The receiving side of a numbered stream: brings messages into order, within fixed room.
//!
//! Way: numbered message -> [`Receiver::accept`] -> acknowledge or not; in order -> [`Receiver::pop`].
//!
//! # Invariants
//! - What is acknowledged is kept until it is popped; what finds no room is not acknowledged.
//! - A message that is missing cannot be kept out by later ones: the two rooms are apart.

use std::collections::{BTreeMap, VecDeque};

use super::{HELD_BYTES, HELD_MESSAGES, READY_BYTES, READY_MESSAGES};
use crate::message::PayloadType;

/// A payload with its kind.
pub(super) type Item = (PayloadType, Vec<u8>);

/// Receives one direction's numbered messages.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    expected: i64,
    ready: VecDeque<Item>,
    ready_bytes: usize,
    held: BTreeMap<i64, Item>,
    held_bytes: usize,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "only what was taken may be acknowledged"]
pub(super) enum Verdict {
    /// New, or known already: acknowledge it.
    Acknowledge,
    /// No room: the peer keeps it and will repeat it.
    NoRoom,
}

impl Receiver {
    /// Takes a message in, if there is room.
    pub(super) fn accept(&mut self, sequence: i64, kind: PayloadType, payload: Vec<u8>) -> Verdict {
        if sequence < self.expected || self.held.contains_key(&sequence) {
            // Its acknowledgement was lost. The official agent answers again, the official client does not.
            return Verdict::Acknowledge;
        }
        if sequence == self.expected {
            if !self.has_ready_room(payload.len()) {
                return Verdict::NoRoom;
            }
            self.push_ready((kind, payload));
            self.release_held();
            return Verdict::Acknowledge;
        }
        if self.held.len() >= HELD_MESSAGES || self.held_bytes + payload.len() > HELD_BYTES {
            return Verdict::NoRoom;
        }
        self.held_bytes += payload.len();
        self.held.insert(sequence, (kind, payload));
        Verdict::Acknowledge
    }

    /// The next payload in order.
    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.ready.pop_front()?;
        self.ready_bytes -= item.1.len();
        self.release_held();
        Some(item)
    }

    /// Bytes kept in both rooms.
    pub(super) fn bytes(&self) -> usize {
        self.ready_bytes + self.held_bytes
    }

    fn has_ready_room(&self, len: usize) -> bool {
        self.ready.len() < READY_MESSAGES && self.ready_bytes + len <= READY_BYTES
    }

    fn push_ready(&mut self, item: Item) {
        self.ready_bytes += item.1.len();
        self.ready.push_back(item);
        self.expected = self.expected.saturating_add(1);
    }

    fn release_held(&mut self) {
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() != self.expected {
                return;
            }
            let len = entry.get().1.len();
            if self.ready.len() >= READY_MESSAGES || self.ready_bytes + len > READY_BYTES {
                return;
            }
            let item = entry.remove();
            self.held_bytes -= len;
            self.push_ready(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(receiver: &mut Receiver, sequence: i64, len: usize) -> Verdict {
        receiver.accept(sequence, PayloadType::Output, vec![0; len])
    }

    #[test]
    fn messages_come_out_in_order_whatever_order_they_came_in() {
        let mut receiver = Receiver::default();
        for sequence in [3, 1, 0, 0, 3, 2] {
            let payload = vec![u8::try_from(sequence).unwrap()];
            assert_eq!(receiver.accept(sequence, PayloadType::Output, payload), Verdict::Acknowledge);
        }
        let order: Vec<u8> = std::iter::from_fn(|| receiver.pop()).map(|(_, payload)| payload[0]).collect();
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn a_full_room_takes_nothing_more_until_something_was_popped() {
        let mut receiver = Receiver::default();
        let half = READY_BYTES / 2;
        assert_eq!(accept(&mut receiver, 0, half), Verdict::Acknowledge);
        assert_eq!(accept(&mut receiver, 1, half), Verdict::Acknowledge);
        assert_eq!(accept(&mut receiver, 2, 1), Verdict::NoRoom);
        assert_eq!(accept(&mut receiver, 3, 1), Verdict::Acknowledge);
        receiver.pop().unwrap();
        assert_eq!(accept(&mut receiver, 2, 1), Verdict::Acknowledge);
        assert_eq!(std::iter::from_fn(|| receiver.pop()).count(), 3);
        assert_eq!(receiver.bytes(), 0);
    }

    #[test]
    fn messages_from_the_far_future_are_bounded_and_keep_nothing_out() {
        let mut receiver = Receiver::default();
        let kept = (1..100_000).filter(|i| accept(&mut receiver, i * 1000, 100) == Verdict::Acknowledge).count();
        assert_eq!(kept, HELD_MESSAGES);
        assert_eq!(accept(&mut receiver, i64::MAX, 1), Verdict::NoRoom);
        assert_eq!(accept(&mut receiver, 0, 1000), Verdict::Acknowledge);
        assert_eq!(accept(&mut receiver, i64::MIN, 1), Verdict::Acknowledge);
        assert!(receiver.bytes() <= HELD_BYTES + READY_BYTES);
    }
}
