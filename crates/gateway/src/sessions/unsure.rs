//! What the store may have given to this node without an answer that arrived, where several
//! gateways work together.
//!
//! Data flow: an arrival, or the judgement of a dead node, whose answer was an error -> here -> the
//! device comes again and is asked for anew, or two looks find its sessions.
//!
//! # Invariants
//! - A session is found missing by two looks before it is kept: the end of one that was here may be
//!   on its way to the store at the first look.
//! - Each device has proved an enrolled key: there are at most as many as were enrolled since the
//!   start.

use std::collections::HashSet;

use towline_store::Session as Row;

/// See above. It stands behind the lock that is held while sessions change nodes.
#[derive(Debug, Default)]
pub(super) struct Unsure {
    /// Devices whose arrival failed.
    devices: HashSet<String>,
    /// Sessions may be this node's that are not here.
    sessions: bool,
    /// Those that the first look found.
    missing: Option<HashSet<String>>,
}

impl Unsure {
    /// Whether an arrival of this device failed before.
    pub(super) fn has(&self, device: &str) -> bool {
        self.devices.contains(device)
    }

    /// A device has arrived, or the store said that it has not: then it may come again, or not.
    pub(super) fn arrived(&mut self, device: &str, is_done: bool) {
        if is_done {
            self.devices.remove(device);
        } else {
            self.devices.insert(device.to_owned());
            self.look();
        }
    }

    /// Whether it is to be looked for sessions.
    pub(super) const fn looks(&self) -> bool {
        self.sessions
    }

    /// Sessions of other nodes may be this node's: two looks begin anew.
    pub(super) fn look(&mut self) {
        self.sessions = true;
        self.missing = None;
    }

    /// A look has found that these sessions are not here; those that the look before it found, too.
    /// After the second one nothing is left to look for.
    pub(super) fn found(&mut self, mut missing: Vec<Row>) -> Vec<Row> {
        match self.missing.take() {
            None => {
                self.missing = Some(missing.into_iter().map(|row| row.new.id).collect());
                Vec::new()
            }
            Some(before) => {
                self.sessions = false;
                missing.retain(|row| before.contains(&row.new.id));
                missing
            }
        }
    }
}
