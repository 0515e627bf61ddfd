//! The TLS listener: accepts connections, completes handshakes within bounds, and hands each
//! connection to the agents' side or to the HTTP server.
//!
//! # Invariants
//! - A connection has a place ([`Places`]) until its end; it is hung up on when it has to make
//!   room.
//! - A handshake waits for its slot when its first message has come, and keeps it until TLS is
//!   done; an agent's until the key is known.
//! - An error of one connection ends that connection only.
//!
//! # Not here
//! - Who may do what: the key of an agent and the signature of a request are checked later.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use towline_host::clock::Clock;
use tracing::{debug, info, warn};

use super::handshake::{self, HandshakeError, Visitor, awaited};
use super::http::HttpServer;
use super::places::{Bounds, Displaced, Place, Places};
use super::proxy::{self, Proxies};
use super::tls::TlsConfigs;
use crate::limits;
use crate::metrics::Metrics;
use crate::pace::{Pace, metered};
use crate::plane::{AgentAcceptor, AgentConnection, PeerAcceptor};
use crate::throttle::LogBudget;
use crate::transport::Transport;

/// Everything behind the port.
pub struct TlsListener {
    /// Both TLS configurations.
    pub tls: TlsConfigs,
    /// Serves the links of agents.
    pub agents: Arc<dyn AgentAcceptor>,
    /// Serves other gateways, where several work together.
    pub peers: Option<Arc<dyn PeerAcceptor>>,
    /// Serves HTTP.
    pub http: HttpServer,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Balancers, which tell where a connection comes from.
    pub proxies: Proxies,
    /// How many may be inside.
    pub bounds: Bounds,
    /// What it costs to let devices in.
    pub pace: Arc<Pace>,
    /// The time, for the log's budget.
    pub clock: Clock,
    /// Lines about failed handshakes.
    pub log_budget: LogBudget,
}

/// Connections that come by pipes in memory, and where they say they come from.
pub type Pipes = mpsc::Receiver<(Transport, SocketAddr)>;

/// The next connection by a pipe, if any can come.
async fn next(pipes: &mut Option<Pipes>) -> (Transport, SocketAddr) {
    if let Some(from) = pipes {
        if let Some(piped) = from.recv().await {
            return piped;
        }
        *pipes = None;
    }
    std::future::pending().await
}

/// Returns when the server is told to stop, or when nobody is left to tell it.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl TlsListener {
    /// Serves connections of the socket, and of `pipes`, until `stop` becomes true, then lets open
    /// HTTP requests finish within [`limits::SHUTDOWN_GRACE`].
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        mut pipes: Option<Pipes>,
        mut stop: watch::Receiver<bool>,
    ) {
        let places = Places::new(self.bounds);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => {
                    accepted.map(|(stream, peer)| (Transport::Tcp(stream), peer))
                }
                piped = next(&mut pipes) => Ok(piped),
                () = stopped(&mut stop) => break,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, &places, &stop),
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
        stream: Transport,
        peer: SocketAddr,
        places: &Arc<Places>,
        stop: &watch::Receiver<bool>,
    ) {
        self.metrics.connections.add(1);
        // An address of the form ::ffff:a.b.c.d is IPv4 that came through the dual-stack socket.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let source = (!self.proxies.contain(peer.ip())).then_some(peer.ip());
        let Some((place, displaced)) = places.enter(source) else {
            self.metrics.connections_refused.add(1);
            debug!(%peer, "no place left, connection closed");
            return;
        };
        let (port, stop) = (Arc::clone(self), stop.clone());
        tokio::spawn(async move {
            port.receive(stream, peer, source.is_none(), (place, displaced), stop).await;
        });
    }

    async fn receive(
        &self,
        mut stream: Transport,
        mut peer: SocketAddr,
        behind_proxy: bool,
        (place, mut displaced): (Arc<Place>, Displaced),
        stop: watch::Receiver<bool>,
    ) {
        stream.set_nodelay(); // keystrokes must not wait for company
        if behind_proxy {
            match Box::pin(proxy::source(&mut stream, peer)).await {
                Ok(source) => peer = source,
                Err(error) => {
                    self.metrics.proxy_headers_refused.add(1);
                    if self.log_budget.admits(self.clock.now()) {
                        warn!(%peer, %error, "connection of a balancer closed");
                    }
                    return;
                }
            }
            place.comes_from(peer.ip());
        }
        // Boxed: what waits for an HTTP connection must not carry the room of a handshake.
        let shaking = Box::pin(async {
            tokio::select! {
                visitor = handshake::handshake(&self.tls, stream, peer, &place) => visitor,
                () = displaced.told() => Err(HandshakeError::Displaced),
            }
        });
        let (visitor, shaking) = metered(shaking).await;
        match visitor {
            Ok(Visitor::Agent(connection)) => {
                self.let_in(connection, shaking, (place, displaced)).await;
            }
            Ok(Visitor::Gateway(connection)) => {
                if let Some(peers) = &self.peers {
                    peers.serve(*connection).await;
                }
            }
            Ok(Visitor::Http(stream)) => {
                place.visits();
                Box::pin(self.http.serve(*stream, (place, displaced), peer, stop)).await;
            }
            Err(error) => {
                self.metrics.handshakes_failed.add(1);
                if matches!(error, HandshakeError::Displaced | HandshakeError::Awaited) {
                    self.metrics.connections_refused.add(1);
                }
                if self.log_budget.admits(self.clock.now()) {
                    info!(%peer, %error, "TLS handshake failed");
                }
            }
        }
    }

    /// A device, until it has proved itself; from then on it is a task of its own.
    async fn let_in(
        &self,
        connection: Box<AgentConnection>,
        shaking: Duration,
        (place, mut displaced): (Arc<Place>, Displaced),
    ) {
        let here = self.metrics.agents.enter();
        let mut serving = self.agent(connection);
        let proving = Box::pin(async {
            tokio::select! {
                () = &mut serving => false,
                () = place.proof() => true,
                () = displaced.told() => false,
                () = awaited(&place) => false,
            }
        });
        let (proven, proving) = metered(proving).await;
        if proven {
            self.pace.admitted(shaking + proving);
            // A task of its own lasts for days: it has no room for what came before.
            tokio::spawn(async move {
                let _until_its_end = (here, place);
                serving.await;
            });
        }
    }

    /// A function of its own, because a box that is emptied in the task keeps its room until the
    /// task's end.
    fn agent(&self, connection: Box<AgentConnection>) -> BoxFuture<'static, ()> {
        self.agents.serve(*connection)
    }
}
