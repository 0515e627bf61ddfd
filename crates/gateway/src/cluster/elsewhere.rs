//! Sessions and presence of the whole cluster, as the API asks for them: this node first, then the
//! one that has it.
//!
//! # Not here
//! - Requests that the other node answers as a whole: the API passes them on before it comes here.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use towline_ssm::ids::{DeviceId, SessionId};

use super::calls::Calls;
use crate::plane::{
    AccessEnd, Dropped, Found, LiveState, Peers as _, Presence, RotateError, SeatError,
    SessionStart, SessionStarted, Sessions, Sitter, StartError, Subject, WatchError, WatchGrant,
    Watcher,
};

/// Sessions of the cluster.
pub struct ClusterSessions {
    here: Arc<dyn Sessions>,
    calls: Arc<Calls>,
}

impl ClusterSessions {
    /// Over the sessions of this node.
    #[must_use]
    pub fn new(here: Arc<dyn Sessions>, calls: Arc<Calls>) -> Self {
        Self { here, calls }
    }
}

impl Sessions for ClusterSessions {
    fn start(&self, start: SessionStart) -> BoxFuture<'_, Result<SessionStarted, StartError>> {
        self.here.start(start)
    }

    fn resume(&self, id: &SessionId, user: Option<Sitter>) -> BoxFuture<'_, Found<String>> {
        self.here.resume(id, user)
    }

    fn join(
        &self,
        id: &SessionId,
        user: Sitter,
        ask: bool,
    ) -> BoxFuture<'_, Found<Result<String, SeatError>>> {
        self.here.join(id, user, ask)
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
                    tracing::error!(session, error, "a session at another gateway was not ended");
                    Found::Nowhere
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
                            "a gateway was not told that a device is gone"
                        );
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
