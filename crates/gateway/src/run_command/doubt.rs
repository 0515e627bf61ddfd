//! Invocations of which the database may have lost what became of them, and others that are not
//! given to their device any more.
//!
//! Data flow: a standby took the place of the database's server -> the store doubts what is open
//! -> a device that holds the step goes on with it; for any other it has ended, and whether it was
//! run is not known (decision 277).
//!
//! # Invariants
//! - A doubted step is given to no device: it may have ended there in the time that was lost.

use towline_ssm::api::command::CommandStatus;
use towline_store::InvocationChange;

use super::live::{Live, Stage};

/// What invocations say afterwards.
const NOT_KNOWN: &str = "another server took the place of the database's before the end was \
                         stored: whether the command ran is not known, and it is not run again";

impl Live {
    /// Ends an invocation that waits and that [`Live::give`] gives to no device.
    pub(super) fn not_given(&mut self, device: &str) -> Option<InvocationChange> {
        if self.invocations.get(device)?.doubted {
            return self.give_up(device, CommandStatus::TimedOut, "ExecutionTimedOut", NOT_KNOWN);
        }
        let why = "the device's agent was restarted each time that it was given the command";
        self.give_up(device, CommandStatus::Failed, "Undeliverable", why)
    }

    /// Ends those in doubt that no task carries.
    pub(super) fn end_doubted(&mut self) -> Vec<InvocationChange> {
        if !std::mem::take(&mut self.in_doubt) {
            return Vec::new();
        }
        let invocations = self.invocations.iter();
        let doubted = invocations.filter(|(_, one)| one.doubted && one.stage == Stage::Waiting);
        let doubted: Vec<String> = doubted.map(|(device, _)| device.clone()).collect();
        doubted.iter().filter_map(|device| self.not_given(device)).collect()
    }
}
