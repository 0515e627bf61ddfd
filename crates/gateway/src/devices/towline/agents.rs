//! What is needed to serve agents' links: hub, store, enrollment, audit trail, clock.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::AuditLog;
use crate::devices::enrollment::Enrollment;
use crate::sessions::Hub;
use towline_host::clock::Clock;
use towline_store::Store;

/// Serves agents' links.
pub struct Agents {
    pub(super) hub: Arc<Hub>,
    pub(super) store: Store,
    pub(super) enrollment: Arc<Enrollment>,
    pub(super) audit: AuditLog,
    pub(super) clock: Clock,
    pub(super) grace: Duration,
}

impl Agents {
    /// Over these parts; `grace` is how long sessions outlive their link.
    #[must_use]
    pub fn new(
        hub: Arc<Hub>,
        store: Store,
        enrollment: Arc<Enrollment>,
        audit: AuditLog,
        clock: Clock,
        grace: Duration,
    ) -> Self {
        Self { hub, store, enrollment, audit, clock, grace }
    }
}
