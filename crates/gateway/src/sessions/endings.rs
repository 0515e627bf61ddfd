//! Sessions that are over here while the store does not know it yet.
//!
//! Data flow: the hub, or a start that failed -> here -> the session's row, as soon as the store
//! takes it.
//!
//! # Invariants
//! - Until the row is written, nobody keeps the session again.
//! - A store that is away delays the end of a session and loses none, as long as this process
//!   lives. Nobody starts a session without the store, so at most as many ends wait as sessions
//!   were open when it went away.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use tokio::time::{sleep, timeout};

use super::hub::Hub;
use super::session::Session;
use crate::changes::Topic;
use crate::limits::STORE_RETRY;
use crate::lock::lock;
use crate::plane::EndReason;

/// The names of those sessions.
#[derive(Debug, Default)]
pub(super) struct Endings(Mutex<HashSet<String>>);

impl Endings {
    /// A session is over; [`Hub::ended`] follows.
    pub(super) fn begin(&self, name: &str) {
        lock(&self.0).insert(name.to_owned());
    }

    /// Whether a session is over here, and its end on the way to the store.
    pub(super) fn has(&self, name: &str) -> bool {
        lock(&self.0).contains(name)
    }
}

impl Hub {
    /// Stores the end of a session that [`Endings::begin`] has named, as soon as the store can.
    pub(super) async fn ended(&self, name: &str, reason: EndReason, text: &str) {
        self.store_end(name, reason, text).await;
        lock(&self.endings.0).remove(name);
        self.parts.trail.changes().tell(Topic::Sessions);
    }

    /// A start failed: stores the end of its session. It is stored when this returns, or the store
    /// is away and gets it later.
    pub(super) async fn start_failed(self: &Arc<Self>, session: &Arc<Session>, text: String) {
        let (hub, name) = (Arc::clone(self), session.meta.name.clone());
        self.endings.begin(&name);
        self.remove(session);
        let stored =
            tokio::spawn(async move { hub.ended(&name, EndReason::NotOpened, &text).await });
        let _ = timeout(STORE_RETRY, stored).await;
    }

    async fn store_end(&self, name: &str, reason: EndReason, text: &str) {
        let failed = matches!(reason, EndReason::NotOpened);
        let now = self.parts.clock.now();
        let mut is_told = false;
        loop {
            match self.parts.store.sessions().end(name, failed, &reason.code(), text, now).await {
                Ok(_) => return,
                Err(error) if error.is_passing() => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(session = name, %error, "its end is stored later");
                    }
                    sleep(STORE_RETRY).await;
                }
                Err(error) => {
                    tracing::error!(session = name, %error, "its end could not be stored");
                    return;
                }
            }
        }
    }
}
