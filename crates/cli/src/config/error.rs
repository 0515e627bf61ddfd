//! What can be wrong with the settings.
//!
//! # Invariants
//! - Each error names its source (a flag, a variable, a file) and what the operator can do.
//! - No error repeats a secret.

use super::endpoint::BadUrl;
use crate::exit::{self, HasExitCode};

/// Why there are no settings to work with. Everything here is for the operator to mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// No source names a gateway.
    #[error(
        "no gateway is known: give --endpoint https://HOST:PORT, set TOWLINE_ENDPOINT, or write `endpoint = \"https://HOST:PORT\"` into {file}"
    )]
    NoEndpoint {
        /// Where the line would go.
        file: String,
    },
    /// A URL is not one.
    #[error("{source_name}: {why}")]
    Url {
        /// Which source gave it.
        source_name: &'static str,
        /// What is wrong with it.
        why: BadUrl,
    },
    /// No source gives an access key.
    #[error("no access key is known for profile `{profile}`: {hint}")]
    NoCredentials {
        /// The profile that was looked for.
        profile: String,
        /// What to do.
        hint: &'static str,
    },
    /// Half of an access key.
    #[error("{has} is set, but {lacks} is not: set both or none")]
    HalfCredentials {
        /// What is there.
        has: &'static str,
        /// What is not.
        lacks: &'static str,
    },
    /// A file is there and cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system says.
        why: String,
    },
    /// A file is not of its form.
    #[error("{path}: {why}")]
    Malformed {
        /// Which file.
        path: String,
        /// What is wrong, with the line where that is known.
        why: String,
    },
    /// A profile was asked for by name and is nowhere.
    #[error("there is no profile `{0}` in ~/.aws/config or ~/.aws/credentials")]
    NoProfile(String),
}

impl HasExitCode for ConfigError {
    fn exit_code(&self) -> u8 {
        exit::USAGE
    }
}
