//! The hub: sessions by name, connected devices by id.
//!
//! # Invariants
//! - A session stands in the map from before its open is sent until its end; its row is written at
//!   both.
//! - A device has at most one connection in the map, the one that came last.
//! - After [`Hub::device_settled`], each session of the device is carried by its connection or
//!   over.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use towline_archive::Recorder;
use towline_host::clock::Clock;
use towline_store::{SessionStatus, Store};

use super::arrivals::Arrivals;
use super::claims::Claims;
use super::device::Device;
use super::endings::Endings;
use super::scripts::StepsCome;
use super::session::Session;
use super::session_map::SessionMap;
use super::unsure::Unsure;
use crate::audit::AuditLog;
use crate::changes::Topic;
use crate::limits::LAST_WORDS;
use crate::lock::lock;
use crate::plane::{Dropped, EndReason, LiveState, StartError};

/// What the hub is told at its start.
#[derive(Debug, Clone, Copy)]
pub struct HubSettings {
    /// How long a session waits for a lost device or a lost client.
    pub grace: Duration,
    /// Sessions alive at once; one more is refused. `MAX_SESSIONS` but in tests.
    pub most_sessions: usize,
}

/// The parts that a hub is made of.
pub struct HubParts {
    /// The store.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Records sessions, if its settings ask for it.
    pub recorder: Arc<Recorder>,
    /// Where device events are written down.
    pub trail: AuditLog,
}

/// Sessions by name, devices by id.
pub struct Hub {
    pub(super) parts: HubParts,
    pub(super) settings: HubSettings,
    devices: Mutex<HashMap<String, Arc<dyn Device>>>,
    arrivals: Arrivals,
    pub(super) claims: Claims,
    sessions: Mutex<SessionMap>,
    pub(super) endings: Endings,
    /// Takes over steps of commands.
    pub(super) steps: OnceLock<Box<dyn StepsCome>>,
    /// Held while sessions change nodes.
    pub(super) moves: tokio::sync::Mutex<Unsure>,
    /// Devices and sessions go to other nodes: no new ones are taken.
    draining: AtomicBool,
}

impl Hub {
    /// A hub without sessions.
    pub(super) fn new(parts: HubParts, settings: HubSettings) -> Self {
        Self {
            parts,
            settings,
            devices: Mutex::default(),
            arrivals: Arrivals::default(),
            claims: Claims::default(),
            sessions: Mutex::default(),
            endings: Endings::default(),
            steps: OnceLock::new(),
            moves: tokio::sync::Mutex::default(),
            draining: AtomicBool::new(false),
        }
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.parts.store
    }

    /// Writes down what a device did. Nobody waits for it.
    pub fn device_event(
        &self,
        name: &'static str,
        device: &str,
        facts: Vec<(&'static str, String)>,
    ) {
        let trail = self.parts.trail.clone();
        let mut all = vec![("deviceId", device.to_owned())];
        all.extend(facts);
        let event = crate::audit::Event {
            source: "towline",
            name: name.into(),
            facts: all,
            ..Default::default()
        };
        let who = crate::audit::Who::Device(device.to_owned());
        tokio::spawn(async move { trail.write_within(&who, event).await });
    }

    /// The session of this name, while it is alive.
    #[must_use]
    pub fn session(&self, name: &str) -> Option<Arc<Session>> {
        lock(&self.sessions).get(name).cloned()
    }

    /// The session of this name, if it is this device's.
    #[must_use]
    pub fn session_of(&self, device: &str, name: &str) -> Option<Arc<Session>> {
        self.session(name).filter(|session| session.meta.device == device)
    }

    /// Puts a session into the map; it may replace one of its name.
    pub(super) fn add(&self, session: &Arc<Session>) {
        lock(&self.sessions).insert(session);
    }

    /// Puts a session into the map, if there is a place for one more.
    ///
    /// # Errors
    /// The number of places.
    pub(super) fn add_bounded(&self, session: &Arc<Session>) -> Result<(), usize> {
        let mut sessions = lock(&self.sessions);
        let most = self.settings.most_sessions;
        if sessions.len() >= most {
            return Err(most);
        }
        sessions.insert(session);
        Ok(())
    }

    /// Takes this very session out of the map.
    pub(super) fn remove(&self, session: &Arc<Session>) {
        let mut sessions = lock(&self.sessions);
        if sessions.get(&session.meta.name).is_some_and(|held| Arc::ptr_eq(held, session)) {
            sessions.remove(&session.meta.name);
        }
    }

    /// The sessions of a device.
    pub(super) fn sessions_of(&self, device: &str) -> Vec<Arc<Session>> {
        lock(&self.sessions).of(device).cloned().collect()
    }

    /// All sessions.
    pub(super) fn all_sessions(&self) -> Vec<Arc<Session>> {
        lock(&self.sessions).all().cloned().collect()
    }

    /// Whether a device has sessions.
    pub(super) fn has_sessions(&self, device: &str) -> bool {
        lock(&self.sessions).has(device)
    }

    /// How many sessions of a device are here, and whether one of them is just being opened. Steps
    /// of commands do not count.
    #[must_use]
    pub fn sessions_here(&self, device: &str) -> (usize, bool) {
        let sessions = self.sessions_of(device);
        let people = sessions.iter().filter(|session| !session.meta.step);
        people.fold((0, false), |(n, opens), session| (n + 1, opens || session.is_opening()))
    }

    /// From now on no device and no session is taken.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether devices and sessions go to other nodes.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The device of this id, while it is connected.
    #[must_use]
    pub fn device(&self, id: &str) -> Option<Arc<dyn Device>> {
        lock(&self.devices).get(id).cloned()
    }

    /// All devices that are connected.
    pub(crate) fn devices(&self) -> Vec<Arc<dyn Device>> {
        lock(&self.devices).values().cloned().collect()
    }

    /// How many devices and how many sessions there are, for metrics.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (lock(&self.devices).len(), lock(&self.sessions).len())
    }

    /// Devices that have come.
    #[must_use]
    pub const fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// Puts a device's connection into the map; the one that it replaces is closed and its sessions
    /// wait.
    pub fn device_up(self: &Arc<Self>, device: Arc<dyn Device>) {
        let older = lock(&self.devices).insert(device.id().to_owned(), device);
        self.parts.trail.changes().tell(Topic::Devices);
        if let Some(older) = older {
            older.close("a newer connection of the device took its place");
            Self::lose_sessions(&*older);
        }
    }

    /// Takes a device's connection out of the map; its sessions wait for the next one.
    pub fn device_down(&self, device: &dyn Device) {
        {
            let mut devices = lock(&self.devices);
            let same = |held: &Arc<dyn Device>| held.connection() == device.connection();
            if devices.get(device.id()).is_some_and(same) {
                devices.remove(device.id());
            }
        }
        Self::lose_sessions(device);
        self.parts.trail.changes().tell(Topic::Devices);
    }

    fn lose_sessions(device: &dyn Device) {
        for session in device.take_sessions() {
            if session.device_lost(device.connection()) {
                session.not_opened(StartError::NotConnected);
            }
        }
    }

    /// Ends a device's sessions and its connection, as soon as the device has heard of their ends;
    /// `None` when it has neither here.
    pub async fn drop_device(self: &Arc<Self>, device: &str, why: &str) -> Option<Dropped> {
        // Nothing finds it from here on. A session that is on its way to it is caught by the second
        // round.
        let connection = lock(&self.devices).remove(device).filter(|device| !device.is_closed());
        let mut dropped = Dropped::default();
        let mut found = connection.is_some();
        for _ in 0..2 {
            let sessions = self.sessions_of(device);
            found |= !sessions.is_empty();
            let reached = sessions.iter().filter(|session| session.is_carried()).count();
            for session in &sessions {
                self.end_for(session, EndReason::DeviceRemoved);
            }
            let heard = match &connection {
                Some(connection) => connection.has_heard(LAST_WORDS).await,
                None => false,
            };
            let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let ended = if heard { count(reached) } else { 0 };
            dropped.ended += ended;
            dropped.unreached += count(sessions.len()).saturating_sub(ended);
        }
        if let Some(connection) = &connection {
            connection.close(why);
            Self::lose_sessions(&**connection);
        }
        found.then_some(dropped)
    }

    /// The device has named all that it holds: its sessions that are not among them are over.
    pub fn device_settled(self: &Arc<Self>, device: &dyn Device, held: &HashSet<String>) {
        for session in self.sessions_of(device.id()) {
            // One that is being opened, or was since the device wrote its list, cannot be on it.
            if !held.contains(&session.meta.name) && session.is_missed_by(device.connection()) {
                self.end(&session, EndReason::DeviceLost, &device.came_without());
            }
        }
        self.arrivals.add(device.id());
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
        self.store_seat(session);
        let (hub, name) = (Arc::clone(self), session.meta.name.clone());
        tokio::spawn(async move {
            if let Err(error) = hub.parts.store.sessions().mark(&name, status).await {
                tracing::warn!(
                    session = name, %error,
                    "the status of a session could not be stored"
                );
            }
            hub.parts.trail.changes().tell(Topic::Sessions);
        });
    }

    /// Ends a session with a reason and the reason's own sentence.
    pub fn end_for(self: &Arc<Self>, session: &Arc<Session>, reason: EndReason) {
        self.end(session, reason, &reason.sentence());
    }

    /// Ends a session with a reason and a sentence; does nothing for one that is over.
    pub fn end(self: &Arc<Self>, session: &Arc<Session>, reason: EndReason, text: &str) {
        if !session.end(reason, text) {
            return;
        }
        if session.meta.step {
            lock(&self.sessions).remove(&session.meta.name);
            return; // its story stands among the commands
        }
        self.endings.begin(&session.meta.name);
        lock(&self.sessions).remove(&session.meta.name);
        tracing::info!(
            session = session.meta.name,
            device = session.meta.device,
            text,
            "session ended"
        );
        let totals = session.totals();
        let (hub, name, mut text) = (Arc::clone(self), session.meta.name.clone(), text.to_owned());
        let event = totals.as_ref().map(|totals| totals.event(&session.meta, &text));
        if let Some(totals) = totals {
            text = format!("{text}; {totals}");
        }
        tokio::spawn(async move {
            let now = hub.parts.clock.now();
            if let Some(event) = event
                && let Err(error) = hub.parts.store.audit().append(&[event.row(now)], &[]).await
            {
                tracing::error!(session = name, %error, "the end of a tunnel is in the log alone");
            }
            hub.ended(&name, reason, &text).await;
        });
    }
}
