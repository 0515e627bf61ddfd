//! A device that is connected, whatever protocol it speaks: what the hub keeps in its map.
//!
//! # Invariants
//! - [`Device::open`] gives the session its [`DeviceEnd`](super::DeviceEnd) before the device can
//!   answer, so no answer finds a session without one.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::device_end::ConnectionId;
use super::order::Order;
use super::session::Session;
use crate::plane::{RotateError, StartError};

/// One connection of a device.
pub trait Device: Any + Send + Sync {
    /// The device's id.
    fn id(&self) -> &str;
    /// The connection.
    fn connection(&self) -> ConnectionId;
    /// The start of the device's agent that this connection belongs to.
    fn boot(&self) -> [u8; 16];
    /// Sessions that the device allows at once, if it has said so.
    fn most_sessions(&self) -> Option<u32>;
    /// Whether what reads the network is a process without rights on the device, if it has said so.
    fn separation(&self) -> Option<String>;
    /// Sends an order for a session and connects the session to the device.
    ///
    /// # Errors
    /// The order cannot be sent. The device was not told anything, and the session has no end.
    fn open(self: Arc<Self>, order: &Order<'_>, session: &Arc<Session>) -> Result<(), StartError>;
    /// Takes all sessions off a connection that has ended.
    fn take_sessions(&self) -> Vec<Arc<Session>>;
    /// Asks for a new key and admits it; its fingerprint.
    fn rotate_key(&self) -> BoxFuture<'_, Result<String, RotateError>>;
    /// The gateway is about to stop: the device is told to reconnect after so many seconds, and
    /// where other gateways are.
    fn go_away(&self, retry_after: u32, elsewhere: &[String]);
    /// Ends the connection; the first reason is kept.
    fn close(&self, why: &str);
    /// True as soon as the device has taken everything that was queued before this call; false when
    /// that takes longer than `patience`, or the connection is over.
    fn has_heard(&self, patience: Duration) -> BoxFuture<'_, bool>;
    /// Whether the device has named all sessions that it holds: before that a new one could get
    /// what an older one uses.
    fn is_settled(&self) -> bool {
        true
    }
    /// Waits for that; false when it takes longer than `patience`, or the connection is over.
    fn settles(&self, _patience: Duration) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(self.is_settled()))
    }
    /// What is told of a session that the device has come back without.
    fn came_without(&self) -> String {
        "ended: the device came back without it: its agent crashed or was killed, or the device \
         restarted"
            .to_owned()
    }
    /// True once the connection was ended.
    fn is_closed(&self) -> bool;
}
