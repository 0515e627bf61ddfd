//! A data plane without devices: every session is refused as not connected, every agent and websocket turned away.
//!
//! It serves the tests of the control plane, and a gateway that is to answer its API only.

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use towline_ssm::ids::{DeviceId, SessionId};

use crate::seam::{
    AgentAcceptor, AgentConnection, ChannelRequest, DataChannels, EndReason, LiveState, SessionStart, SessionStarted,
    Sessions, StartError,
};

/// The data plane that is not there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unattached;

impl Sessions for Unattached {
    fn start(&self, _: SessionStart) -> BoxFuture<'_, Result<SessionStarted, StartError>> {
        Box::pin(async { Err(StartError::NotConnected) })
    }
    fn resume(&self, _: &SessionId) -> Option<String> {
        None
    }
    fn terminate(&self, _: &SessionId, _: EndReason) -> bool {
        false
    }
    fn is_connected(&self, _: &DeviceId) -> bool {
        false
    }
    fn live(&self, _: &SessionId) -> Option<LiveState> {
        None
    }
    fn drop_device(&self, _: &DeviceId, _: &str) {}
}

impl AgentAcceptor for Unattached {
    fn serve(&self, connection: AgentConnection) -> BoxFuture<'static, ()> {
        drop(connection);
        Box::pin(async {})
    }
}

impl DataChannels for Unattached {
    fn open(&self, _: ChannelRequest) -> axum::response::Response {
        let mut response = axum::response::Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }
}
