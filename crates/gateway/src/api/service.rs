//! The API as a value: the parts that it is made of, and what it keeps between requests.
//!
//! # Invariants
//! - What it keeps is bounded: failures by source, replays, parsed policies, uses of keys.

use std::sync::Arc;

use towline_archive::Archive;
use towline_host::clock::Clock;
use towline_host::entropy::NoRandom;
use towline_ssm::ids::Realm;
use towline_store::Store;

use super::last_used::LastUsed;
use super::paging::Pages;
use super::policy_cache::PolicyCache;
use super::replay::ReplayWindow;
use crate::audit::AuditLog;
use crate::metrics::Metrics;
use crate::plane::{Commands, Presence, Sessions};
use crate::throttle::Throttle;
use crate::vault::Vault;

/// What the API is made of.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// Opens the secrets of access keys.
    pub vault: Arc<Vault>,
    /// The time.
    pub clock: Clock,
    /// Region and account.
    pub realm: Realm,
    /// The running sessions.
    pub sessions: Arc<dyn Sessions>,
    /// Who holds which device.
    pub presence: Arc<dyn Presence>,
    /// The running commands.
    pub commands: Arc<dyn Commands>,
    /// The audit trail.
    pub audit: AuditLog,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Recordings.
    pub evidence: Arc<Archive>,
    /// Whether the removal of rights ends sessions when the request does not say.
    pub removal_ends_sessions: bool,
    /// Host of the `StreamUrl`; `None`: the host the client itself used.
    pub stream_url_host: Option<String>,
}

/// The API, shared by all requests.
pub struct Api {
    pub(super) parts: Parts,
    pub(super) failures: Throttle,
    pub(super) replays: ReplayWindow,
    pub(super) policies: PolicyCache,
    pub(super) last_used: LastUsed,
    pub(super) pages: Pages,
}

impl Api {
    /// An API of these parts.
    ///
    /// # Errors
    /// [`NoRandom`]: the key of paging tokens cannot be made.
    pub fn new(parts: Parts) -> Result<Self, NoRandom> {
        Ok(Self {
            parts,
            failures: Throttle::default(),
            replays: ReplayWindow::default(),
            policies: PolicyCache::default(),
            last_used: LastUsed::default(),
            pages: Pages::new()?,
        })
    }

    pub(super) const fn store(&self) -> &Store {
        &self.parts.store
    }

    pub(super) const fn realm(&self) -> &Realm {
        &self.parts.realm
    }
}
