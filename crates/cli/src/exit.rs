//! Exit codes, and the failures they stand for.
//!
//! `shell` and `exec` pass on the exit code of the remote program, 128 and the number of the signal
//! that killed it; 127 and 126 when it could not be started. The codes of this program itself are
//! at the upper end, where remote programs rarely are; 255 is what ssh uses.
//!
//! # Invariants
//! - The list in `--help` and the manual is made from [`TABLE`]: there is no second one.

use std::io;

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

/// An error that decides which exit code this program ends with.
pub(crate) trait HasExitCode: std::error::Error {
    /// One of the codes of this program.
    fn exit_code(&self) -> u8;
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
            Self::Other(error) => error.exit_code(),
        }
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
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_listed_in_the_help_and_above_those_of_killing_signals() {
        let codes: BTreeSet<u8> = TABLE.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes.len(), TABLE.len(), "a code is listed twice: {TABLE:?}");
        assert!(codes.iter().all(|&code| code > 128 + 64), "{codes:?}");
        assert!(TABLE.iter().all(|(code, meaning)| help().contains(&format!("{code}  {meaning}"))));
    }
}
