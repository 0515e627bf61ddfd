//! The positions of a session's bytes: what was passed to the client, what it has room for, what
//! the agent has room for.
//!
//! Pure. It decides what is passed on; it does not pass anything on itself.
//!
//! # Invariants
//! - Output is passed on without holes and never beyond the client's credit.
//! - Nothing is passed on between [`Positions::stop`] and the [`Positions::start`] that answers the
//!   latest [`Positions::attach`].

use towline_wire::lane::{Lane, Lanes};

use towline_archive::limits::RECORDED_WINDOW;

use crate::limits::MAX_WINDOW;

/// A rule that one side broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Bytes beyond the credit.
    #[error("bytes up to {end} were sent beyond the credit of {limit}")]
    BeyondCredit {
        /// Where they ended.
        end: u64,
        /// Where the credit ended.
        limit: u64,
    },
    /// Something acknowledged that was never passed on.
    #[error("{acked} bytes were acknowledged, {forwarded} were passed on")]
    AckedUnsent {
        /// What was claimed.
        acked: u64,
        /// What is true.
        forwarded: u64,
    },
    /// The agent goes on from another position than the one it was asked for: bytes are missing.
    #[error("the device was asked for output from {asked:?} on, and offers {offered:?}")]
    Moved {
        /// For both lanes.
        asked: Lanes<u64>,
        /// For both lanes.
        offered: Lanes<u64>,
    },
}

#[derive(Debug, Default, Clone, Copy)]
struct Out {
    /// Everything below was passed to the client that is attached now.
    forwarded: u64,
    /// The client has room below.
    limit: u64,
    acked: u64,
    length: Option<u64>,
}

/// The positions of one session.
#[derive(Debug)]
pub(super) struct Positions {
    out: Lanes<Out>,
    separate_err: bool,
    /// The agent has room for input below.
    input_limit: u64,
    /// Everything below was passed to the agent, or taken by it, since the attach.
    input_next: u64,
    /// The end of input was passed on, too.
    input_over: bool,
    /// What the client said it has and has room for, until an attach has been answered.
    wanted: Option<(Option<Lanes<u64>>, Lanes<u32>)>,
    attachment: u32,
    /// Positions that the latest attach named.
    asked: Option<Lanes<u64>>,
    flows: bool,
    /// Most bytes that may be on their way to the client.
    window: u32,
}

impl Positions {
    /// Nothing flows yet.
    #[must_use]
    pub(super) fn new(separate_err: bool) -> Self {
        let out = Lanes::default();
        Self {
            out,
            separate_err,
            input_limit: 0,
            input_next: 0,
            input_over: false,
            wanted: None,
            attachment: 0,
            asked: None,
            flows: false,
            window: MAX_WINDOW as u32,
        }
    }

    /// The output is recorded: no more of it may be on its way than a tape has room for.
    pub(super) fn be_recorded(&mut self) {
        self.window = RECORDED_WINDOW as u32;
    }

    /// Whether stderr has a lane of its own.
    pub(super) fn set_separate_err(&mut self, separate: bool) {
        self.separate_err = separate;
    }

    /// True while bytes may be passed on.
    #[must_use]
    pub(super) fn flows(&self) -> bool {
        self.flows
    }

    /// One side is gone.
    pub(super) fn stop(&mut self) {
        self.flows = false;
    }

    /// A new client is there with so much received, and so much room.
    pub(super) fn want(&mut self, received: Option<Lanes<u64>>, room: Lanes<u32>) {
        self.wanted = Some((received, room));
        self.flows = false;
    }

    /// What to say in the attach: its number, positions, room.
    pub(super) fn attach(&mut self) -> (u32, Option<Lanes<u64>>, Lanes<u32>) {
        self.flows = false;
        self.attachment = self.attachment.wrapping_add(1);
        let (received, room) = self.wanted.unwrap_or_else(|| {
            let room = self.out.map(|out| {
                u32::try_from(out.limit.saturating_sub(out.forwarded)).unwrap_or(u32::MAX)
            });
            (Some(self.out.map(|out| out.forwarded)), room)
        });
        let room = room.map(|room| room.min(self.window));
        self.asked = received;
        (self.attachment, received, room)
    }

    /// The agent's answer. False when it answers an older attach.
    ///
    /// # Errors
    /// [`Broken::Moved`] when it does not go on from where it was asked to.
    pub(super) fn start(
        &mut self,
        attachment: u32,
        output: Lanes<u64>,
        input: u64,
        room: u32,
    ) -> Result<bool, Broken> {
        if attachment != self.attachment {
            return Ok(false);
        }
        let moved = |asked: &Lanes<u64>| {
            asked.io != output.io || (self.separate_err && asked.err != output.err)
        };
        if let Some(asked) = self.asked.filter(moved) {
            return Err(Broken::Moved { asked, offered: output });
        }
        let fresh = self.wanted.take();
        for lane in Lane::ALL {
            let out = &mut self.out[lane];
            if let Some((_, rooms)) = fresh {
                let room = u64::from(rooms[lane].min(self.window));
                *out = Out {
                    forwarded: output[lane],
                    limit: output[lane] + room,
                    acked: output[lane],
                    length: None,
                };
            } else {
                out.forwarded = output[lane];
            }
        }
        self.input_limit = input.saturating_add(room.into());
        (self.input_next, self.input_over) = (input, false);
        self.flows = true;
        Ok(true)
    }

    /// Output came. True: pass it on. False: drop it.
    ///
    /// # Errors
    /// [`Broken`] when it lies beyond the credit.
    pub(super) fn output(&mut self, lane: Lane, offset: u64, n: usize) -> Result<bool, Broken> {
        let out = &mut self.out[lane];
        if !self.flows || offset != out.forwarded {
            return Ok(false);
        }
        let end = offset.saturating_add(n as u64);
        if end > out.limit {
            return Err(Broken::BeyondCredit { end, limit: out.limit });
        }
        out.forwarded = end;
        Ok(true)
    }

    /// The end of output came. True: pass it on.
    pub(super) fn output_ended(&mut self, lane: Lane, length: u64) -> bool {
        let out = &mut self.out[lane];
        if self.flows && out.forwarded == length {
            out.length = Some(length);
            return true;
        }
        false
    }

    /// The client's credit for output; returns the limit to be passed on.
    ///
    /// # Errors
    /// [`Broken`] when it acknowledges what it was never given.
    pub(super) fn output_credit(
        &mut self,
        lane: Lane,
        acked: u64,
        limit: u64,
    ) -> Result<u64, Broken> {
        let out = &mut self.out[lane];
        let most = out.forwarded + u64::from(out.length == Some(out.forwarded));
        if acked > most {
            return Err(Broken::AckedUnsent { acked, forwarded: out.forwarded });
        }
        out.acked = out.acked.max(acked);
        out.limit = out.limit.max(limit.min(acked.saturating_add(self.window.into())));
        Ok(out.limit)
    }

    /// Up to where the client has room for output.
    pub(super) fn output_limit(&self, lane: Lane) -> u64 {
        self.out[lane].limit
    }

    /// Input came: pass it on without so many bytes at its beginning, which were passed on before.
    /// `None`: drop it; a client sends it again after the next attach. What was passed on is not
    /// passed on twice, so nobody can fill the device's link with repetitions.
    ///
    /// A client that sends again after an attach may cut its input otherwise than before: what it
    /// sent before it heard of the attach may have come behind the attach.
    ///
    /// # Errors
    /// [`Broken`] when it lies beyond the agent's credit.
    pub(super) fn input(&mut self, offset: u64, n: usize) -> Result<Option<usize>, Broken> {
        if !self.flows {
            return Ok(None);
        }
        let end = offset.saturating_add(n as u64);
        if end > self.input_limit {
            return Err(Broken::BeyondCredit { end, limit: self.input_limit });
        }
        if offset > self.input_next || end <= self.input_next {
            return Ok(None);
        }
        let known = usize::try_from(self.input_next - offset).unwrap_or(n);
        self.input_next = end;
        Ok(Some(known))
    }

    /// The end of input came. True: pass it on, which is done once.
    pub(super) fn input_ended(&mut self, length: u64) -> bool {
        let passes = self.flows && !self.input_over && length == self.input_next;
        self.input_over |= passes;
        passes
    }

    /// The agent's credit for input. True: pass it on.
    pub(super) fn input_credit(&mut self, limit: u64) -> bool {
        self.input_limit = self.input_limit.max(limit);
        self.flows
    }

    /// Bytes passed on in all: input, and output of the first lane.
    #[must_use]
    pub(super) fn carried(&self) -> (u64, u64) {
        (self.input_next, self.out.io.forwarded)
    }

    /// True when the client has acknowledged the end of each lane in use.
    #[must_use]
    pub(super) fn all_delivered(&self) -> bool {
        let delivered = |out: &Out| out.length.is_some_and(|length| out.acked > length);
        delivered(&self.out.io) && (!self.separate_err || delivered(&self.out.err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flowing() -> Positions {
        let mut positions = Positions::new(false);
        positions.want(None, Lanes::new(100, 0));
        let (attachment, received, room) = positions.attach();
        assert_eq!((received, room), (None, Lanes::new(100, 0)));
        assert_eq!(positions.start(attachment, Lanes::new(7, 0), 3, 50), Ok(true));
        positions
    }

    #[test]
    fn output_flows_in_order_and_within_the_credit() {
        let mut positions = flowing();
        assert_eq!(positions.output(Lane::Io, 7, 60), Ok(true));
        assert_eq!(positions.output(Lane::Io, 7, 60), Ok(false), "a repetition");
        assert_eq!(positions.output(Lane::Io, 80, 1), Ok(false), "behind a hole");
        assert!(positions.output(Lane::Io, 67, 41).is_err(), "beyond the credit");
        positions.output_credit(Lane::Io, 67, 167).unwrap();
        assert_eq!(positions.output(Lane::Io, 67, 41), Ok(true));
    }

    #[test]
    fn after_a_lost_link_the_agent_is_asked_for_what_the_client_was_not_given() {
        let mut positions = flowing();
        positions.output(Lane::Io, 7, 60).unwrap();
        positions.stop();
        assert_eq!(positions.output(Lane::Io, 67, 1), Ok(false));
        let (attachment, received, room) = positions.attach();
        assert_eq!((received, room), (Some(Lanes::new(67, 0)), Lanes::new(40, 0)));
        assert_eq!(
            positions.start(attachment - 1, Lanes::new(0, 0), 0, 0),
            Ok(false),
            "an answer to an older attach"
        );
        assert!(
            positions.start(attachment, Lanes::new(68, 0), 3, 50).is_err(),
            "a byte would be missing"
        );
        assert_eq!(positions.start(attachment, Lanes::new(67, 0), 3, 50), Ok(true));
        assert_eq!(positions.output(Lane::Io, 67, 40), Ok(true));
    }

    #[test]
    fn a_lie_of_the_client_is_found_out() {
        let mut positions = flowing();
        assert!(positions.output_credit(Lane::Io, 8, 100).is_err());
        assert!(positions.input(40, 14).is_err());
        assert_eq!(positions.input(3, 50), Ok(Some(0)));
    }

    #[test]
    fn input_is_passed_on_in_order_and_once() {
        let mut positions = flowing();
        assert!(!positions.input_ended(9), "behind a hole");
        assert_eq!(positions.input(4, 1), Ok(None), "behind a hole");
        assert_eq!(positions.input(3, 5), Ok(Some(0)));
        assert_eq!(positions.input(3, 5), Ok(None), "a repetition");
        assert_eq!(positions.input(4, 3), Ok(None), "a part of it");
        assert!(positions.input_ended(8));
        assert!(!positions.input_ended(8), "a repetition");
        // The next attach begins where the agent says.
        let (attachment, ..) = positions.attach();
        assert_eq!(positions.start(attachment, Lanes::new(7, 0), 5, 50), Ok(true));
        assert_eq!(positions.input(5, 3), Ok(Some(0)));
        assert!(positions.input_ended(8));
    }

    #[test]
    fn of_input_that_was_cut_otherwise_the_rest_is_passed_on() {
        let mut positions = flowing();
        assert_eq!(positions.input(3, 5), Ok(Some(0)));
        assert_eq!(positions.input(3, 9), Ok(Some(5)));
        assert_eq!(positions.input(12, 1), Ok(Some(0)));
    }

    #[test]
    fn everything_is_delivered_when_the_end_of_each_lane_was_acknowledged() {
        let mut positions = flowing();
        assert!(!positions.output_ended(Lane::Io, 9));
        assert!(positions.output_ended(Lane::Io, 7));
        assert!(!positions.all_delivered());
        positions.output_credit(Lane::Io, 8, 100).unwrap();
        assert!(positions.all_delivered());
        positions.set_separate_err(true);
        assert!(!positions.all_delivered());
    }
}
