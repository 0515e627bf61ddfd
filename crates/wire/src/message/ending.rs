//! How processes and sessions end, and why something is refused.
//!
//! # Invariants
//! - Those of [`super`]: variants are only appended.

use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(u8),
    /// By the agent, because its time was over.
    TimedOut,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// Its process ended.
    Exited(ExitStatus),
    /// No input and no output for the idle time-out.
    IdleTimeout,
    /// It reached the maximum duration.
    MaxDuration,
    /// Somebody with the right called TerminateSession.
    Terminated,
    /// The operator closed it.
    ClosedByOperator,
    /// Nobody came back within the grace time after the operator's client was lost.
    OperatorGone,
    /// The device did not come back within the grace time, or came back without the session.
    DeviceGone,
    /// The agent did not open it.
    NotOpened,
    /// The device was deregistered, revoked or quarantined.
    DeviceRevoked,
    /// One end broke the rules of the stream; the session could not be trusted any more.
    Violation,
}

/// Classes of refusals, so that a machine can tell what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCode {
    /// The gateway does not know the key: enroll.
    UnknownDevice,
    /// A person has to approve the device first: wait.
    Pending,
    /// The device was revoked.
    Revoked,
    /// Two live devices use the same key: both are locked out until a person decides.
    Quarantined,
    /// The activation is wrong, used up, expired, or not for this source.
    Activation,
    /// Too many tries from this source; or, of an order, something that the device needs for it is
    /// full: wait, and try again.
    RateLimited,
    /// No common wire version.
    Version,
    /// A newer connection of the same agent is live.
    Stale,
    /// The grant is not valid: signature, device, session, digest, boot, time, or used before.
    Grant,
    /// The device's own policy forbids it.
    DevicePolicy,
    /// The device holds as many sessions as it may.
    TooManySessions,
    /// The user to run as does not exist or cannot be used.
    RunAs,
    /// The program could not be started.
    Spawn,
    /// What is asked for is not known to this agent.
    Unsupported,
    /// The place a tunnel should lead to refused, did not answer, or does not exist.
    Unreachable,
    /// It was started before, or may have been: it is not started again.
    AlreadyStarted,
    /// There is no such program: what a shell tells with 127. Since version 3.
    ProgramNotFound,
    /// The program is there and cannot be executed: what a shell tells with 126. Since version 3.
    ProgramNotExecutable,
}
