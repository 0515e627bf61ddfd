//! The listener for other nodes: a connection whose key is among the nodes is served, another one is
//! closed.
//!
//! Data flow: TLS listener -> [`PeerListener`] -> requests that were passed on (the gateway's own routes), or
//! calls of nodes.
//!
//! # Invariants
//! - A request counts as passed on ([`ByPeer`]) here and nowhere else; its source is what the node says.

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
use crate::limits;
use crate::listener::detached::Detached;
use crate::plane::{AgentConnection, ByPeer, Peer, PeerAcceptor, Standing};
use crate::transport::Transport;

/// Serves other nodes.
pub struct PeerListener {
    directory: Arc<Directory>,
    routes: Router,
}

impl PeerListener {
    /// Serves these routes.
    #[must_use]
    pub fn new(directory: Arc<Directory>, routes: Router) -> Self {
        Self { directory, routes }
    }

    async fn carry(self: Arc<Self>, connection: AgentConnection) {
        let AgentConnection { stream, spki, peer, visitor } = connection;
        let Some(node) = self.directory.with_key(&spki).await else {
            tracing::warn!(%peer, "a caller with a key that is none of the nodes'");
            return;
        };
        visitor.0.prove();
        let held = Arc::clone(&visitor.0);
        let prepare = move |request: &mut hyper::Request<hyper::body::Incoming>| {
            let source = request.headers_mut().remove(SOURCE);
            let source: Option<IpAddr> =
                source.and_then(|source| source.to_str().ok()?.parse().ok());
            let source = source.map_or(peer, |source| SocketAddr::new(source, 0));
            request.extensions_mut().insert(ByPeer);
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
    fn serve(&self, connection: AgentConnection) -> BoxFuture<'static, ()> {
        Box::pin(Arc::clone(self).carry(connection))
    }
}
