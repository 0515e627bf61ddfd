//! The receiving end of one direction: counts, trims, gives credit.
//!
//! The bytes themselves are the caller's: [`Receiver::on_data`] returns the part that is new, the
//! caller keeps it in a buffer of `capacity` bytes and says with [`Receiver::consumed`] when it has
//! passed on some.
//!
//! # Invariants
//! - `consumed <= received <= consumed + capacity`: who keeps the credit can never overflow the
//!   caller's buffer.
//! - Bytes below `received` are never given out again; bytes beyond a hole are dropped (they will
//!   be sent again).

use super::Violation;
use crate::frame::{Frame, StreamId};

/// Bytes a receiver takes before it acknowledges, at the latest. Must be less than the smallest
/// ring, or a sender with such a ring would wait for an acknowledgement that waits for more bytes.
pub const ACK_EVERY: u32 = 4 * 1024;

const _: () = assert!(
    (ACK_EVERY as usize) < super::ring::SMALLEST,
    "a full smallest ring must cause an acknowledgement"
);

/// What a receiver is: enough for another process to go on with the stream, given the bytes that
/// wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverState {
    /// Position after the last byte received in order.
    pub received: u64,
    /// Position up to which bytes were passed on.
    pub consumed: u64,
    /// Where the stream ends, once that is known and everything has come.
    pub length: Option<u64>,
}

/// The receiving end of one direction.
#[derive(Debug)]
pub struct Receiver {
    capacity: u32,
    received: u64,
    consumed: u64,
    /// What the last credit said.
    told: u64,
    length: Option<u64>,
    fin_told: bool,
    /// Bytes dropped because something before them was missing; for diagnosis.
    dropped: u64,
}

impl Receiver {
    /// A receiver from position 0, for a caller's buffer of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self::starting_at(0, capacity)
    }

    /// A receiver that takes `position` as its first byte.
    #[must_use]
    pub fn starting_at(position: u64, capacity: u32) -> Self {
        Self {
            capacity,
            received: position,
            consumed: position,
            told: position,
            length: None,
            fin_told: false,
            dropped: 0,
        }
    }

    /// How it stands, for a successor.
    #[must_use]
    pub fn state(&self) -> ReceiverState {
        ReceiverState { received: self.received, consumed: self.consumed, length: self.length }
    }

    /// Goes on from what another receiver was; `None` when that contradicts itself.
    #[must_use]
    pub fn succeeding(state: &ReceiverState, capacity: u32) -> Option<Self> {
        let ReceiverState { received, consumed, length } = *state;
        let true_length = length.is_none_or(|length| length == received);
        (consumed <= received && true_length).then(|| Self {
            received,
            length,
            ..Self::starting_at(consumed, capacity)
        })
    }

    /// Bytes of the caller's buffer.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Position after the last byte received in order: what an attach says.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Free room counted from [`Receiver::received`], bytes: what an attach says.
    #[must_use]
    pub fn room(&self) -> u32 {
        let held = u32::try_from(self.received - self.consumed).unwrap_or(u32::MAX);
        self.capacity.saturating_sub(held)
    }

    /// An attach was answered that had stated this much room when `consumed` bytes were passed on.
    /// Credits between the two may have fallen on the ground: what they said is due again.
    pub fn restate(&mut self, consumed: u64) {
        self.told = self.told.min(consumed);
    }

    /// Position up to which bytes were passed on: what [`Receiver::room`] is counted with.
    #[must_use]
    pub fn passed_on(&self) -> u64 {
        self.consumed
    }

    /// Bytes received that the caller has not passed on yet.
    #[must_use]
    pub fn unconsumed(&self) -> u64 {
        self.received - self.consumed
    }

    /// Bytes that were dropped because something before them was missing.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes the bytes of a data frame and returns those that are new and in order.
    ///
    /// # Errors
    /// [`Violation`] when they lie beyond the credit or beyond the stream's end.
    pub fn on_data<'a>(&mut self, offset: u64, data: &'a [u8]) -> Result<&'a [u8], Violation> {
        let limit = self.consumed + u64::from(self.capacity);
        let end = offset.saturating_add(data.len() as u64);
        if end > limit {
            return Err(Violation::BeyondCredit { end, limit });
        }
        if let Some(said) = self.length.filter(|&length| end > length) {
            return Err(Violation::LengthChanged { said, now: end });
        }
        if offset > self.received {
            self.dropped += data.len() as u64;
            return Ok(&[]);
        }
        let known = usize::try_from(self.received - offset).unwrap_or(usize::MAX);
        let new = data.get(known..).unwrap_or(&[]);
        self.received += new.len() as u64;
        Ok(new)
    }

    /// Takes the end of the stream. True when everything before it has been received.
    ///
    /// # Errors
    /// [`Violation::LengthChanged`] when another length was named before, or more than it was
    /// received.
    pub fn on_fin(&mut self, length: u64) -> Result<bool, Violation> {
        if let Some(said) = self.length.filter(|&said| said != length) {
            return Err(Violation::LengthChanged { said, now: length });
        }
        if length < self.received {
            return Err(Violation::LengthChanged { said: self.received, now: length });
        }
        if length == self.received {
            self.length = Some(length);
            // the end may have come again because the acknowledgement was lost
            self.fin_told = false;
        }
        Ok(self.is_complete())
    }

    /// True when the end and everything before it were received.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.length == Some(self.received)
    }

    /// The caller has passed on `n` more bytes and has their room again.
    pub fn consumed(&mut self, n: usize) {
        self.consumed = self.consumed.saturating_add(n as u64).min(self.received);
    }

    /// True when it is time for a credit: after [`ACK_EVERY`] bytes, and at the end of the stream.
    ///
    /// While bytes wait here it may be a quarter of all that the sender has to keep: what is passed
    /// on slowly would cost a credit for each few kilobytes otherwise, at three processes. A sender
    /// whose ring is full waits for no more than it gets, since whatever its size, all of it is
    /// passed on in the end, and then nothing waits.
    #[must_use]
    pub fn is_credit_due(&self) -> bool {
        if self.is_complete() && self.consumed == self.received {
            return !self.fin_told;
        }
        let (fresh, kept) = (self.consumed - self.told, self.received - self.told);
        fresh >= u64::from(ACK_EVERY.min(self.capacity / 2).max(1)) && fresh >= kept / 4
    }

    /// The credit to be sent now, if it is time.
    pub fn credit_due(&mut self, stream: StreamId) -> Option<Frame<'static>> {
        self.is_credit_due().then(|| self.credit(stream))
    }

    /// A credit frame that says how things stand, whether due or not.
    pub fn credit(&mut self, stream: StreamId) -> Frame<'static> {
        self.told = self.consumed;
        self.fin_told = self.is_complete() && self.consumed == self.received;
        let acked = self.consumed + u64::from(self.fin_told);
        Frame::Credit { stream, acked, limit: self.consumed + u64::from(self.capacity) }
    }
}
