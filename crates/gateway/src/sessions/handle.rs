//! The hub as the API sees it: the implementation of [`plane::Sessions`].

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use towline_ssm::ids::{DeviceId, SessionId};
use towline_wire::message::{EndReason, ToAgent};

use super::hub::{Hub, lock};
use super::{opening, sentence, token};
use crate::devices::towline::Link;
use crate::plane::{self, LiveState, SessionStart, SessionStarted, StartError};

/// Agents that are asked back in the same second after a restart: each costs a TLS handshake (some
/// 1 ms of a core).
const COMING_BACK_A_SECOND: usize = 200;
/// Latest second at which an agent is asked back.
const LATEST_BACK: u32 = 60;

/// The handle of the plane's interface: it knows its own `Arc`.
pub struct HubHandle(pub Arc<Hub>);

impl plane::Sessions for HubHandle {
    fn start(&self, start: SessionStart) -> BoxFuture<'_, Result<SessionStarted, StartError>> {
        Box::pin(opening::open(Arc::clone(&self.0), start))
    }

    fn resume(&self, id: &SessionId) -> Option<String> {
        let session = self.0.session(id.as_str())?;
        let (token, text) = token::Token::fresh(Instant::now())?;
        session.set_token(token);
        Some(text)
    }

    fn terminate(&self, id: &SessionId, reason: plane::EndReason) -> bool {
        let Some(session) = self.0.session(id.as_str()) else { return false };
        let end = match reason {
            plane::EndReason::DeviceRemoved => EndReason::DeviceRevoked,
            _ => EndReason::Terminated,
        };
        self.0.end(&session, end, &reason.sentence());
        true
    }

    fn is_connected(&self, device: &DeviceId) -> bool {
        self.0.link(device.as_str()).is_some_and(|link| !link.is_closed())
    }

    fn live(&self, id: &SessionId) -> Option<LiveState> {
        self.0.session(id.as_str()).map(|session| session.live())
    }

    fn going_away(&self) {
        let links: Vec<Arc<Link>> = lock(&self.0.links).values().cloned().collect();
        for (number, link) in links.iter().enumerate() {
            let more = u32::try_from(number / COMING_BACK_A_SECOND).unwrap_or(u32::MAX);
            let retry_after = more.saturating_add(1).min(LATEST_BACK);
            link.send(&ToAgent::GoAway { retry_after });
        }
    }

    fn rotate_key(&self, device: &DeviceId) -> BoxFuture<'_, Result<String, plane::RotateError>> {
        Box::pin(self.0.rotate_key(device.clone()))
    }

    fn drop_device(&self, device: &DeviceId, why: &str) {
        let sessions: Vec<_> = lock(&self.0.sessions)
            .values()
            .filter(|s| s.meta.device == device.as_str())
            .cloned()
            .collect();
        for session in sessions {
            self.0.end(&session, EndReason::DeviceRevoked, &sentence(EndReason::DeviceRevoked));
        }
        if let Some(link) = self.0.link(device.as_str()) {
            link.close(why);
        }
    }
}
