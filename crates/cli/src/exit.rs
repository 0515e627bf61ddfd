//! Exit codes, and the failures they stand for.
//!
//! `shell` and `exec` pass on the exit code of the remote program, 128 and the number of the signal
//! that killed it; 127 and 126 when it could not be started. The codes of this program itself are
//! at the upper end, where remote programs rarely are; 255 is what ssh uses.
//!
//! # Invariants
//! - The list in `--help` and the manual is made from [`TABLE`]: there is no second one.

use std::io;

use crate::api::{CallError, Sort};
use crate::commands::TargetError;
use crate::config::ConfigError;
use crate::plugin::BadCall;
use crate::session::{CopyError, SessionError};

/// The gateway cannot be reached, was lost, or one end broke the protocol.
pub(crate) const TRANSPORT: u8 = 255;
/// The access key is not accepted, or its policies do not allow this.
pub(crate) const DENIED: u8 = 254;
/// The device is not connected.
pub(crate) const NOT_CONNECTED: u8 = 253;
/// The command line or a setting is wrong.
pub(crate) const USAGE: u8 = 252;
/// The session ended otherwise than by the end of its program.
pub(crate) const ENDED: u8 = 251;
/// The gateway or the device refused for another reason; no such device, for example.
pub(crate) const REFUSED: u8 = 250;
/// Something local: a file, standard output.
pub(crate) const LOCAL: u8 = 249;

/// All own codes with their meaning.
pub(crate) const TABLE: &[(u8, &str)] = &[
    (TRANSPORT, "the gateway cannot be reached, was lost, or broke the protocol"),
    (DENIED, "the access key is not accepted, or its policies do not allow this"),
    (NOT_CONNECTED, "the device is not connected"),
    (USAGE, "the command line or a setting is wrong"),
    (
        ENDED,
        "the session ended otherwise than by the end of its program (idle, maximum, terminated, ~.)",
    ),
    (REFUSED, "the gateway or the device refused; no such device, for example"),
    (LOCAL, "a local file or standard output cannot be used"),
];

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Failure {
    /// See [`ConfigError`].
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// See [`CallError`].
    #[error(transparent)]
    Call(#[from] CallError),
    /// See [`TargetError`].
    #[error(transparent)]
    Target(#[from] TargetError),
    /// See [`SessionError`].
    #[error(transparent)]
    Session(#[from] SessionError),
    /// See [`CopyError`].
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// See [`BadCall`].
    #[error(transparent)]
    Plugin(#[from] BadCall),
    /// An argument that only the command itself can judge.
    #[error("{0}")]
    Usage(String),
    /// A file or standard output.
    #[error("{what}: {why}")]
    Local {
        /// What cannot be done.
        what: String,
        /// What the system says.
        why: io::Error,
    },
    /// A document that was to be checked is not good.
    #[error("{0}")]
    BadDocument(String),
}

impl Failure {
    /// No `_` arm: a new failure must decide here.
    #[must_use]
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) | Self::Plugin(_) => USAGE,
            Self::Call(error) => of_call(error),
            Self::Target(TargetError::Call(error)) => of_call(error),
            Self::Target(TargetError::None { .. } | TargetError::Several { .. })
            | Self::BadDocument(_) => REFUSED,
            Self::Target(TargetError::Malformed { .. }) => USAGE,
            Self::Session(error) | Self::Copy(CopyError::Session(error)) => of_session(error),
            Self::Copy(CopyError::Ended(_)) => ENDED,
            Self::Copy(CopyError::Device { .. }) => REFUSED,
            Self::Copy(CopyError::Broken(_)) => TRANSPORT,
            Self::Copy(CopyError::Local { .. }) => LOCAL,
            Self::Local { .. } => LOCAL,
        }
    }
}

fn of_call(error: &CallError) -> u8 {
    match error.sort() {
        Sort::Transport => TRANSPORT,
        Sort::Denied => DENIED,
        Sort::NotConnected => NOT_CONNECTED,
        Sort::Busy | Sort::Refused => REFUSED,
        Sort::Setting => USAGE,
    }
}

fn of_session(error: &SessionError) -> u8 {
    match error {
        SessionError::Call(error) => of_call(error),
        SessionError::NotBack { .. } | SessionError::Broken(_) => TRANSPORT,
        SessionError::Over(_) => ENDED,
        SessionError::Local { .. } => LOCAL,
    }
}

/// The part of `--help` and the manual about exit codes.
#[must_use]
pub(crate) fn help() -> String {
    let mut text = "Exit codes: run gives 0 when all went well, the script's own code for a single device, else 1. shell and exec pass on the exit code of the remote program (128 + n when signal n \
                    killed it; 127 when there is no such program on the device, 126 when it cannot be run). Others are \
                    0, or:\n"
        .to_owned();
    for (code, meaning) in TABLE {
        text.push_str(&format!("  {code}  {meaning}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_said_once_and_none_is_a_killing_signal() {
        let mut codes: Vec<u8> = TABLE.iter().map(|(code, _)| *code).collect();
        codes.dedup();
        assert_eq!(codes.len(), TABLE.len());
        assert!(codes.iter().all(|&code| code > 128 + 64), "{codes:?}");
        assert!(TABLE.iter().all(|(code, meaning)| help().contains(&format!("{code}  {meaning}"))));
    }

    #[test]
    fn denied_not_connected_and_transport_have_codes_of_their_own() {
        let refused = |code: &str| {
            Failure::Call(CallError::Refused { code: code.into(), message: String::new() }).code()
        };
        assert_eq!(refused("AccessDeniedException"), DENIED);
        assert_eq!(refused("TargetNotConnected"), NOT_CONNECTED);
        assert_eq!(refused("ValidationException"), REFUSED);
        let broken = CallError::Broken { to: "g".into(), why: "x".into() };
        assert_eq!(Failure::Session(broken.into()).code(), TRANSPORT);
    }
}
