//! A step of a command as a job of the agent: what it is called, and what the agent says about it.
//!
//! Data flow: `control` -> [`News`] -> `job`, the task that carries the step.

use towline_ssm::vendor::control::{JobContent, JobVerdict};

/// A job as its task and its control channel know it.
pub(super) struct Job {
    /// Its name.
    pub(super) id: String,
    /// The same without its frame: a UUID.
    pub(super) command: String,
    /// What orders it.
    pub(super) order: Vec<u8>,
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
