//! Sessions and presence of the whole cluster, as the API asks for them: this node first, then the
//! one that has it.
//!
//! # Invariants
//! - What has to end at a node that does not answer is written down, and ends when that node renews
//!   its lease; it counts as ended when the store says so, as not reached before.
//!
//! # Not here
//! - Requests that the other node answers as a whole: the API passes them on before it comes here.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use towline_ssm::ids::{DeviceId, SessionId};
use towline_store::SessionFilter;
use towline_store::limits::NODE_RENEW;

use super::calls::Calls;
use crate::limits::{MAX_SESSIONS, MAX_TOLD_AGAIN, WANTED_END, WANTED_END_LOOK};
use crate::plane::{
    AccessEnd, Dropped, Found, LiveState, Peers as _, Presence, Resumed, RotateError, SeatError,
    SessionStart, SessionStarted, Sessions, Sitter, StartError, Subject, WatchError, WatchGrant,
    Watcher,
};

/// Sessions of the cluster.
pub struct ClusterSessions {
    here: Arc<dyn Sessions>,
    calls: Arc<Calls>,
    /// Nodes that are told again.
    again: Arc<Semaphore>,
}

impl ClusterSessions {
    /// Over the sessions of this node.
    #[must_use]
    pub fn new(here: Arc<dyn Sessions>, calls: Arc<Calls>) -> Self {
        Self { here, calls, again: Arc::new(Semaphore::new(MAX_TOLD_AGAIN)) }
    }

    /// Has the node end a session that could not be told so. Whether it has.
    async fn end_by_store(&self, session: &str, sentence: &str) -> bool {
        let store = self.calls.store();
        match store.wanted_ends().want(session, sentence).await {
            Ok(true) => {}
            Ok(false) => return true, // it is over by now
            Err(error) => {
                tracing::error!(session, %error, "a session at another gateway goes on");
                return false;
            }
        }
        let until = Instant::now() + WANTED_END;
        while Instant::now() < until {
            let row = store.sessions().get(session).await;
            if row.is_ok_and(|row| row.is_none_or(|row| row.ended_at.is_some())) {
                return true;
            }
            sleep(WANTED_END_LOOK).await;
        }
        tracing::error!(session, "a session ends when its gateway is back: it does not answer");
        false
    }

    /// Tells a node again of rights that were removed, until it has heard or this process of it is
    /// over.
    fn tell_again(&self, node: String, ids: Vec<String>, end: bool) {
        let Ok(permit) = Arc::clone(&self.again).try_acquire_owned() else {
            tracing::error!(node, "too many gateways do not answer: seats go on there");
            return;
        };
        let calls = Arc::clone(&self.calls);
        tokio::spawn(async move {
            let _permit = permit;
            let directory = calls.directory();
            let Some(generation) = directory.named(&node).await.map(|it| it.generation) else {
                return;
            };
            loop {
                sleep(NODE_RENEW).await;
                let now = directory.named(&node).await.map(|it| it.generation);
                if now != Some(generation) {
                    return; // what was there went with it
                }
                if let Ok(seats) = calls.leave_seats(&node, &ids, end).await {
                    tracing::info!(node, seats, "a gateway was told late that rights were removed");
                    return;
                }
            }
        });
    }

    /// How many sessions of a device the store says go on at a node.
    async fn sessions_at(&self, node: &str, device: &DeviceId) -> u32 {
        let filter = SessionFilter { device_ids: vec![device.to_string()], ..Default::default() };
        let most = i64::try_from(MAX_SESSIONS).unwrap_or(i64::MAX);
        let page = self.calls.store().sessions().query(&filter, None, most).await;
        let sessions = page.map(|page| page.sessions).unwrap_or_default();
        let there = sessions.iter().filter(|row| row.node == node).count();
        u32::try_from(there).unwrap_or(u32::MAX)
    }
}

impl Sessions for ClusterSessions {
    fn start(&self, start: SessionStart) -> BoxFuture<'_, Result<SessionStarted, StartError>> {
        self.here.start(start)
    }

    fn resume(
        &self,
        id: &SessionId,
        user: Option<Sitter>,
        seat: Option<&str>,
    ) -> BoxFuture<'_, Found<Resumed>> {
        self.here.resume(id, user, seat)
    }

    fn join(
        &self,
        id: &SessionId,
        user: Sitter,
        ask: bool,
        seat: Option<String>,
    ) -> BoxFuture<'_, Found<Result<Resumed, SeatError>>> {
        self.here.join(id, user, ask, seat)
    }

    fn leave_seats(&self, ids: &[String], end: bool) -> BoxFuture<'_, u64> {
        let ids = ids.to_vec();
        Box::pin(async move {
            let mut all = self.here.leave_seats(&ids, end).await;
            for node in self.calls.directory().others() {
                match self.calls.leave_seats(&node, &ids, end).await {
                    Ok(there) => all = all.saturating_add(there),
                    Err(error) => {
                        tracing::error!(error, "a gateway was not told that rights were removed");
                        self.tell_again(node, ids.clone(), end);
                    }
                }
            }
            all
        })
    }

    fn message(&self, id: &SessionId, from: &str, text: &str) -> BoxFuture<'_, Found<bool>> {
        self.here.message(id, from, text)
    }

    fn watch(
        &self,
        id: &SessionId,
        who: Watcher,
    ) -> BoxFuture<'_, Found<Result<WatchGrant, WatchError>>> {
        self.here.watch(id, who)
    }

    fn terminate(&self, id: &SessionId, sentence: &str) -> BoxFuture<'_, Found> {
        let (id, sentence) = (id.clone(), sentence.to_owned());
        Box::pin(async move {
            if let found @ Found::Here(()) = self.here.terminate(&id, &sentence).await {
                return found;
            }
            let session = id.as_str();
            let node = match self.calls.holder(Subject::Session(session.to_owned())).await {
                Ok(node) => node,
                Err(error) => {
                    tracing::error!(session, error, "it is not known where a session is");
                    None
                }
            };
            let Some(node) = node else { return Found::Nowhere };
            match self.calls.terminate(&node, session, &sentence).await {
                Ok(true) => Found::There,
                Ok(false) => Found::Nowhere,
                Err(error) => {
                    tracing::warn!(session, error, "a gateway is told by the store to end it");
                    match self.end_by_store(session, &sentence).await {
                        true => Found::There,
                        false => Found::Nowhere,
                    }
                }
            }
        })
    }

    fn access_ends(&self, id: &SessionId, end: AccessEnd) -> BoxFuture<'_, Found> {
        self.here.access_ends(id, end)
    }

    fn live(&self, id: &SessionId) -> BoxFuture<'_, Found<LiveState>> {
        self.here.live(id) // of others the row knows it
    }

    fn drop_device(&self, device: &DeviceId, why: &str) -> BoxFuture<'_, Found<Dropped>> {
        let (device, why) = (device.clone(), why.to_owned());
        Box::pin(async move {
            let mut all = self.here.drop_device(&device, &why).await.here();
            for node in self.calls.directory().others() {
                match self.calls.drop_device(&node, device.as_str(), &why).await {
                    Ok(None) => {}
                    Ok(Some(there)) => {
                        let sum = all.get_or_insert_with(Dropped::default);
                        sum.ended += there.ended;
                        sum.unreached += there.unreached;
                    }
                    Err(error) => {
                        tracing::error!(
                            %device, error,
                            "a gateway learns by the store that a device is gone"
                        );
                        let sessions = self.sessions_at(&node, &device).await;
                        if sessions > 0 {
                            all.get_or_insert_with(Dropped::default).unreached += sessions;
                        }
                    }
                }
            }
            all.into()
        })
    }

    fn rotate_key(&self, device: &DeviceId) -> BoxFuture<'_, Result<String, RotateError>> {
        self.here.rotate_key(device)
    }

    fn going_away(&self) {
        self.here.going_away();
    }
}

/// Presence in the cluster.
pub struct ClusterPresence {
    here: Arc<dyn Presence>,
    calls: Arc<Calls>,
}

impl ClusterPresence {
    /// Over the devices of this node.
    #[must_use]
    pub fn new(here: Arc<dyn Presence>, calls: Arc<Calls>) -> Self {
        Self { here, calls }
    }
}

impl Presence for ClusterPresence {
    fn separation(&self, device: &str) -> Option<String> {
        self.here.separation(device) // of devices at other nodes it is not known
    }

    fn whereabouts(&self, device: &DeviceId) -> BoxFuture<'_, Found> {
        let device = device.clone();
        Box::pin(async move {
            if let found @ Found::Here(()) = self.here.whereabouts(&device).await {
                return found;
            }
            match self.calls.holder(Subject::Device(device.to_string())).await {
                Ok(Some(_)) => Found::There,
                Ok(None) => Found::Nowhere,
                Err(error) => {
                    tracing::warn!(%device, error, "it is not known where a device is");
                    Found::Nowhere
                }
            }
        })
    }
}
