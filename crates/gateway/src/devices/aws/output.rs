//! Output that the agent has sent and the client has not taken: one ring for each lane.
//!
//! Data flow: `ClientChannel` -> [`Output::push`] -> [`Output::flow`] -> session.
//!
//! # Invariants
//! - A lane holds at most [`VENDOR_RING`] bytes. What finds no room stays with the channel, which
//!   does not acknowledge it to the agent.

use towline_wire::frame::{Frame, MAX_DATA};
use towline_wire::lane::{Lane, Lanes};
use towline_wire::stream::{Budget, Sender, Violation};

use super::session::Attach;
use crate::limits::VENDOR_RING;
use crate::sessions::Session;

/// The rings of a session.
pub(super) struct Output {
    lanes: Lanes<Sender>,
    budget: Budget,
    /// Output that found no room.
    waiting: Option<(Lane, Vec<u8>)>,
    separate: bool,
}

impl Output {
    /// Empty rings.
    pub(super) fn new(separate: bool) -> Self {
        let cap = if separate { VENDOR_RING } else { 0 };
        Self {
            lanes: Lanes::new(Sender::new(VENDOR_RING), Sender::new(cap)),
            budget: Budget::new(2 * VENDOR_RING),
            waiting: None,
            separate,
        }
    }

    /// Takes output. What has no room waits, and nothing more may be pushed before it has gone.
    pub(super) fn push(&mut self, lane: Lane, bytes: &[u8]) {
        let lane = if self.separate { lane } else { Lane::Io };
        let taken = self.lanes[lane].push(bytes, &mut self.budget);
        if taken < bytes.len() {
            self.waiting = Some((lane, bytes[taken..].to_vec()));
        }
    }

    /// Whether there is room for more.
    pub(super) fn has_room(&mut self) -> bool {
        if let Some((lane, bytes)) = self.waiting.take() {
            self.push(lane, &bytes);
        }
        self.waiting.is_none()
    }

    /// No more will come.
    pub(super) fn finish(&mut self) {
        for lane in Lane::ALL {
            self.lanes[lane].finish();
        }
    }

    /// Goes on from what a client has; the positions.
    ///
    /// # Errors
    /// The client wants what is no longer there.
    pub(super) fn attach(&mut self, attach: &Attach) -> Result<Lanes<u64>, Violation> {
        let mut from = Lanes::default();
        for lane in Lane::ALL {
            let received = attach.received.map(|received| received[lane]);
            from[lane] = self.lanes[lane].attach(received, attach.room[lane], &mut self.budget)?;
        }
        Ok(from)
    }

    /// No client takes output.
    pub(super) fn detach(&mut self) {
        for lane in Lane::ALL {
            self.lanes[lane].detach();
        }
    }

    /// The client's credit.
    ///
    /// # Errors
    /// It acknowledges what was never sent.
    pub(super) fn credit(&mut self, lane: Lane, acked: u64, limit: u64) -> Result<(), Violation> {
        self.lanes[lane].on_credit(acked, limit, &mut self.budget)
    }

    /// Passes on what there is credit for.
    pub(super) fn flow(&mut self, session: &Session) {
        for lane in Lane::ALL {
            while let Some(frame) = self.lanes[lane].next_frame(0, MAX_DATA) {
                match frame {
                    Frame::Data { offset, data, .. } => session.output(lane, offset, data),
                    Frame::Fin { length, .. } => session.output_ended(lane, length),
                    _ => {}
                }
            }
        }
    }
}
