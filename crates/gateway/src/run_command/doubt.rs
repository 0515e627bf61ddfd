//! Invocations of which the database may have lost what became of them, and others that are not
//! given to their device any more.
//!
//! Data flow: a standby took the place of the database's server -> the store doubts what is open
//! -> a device that holds the step goes on with it; one that had it in that time says so when it is
//! given again; for any other it has ended, and whether it was run is not known (decisions 277,
//! 350).
//!
//! # Invariants
//! - A doubted step is given to a device only with the question whether any start of its agent had
//!   it since the last one that is stored: it may have ended there in the time that was lost.

use towline_ssm::api::command::CommandStatus;
use towline_store::{InvocationChange, InvocationRow};
use towline_wire::message::AND_LATER;

use super::live::{Invocation, Live, Stage};

/// What invocations say afterwards.
const NOT_KNOWN: &str = "another server took the place of the database's before the end was \
                         stored: whether the command ran is not known, and it is not run again";

/// What a device's journal is asked when nothing else is known.
const fn is_question(given_to: &[[u8; 16]]) -> bool {
    matches!(given_to, [_, AND_LATER])
}

/// Whether a row is in doubt, and the journal of its device is to tell.
pub(super) const fn asks(row: &InvocationRow) -> bool {
    row.doubted && is_question(row.given_to.as_slice())
}

impl Invocation {
    /// It is in doubt, and the journal of its device is to tell whether it was run.
    pub(super) const fn asks(&self) -> bool {
        self.doubted && is_question(self.given_to.as_slice())
    }

    /// Starts of the agent that it was given to, as far as they are known.
    pub(super) fn deliveries(&self) -> usize {
        let question = if self.was_asked() { 2 } else { 0 };
        self.given_to.len() - question
    }

    fn was_asked(&self) -> bool {
        self.given_to.get(1) == Some(&AND_LATER)
    }
}

impl Live {
    /// The device had it before, or cannot tell: `None`, where no database has lost anything.
    pub(super) fn had_before(&mut self, device: &str) -> Option<InvocationChange> {
        self.invocations.get(device).filter(|one| one.was_asked())?;
        self.give_up(device, CommandStatus::TimedOut, "ExecutionTimedOut", NOT_KNOWN)
    }

    /// Ends an invocation that waits and that [`Live::give`] gives to no device.
    pub(super) fn not_given(&mut self, device: &str) -> Option<InvocationChange> {
        if self.invocations.get(device)?.doubted {
            return self.give_up(device, CommandStatus::TimedOut, "ExecutionTimedOut", NOT_KNOWN);
        }
        let why = "the device's agent was restarted each time that it was given the command";
        self.give_up(device, CommandStatus::Failed, "Undeliverable", why)
    }

    /// Ends those in doubt that no task carries, and that no journal is asked for.
    pub(super) fn end_doubted(&mut self) -> Vec<InvocationChange> {
        if !std::mem::take(&mut self.in_doubt) {
            return Vec::new();
        }
        let invocations = self.invocations.iter();
        let is_over = |one: &Invocation| one.doubted && one.stage == Stage::Waiting && !one.asks();
        let doubted = invocations.filter(|(_, one)| is_over(one));
        let doubted: Vec<String> = doubted.map(|(device, _)| device.clone()).collect();
        doubted.iter().filter_map(|device| self.not_given(device)).collect()
    }
}
