//! Exit codes, and the failures they report.
//!
//! `shell` and `exec` return the exit code of the remote program, 128 + n if signal n killed it,
//! and 127 or 126 if it could not be started. The codes of this program itself are at the upper
//! end, which remote programs rarely use; 255 is the one that ssh uses.
//!
//! # Invariants
//! - The list in `--help` and the manual is generated from [`TABLE`].

use std::io;

/// The gateway cannot be reached, the connection was lost, or the protocol was violated.
pub(crate) const TRANSPORT: u8 = 255;
/// The access key is not accepted, or its policies do not allow the request.
pub(crate) const DENIED: u8 = 254;
/// The device is not connected.
pub(crate) const NOT_CONNECTED: u8 = 253;
/// The command line or a setting is invalid.
pub(crate) const USAGE: u8 = 252;
/// The session ended before its program did.
pub(crate) const ENDED: u8 = 251;
/// The gateway or the device refused for another reason, for example: no such device.
pub(crate) const REFUSED: u8 = 250;
/// A local file or standard output cannot be used.
pub(crate) const LOCAL: u8 = 249;

/// What a shell answers when there is no such program.
pub(crate) const PROGRAM_NOT_FOUND: u8 = 127;
/// What a shell answers when a program cannot be executed.
pub(crate) const PROGRAM_NOT_EXECUTABLE: u8 = 126;

/// The signal that ends a program which nobody reads any more.
const SIGPIPE: u8 = 13;

/// All codes of this program with their meaning.
pub(crate) const TABLE: &[(u8, &str)] = &[
    (
        TRANSPORT,
        "the gateway cannot be reached, the connection was lost, or the protocol was violated",
    ),
    (
        DENIED,
        "access denied: the access key is not accepted, or its policies do not allow the request",
    ),
    (NOT_CONNECTED, "the device is not connected"),
    (USAGE, "the command line or a setting is invalid"),
    (ENDED, "the session ended before its program did (idle, time limit, terminated, ~.)"),
    (REFUSED, "the gateway or the device refused the request, for example: no such device"),
    (LOCAL, "a local file or standard output cannot be used"),
];

/// An error that decides which exit code this program ends with.
pub(crate) trait HasExitCode: std::error::Error {
    /// One of the codes of this program.
    fn exit_code(&self) -> u8;

    /// Whether the same may succeed later.
    fn may_heal(&self) -> bool {
        false
    }
}

/// Why a command failed.
///
/// The errors of the other modules come in by [`HasExitCode`]: this module knows none of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Failure {
    /// An argument that only the command itself can judge.
    #[error("{0}")]
    Usage(String),
    /// A file or standard output cannot be used.
    #[error("{what}: {why}")]
    Local {
        /// What failed.
        what: String,
        /// The system's error.
        why: io::Error,
    },
    /// A document or a recording is invalid.
    #[error("{0}")]
    BadDocument(String),
    /// A signal to this program, by its number, while it waited for its user.
    #[error("a signal ended the wait")]
    Signal(u8),
    /// Nobody reads standard output any more: no message, and the code is that of SIGPIPE.
    #[error("the reader of standard output is gone")]
    ReaderGone,
    /// An error of a module of this program.
    #[error("{0}")]
    Other(Box<dyn HasExitCode>),
}

impl<E: HasExitCode + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(Box::new(error))
    }
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Local { .. } => LOCAL,
            Self::BadDocument(_) => REFUSED,
            Self::Signal(number) => 128 + number,
            Self::ReaderGone => 128 + SIGPIPE,
            Self::Other(error) => error.exit_code(),
        }
    }

    /// Whether the same may succeed later.
    #[must_use]
    pub(crate) fn may_heal(&self) -> bool {
        matches!(self, Self::Other(error) if error.may_heal())
    }
}

/// The part of `--help` and the manual about exit codes.
#[must_use]
pub(crate) fn help() -> String {
    let mut text = "Exit codes: shell and exec return the exit code of the remote program (128 + \
                    n if signal \
                    n killed it, 127 if the device has no such program, 126 if it cannot be run). \
                    run \
                    returns 0 if all devices succeeded, the script's exit code for a single \
                    device, else 1. \
                    Otherwise 0, or:\n"
        .to_owned();
    for (code, meaning) in TABLE {
        text.push_str(&format!("  {code}  {meaning}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_listed_in_the_help_and_above_those_of_killing_signals() {
        let codes: BTreeSet<u8> = TABLE.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes.len(), TABLE.len(), "a code is listed twice: {TABLE:?}");
        assert!(codes.iter().all(|&code| code > 128 + 64), "{codes:?}");
        assert!(TABLE.iter().all(|(code, meaning)| help().contains(&format!("{code}  {meaning}"))));
    }
}
