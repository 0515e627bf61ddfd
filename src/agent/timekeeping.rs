//! The authority's time during a link: asked again, and orders that wait for the answer.
//!
//! Data flow: an order whose grant is out of its time, or an hour since the last signed time -> a
//! question with a fresh challenge -> the signed answer -> the order is judged once more.
//!
//! # Invariants
//! - One question is under way at a time; an answer to another one is ignored.
//! - At most [`limits::POSTPONED`] orders wait, each with at most one script's bytes, and none
//!   longer than [`limits::TIME_ANSWER`].
//! - An order is judged twice at most.
//! - Nothing is asked on a link of a version before [`ASKS_TIME`].

use super::agent::{Agent, random_bytes};
use crate::clock::since_boot;
use crate::limits;
use crate::link::driver::LinkError;
use crate::logger::{self, in_session};
use crate::session::gate::Refusal;
use std::time::Instant;
use towline_wire::ASKS_TIME;
use towline_wire::frame::{Frame, StreamId};
use towline_wire::grant::SignedTime;
use towline_wire::message::{FromAgent, Open};

/// What came for a postponed order before it was judged.
#[derive(Debug)]
enum Kept {
    Data { stream: StreamId, offset: u64, data: Vec<u8> },
    Fin { stream: StreamId, length: u64 },
}

impl Kept {
    fn frame(&self) -> Frame<'_> {
        match self {
            Self::Data { stream, offset, data } => {
                Frame::Data { stream: *stream, offset: *offset, data }
            }
            Self::Fin { stream, length } => Frame::Fin { stream: *stream, length: *length },
        }
    }
}

/// An order that waits for the authority's time.
#[derive(Debug)]
struct Postponed {
    open: Open,
    reserved: bool,
    refusal: Refusal,
    kept: Vec<Kept>,
    bytes: usize,
    until: Instant,
}

/// The state of the question.
#[derive(Debug, Default)]
pub(super) struct Timekeeping {
    /// When the authority's time was last learnt.
    learnt: Option<Instant>,
    /// The challenge of the question under way, and when it was asked.
    asked: Option<([u8; 16], Instant)>,
    postponed: Vec<Postponed>,
}

impl Timekeeping {
    /// The link is lost: what waited for an answer on it is over.
    pub(super) fn link_lost(&mut self) {
        self.asked = None;
        self.postponed.clear();
    }

    /// When the first postponed order is refused.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.postponed.iter().map(|postponed| postponed.until).min()
    }

    /// Keeps a frame of a postponed order. False: it belongs to none.
    pub(super) fn keeps(&mut self, frame: &Frame<'_>) -> bool {
        if self.postponed.is_empty() {
            return false;
        }
        let (id, kept, bytes) = match *frame {
            Frame::Data { stream, offset, data } => {
                (stream, Kept::Data { stream, offset, data: data.to_vec() }, data.len())
            }
            Frame::Fin { stream, length } => (stream, Kept::Fin { stream, length }, 0),
            _ => return false,
        };
        let Some(postponed) = self.postponed.iter_mut().find(|postponed| postponed.open.io == id)
        else {
            return false;
        };
        // The first room of a stream is one script. What exceeds it is dropped: the order fails
        // when it is judged.
        if postponed.bytes + bytes <= limits::SCRIPT as usize {
            postponed.bytes += bytes;
            postponed.kept.push(kept);
        }
        true
    }

    /// Whether an order for this session waits.
    pub(super) fn holds(&self, session: &str) -> bool {
        self.postponed.iter().any(|postponed| postponed.open.session == session)
    }

    /// Drops a postponed order. True when there was one.
    pub(super) fn forget(&mut self, session: &str) -> bool {
        let before = self.postponed.len();
        self.postponed.retain(|postponed| postponed.open.session != session);
        self.postponed.len() < before
    }
}

impl Agent {
    /// Takes a time that the authority has signed for this challenge.
    pub(super) fn learn_time(
        &mut self,
        time: &SignedTime,
        challenge: &[u8; 16],
        now: Instant,
    ) -> Result<(), LinkError> {
        if !self.gate.learn_time(time, challenge, since_boot()) {
            return Err(LinkError::Time);
        }
        self.timekeeping.learnt = Some(now);
        self.connection.learn_time(time.unix_ms);
        self.log.learn_time(self.gate.time());
        Ok(())
    }

    /// Asks for the time, unless it was learnt within the hour. Called when something has come, so
    /// that an idle device is not woken for it.
    pub(super) fn ask_time_if_old(&mut self, now: Instant) {
        let old =
            self.timekeeping.learnt.is_some_and(|learnt| now >= learnt + limits::TIME_RENEWED);
        if old {
            self.ask_time(now);
        }
    }

    /// Asks for the time. False: the gateway cannot be asked.
    fn ask_time(&mut self, now: Instant) -> bool {
        if !self.connection.is_up() || self.table.version < ASKS_TIME {
            return false;
        }
        let waits = |&(_, at): &([u8; 16], Instant)| now < at + limits::TIME_ANSWER;
        if self.timekeeping.asked.as_ref().is_some_and(waits) {
            return true;
        }
        let Ok(challenge) = random_bytes() else { return false };
        self.timekeeping.asked = Some((challenge, now));
        self.table.say(&FromAgent::AskTime { challenge });
        true
    }

    /// Keeps an order whose grant is out of its time until the time was asked for once more. Gives
    /// the refusal back when that is not possible.
    pub(super) fn postpone(
        &mut self,
        open: Open,
        reserved: bool,
        refusal: Refusal,
        now: Instant,
    ) -> Result<(), Box<(Open, Refusal)>> {
        if self.timekeeping.postponed.len() >= limits::POSTPONED || !self.ask_time(now) {
            return Err(Box::new((open, refusal)));
        }
        let _session = in_session(&open.session);
        logger::info!("asking for the authority's time: {refusal}");
        let until = now + limits::TIME_ANSWER;
        let postponed = Postponed { open, reserved, refusal, kept: Vec::new(), bytes: 0, until };
        self.timekeeping.postponed.push(postponed);
        Ok(())
    }

    /// The gateway answers with the authority's time: what waited for it is judged once more.
    pub(super) fn on_time(&mut self, time: &SignedTime, now: Instant) -> Result<(), LinkError> {
        let Some((challenge, _)) = self.timekeeping.asked.take() else { return Ok(()) };
        self.learn_time(time, &challenge, now)?;
        for Postponed { open, reserved, kept, .. } in
            std::mem::take(&mut self.timekeeping.postponed)
        {
            self.open_or_refuse(open, reserved, now);
            for kept in kept {
                self.take_frame(kept.frame(), now)?;
            }
        }
        Ok(())
    }

    /// Refuses the orders for which no answer has come.
    pub(super) fn tick_time(&mut self, now: Instant) {
        let (late, waiting) = std::mem::take(&mut self.timekeeping.postponed)
            .into_iter()
            .partition(|postponed| now >= postponed.until);
        self.timekeeping.postponed = waiting;
        let late: Vec<Postponed> = late;
        for Postponed { open, refusal, .. } in late {
            self.refuse(open.session, &refusal);
        }
    }
}
