//! The sending end of one direction: a replay ring with a cursor in it.
//!
//! Data flow: [`Sender::spare`]/[`Sender::filled`] (or [`Sender::push`]) -> ring ->
//! [`Sender::next_frame`] -> link. [`Sender::on_credit`] moves base and limit; [`Sender::attach`]
//! puts the cursor back after a loss.
//!
//! # Invariants
//! - `base <= cursor <= end` and `cursor <= limit` while attached.
//! - Nothing is sent while detached. The ring fills, the producer is not read any more, and the
//!   kernel stops it.

use super::{Budget, ReplayRing, Violation};
use crate::frame::{Frame, MAX_DATA, StreamId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Detached,
    Attached { cursor: u64, limit: u64, fin_sent: bool },
}

/// What a sender is beside its bytes: with [`Sender::held`], enough for another process to go on
/// with the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderState {
    /// Position of the oldest byte held.
    pub base: u64,
    /// Position after the newest byte.
    pub end: u64,
    /// Highest position ever sent.
    pub sent: u64,
    /// No more bytes will be produced.
    pub finished: bool,
    /// All of it was acknowledged, the end included.
    pub fin_acked: bool,
}

/// The sending end of one direction: keeps each byte until the receiver has acknowledged it.
#[derive(Debug)]
pub struct Sender {
    ring: ReplayRing,
    flow: Flow,
    /// No more bytes will be produced.
    finished: bool,
    fin_acked: bool,
    /// Highest position ever sent, to tell a lie from an acknowledgement.
    sent: u64,
}

impl Sender {
    /// A detached sender whose ring may grow to `cap` bytes.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self {
            ring: ReplayRing::new(cap),
            flow: Flow::Detached,
            finished: false,
            fin_acked: false,
            sent: 0,
        }
    }

    /// A contiguous place for the producer to read into; empty when full or finished.
    pub fn spare(&mut self, budget: &mut Budget) -> &mut [u8] {
        if self.finished { &mut [] } else { self.ring.spare(budget) }
    }

    /// Says that `n` bytes were put into [`Sender::spare`].
    pub fn filled(&mut self, n: usize) {
        self.ring.filled(n);
    }

    /// Copies what there is room for; how many bytes that were.
    pub fn push(&mut self, bytes: &[u8], budget: &mut Budget) -> usize {
        if self.finished { 0 } else { self.ring.push(bytes, budget) }
    }

    /// True while the producer should be read.
    #[must_use]
    pub fn wants_more(&self, budget: &Budget) -> bool {
        !self.finished && !self.ring.is_full(budget)
    }

    /// Bytes that [`Sender::push`] would take now.
    #[must_use]
    pub fn room(&self, budget: &Budget) -> usize {
        if self.finished { 0 } else { self.ring.room(budget) }
    }

    /// No more bytes will come: the end of the stream is sent after the last of them.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// True once [`Sender::finish`] was called.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// True when every byte and the end were acknowledged by the final receiver.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.fin_acked
    }

    /// Position after the last byte produced.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.ring.end()
    }

    /// Oldest position that can still be asked for.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.ring.base()
    }

    /// Goes on from `received` (`None`: from the oldest byte held), with `room` bytes of credit.
    /// Returns the position.
    ///
    /// What the receiver has is forgotten here: the credit that said so may have been lost with the
    /// link, and would not be said again.
    ///
    /// # Errors
    /// [`Violation`] when the position was acknowledged before, or was never sent; the sender is
    /// then detached.
    pub fn attach(
        &mut self,
        received: Option<u64>,
        room: u32,
        budget: &mut Budget,
    ) -> Result<u64, Violation> {
        self.flow = Flow::Detached;
        let base = self.ring.base();
        let cursor = received.unwrap_or(base);
        if cursor < base {
            return Err(Violation::Forgotten { wanted: cursor, base });
        }
        if cursor > self.sent {
            return Err(Violation::AckedUnsent { acked: cursor, sent: self.sent });
        }
        self.ring.forget(cursor, budget);
        self.flow =
            Flow::Attached { cursor, limit: cursor.saturating_add(room.into()), fin_sent: false };
        Ok(cursor)
    }

    /// Stops sending until the next [`Sender::attach`].
    pub fn detach(&mut self) {
        self.flow = Flow::Detached;
    }

    /// True when [`Sender::next_frame`] would give a frame.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match self.flow {
            Flow::Detached => false,
            Flow::Attached { cursor, limit, fin_sent } => {
                cursor < self.ring.end().min(limit)
                    || (self.finished && !fin_sent && cursor == self.ring.end())
            }
        }
    }

    /// Bytes that could be sent at once; how the scheduler tells a keystroke from bulk.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        match self.flow {
            Flow::Detached => 0,
            Flow::Attached { cursor, limit, .. } => {
                self.ring.end().min(limit).saturating_sub(cursor)
            }
        }
    }

    /// The next frame, with at most `most` data bytes, or `None`. The cursor moves behind it.
    pub fn next_frame(&mut self, stream: StreamId, most: usize) -> Option<Frame<'_>> {
        let end = self.ring.end();
        let Flow::Attached { cursor, limit, fin_sent } = &mut self.flow else { return None };
        if *cursor < end.min(*limit) {
            let credit = usize::try_from(*limit - *cursor).unwrap_or(usize::MAX);
            let offset = *cursor;
            let data = self.ring.at(offset, most.min(MAX_DATA).min(credit));
            *cursor += data.len() as u64;
            self.sent = self.sent.max(*cursor);
            return (!data.is_empty()).then_some(Frame::Data { stream, offset, data });
        }
        if self.finished && !*fin_sent && *cursor == end {
            *fin_sent = true;
            return Some(Frame::Fin { stream, length: end });
        }
        None
    }

    /// The receiver has taken everything below `acked` and has room below `limit`. What is older
    /// than what is known already is ignored.
    ///
    /// # Errors
    /// [`Violation::AckedUnsent`] when more is acknowledged than was sent.
    pub fn on_credit(
        &mut self,
        acked: u64,
        limit: u64,
        budget: &mut Budget,
    ) -> Result<(), Violation> {
        let end = self.ring.end();
        let fin = self.finished && acked == end + 1 && self.sent == end;
        let acked = if fin { end } else { acked };
        if acked > self.sent {
            return Err(Violation::AckedUnsent { acked, sent: self.sent });
        }
        self.fin_acked |= fin;
        self.ring.forget(acked, budget);
        if let Flow::Attached { cursor, limit: held, .. } = &mut self.flow {
            *cursor = (*cursor).max(acked);
            *held = (*held).max(limit);
        }
        Ok(())
    }

    /// How it stands, for a successor.
    #[must_use]
    pub fn state(&self) -> SenderState {
        let (base, end) = (self.ring.base(), self.ring.end());
        SenderState {
            base,
            end,
            sent: self.sent,
            finished: self.finished,
            fin_acked: self.fin_acked,
        }
    }

    /// The bytes that are not acknowledged yet, in order, in one or two runs.
    pub fn held(&self) -> impl Iterator<Item = &[u8]> {
        let mut position = self.ring.base();
        core::iter::from_fn(move || {
            let run = self.ring.at(position, usize::MAX);
            position += run.len() as u64;
            (!run.is_empty()).then_some(run)
        })
    }

    /// Makes a new sender, detached, out of what another one was. False when that cannot be: the
    /// state contradicts itself or the bytes, or there is no room for them. The sender is then of
    /// no use.
    #[must_use]
    pub fn succeed(&mut self, state: &SenderState, bytes: &[u8], budget: &mut Budget) -> bool {
        let fits = state.base.checked_add(bytes.len() as u64) == Some(state.end);
        if !fits || !(state.base..=state.end).contains(&state.sent) || self.ring.end() != 0 {
            return false;
        }
        (self.sent, self.finished, self.fin_acked) = (state.sent, state.finished, state.fin_acked);
        self.ring.restore(state.base, bytes, budget)
    }

    /// Gives the ring's memory back; the sender is of no more use.
    pub fn release(&mut self, budget: &mut Budget) {
        self.detach();
        self.finished = true;
        self.ring.release(budget);
    }
}
