//! What can be wrong with the settings.
//!
//! # Invariants
//! - Each error names its source (a flag, a variable, a file) and what the operator can do.
//! - No error repeats a secret.

use super::endpoint::BadUrl;
use crate::exit::{self, HasExitCode};

/// Why the settings are incomplete or invalid. The operator can fix each of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// No source names a gateway.
    #[error(
        "no gateway is configured: pass --endpoint https://HOST:PORT, set TOWLINE_ENDPOINT, or \
         add `endpoint = \"https://HOST:PORT\"` to {file}"
    )]
    NoEndpoint {
        /// The file for the setting.
        file: String,
    },
    /// A URL is invalid.
    #[error("{source_name}: {why}")]
    Url {
        /// Which source gave it.
        source_name: &'static str,
        /// What is wrong with it.
        why: BadUrl,
    },
    /// No source gives an access key.
    #[error("no access key is configured for profile `{profile}`: {hint}")]
    NoCredentials {
        /// The profile that was looked for.
        profile: String,
        /// What to do.
        hint: &'static str,
    },
    /// Half of an access key.
    #[error("{has} is set, but {lacks} is not: set both or neither")]
    HalfCredentials {
        /// The half that is set.
        has: &'static str,
        /// The half that is missing.
        lacks: &'static str,
    },
    /// A file exists and cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system says.
        why: String,
    },
    /// A file has invalid syntax.
    #[error("{path}: {why}")]
    Malformed {
        /// Which file.
        path: String,
        /// What is wrong, with the line where that is known.
        why: String,
    },
    /// A named profile does not exist.
    #[error("profile `{0}` is not in ~/.aws/config or ~/.aws/credentials")]
    NoProfile(String),
}

impl HasExitCode for ConfigError {
    fn exit_code(&self) -> u8 {
        exit::USAGE
    }
}
