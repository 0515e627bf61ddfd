//! A step of a command as a job of the agent: what it is called, and what the agent says about it.
//!
//! Data flow: `control` -> [`News`] -> `job`, the task that carries the step.

use towline_host::clock::UnixMillis;
use towline_ssm::vendor::control::{JobContent, JobVerdict};

/// A job as its task and its control channel know it.
pub(super) struct Job {
    /// Its name.
    pub(super) id: String,
    /// The same without its frame: a UUID.
    pub(super) command: String,
    /// What orders it.
    pub(super) order: Vec<u8>,
    /// From when on the agent may have forgotten its name, and would run it once more.
    pub(super) known_until: UnixMillis,
}

impl Job {
    /// Whether the agent still knows its name, if it was given to it.
    pub(super) fn is_known(&self, now: UnixMillis) -> bool {
        now.0 < self.known_until.0
    }
}

/// What the agent said about a job.
pub(super) enum News {
    /// Whether it takes it, in words.
    Ack(JobVerdict, String),
    /// How it ended: id of the message, and what is in it.
    Ended(String, JobContent),
    /// The control channel is there again.
    Back,
}
