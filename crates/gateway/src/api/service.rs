//! The API as a value: the parts that it is made of, and what it keeps between requests.
//!
//! # Invariants
//! - What it keeps is bounded: failures by source, replays, parsed policies, uses of keys,
//!   places of recordings.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock, Weak};

use towline_archive::Archive;
use towline_host::clock::{Clock, UnixMillis};
use towline_host::entropy::NoRandom;
use towline_ssm::ids::Realm;
use towline_store::{SeenRequest, Store};

use super::bodies::Bodies;
use super::elsewhere::Places;
use super::last_used::LastUsed;
use super::paging::Pages;
use super::policy_cache::PolicyCache;
use super::provider_sign_in::Turns;
use super::replay::ReplayWindow;
use super::searches::Searches;
use super::sign_in::SignInSettings;
use super::sign_in_requests::Paces;
use super::streams::Streams;
use super::watches::Watches;
use crate::audit::AuditLog;
use crate::federation::ProviderKeys;
use crate::limits::POLICY_FRESH;
use crate::metrics::Metrics;
use crate::notifications::Bell;
use crate::plane::{Commands, Peers, Presence, Sessions};
use crate::readiness::Readiness;
use crate::throttle::{LogBudget, Shared, Throttle};
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
    /// Whether sessions that granted access permits end with it.
    pub access_ends_sessions: bool,
    /// Signatures that an earlier process has taken.
    pub seen: Vec<SeenRequest>,
    /// Host of the `StreamUrl`; `None`: the host the client itself used.
    pub stream_url_host: Option<String>,
    /// Sign-ins of browsers.
    pub sign_in: SignInSettings,
    /// What activations name: see [`crate::authority::Authority::digest`].
    pub authority: String,
    /// Whether new work is taken, and the certificate.
    pub ready: Arc<Readiness>,
    /// What identity providers publish.
    pub providers: ProviderKeys,
    /// Wakes what sends notifications.
    pub bell: Bell,
    /// Whether receivers of notifications may have addresses of mail.
    pub has_mail: bool,
    /// The other gateways, where several work together.
    pub peers: Option<Arc<dyn Peers>>,
}

/// The API, shared by all requests.
pub struct Api {
    pub(super) parts: Parts,
    pub(super) failures: Arc<Throttle<IpAddr>>,
    pub(super) log_budget: LogBudget,
    pub(super) bodies: Bodies,
    pub(super) searches: Searches,
    pub(super) replays: ReplayWindow,
    pub(super) policies: PolicyCache,
    pub(super) last_used: LastUsed,
    pub(super) pages: Pages,
    pub(super) turns: Turns,
    pub(super) paces: Paces,
    pub(super) watches: Watches,
    /// Itself, for what outlives a request.
    pub(super) own: OnceLock<Weak<Api>>,
    pub(super) started: UnixMillis,
    pub(super) streams: Streams,
    pub(super) places: Places,
}

impl Api {
    /// An API of these parts.
    ///
    /// # Errors
    /// [`NoRandom`]: the key of paging tokens cannot be made.
    pub fn new(parts: Parts) -> Result<Self, NoRandom> {
        Ok(Self {
            failures: Arc::default(),
            log_budget: LogBudget::default(),
            bodies: Bodies::default(),
            searches: Searches::default(),
            replays: ReplayWindow::restored(&parts.seen),
            policies: PolicyCache::new(parts.store.node().map(|_| POLICY_FRESH)),
            last_used: LastUsed::default(),
            pages: match parts.store.node() {
                Some(_) => Pages::with_key(&parts.vault.mac("paging tokens", b"of a cluster")),
                None => Pages::new()?,
            },
            turns: Turns::default(),
            paces: Paces::default(),
            watches: Watches::default(),
            own: OnceLock::new(),
            started: parts.clock.now(),
            streams: Streams::default(),
            places: Places::default(),
            parts,
        })
    }

    /// Failures that count at several gateways together.
    #[must_use]
    pub fn throttles(&self) -> Vec<(&'static str, Arc<dyn Shared>)> {
        let failures: Arc<dyn Shared> = self.failures.clone();
        vec![("requests", failures)]
    }

    pub(super) const fn store(&self) -> &Store {
        &self.parts.store
    }

    pub(super) const fn realm(&self) -> &Realm {
        &self.parts.realm
    }
}
