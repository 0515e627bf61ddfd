//! A handshake at the port: the first message tells who dials, then a slot is waited for, then the
//! rest follows.
//!
//! Data flow: socket -> [`greeting`] -> [`Begun`] -> a slot of [`Place`] -> [`shake`] ->
//! [`Visitor`].
//!
//! # Invariants
//! - What waits for a slot holds its first message and little else: thousands may wait.
//! - Each step has its time. A slot is given up while others wait for it.
//!
//! # Not here
//! - Whether the key that was proved is known: the data plane asks.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::server::Acceptor;
use rustls::{CommonState, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::places::Place;
use super::tls::{self, PeerKind, TlsConfigs};
use crate::limits;
use crate::link_tls::{Heard, LinkStream};
use crate::plane::{self, AgentConnection, PeerConnection, Standing};
use crate::transport::Transport;

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("not finished in time")]
    Timeout,
    #[error("given up, because others wait for its slot")]
    Awaited,
    #[error("hung up on, because its source has too many connections that prove nothing")]
    Displaced,
    #[error("{0}")]
    Failed(#[from] std::io::Error),
    #[error("the client offered a protocol and then did not use it")]
    NotAgreed,
    #[error("the client showed no key")]
    NoKey,
}

/// Who has shaken hands.
pub(super) enum Visitor {
    Agent(Box<AgentConnection>),
    Gateway(Box<PeerConnection>),
    Http(Box<TlsStream<Transport>>),
}

/// Returns when others wait for the slot of a handshake that has had it for long enough.
pub(super) async fn awaited(place: &Place) {
    tokio::time::sleep(limits::SLOT_PATIENCE).await;
    while !place.is_awaited() {
        tokio::time::sleep(limits::SLOT_TICK).await;
    }
}

/// Shakes hands with who dials.
pub(super) async fn handshake(
    configs: &TlsConfigs,
    stream: Transport,
    peer: SocketAddr,
    place: &Arc<Place>,
) -> Result<Visitor, HandshakeError> {
    let (begun, config) = greeting(configs, stream, place).await?;
    let late = |_| HandshakeError::Timeout;
    tokio::time::timeout(limits::SLOT_WAIT, place.slot()).await.map_err(late)?;
    // Boxed, and made now: thousands may have waited, and their room would be the process's.
    let shaking = Box::pin(shake(begun, config, peer, place));
    tokio::select! {
        visitor = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, shaking) => {
            visitor.map_err(late)?
        }
        () = awaited(place) => Err(HandshakeError::Awaited),
    }
}

/// Reads the first message, which tells who dials and thus what answers.
async fn greeting(
    configs: &TlsConfigs,
    stream: Transport,
    place: &Arc<Place>,
) -> Result<(Begun, Arc<ServerConfig>), HandshakeError> {
    let mut acceptor = Box::pin(LazyConfigAcceptor::new(Acceptor::default(), Heard::new(stream)));
    let start = match tokio::time::timeout(limits::SILENCE, acceptor.as_mut()).await {
        Ok(start) => start?,
        Err(_) => {
            place.silent();
            let patience = limits::HANDSHAKE_TIMEOUT.saturating_sub(limits::SILENCE);
            let start = tokio::time::timeout(patience, acceptor).await;
            let start = start.map_err(|_| HandshakeError::Timeout)??;
            place.greeted();
            start
        }
    };
    let (kind, config) = configs.choose(&start.client_hello());
    let StartHandshake { accepted, io: Heard { transport, bytes }, .. } = start;
    let begun = match kind {
        // What the library made of the message is dropped: a device waits with its bytes alone.
        PeerKind::Agent => Begun::Agent(transport, bytes),
        PeerKind::Gateway => {
            Begun::Gateway(Box::new(StartHandshake::from_parts(accepted, transport)))
        }
        PeerKind::Http => Begun::Http(Box::new(StartHandshake::from_parts(accepted, transport))),
    };
    Ok((begun, config))
}

/// A handshake whose first message has come.
enum Begun {
    Agent(Transport, Vec<u8>),
    Gateway(Box<StartHandshake<Transport>>),
    Http(Box<StartHandshake<Transport>>),
}

/// The rest of a handshake.
async fn shake(
    begun: Begun,
    config: Arc<ServerConfig>,
    peer: SocketAddr,
    place: &Arc<Place>,
) -> Result<Visitor, HandshakeError> {
    let visitor = || plane::Visitor(Arc::clone(place) as Arc<dyn Standing>);
    match begun {
        Begun::Http(start) => Ok(Visitor::Http(Box::new(start.into_stream(config).await?))),
        Begun::Gateway(start) => {
            let stream = start.into_stream(config).await?;
            let spki = key_of(stream.get_ref().1, tls::PEER_ALPN)?;
            let connection = AgentConnection { stream, spki, peer, visitor: visitor() };
            Ok(Visitor::Gateway(Box::new(connection)))
        }
        Begun::Agent(transport, bytes) => {
            let stream = LinkStream::accept(transport, config, bytes).await?;
            let spki = key_of(stream.session(), tls::AGENT_ALPN)?;
            let connection = AgentConnection { stream, spki, peer, visitor: visitor() };
            Ok(Visitor::Agent(Box::new(connection)))
        }
    }
}

/// The key that a handshake has proved, if `protocol` was agreed on.
fn key_of(session: &CommonState, protocol: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    if session.alpn_protocol() != Some(protocol) {
        return Err(HandshakeError::NotAgreed);
    }
    let shown = session.peer_certificates().and_then(<[_]>::first);
    shown.map(|key| key.to_vec()).ok_or(HandshakeError::NoKey)
}
