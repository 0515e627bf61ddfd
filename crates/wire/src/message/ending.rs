//! How processes and sessions end, and why something is refused.
//!
//! # Invariants
//! - Those of [`super`]: variants are only appended.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
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

impl EndReason {
    /// As text, for what is stored and asked for later. Never changes its meaning.
    #[must_use]
    pub fn to_code(self) -> String {
        match self {
            Self::Exited(ExitStatus::Code(code)) => format!("Exited:{code}"),
            Self::Exited(ExitStatus::Signal(signal)) => format!("Killed:{signal}"),
            Self::Exited(ExitStatus::TimedOut) => "TimedOut".to_owned(),
            Self::IdleTimeout => "IdleTimeout".to_owned(),
            Self::MaxDuration => "MaxDuration".to_owned(),
            Self::Terminated => "Terminated".to_owned(),
            Self::ClosedByOperator => "ClosedByOperator".to_owned(),
            Self::OperatorGone => "OperatorGone".to_owned(),
            Self::DeviceGone => "DeviceGone".to_owned(),
            Self::NotOpened => "NotOpened".to_owned(),
            Self::DeviceRevoked => "DeviceRevoked".to_owned(),
            Self::Violation => "Violation".to_owned(),
        }
    }

    /// The reason of a code; nothing for one of a later version.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        if let Some(code) = code.strip_prefix("Exited:") {
            return code.parse().ok().map(|code| Self::Exited(ExitStatus::Code(code)));
        }
        if let Some(signal) = code.strip_prefix("Killed:") {
            return signal.parse().ok().map(|signal| Self::Exited(ExitStatus::Signal(signal)));
        }
        Some(match code {
            "TimedOut" => Self::Exited(ExitStatus::TimedOut),
            "IdleTimeout" => Self::IdleTimeout,
            "MaxDuration" => Self::MaxDuration,
            "Terminated" => Self::Terminated,
            "ClosedByOperator" => Self::ClosedByOperator,
            "OperatorGone" => Self::OperatorGone,
            "DeviceGone" => Self::DeviceGone,
            "NotOpened" => Self::NotOpened,
            "DeviceRevoked" => Self::DeviceRevoked,
            "Violation" => Self::Violation,
            _ => return None,
        })
    }
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
