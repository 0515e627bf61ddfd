//! The listener for other nodes: a connection whose key is among the nodes is served, another one
//! may join and nothing else.
//!
//! Data flow: TLS listener -> [`PeerListener`] -> requests that were passed on (the gateway's own
//! routes), or calls of nodes; of others, the one call of [`Inviter`].
//!
//! # Invariants
//! - A request counts as passed on ([`ByPeer`]) here and nowhere else; its source is what the node
//!   says.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use futures_util::future::BoxFuture;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio_rustls::server::TlsStream;

use super::calls::SOURCE;
use super::directory::Directory;
use super::joining::{Inviter, Joiner};
use crate::limits;
use crate::listener::detached::Detached;
use crate::plane::{AgentConnection, ByPeer, Peer, PeerAcceptor, PeerConnection, Standing};
use crate::transport::Transport;

/// Serves other nodes.
pub struct PeerListener {
    directory: Arc<Directory>,
    routes: Router,
    inviter: Arc<Inviter>,
}

impl PeerListener {
    /// Serves these routes.
    #[must_use]
    pub fn new(directory: Arc<Directory>, routes: Router, inviter: Inviter) -> Self {
        let inviter = Arc::new(inviter);
        let routes = routes.merge(inviter.routes()); // a node that was approved asks again
        Self { directory, routes, inviter }
    }

    /// A caller that is no node has one call, and little time.
    async fn let_join(&self, connection: PeerConnection) {
        let AgentConnection { stream, spki, peer, .. } = connection;
        let Ok(_place) = Arc::clone(&self.inviter.places).try_acquire_owned() else {
            tracing::debug!(%peer, "too many callers that are no nodes");
            return;
        };
        let joiner = Joiner { spki, source_ip: peer.ip().to_string() };
        let routes = self.inviter.routes().layer(axum::Extension(joiner));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::JOINING_PATIENCE)
            .max_buf_size(limits::MAX_HEAD)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
        if let Ok(Err(error)) = tokio::time::timeout(limits::JOINING_PATIENCE, served).await {
            tracing::debug!(%peer, %error, "a caller that is no node");
        }
    }

    async fn carry(self: Arc<Self>, connection: PeerConnection) {
        let Some(node) = self.directory.with_key(&connection.spki).await else {
            return self.let_join(connection).await;
        };
        let AgentConnection { stream, spki, peer, visitor } = connection;
        let joiner = Joiner { spki, source_ip: peer.ip().to_string() };
        visitor.0.prove(None); // another gateway
        let held = Arc::clone(&visitor.0);
        let prepare = move |request: &mut hyper::Request<hyper::body::Incoming>| {
            let source = request.headers_mut().remove(SOURCE);
            let source: Option<IpAddr> =
                source.and_then(|source| source.to_str().ok()?.parse().ok());
            let source = source.map_or(peer, |source| SocketAddr::new(source, 0));
            request.extensions_mut().insert(ByPeer);
            request.extensions_mut().insert(joiner.clone());
            request.extensions_mut().insert(Peer(source));
            request.extensions_mut().insert(visitor.clone());
        };
        let prepare = Arc::new(prepare);
        let served = served(stream, Detached { routes: self.routes.clone(), prepare, held }).await;
        if let Err(error) = served {
            tracing::debug!(node = node.name, %error, "a connection of another node ended");
        }
    }
}

/// Serves a connection of a node to its end.
fn served(
    stream: TlsStream<Transport>,
    routes: Detached<Arc<dyn Standing>>,
) -> BoxFuture<'static, hyper::Result<()>> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIMEOUT)
        .max_buf_size(limits::MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .with_upgrades();
    Box::pin(connection)
}

/// The handle of the plane's interface: it knows its own `Arc`.
impl PeerAcceptor for Arc<PeerListener> {
    fn serve(&self, connection: PeerConnection) -> BoxFuture<'static, ()> {
        Box::pin(Arc::clone(self).carry(connection))
    }
}
