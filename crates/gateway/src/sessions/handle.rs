//! The hub as the API sees it: the implementation of [`plane::Sessions`].

use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use towline_ssm::ids::{DeviceId, SessionId};

use super::hub::Hub;
use super::{opening, token};
use crate::limits::{LATEST_RECONNECT, RECONNECTS_PER_SECOND};
use crate::plane::{
    self, Dropped, EndReason, Found, LiveState, RotateError, SessionStart, SessionStarted,
    StartError,
};

/// The handle of the plane's interface: it knows its own `Arc`.
pub struct HubHandle(pub Arc<Hub>);

impl plane::Sessions for HubHandle {
    fn start(&self, start: SessionStart) -> BoxFuture<'_, Result<SessionStarted, StartError>> {
        Box::pin(opening::open(Arc::clone(&self.0), start))
    }

    fn resume(&self, id: &SessionId) -> BoxFuture<'_, Found<String>> {
        let fresh = self.0.session(id.as_str()).and_then(|session| {
            let (token, text) = token::Token::fresh(Instant::now())?;
            session.set_token(token);
            Some(text)
        });
        Box::pin(ready(fresh.into()))
    }

    fn terminate(&self, id: &SessionId, sentence: &str) -> BoxFuture<'_, Found> {
        let session = self.0.session(id.as_str());
        let ended = session.map(|session| self.0.end(&session, EndReason::Terminated, sentence));
        Box::pin(ready(ended.into()))
    }

    fn live(&self, id: &SessionId) -> BoxFuture<'_, Found<LiveState>> {
        Box::pin(ready(self.0.session(id.as_str()).map(|session| session.live()).into()))
    }

    fn going_away(&self) {
        for (number, device) in self.0.devices().iter().enumerate() {
            let more = u32::try_from(number / RECONNECTS_PER_SECOND).unwrap_or(u32::MAX);
            device.go_away(more.saturating_add(1).min(LATEST_RECONNECT));
        }
    }

    fn rotate_key(&self, device: &DeviceId) -> BoxFuture<'_, Result<String, RotateError>> {
        let found = self.0.device(device.as_str());
        Box::pin(async move {
            let device = found.filter(|device| !device.is_closed());
            device.ok_or(RotateError::NotConnected)?.rotate_key().await
        })
    }

    fn drop_device(&self, device: &DeviceId, why: &str) -> BoxFuture<'_, Found<Dropped>> {
        let (hub, device, why) = (Arc::clone(&self.0), device.as_str().to_owned(), why.to_owned());
        Box::pin(async move { hub.drop_device(&device, &why).await.into() })
    }
}
