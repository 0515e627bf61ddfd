//! The end of a session's processes: hang up, wait, kill, until none is left.
//!
//! Without a clock: the caller passes the time. It calls [`Ending::poke`] when a child of the
//! agent ended (the agent is the subreaper, so any process of a session counts) and at
//! [`Ending::deadline`].
//!
//! # Invariants
//! - Only an empty family completes it; it never gives up.
//! - It does not poll the system.

use super::family::{Family, Others};
use crate::limits;
use std::time::Instant;

/// A session whose processes are being ended.
#[derive(Debug)]
pub struct Ending {
    pub(super) family: Family,
    pub(super) next_kill: Instant,
}

/// Whether somebody is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Some processes, or the cgroup's directory: poke again.
    Some,
    /// Nothing. The ending can be dropped.
    Nothing,
}

impl Ending {
    /// Hangs up on everybody of the family.
    #[must_use]
    pub fn begin(family: Family, others: &Others, now: Instant) -> Self {
        family.hang_up(others);
        Self { family, next_kill: now + limits::HANG_UP_GRACE }
    }

    /// Looks who is left, and kills them when their time is over.
    #[must_use]
    pub fn poke(&mut self, others: &Others, now: Instant) -> Left {
        if self.family.is_empty(others) && self.family.remove() {
            return Left::Nothing;
        }
        if now >= self.next_kill {
            self.family.kill(others);
            self.next_kill = now + limits::KILL_AGAIN;
        }
        Left::Some
    }

    /// When to poke at the latest.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.next_kill
    }
}
