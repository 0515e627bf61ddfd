//! The section `[outbound]` of `gateway.toml`: which addresses the gateway may ask, and whose
//! certificates it trusts there.
//!
//! # Invariants
//! - Without the section, addresses of this machine, of its link and of a cloud's metadata are not
//!   dialled, and the public CAs are trusted.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use towline_host::files;

use crate::outbound::{Guard, Outbound};

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawOutbound {
    /// Addresses and ranges that are dialled although they are guarded, and that may be asked by
    /// `http`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Certificates of more CAs, PEM; relative to the folder of this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// What it means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboundSettings {
    /// Addresses.
    pub guard: Guard,
    /// A file with more CAs.
    pub ca: Option<PathBuf>,
}

impl OutboundSettings {
    /// What asks identity providers and receivers of notifications.
    ///
    /// # Errors
    /// Why the file of `ca` cannot be used, in words.
    pub fn client(&self) -> Result<Outbound, String> {
        const MOST: u64 = 1 << 20;
        let read = |path: &PathBuf| files::read(path, MOST).map_err(|error| error.to_string());
        let more = self.ca.as_ref().map(read).transpose()?;
        Outbound::new(self.guard.clone(), more.as_deref())
    }
}

impl RawOutbound {
    /// Checks the section.
    ///
    /// # Errors
    /// Key and value of the first one that cannot be, and what it should be.
    pub fn settings(
        self,
        dir: &Path,
    ) -> Result<OutboundSettings, (&'static str, String, &'static str)> {
        let want = "addresses or ranges such as 10.0.0.0/8";
        let guard = Guard::parse(&self.allow).map_err(|wrong| ("outbound.allow", wrong, want))?;
        Ok(OutboundSettings { guard, ca: self.ca.map(|ca| dir.join(ca)) })
    }
}
