//! The API: AWS JSON 1.1 at `POST /`, and the query protocol of STS at the same place.
//!
//! Way: [`http`] (bounded body) -> [`authn`] (whose is it?) -> [`dispatch`] (one exhaustive match)
//! -> an operation's file, which asks [`authz`] before it does anything -> answer -> one audit line
//! -> the client.
//!
//! # Invariants
//! - No operation without a valid signature; none answers with success without having asked policy:
//!   dispatch checks.
//! - Every request that was read leaves one audit line before its answer leaves.
//! - What a request refers to is authorised first and looked up second: a stranger learns nothing
//!   about what exists.
//!
//! # Not here
//! - Shapes, limits and codes of AWS: `towline_ssm`. The running sessions:
//!   [`crate::plane::Sessions`].

mod access;
mod access_policy;
mod activations;
mod authn;
mod authz;
mod call;
mod command_log;
mod device_keys;
mod devices;
mod dispatch;
mod document_list;
mod documents;
mod evidence;
mod explain;
mod http;
mod paging;
mod principals;
mod replay;
mod roles;
mod run_commands;
mod sessions;
mod sts;
mod tags;
mod tokens;
mod wanted;

use std::net::IpAddr;
use std::sync::Arc;

use towline_archive::Archive;
use towline_host::clock::Clock;
use towline_host::entropy::NoRandom;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::Realm;
use towline_store::{Store, StoreError};

pub use http::router;

use crate::audit::AuditLog;
use crate::metrics::Metrics;
use crate::plane::{Commands, DataChannels, Presence, Sessions};
use crate::throttle::Throttle;
use crate::vault::{Vault, VaultError};

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
    /// Takes websockets.
    pub channels: Arc<dyn DataChannels>,
    /// The running commands.
    pub commands: Arc<dyn Commands>,
    /// The audit trail.
    pub audit: AuditLog,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Recordings.
    pub evidence: Arc<Archive>,
    /// Host of the `StreamUrl`; `None`: the host the client itself used.
    pub stream_url_host: Option<String>,
}

/// The API, shared by all requests.
pub struct Api {
    parts: Parts,
    failures: Throttle,
    replays: replay::ReplayWindow,
    policies: authz::PolicyCache,
    last_used: authn::LastUsed,
    pages: paging::Pages,
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
            replays: replay::ReplayWindow::default(),
            policies: authz::PolicyCache::default(),
            last_used: authn::LastUsed::default(),
            pages: paging::Pages::new()?,
        })
    }

    /// Whether requests from this address are turned away unread just now.
    #[must_use]
    pub fn turns_away(&self, source: IpAddr) -> bool {
        self.failures.blocks(source, self.parts.clock.now())
    }

    const fn store(&self) -> &Store {
        &self.parts.store
    }

    const fn realm(&self) -> &Realm {
        &self.parts.realm
    }
}

/// An error of ours: logged with its cause, told to the client without it.
fn internal(what: &str, cause: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%cause, "{what}");
    ApiError::new(
        ErrorCode::InternalServerError,
        "the gateway failed; the request may be tried again",
    )
}

/// Turns failures below into answers. A bound of the store is the client's to act upon; the rest is
/// ours.
trait OrInternal<T> {
    fn or_internal(self, what: &str) -> Result<T, ApiError>;
}

impl<T> OrInternal<T> for Result<T, StoreError> {
    fn or_internal(self, what: &str) -> Result<T, ApiError> {
        self.map_err(|error| match &error {
            StoreError::Full { .. } => {
                ApiError::new(ErrorCode::ServiceQuotaExceededException, error.to_string())
            }
            StoreError::Exists(_) => {
                ApiError::new(ErrorCode::ResourceAlreadyExistsException, error.to_string())
            }
            StoreError::Missing(_) => {
                ApiError::new(ErrorCode::ResourceNotFoundException, error.to_string())
            }
            StoreError::Row(_) | StoreError::Database(_) | StoreError::Migrate(_) => {
                internal(what, &error)
            }
        })
    }
}

impl<T> OrInternal<T> for Result<T, NoRandom> {
    fn or_internal(self, what: &str) -> Result<T, ApiError> {
        self.map_err(|error| internal(what, &error))
    }
}

impl<T> OrInternal<T> for Result<T, VaultError> {
    fn or_internal(self, what: &str) -> Result<T, ApiError> {
        self.map_err(|error| internal(what, &error))
    }
}
