//! What gateways that work together ask of each other, as API, devices and listener see it.
//!
//! # Not here
//! - How they ask: [`crate::cluster`].

use std::net::IpAddr;

use axum::http::{Response, request};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio_rustls::server::TlsStream;
use towline_ssm::ids::DeviceId;

use super::AgentConnection;
use crate::transport::Transport;

/// Another gateway whose TLS handshake proved its key.
pub type PeerConnection = AgentConnection<TlsStream<Transport>>;

/// Takes other nodes' connections from the TLS port.
pub trait PeerAcceptor: Send + Sync + 'static {
    /// Serves one connection until its end.
    fn serve(&self, connection: PeerConnection) -> BoxFuture<'static, ()>;
}

/// Another node has passed the request on, and has judged its `Origin`; an extension of such
/// requests.
#[derive(Debug, Clone, Copy)]
pub struct ByPeer;

/// What a request is about, for the question which node has to answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A device, by its id.
    Device(String),
    /// A session, by its id.
    Session(String),
}

/// The other nodes, where several gateways work on one store.
pub trait Peers: Send + Sync + 'static {
    /// Whether a device's link at that node answers; `None`: the node does not.
    fn answers(&self, node: &str, device: &DeviceId) -> BoxFuture<'_, Option<bool>>;
    /// Where devices reach the other nodes that take them, as far as these want to be named.
    fn elsewhere(&self) -> Vec<String>;
    /// Tells a node that the device is here now.
    fn moved(&self, node: &str, device: &DeviceId) -> BoxFuture<'_, ()>;
    /// The other node that has to answer; `None`: this one, or nobody can. Or what the store says.
    fn holder(&self, subject: Subject) -> BoxFuture<'_, Result<Option<String>, String>>;
    /// The other nodes that live.
    fn others(&self) -> Vec<String>;
    /// Whether another node has a recording of this name; or the nodes that do not say so, when
    /// none does.
    fn have_recording(&self, name: &str) -> BoxFuture<'_, Result<bool, Vec<String>>>;
    /// Has another node answer a request, given by head and body; or why there is no answer.
    fn pass_on(
        &self,
        node: &str,
        request: (&request::Parts, &Bytes),
        source: IpAddr,
    ) -> BoxFuture<'_, Result<Response<Bytes>, String>>;
}
