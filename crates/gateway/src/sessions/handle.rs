//! The hub as the API sees it: the implementation of [`plane::Sessions`].

use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use towline_ssm::ids::{DeviceId, SessionId};

use super::hub::Hub;
use super::session::Session;
use super::{opening, token};
use crate::limits::SEAT_PATIENCE;
use crate::pace::Pace;
use crate::plane::{
    self, AccessEnd, Dropped, EndReason, Found, LiveState, Resumed, RotateError, SeatError,
    SessionStart, SessionStarted, Sitter, StartError, WatchError, WatchGrant, Watcher, Watching,
};

/// The handle of the plane's interface: it knows its own `Arc`.
pub struct HubHandle {
    hub: Arc<Hub>,
    pace: Arc<Pace>,
}

impl HubHandle {
    /// Over this hub; devices that are sent away return at this pace.
    #[must_use]
    pub fn new(hub: &Arc<Hub>, pace: &Arc<Pace>) -> Self {
        Self { hub: Arc::clone(hub), pace: Arc::clone(pace) }
    }
}

impl plane::Sessions for HubHandle {
    fn start(&self, start: SessionStart) -> BoxFuture<'_, Result<SessionStarted, StartError>> {
        Box::pin(opening::open(Arc::clone(&self.hub), start))
    }

    fn resume(
        &self,
        id: &SessionId,
        user: Option<Sitter>,
        seat: Option<&str>,
    ) -> BoxFuture<'_, Found<Resumed>> {
        let session = self.hub.session(id.as_str());
        Box::pin(ready(session.and_then(|session| session.resume(user, seat)).into()))
    }

    fn join(
        &self,
        id: &SessionId,
        user: Sitter,
        ask: bool,
        seat: Option<String>,
    ) -> BoxFuture<'_, Found<Result<Resumed, SeatError>>> {
        let Some(session) = self.hub.session(id.as_str()) else {
            return Box::pin(ready(Found::Nowhere));
        };
        Box::pin(async move { Found::Here(join(&session, user, ask, seat.as_deref()).await) })
    }

    fn leave_seats(&self, ids: &[String], end: bool) -> BoxFuture<'_, u64> {
        let sessions = self.hub.all_sessions();
        let left = sessions.iter().filter(|session| session.leave_seat(ids, end)).count();
        sessions.iter().for_each(|session| self.hub.store_seat(session));
        Box::pin(ready(u64::try_from(left).unwrap_or(u64::MAX)))
    }

    fn message(&self, id: &SessionId, from: &str, text: &str) -> BoxFuture<'_, Found<bool>> {
        let session = self.hub.session(id.as_str());
        Box::pin(ready(session.map(|session| session.message(from, text)).into()))
    }

    fn access_ends(&self, id: &SessionId, end: AccessEnd) -> BoxFuture<'_, Found> {
        let session = self.hub.session(id.as_str());
        Box::pin(ready(session.map(|session| session.access_ends(end)).into()))
    }

    fn watch(
        &self,
        id: &SessionId,
        who: Watcher,
    ) -> BoxFuture<'_, Found<Result<WatchGrant, WatchError>>> {
        let permitted = self.hub.session(id.as_str()).map(|session| {
            let no_token = || WatchError::Internal("the system gave no random bytes".to_owned());
            let (token, text) = token::Token::fresh(Instant::now()).ok_or_else(no_token)?;
            let viewer: Arc<dyn Watching> = session.permit_watch(who, token)?;
            Ok(WatchGrant { token: text, watching: Arc::downgrade(&viewer) })
        });
        Box::pin(ready(permitted.into()))
    }

    fn terminate(&self, id: &SessionId, sentence: &str) -> BoxFuture<'_, Found> {
        let session = self.hub.session(id.as_str());
        let ended = session.map(|session| self.hub.end(&session, EndReason::Terminated, sentence));
        Box::pin(ready(ended.into()))
    }

    fn live(&self, id: &SessionId) -> BoxFuture<'_, Found<LiveState>> {
        Box::pin(ready(self.hub.session(id.as_str()).map(|session| session.live()).into()))
    }

    fn going_away(&self) {
        let mut devices = self.hub.devices();
        // Devices with sessions first: people wait for them.
        devices.sort_by_cached_key(|device| !self.hub.has_sessions(device.id()));
        for (device, seconds) in devices.iter().zip(self.pace.returns(devices.len())) {
            device.go_away(seconds, &[]);
        }
    }

    fn rotate_key(&self, device: &DeviceId) -> BoxFuture<'_, Result<String, RotateError>> {
        let found = self.hub.device(device.as_str());
        Box::pin(async move {
            let device = found.filter(|device| !device.is_closed());
            device.ok_or(RotateError::NotConnected)?.rotate_key().await
        })
    }

    fn drop_device(&self, device: &DeviceId, why: &str) -> BoxFuture<'_, Found<Dropped>> {
        let (hub, device, why) =
            (Arc::clone(&self.hub), device.as_str().to_owned(), why.to_owned());
        Box::pin(async move { hub.drop_device(&device, &why).await.into() })
    }
}

/// A token for this user, with the consent of who has the seat where that is needed.
async fn join(
    session: &Session,
    user: Sitter,
    ask: bool,
    seat: Option<&str>,
) -> Result<Resumed, SeatError> {
    session.has_seat()?;
    if let Some(by) = session.taken_over(Some(&user), seat) {
        return Ok(Resumed::TakenOver(by));
    }
    if ask && !session.is_held_by(&user) {
        let answered = session.ask_for_seat(&user.arn)?;
        match tokio::time::timeout(SEAT_PATIENCE, answered).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(SeatError::Refused),
            Ok(Err(_)) | Err(_) => return Err(SeatError::NoAnswer),
        }
    }
    let no_token = || SeatError::Internal("the system gave no random bytes".to_owned());
    session.resume(Some(user), seat).ok_or_else(no_token)
}
