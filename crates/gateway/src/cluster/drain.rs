//! Drain: a node gives its devices and sessions to the others before it ends.
//!
//! Data flow: `towline-gateway drain`, or the signal to stop -> [`Drain::begin`] -> nothing new is
//! taken, devices are told to go at the pace at which they are let in -> another node adopts each
//! with its sessions -> [`Drain::run`] returns when none is left, or when its time is over -> the
//! gateway stops.
//!
//! # Invariants
//! - Sessions are never ended here: what is left at the end waits for its device at another node.
//! - Where no other node takes devices there is nothing to wait for: the drain is over at once.
//!
//! # Not here
//! - Adoption: [`crate::sessions`]. Data channels go on to be relayed until the end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::directory::Directory;
use crate::limits::{DRAIN_AT_STOP, DRAIN_LEAVES, DRAIN_TICK};
use crate::listener::stopped;
use crate::pace::Pace;
use crate::sessions::{ConnectionId, Device, Hub};

/// What is told of a device that was sent away.
struct Told {
    device: String,
    at: Instant,
}

/// The drain of this node.
pub struct Drain {
    hub: Arc<Hub>,
    directory: Arc<Directory>,
    pace: Arc<Pace>,
    /// The end of its time, once it has begun.
    until: watch::Sender<Option<Instant>>,
    begun: watch::Sender<bool>,
}

impl Drain {
    /// Of these sessions and devices, to nodes of this directory.
    #[must_use]
    pub fn new(hub: Arc<Hub>, directory: Arc<Directory>, pace: Arc<Pace>) -> Self {
        Self {
            hub,
            directory,
            pace,
            until: watch::Sender::default(),
            begun: watch::Sender::default(),
        }
    }

    /// From now on nothing new is taken, and the node ends after so much time at the latest. An end
    /// that was set before holds when it is earlier.
    pub fn begin(&self, within: Duration) {
        let end = Instant::now() + within;
        self.hub.drain();
        self.until.send_modify(|until| *until = Some(until.map_or(end, |set| set.min(end))));
        self.begun.send_replace(true);
    }

    /// Becomes true when it begins.
    #[must_use]
    pub fn begun(&self) -> watch::Receiver<bool> {
        self.begun.subscribe()
    }

    /// Devices and sessions that are here.
    #[must_use]
    pub fn left(&self) -> (usize, usize) {
        self.hub.counts()
    }

    /// Becomes true when `stop` is, or a drain was ordered, and what was here is elsewhere.
    pub fn before(self: &Arc<Self>, mut stop: watch::Receiver<bool>) -> watch::Receiver<bool> {
        let (tell, drained) = watch::channel(false);
        let drain = Arc::clone(self);
        tokio::spawn(async move {
            let mut begun = drain.begun();
            tokio::select! {
                () = stopped(&mut stop) => drain.begin(DRAIN_AT_STOP),
                () = stopped(&mut begun) => {}
            }
            drain.run().await;
            let _ = tell.send(true);
            tell.closed().await; // the sender lives as long as somebody waits
        });
        drained
    }

    /// Sends devices away until none is left; returns at the latest when its time is over.
    async fn run(&self) {
        let store = self.hub.store();
        if let Err(error) = store.nodes().drain().await {
            tracing::warn!(%error, "the other gateways do not know that this one is being drained");
        }
        if let Err(error) = self.directory.refresh().await {
            tracing::warn!(%error, "the nodes cannot be read");
        }
        let (devices, sessions) = self.left();
        tracing::info!(devices, sessions, "this gateway gives its devices to the others");
        let (mut until, mut told) = (self.until.subscribe(), HashMap::new());
        loop {
            let Some(end) = *until.borrow_and_update() else { return };
            let (devices, sessions) = self.left();
            if self.directory.takers().is_empty() {
                tracing::info!(devices, sessions, "no other gateway takes devices: this one ends");
                return;
            }
            if Instant::now() >= end {
                let why = "devices and sessions are left at the end of the time to drain";
                tracing::warn!(devices, sessions, "{why}");
                return;
            }
            self.send_away(&mut told, end);
            if self.is_empty(&told) {
                tracing::info!("all devices and sessions are at other gateways");
                return;
            }
            tokio::select! {
                () = sleep(DRAIN_TICK) => {}
                _ = until.changed() => {}
            }
        }
    }

    /// Tells the next devices to go: those with sessions first, those with one that is just being
    /// opened last.
    fn send_away(&self, told: &mut HashMap<ConnectionId, Told>, end: Instant) {
        let mut staying = Vec::new();
        for device in self.hub.devices() {
            match told.get(&device.connection()) {
                None => staying.push(device),
                Some(Told { at, .. }) if at.elapsed() > DRAIN_LEAVES => self.close(&*device),
                Some(_) => {}
            }
        }
        staying.sort_by_cached_key(|device| {
            let (sessions, one_opens) = self.hub.sessions_here(device.id());
            (one_opens, sessions == 0)
        });
        let mut elsewhere = self.directory.elsewhere();
        for device in staying.iter().take(self.most(staying.len(), end)) {
            device.go_away(0, &elsewhere);
            if !elsewhere.is_empty() {
                elsewhere.rotate_left(1); // the next device begins with the next one
            }
            let device_id = device.id().to_owned();
            told.insert(device.connection(), Told { device: device_id, at: Instant::now() });
        }
    }

    /// How many are told in one tick: as many as are let in by then, and more where the time is
    /// short.
    fn most(&self, staying: usize, end: Instant) -> usize {
        let ticks = |time: Duration| time.as_millis() / DRAIN_TICK.as_millis().max(1);
        let a_tick = u128::from(self.pace.per_second()).div_ceil(ticks(Duration::from_secs(1)));
        let left = ticks(end.saturating_duration_since(Instant::now()) / 2).max(1);
        let most = a_tick.max((staying as u128).div_ceil(left));
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// A device that stays although it was told to go, and would lose nothing.
    fn close(&self, device: &dyn Device) {
        if self.hub.sessions_here(device.id()).0 == 0 {
            device.close("the gateway is about to end");
        }
    }

    /// No device is here, and no session of one that was sent away.
    fn is_empty(&self, told: &HashMap<ConnectionId, Told>) -> bool {
        self.hub.counts().0 == 0
            && told.values().all(|told| self.hub.sessions_here(&told.device).0 == 0)
    }
}
