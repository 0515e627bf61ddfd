//! What other nodes have changed of a command, as `live` takes it up. Pure, as `live` is.
//!
//! # Invariants
//! - An invocation that another node has ended is counted once, when it leaves.

use towline_ssm::api::command::CommandStatus;
use towline_store::InvocationRow;

use super::live::{Invocation, Live, Stage};

impl Live {
    /// Another node may have changed this device, which nobody carries here.
    pub(super) fn learn(&mut self, row: InvocationRow, own: &str) {
        if !self.remove(&row.device) {
            return; // it was counted when it ended
        }
        if row.ended {
            self.away.remove(&row.device);
            self.count_end(CommandStatus::parse(&row.status), &row.details);
        } else {
            self.insert(row, Some(own));
        }
    }

    /// A device has come here from another node with a step that it may hold: a task awaits it.
    pub(super) fn take_over(&mut self, row: InvocationRow, own: &str) {
        let device = row.device.clone();
        self.learn(row, own);
        self.awaited(&device);
    }

    /// This node has claimed it, as the row says.
    pub(super) fn claimed(&mut self, row: InvocationRow, own: &str) {
        let device = row.device.clone();
        self.learn(row, own);
        self.enter(&device, Stage::Waiting);
    }

    /// It goes on here as it did before the command was read again.
    pub(super) fn keep(&mut self, device: &str, before: &Invocation) {
        if self.remove(device) {
            self.active += usize::from(before.stage.is_active());
            self.invocations.insert(device.to_owned(), before.clone());
        }
    }
}
