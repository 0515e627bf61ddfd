//! What serving agents' links needs: hub, store, enrollment, audit trail, grants, clock.
//!
//! # Invariants
//! - Made once; every link's task shares it.

use std::sync::Arc;
use std::time::Duration;

use towline_host::clock::Clock;
use towline_store::Store;

use super::intake::Intake;
use super::order::Grants;
use crate::audit::AuditLog;
use crate::authority::Authority;
use crate::devices::enrollment::Enrollment;
use crate::devices::signs::{Signs, signs};
use crate::plane::Peers;
use crate::server_pins::ServerPins;
use crate::sessions::Hub;

/// Serves agents' links.
pub(super) struct Agents {
    pub(super) hub: Arc<Hub>,
    pub(super) store: Store,
    pub(super) enrollment: Arc<Enrollment>,
    pub(super) audit: AuditLog,
    pub(super) grants: Arc<Grants>,
    pub(super) clock: Clock,
    /// The pin of the server's next key.
    pub(super) pins: Arc<ServerPins>,
    /// How long sessions outlive their link.
    pub(super) grace: Duration,
    /// Records of the command log on their way to the store.
    pub(super) intake: Intake,
    /// Signs of life on their way to the store.
    pub(super) signs: Signs,
    /// The other gateways, where several work together.
    pub(super) peers: Option<Arc<dyn Peers>>,
}

/// The parts that agents are served with.
pub struct AgentParts {
    /// Sessions and devices.
    pub hub: Arc<Hub>,
    /// The store.
    pub store: Store,
    /// Admits devices.
    pub enrollment: Arc<Enrollment>,
    /// The audit trail.
    pub audit: AuditLog,
    /// Signs grants and the time.
    pub authority: Arc<Authority>,
    /// The time.
    pub clock: Clock,
    /// The pin of the server's next key.
    pub pins: Arc<ServerPins>,
    /// How long sessions outlive their link.
    pub grace: Duration,
    /// The other gateways, where several work together.
    pub peers: Option<Arc<dyn Peers>>,
}

impl Agents {
    /// Over these parts.
    #[must_use]
    pub(super) fn new(parts: AgentParts) -> Arc<Self> {
        let AgentParts { hub, store, enrollment, audit, authority, clock, pins, grace, peers } =
            parts;
        let grants = Arc::new(Grants { authority, clock: clock.clone() });
        let signs = signs(store.clone());
        Arc::new(Self {
            hub,
            store,
            enrollment,
            audit,
            grants,
            clock,
            pins,
            grace,
            intake: Intake::default(),
            signs,
            peers,
        })
    }
}
