//! The TLS listener: accepts connections, completes handshakes within bounds, and hands each
//! connection to the agents' side or to the HTTP server.
//!
//! # Invariants
//! - At most [`limits::MAX_CONNECTIONS`] connections, of which [`limits::MAX_HANDSHAKES`] are in
//!   the handshake; a connection beyond these bounds is closed at once.
//! - An error of one connection ends that connection only.
//!
//! # Not here
//! - Who may do what: the key of an agent and the signature of a request are checked later.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};

use super::http::HttpServer;
use super::tls::{self, PeerKind, TlsConfigs};
use crate::limits;
use crate::metrics::Metrics;
use crate::plane::{AgentAcceptor, AgentConnection};

/// Everything behind the port.
pub struct TlsListener {
    /// Both TLS configurations.
    pub tls: TlsConfigs,
    /// Behind the agents' door.
    pub agents: Arc<dyn AgentAcceptor>,
    /// Behind the HTTP door.
    pub http: HttpServer,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// How many may be inside.
    pub bounds: Bounds,
}

/// How many connections the port holds; see the invariants of the module.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Open at once.
    pub connections: usize,
    /// Of these, not yet through their handshake.
    pub handshakes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: limits::MAX_CONNECTIONS, handshakes: limits::MAX_HANDSHAKES }
    }
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("not finished in time")]
    Timeout,
    #[error("{0}")]
    Failed(#[from] std::io::Error),
    #[error("the client offered towline/1 and then did not use it")]
    NotAgreed,
    #[error("the client showed no key")]
    NoKey,
}

enum Visitor {
    Agent(Box<AgentConnection>),
    Http(Box<TlsStream<TcpStream>>),
}

/// Returns when the server is told to stop, or when nobody is left to tell it.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl TlsListener {
    /// Serves until `stop` becomes true, then lets open HTTP requests finish within
    /// [`limits::SHUTDOWN_GRACE`].
    pub async fn serve(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(self.bounds.connections));
        let lobby = Arc::new(Semaphore::new(self.bounds.handshakes));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped(&mut stop) => break,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, &places, &lobby, &stop),
                Err(error) => {
                    // Mostly out of file descriptors: the next try would fail at once, too.
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        self.http.drain(limits::SHUTDOWN_GRACE).await;
    }

    fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        places: &Arc<Semaphore>,
        lobby: &Arc<Semaphore>,
        stop: &watch::Receiver<bool>,
    ) {
        self.metrics.connections.add(1);
        let (Ok(place), Ok(waiting)) =
            (Arc::clone(places).try_acquire_owned(), Arc::clone(lobby).try_acquire_owned())
        else {
            self.metrics.connections_refused.add(1);
            debug!(%peer, "no place left, connection closed");
            return;
        };
        let (port, stop) = (Arc::clone(self), stop.clone());
        tokio::spawn(async move {
            port.receive(stream, peer, place, waiting, stop).await;
        });
    }

    async fn receive(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
        waiting: OwnedSemaphorePermit,
        stop: watch::Receiver<bool>,
    ) {
        let _ = stream.set_nodelay(true); // keystrokes must not wait for company
        // An address of the form ::ffff:a.b.c.d is IPv4 that came through the dual-stack socket.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        // Boxed: a device's task lives for days and must not carry the room of a handshake or of an
        // HTTP connection.
        let visitor = Box::pin(self.handshake(stream, peer)).await;
        drop(waiting);
        match visitor {
            Ok(Visitor::Agent(connection)) => {
                let _here = self.metrics.agents.enter();
                self.agent(connection).await;
                drop(place);
            }
            Ok(Visitor::Http(stream)) => {
                Box::pin(self.http.serve(*stream, place, peer, stop)).await
            }
            Err(error) => {
                self.metrics.handshakes_failed.add(1);
                info!(%peer, %error, "TLS handshake failed");
            }
        }
    }

    /// A function of its own, because a box that is emptied in the task keeps its room until the
    /// link's end.
    fn agent(&self, connection: Box<AgentConnection>) -> BoxFuture<'static, ()> {
        self.agents.serve(*connection)
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Result<Visitor, HandshakeError> {
        let deadline = Instant::now() + limits::HANDSHAKE_TIMEOUT;
        let late = |_| HandshakeError::Timeout;
        let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
        let start = tokio::time::timeout_at(deadline, acceptor).await.map_err(late)??;
        let (door, config) = self.tls.choose(&start.client_hello());
        let stream =
            tokio::time::timeout_at(deadline, start.into_stream(config)).await.map_err(late)??;
        match door {
            PeerKind::Http => Ok(Visitor::Http(Box::new(stream))),
            PeerKind::Agent => {
                let (_, session) = stream.get_ref();
                if session.alpn_protocol() != Some(tls::AGENT_ALPN) {
                    return Err(HandshakeError::NotAgreed);
                }
                let spki = session
                    .peer_certificates()
                    .and_then(<[_]>::first)
                    .ok_or(HandshakeError::NoKey)?
                    .to_vec();
                Ok(Visitor::Agent(Box::new(AgentConnection { stream, spki, peer })))
            }
        }
    }
}
