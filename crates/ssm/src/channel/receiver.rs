//! The receiving side of a numbered stream: brings messages into order, within fixed room.
//!
//! Data flow: numbered message -> [`Receiver::accept`] -> acknowledge or not; in order ->
//! [`Receiver::pop`].
//!
//! # Invariants
//! - What finds no room is not acknowledged. What is acknowledged is kept until it is popped; with
//!   [`Promise::Taken`] it is not acknowledged before that, so that an owner which loses its memory
//!   loses nothing that it had acknowledged.
//! - A message that is missing cannot be kept out by later ones: the two rooms are apart.

use std::collections::{BTreeMap, VecDeque};

use super::limits::{HELD_BYTES, HELD_MESSAGES, READY_BYTES, READY_MESSAGES};
use crate::message::{MessageId, PayloadType};

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// The message is in memory.
    Received,
    /// The owner has taken it.
    Taken,
}

/// A payload with its kind, and what its acknowledgement names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) sequence: i64,
    pub(super) id: MessageId,
    pub(super) kind: PayloadType,
    pub(super) payload: Vec<u8>,
}

/// Receives one direction's numbered messages.
#[derive(Debug)]
pub(super) struct Receiver {
    promise: Promise,
    /// Everything below was popped.
    taken: i64,
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
    /// In memory, and acknowledged when it is popped.
    Later,
    /// No room: the peer keeps it and will repeat it.
    NoRoom,
}

impl Receiver {
    /// Expects this number next.
    pub(super) fn new(promise: Promise, next: i64) -> Self {
        Self {
            promise,
            taken: next,
            expected: next,
            ready: VecDeque::new(),
            ready_bytes: 0,
            held: BTreeMap::new(),
            held_bytes: 0,
        }
    }

    /// Number of the message that is popped next.
    pub(super) fn taken(&self) -> i64 {
        self.taken
    }

    /// What acknowledgements promise.
    pub(super) fn promise(&self) -> Promise {
        self.promise
    }

    /// Takes a message in, if there is room.
    pub(super) fn accept(&mut self, item: Item) -> Verdict {
        let (sequence, len) = (item.sequence, item.payload.len());
        let kept = match self.promise {
            Promise::Received => Verdict::Acknowledge,
            Promise::Taken => Verdict::Later,
        };
        if sequence < self.taken {
            // Its acknowledgement was lost. The official agent answers again, the official client
            // does not.
            return Verdict::Acknowledge;
        }
        if sequence < self.expected || self.held.contains_key(&sequence) {
            return kept;
        }
        if sequence == self.expected {
            if !self.has_ready_room(len) {
                return Verdict::NoRoom;
            }
            self.push_ready(item);
            self.release_held();
            return kept;
        }
        if self.held.len() >= HELD_MESSAGES || self.held_bytes + len > HELD_BYTES {
            return Verdict::NoRoom;
        }
        self.held_bytes += len;
        self.held.insert(sequence, item);
        kept
    }

    /// The next payload in order.
    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.ready.pop_front()?;
        self.taken = item.sequence.saturating_add(1);
        self.ready_bytes -= item.payload.len();
        self.release_held();
        Some(item)
    }

    /// Half of the room for messages in order is used: the largest message still finds room.
    pub(super) fn is_full(&self) -> bool {
        self.ready.len() > READY_MESSAGES / 2 || self.ready_bytes > READY_BYTES / 2
    }

    /// Bytes kept in both rooms.
    pub(super) fn bytes(&self) -> usize {
        self.ready_bytes + self.held_bytes
    }

    fn has_ready_room(&self, len: usize) -> bool {
        self.ready.len() < READY_MESSAGES && self.ready_bytes + len <= READY_BYTES
    }

    fn push_ready(&mut self, item: Item) {
        self.ready_bytes += item.payload.len();
        self.ready.push_back(item);
        self.expected = self.expected.saturating_add(1);
    }

    fn release_held(&mut self) {
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() != self.expected {
                return;
            }
            let len = entry.get().payload.len();
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
    use crate::message::MessageIds;

    fn item(sequence: i64, payload: Vec<u8>) -> Item {
        Item {
            sequence,
            id: MessageIds::new([1; 16]).next_id(),
            kind: PayloadType::Output,
            payload,
        }
    }

    fn accept(receiver: &mut Receiver, sequence: i64, len: usize) -> Verdict {
        receiver.accept(item(sequence, vec![0; len]))
    }

    fn receiver() -> Receiver {
        Receiver::new(Promise::Received, 0)
    }

    #[test]
    fn messages_come_out_in_order_whatever_order_they_came_in() {
        let mut receiver = receiver();
        for sequence in [3, 1, 0, 0, 3, 2] {
            let payload = vec![u8::try_from(sequence).unwrap()];
            assert_eq!(receiver.accept(item(sequence, payload)), Verdict::Acknowledge);
        }
        let order: Vec<u8> =
            std::iter::from_fn(|| receiver.pop()).map(|item| item.payload[0]).collect();
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn who_may_lose_its_memory_acknowledges_only_what_its_owner_has_taken() {
        let mut receiver = Receiver::new(Promise::Taken, 7);
        assert_eq!(accept(&mut receiver, 6, 1), Verdict::Acknowledge, "taken in an earlier life");
        for sequence in [8, 7, 7, 8] {
            assert_eq!(accept(&mut receiver, sequence, 1), Verdict::Later, "{sequence}");
        }
        assert_eq!(receiver.pop().map(|item| item.sequence), Some(7));
        assert_eq!((accept(&mut receiver, 7, 1), receiver.taken()), (Verdict::Acknowledge, 8));
        assert_eq!(accept(&mut receiver, 8, 1), Verdict::Later);
    }

    #[test]
    fn a_full_room_takes_nothing_more_until_something_was_popped() {
        let mut receiver = receiver();
        let half = READY_BYTES / 2;
        assert_eq!(accept(&mut receiver, 0, half), Verdict::Acknowledge);
        assert!(!receiver.is_full());
        assert_eq!(accept(&mut receiver, 1, half), Verdict::Acknowledge);
        assert!(receiver.is_full());
        assert_eq!(accept(&mut receiver, 2, 1), Verdict::NoRoom);
        assert_eq!(accept(&mut receiver, 3, 1), Verdict::Acknowledge);
        receiver.pop().unwrap();
        assert_eq!(accept(&mut receiver, 2, 1), Verdict::Acknowledge);
        assert_eq!(std::iter::from_fn(|| receiver.pop()).count(), 3);
        assert_eq!(receiver.bytes(), 0);
    }

    #[test]
    fn messages_from_the_far_future_are_bounded_and_keep_nothing_out() {
        let mut receiver = receiver();
        let kept = (1..100_000)
            .filter(|i| accept(&mut receiver, i * 1000, 100) == Verdict::Acknowledge)
            .count();
        assert_eq!(kept, HELD_MESSAGES);
        assert_eq!(accept(&mut receiver, i64::MAX, 1), Verdict::NoRoom);
        assert_eq!(accept(&mut receiver, 0, 1000), Verdict::Acknowledge);
        assert_eq!(accept(&mut receiver, i64::MIN, 1), Verdict::Acknowledge);
        assert!(receiver.bytes() <= HELD_BYTES + READY_BYTES);
    }
}
