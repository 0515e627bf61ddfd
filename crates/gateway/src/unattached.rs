//! A data plane without devices: every session is refused as not connected, every agent and
//! websocket turned away.
//!
//! It serves the tests of the control plane, and a gateway that is to answer its API only.

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use towline_ssm::ids::{DeviceId, SessionId};
use towline_wire::lane::Lanes;

use crate::plane::{
    AccessEnd, AgentAcceptor, AgentConnection, ChannelRequest, Commands, DataChannels, Dropped,
    Found, LiveState, OutputName, OutputPiece, Presence, Resumed, RotateError, SeatError,
    SessionStart, SessionStarted, Sessions, Sitter, StartError, WatchError, WatchGrant, Watcher,
};

/// The data plane that is not there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unattached;

impl Sessions for Unattached {
    fn start(&self, _: SessionStart) -> BoxFuture<'_, Result<SessionStarted, StartError>> {
        Box::pin(async { Err(StartError::NotConnected) })
    }
    fn resume(
        &self,
        _: &SessionId,
        _: Option<Sitter>,
        _: Option<&str>,
    ) -> BoxFuture<'_, Found<Resumed>> {
        Box::pin(async { Found::Nowhere })
    }
    fn join(
        &self,
        _: &SessionId,
        _: Sitter,
        _: bool,
        _: Option<String>,
    ) -> BoxFuture<'_, Found<Result<Resumed, SeatError>>> {
        Box::pin(async { Found::Nowhere })
    }
    fn leave_seats(&self, _: &[String], _: bool) -> BoxFuture<'_, u64> {
        Box::pin(async { 0 })
    }
    fn message(&self, _: &SessionId, _: &str, _: &str) -> BoxFuture<'_, Found<bool>> {
        Box::pin(async { Found::Nowhere })
    }
    fn access_ends(&self, _: &SessionId, _: AccessEnd) -> BoxFuture<'_, Found> {
        Box::pin(async { Found::Nowhere })
    }
    fn watch(
        &self,
        _: &SessionId,
        _: Watcher,
    ) -> BoxFuture<'_, Found<Result<WatchGrant, WatchError>>> {
        Box::pin(async { Found::Nowhere })
    }
    fn terminate(&self, _: &SessionId, _: &str) -> BoxFuture<'_, Found> {
        Box::pin(async { Found::Nowhere })
    }
    fn live(&self, _: &SessionId) -> BoxFuture<'_, Found<LiveState>> {
        Box::pin(async { Found::Nowhere })
    }
    fn drop_device(&self, _: &DeviceId, _: &str) -> BoxFuture<'_, Found<Dropped>> {
        Box::pin(async { Found::Nowhere })
    }
    fn rotate_key(&self, _: &DeviceId) -> BoxFuture<'_, Result<String, RotateError>> {
        Box::pin(async { Err(RotateError::NotConnected) })
    }
    fn going_away(&self) {}
}

impl Presence for Unattached {
    fn whereabouts(&self, _: &DeviceId) -> BoxFuture<'_, Found> {
        Box::pin(async { Found::Nowhere })
    }
    fn separation(&self, _: &str) -> Option<String> {
        None
    }
}

impl Commands for Unattached {
    fn sent(&self, _: &str) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
    fn cancel(&self, _: &str, _: Option<Vec<String>>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
    fn device_removed(&self, _: &DeviceId) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
    fn look(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
    fn running_output(
        &self,
        _: &str,
        _: &str,
        _: &str,
        _: Lanes<u64>,
    ) -> BoxFuture<'_, Lanes<Vec<u8>>> {
        Box::pin(async { Default::default() })
    }
    fn local_output(
        &self,
        _: OutputName,
        _: u64,
        _: u64,
    ) -> BoxFuture<'_, std::io::Result<Option<OutputPiece>>> {
        Box::pin(async { Ok(None) })
    }
    fn accepts_bucket(&self, _: &str) -> Result<(), String> {
        Err("this gateway runs no commands".to_owned())
    }
    fn accepts_logs(&self) -> Result<(), String> {
        Err("this gateway runs no commands".to_owned())
    }
    fn url(&self, object: &str) -> String {
        object.to_owned()
    }
    fn outputs_prefix(&self) -> String {
        String::new()
    }
}

impl AgentAcceptor for Unattached {
    fn serve(&self, connection: AgentConnection) -> BoxFuture<'static, ()> {
        drop(connection);
        Box::pin(async {})
    }
    fn give_pin(&self) {}
}

impl DataChannels for Unattached {
    fn open(&self, _: ChannelRequest) -> axum::response::Response {
        let mut response = axum::response::Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }
}
