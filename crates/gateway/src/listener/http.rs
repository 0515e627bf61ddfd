//! HTTP: one connection after its handshake, with deadlines, until it ends, is upgraded or
//! the server stops.
//!
//! # Invariants
//! - A connection that has to make room for others ends, also in the middle of a body or after an
//!   upgrade.
//! - A request head has [`limits::HEAD_TIMEOUT`], an idle connection as long; heads are bounded by
//!   [`limits::MAX_HEAD`].
//! - When the server stops, a request under way is answered, and then the connection closed.
//! - A request goes on to its end also if its client hangs up ([`Detached`]).
//!
//! # Not here
//! - Bodies: read, with their own bounds, by [`crate::api`]. Websockets: they leave this module at
//!   the upgrade.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::detached::Detached;
use super::places::{Displaced, Place};
use crate::limits;
use crate::plane::{Peer, Standing, Visitor};
use crate::transport::Transport;

/// Serves HTTP on connections that are through their handshake.
#[derive(Clone)]
pub struct HttpServer {
    routes: Router,
    open: Arc<Semaphore>,
    most: u32,
}

impl HttpServer {
    /// Serves `routes` on at most so many connections.
    #[must_use]
    pub fn new(routes: Router, most: usize) -> Self {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let places = usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS);
        Self { routes, open: Arc::new(Semaphore::new(places)), most }
    }

    /// Serves one connection until it ends or is upgraded. Its place is free again when the
    /// connection is closed, also when that is long after an upgrade, and its last request has
    /// ended.
    pub async fn serve(
        &self,
        stream: TlsStream<Transport>,
        (place, displaced): (Arc<Place>, Displaced),
        peer: SocketAddr,
        mut stop: watch::Receiver<bool>,
    ) {
        let Ok(open) = Arc::clone(&self.open).try_acquire_owned() else { return };
        let visitor = Visitor(Arc::clone(&place) as Arc<dyn Standing>);
        let prepare = move |request: &mut hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(visitor.clone());
        };
        let held = (Arc::new(open), Arc::clone(&place));
        let routes = Detached { routes: self.routes.clone(), prepare: Arc::new(prepare), held };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::HEAD_TIMEOUT)
            .max_buf_size(limits::MAX_HEAD)
            .serve_connection(
                TokioIo::new(Placed { stream, displaced, _place: place }),
                TowerToHyperService::new(routes),
            )
            .with_upgrades();
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = super::stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(%peer, %error, "HTTP connection ended");
        }
    }

    /// Waits until all connections have ended, at most `grace`.
    pub async fn drain(&self, grace: Duration) {
        let _ = tokio::time::timeout(grace, self.open.acquire_many(self.most)).await;
    }
}

/// A connection together with its place among [`super::Bounds::connections`].
struct Placed {
    stream: TlsStream<Transport>,
    displaced: Displaced,
    _place: Arc<Place>,
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.displaced.poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
