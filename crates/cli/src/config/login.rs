//! The credentials of `towline login`, kept for the commands after it.
//!
//! Data flow: `login` -> a file for each gateway in the cache folder -> the settings of later
//! commands, and `credentials` for AWS's tools.
//!
//! # Invariants
//! - The file is 0600 in a folder that is 0700; it is replaced whole or not at all.
//! - Credentials of one gateway are never used for another: the file's name holds the whole
//!   address.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use super::error::ConfigError;
use super::raw::{Environment, read_bounded};
use crate::platform::replace;

/// What the gateway gave, in the form that AWS's tools want of a credential process.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Kept {
    /// 1.
    pub version: u8,
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// Goes with each request.
    pub session_token: String,
    /// Until when, ISO 8601.
    pub expiration: String,
    /// Renews them at the gateway: a secret of this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Whether the provider vouched for a second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<bool>,
}

/// Where the credentials of a gateway are kept; nothing without a home folder.
pub(crate) fn path(env: &Environment, endpoint: &Endpoint) -> Option<PathBuf> {
    let folder = match env.text("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env.text("HOME")?).join(".cache"),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let name: String =
        endpoint.authority().chars().map(|c| if plain(c) { c } else { '_' }).collect();
    Some(folder.join("towline").join(format!("login-{name}.json")))
}

/// What is kept for a gateway, also when it is over.
pub(crate) fn read(env: &Environment, endpoint: &Endpoint) -> Result<Option<Kept>, ConfigError> {
    let Some(path) = path(env, endpoint) else { return Ok(None) };
    let Some(text) = read_bounded(&path)? else { return Ok(None) };
    // A file of another version is as good as none: the next sign-in replaces it.
    Ok(serde_json::from_str(&text).ok())
}

/// Keeps credentials.
pub(crate) fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    replace(path, &serde_json::to_string(kept)?)
}
