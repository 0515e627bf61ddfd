//! What serving devices with amazon-ssm-agent needs.
//!
//! # Invariants
//! - Made once; every request and every task shares it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use towline_host::clock::Clock;
use towline_ssm::message::MessageId;
use towline_store::Store;

use super::registry::Registry;
use crate::audit::{AuditLog, Event, Who};
use crate::devices::enrollment::Enrollment;
use crate::devices::signs::{Signs, Takes, signs, takes};
use crate::limits::VENDOR_WAITING;
use crate::plane::Peers;
use crate::sessions::Hub;
use crate::throttle::{Shared, Throttle};
use crate::vault::Vault;

/// The parts that these devices are served with.
#[derive(Clone)]
pub struct VendorParts {
    /// Sessions and devices.
    pub hub: Arc<Hub>,
    /// The store.
    pub store: Store,
    /// Admits devices.
    pub enrollment: Arc<Enrollment>,
    /// The audit trail.
    pub audit: AuditLog,
    /// Seals the keys that are issued.
    pub vault: Arc<Vault>,
    /// The time.
    pub clock: Clock,
    /// The region in the scope of signatures.
    pub region: String,
    /// The other gateways, where several work together.
    pub peers: Option<Arc<dyn Peers>>,
}

/// Serves devices with amazon-ssm-agent.
pub struct VendorAgents {
    pub(super) parts: VendorParts,
    /// Sessions that run, or begin.
    pub(super) registry: Registry,
    /// Signs of life on their way to the store.
    pub(super) signs: Signs,
    /// Signatures by devices' own keys on their way to the store.
    pub(super) takes: Takes,
    /// Failed proofs by address.
    pub(super) failures: Arc<Throttle<IpAddr>>,
    /// Places of channels that wait for their device.
    pub(super) waiting: Semaphore,
    start: (Duration, Instant),
}

impl VendorAgents {
    /// Over these parts.
    #[must_use]
    pub fn new(parts: VendorParts) -> Arc<Self> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Arc::new(Self {
            signs: signs(parts.store.clone()),
            takes: takes(parts.store.clone()),
            parts,
            registry: Registry::default(),
            failures: Arc::default(),
            waiting: Semaphore::new(VENDOR_WAITING),
            start: (at, Instant::now()),
        })
    }

    /// Failures that count at several gateways together.
    #[must_use]
    pub fn throttles(&self) -> Vec<(&'static str, Arc<dyn Shared>)> {
        let failures: Arc<dyn Shared> = self.failures.clone();
        vec![("devices", failures)]
    }

    /// The clock of the data channel: time of day at the start, and monotonic since.
    pub(super) fn time(&self) -> Duration {
        self.start.0 + self.start.1.elapsed()
    }

    /// Writes down what happened with a device.
    pub(super) async fn event(
        &self,
        name: &str,
        device: &str,
        source: IpAddr,
        facts: Vec<(&'static str, String)>,
    ) {
        let mut all = vec![("deviceId", device.to_owned()), ("agentKind", "vendor".to_owned())];
        all.extend(facts);
        let event = Event {
            source: "towline",
            name: name.to_owned(),
            source_ip: source.to_string(),
            facts: all,
            ..Event::default()
        };
        self.parts.audit.write_within(&Who::Device(device.to_owned()), event).await;
    }
}

/// A fresh id of a message; without randomness one that the agent does not compare.
pub(super) fn message_id() -> MessageId {
    MessageId::from_random(towline_host::entropy::random().unwrap_or_default())
}
