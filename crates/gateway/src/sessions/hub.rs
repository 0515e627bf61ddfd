//! The hub: sessions by name, links by device.
//!
//! # Invariants
//! - A session stands in the map from before its open is sent until its end; its row is written at
//!   both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use towline_wire::message::EndReason;

use super::Session;
use crate::audit::AuditLog;
use crate::authority::Authority;
use crate::devices::towline::Link;
use crate::plane::LiveState;
use towline_archive::Recorder;
use towline_host::clock::Clock;
use towline_store::{SessionStatus, Store};

/// Sessions alive at once in one gateway: each costs a few KiB, and a window of output while its
/// client is slow.
pub const MAX_SESSIONS: usize = 4096;

/// What the hub is told at its start.
#[derive(Debug, Clone, Copy)]
pub struct HubSettings {
    /// How long a session waits for a lost device or a lost client.
    pub grace: Duration,
    /// Sessions alive at once; one more is refused. [`MAX_SESSIONS`] but in tests.
    pub most_sessions: usize,
}

/// Hears of a device.
pub(crate) type Arrivals = Box<dyn Fn(&str) + Send + Sync>;

/// See the module.
pub struct Hub {
    pub(crate) store: Store,
    pub(crate) authority: Arc<Authority>,
    pub(crate) clock: Clock,
    pub(crate) settings: HubSettings,
    /// Records sessions, if they are to be recorded.
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// Where device events are written down, once that is known.
    pub(crate) trail: OnceLock<AuditLog>,
    /// Records of devices on their way to the store.
    pub(crate) intake: crate::devices::towline::Intake,
    pub(crate) links: Mutex<HashMap<String, Arc<Link>>>,
    /// Hears of each device whose link is there, once it is known what the device holds.
    pub(crate) arrivals: OnceLock<Arrivals>,
    pub(crate) sessions: Mutex<HashMap<String, Arc<Session>>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while a map is locked leaves the map whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Device events go to this trail. The first call counts.
    pub fn audit_to(&self, trail: AuditLog) {
        let _ = self.trail.set(trail);
    }

    /// Writes down what a device did. Nobody waits for it.
    pub(crate) fn device_event(
        &self,
        name: &'static str,
        device: &str,
        facts: Vec<(&'static str, String)>,
    ) {
        let Some(trail) = self.trail.get().cloned() else { return };
        let mut all = vec![("deviceId", device.to_owned())];
        all.extend(facts);
        let event = crate::audit::Event {
            source: "towline",
            name: name.into(),
            facts: all,
            ..Default::default()
        };
        tokio::spawn(async move { trail.write(event).await });
    }

    /// The authority, whose key devices pin at their enrollment.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The session of this name, while it is alive.
    #[must_use]
    pub fn session(&self, name: &str) -> Option<Arc<Session>> {
        lock(&self.sessions).get(name).cloned()
    }

    /// The live link of a device.
    #[must_use]
    pub fn link(&self, device: &str) -> Option<Arc<Link>> {
        lock(&self.links).get(device).cloned()
    }

    /// How many links and how many sessions there are, for metrics.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (lock(&self.links).len(), lock(&self.sessions).len())
    }

    /// Writes down whether a client is attached, for those who list sessions by status. Nobody
    /// waits for it.
    pub fn mark(self: &Arc<Self>, session: &Arc<Session>) {
        let status = match session.live() {
            LiveState::Connecting => SessionStatus::Connecting,
            LiveState::Connected => SessionStatus::Connected,
            LiveState::Disconnected => SessionStatus::Disconnected,
            LiveState::Terminating => return,
        };
        let (hub, name) = (Arc::clone(self), session.meta.name.clone());
        tokio::spawn(async move {
            if let Err(error) = hub.store.sessions().mark(&name, status).await {
                tracing::warn!(session = name, %error, "the status of a session could not be stored");
            }
        });
    }

    /// Ends a session with a reason and its words; does nothing for one that is over.
    pub fn end(self: &Arc<Self>, session: &Arc<Session>, reason: EndReason, text: &str) {
        if !session.end(reason, text) {
            return;
        }
        lock(&self.sessions).remove(&session.meta.name);
        if session.meta.step {
            return; // its story stands among the commands
        }
        let totals = session.totals();
        let (hub, name, mut text) = (Arc::clone(self), session.meta.name.clone(), text.to_owned());
        let event = totals.as_ref().map(|totals| totals.event(&session.meta, &text));
        if let Some(totals) = totals {
            text = format!("{text}; {totals}");
        }
        let failed = matches!(reason, EndReason::NotOpened);
        tokio::spawn(async move {
            let now = hub.clock.now();
            if let Some(event) = event
                && let Err(error) = hub.store.audit().append(&[event.row(now)]).await
            {
                tracing::error!(session = name, %error, "the end of a tunnel is in the log alone");
            }
            if let Err(error) = hub.store.sessions().end(&name, failed, &text, now).await {
                tracing::error!(session = name, %error, "the end of a session could not be stored");
            }
        });
    }
}
