//! From an address to an open TLS connection.
//!
//! Data flow: resolve -> race the addresses (RFC 8305: families in turn, the next after 250 ms)
//! -> CONNECT through the proxy, where one is set -> TLS. Each step has a deadline, and the
//! whole has one.
//!
//! # Invariants
//! - After each error the agent waits and dials again ([`super::backoff`]). Nothing is cached
//!   between two dials, so the next one notices a name that resolves again or a file that was
//!   repaired.
//!
//! # Known cost
//! - The C library resolves names and blocks: a thread lives during the look-up. An address
//!   needs none.

use super::proxy::{Proxy, ProxyError};
use super::stream::Stream;
use super::tls::{self, TlsError};
use crate::limits;
use crate::separation::monitor::{Failure, Order, Separation};
use crate::state::enrollment::Address;
use crate::sys::calls;
use rustls::ClientConfig;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use towline_wire::text::connection_error;

/// Why one try to reach the gateway failed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name is unknown, or no name server answers.
    #[error("cannot resolve {host}: {}", connection_error(source))]
    Resolve {
        /// Which name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address accepts a connection.
    #[error("cannot connect to {address}: {}", connection_error(source))]
    Connect {
        /// Which address.
        address: Address,
        /// What the last address tried said.
        source: io::Error,
    },
    /// A step took too long.
    #[error("no answer from {address} within {} s", waited.as_secs())]
    Timeout {
        /// Which address.
        address: Address,
        /// For how long.
        waited: Duration,
    },
    /// The proxy refuses.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The settings for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The handshake failed.
    #[error("TLS with {address} failed: {}", tls::explain(source))]
    Handshake {
        /// The address.
        address: Address,
        /// What the library said.
        source: io::Error,
    },
    /// What the network process says.
    #[error("{0}")]
    Apart(String),
    /// There is no network process without rights, and the settings demand one.
    #[error("security.separation is \"demanded\", and this device cannot have it: {0}")]
    NotSeparated(String),
    /// The other side is not a Towline gateway.
    #[error("{address} speaks TLS but not Towline: check the gateway's port")]
    NotAGateway {
        /// Who answered.
        address: Address,
    },
}

/// Where to dial, and how.
#[derive(Clone)]
pub struct Target {
    /// The gateway.
    pub gateway: Address,
    /// The proxy, where one is set.
    pub proxy: Option<Proxy>,
    /// TLS settings.
    pub tls: Arc<ClientConfig>,
    /// Time for all of it.
    pub patience: Duration,
    /// Has a process without rights do it.
    pub separation: Option<Separation>,
}

/// Dials once.
///
/// # Errors
/// [`DialError`].
pub async fn dial(target: &Target) -> Result<Stream, DialError> {
    let late = |_| DialError::Timeout { address: target.gateway.clone(), waited: target.patience };
    timeout(target.patience, dial_without_limit(target)).await.map_err(late)?
}

async fn dial_without_limit(target: &Target) -> Result<Stream, DialError> {
    let addresses = resolve(target.first(), target.separation.as_ref()).await?;
    if let Some(separation) = &target.separation {
        match dial_apart(target, separation, addresses.clone()).await {
            Err(DialError::NotSeparated(why)) if separation.give_up(&why) => {}
            reached => return reached,
        }
    }
    let proxy = target.proxy.as_ref();
    let stream = over(&target.gateway, proxy, &target.tls, addresses).await?;
    Ok(Stream::Here(Box::new(stream)))
}

impl Target {
    /// What is connected to: the proxy, else the gateway.
    fn first(&self) -> &Address {
        self.proxy.as_ref().map_or(&self.gateway, |proxy| &proxy.address)
    }
}

/// The same in a process without rights.
async fn dial_apart(
    target: &Target,
    separation: &Separation,
    addresses: Vec<SocketAddr>,
) -> Result<Stream, DialError> {
    let failed = |failure| match failure {
        Failure::Unavailable(why) => DialError::NotSeparated(why),
        Failure::Failed(why) => DialError::Apart(why),
    };
    let (gateway, proxy, tls) = (&target.gateway, target.proxy.as_ref(), &*target.tls);
    let line = separation.connect(Order { gateway, proxy, addresses, tls }).await;
    line.map(|line| Stream::Apart(Box::new(line))).map_err(failed)
}

/// Connects to one of these addresses of the proxy or gateway, and opens TLS with the gateway.
///
/// # Errors
/// [`DialError`].
pub async fn over(
    gateway: &Address,
    proxy: Option<&Proxy>,
    tls: &Arc<ClientConfig>,
    addresses: Vec<SocketAddr>,
) -> Result<TlsStream<TcpStream>, DialError> {
    let first = proxy.map_or(gateway, |proxy| &proxy.address);
    let mut tcp = race(first, addresses).await?;
    tune(&tcp);
    if let Some(proxy) = proxy {
        proxy.connect(&mut tcp, gateway).await?;
    }
    let name = tls::server_name(gateway)?;
    let fail = |source| DialError::Handshake { address: gateway.clone(), source };
    let connector = TlsConnector::from(tls.clone());
    let mut stream = connector
        .connect_with(name, tcp, |connection| connection.set_buffer_limit(Some(limits::TLS_BUFFER)))
        .await
        .map_err(fail)?;
    if stream.get_ref().1.alpn_protocol() != Some(towline_wire::ALPN) {
        return Err(DialError::NotAGateway { address: gateway.clone() });
    }
    stream.get_mut().1.set_buffer_limit(Some(limits::TLS_BUFFER));
    Ok(stream)
}

/// Keystrokes must not wait for more bytes, nor behind bulk in the kernel; a peer that vanished
/// must not hold the socket for the kernel's quarter of an hour.
fn tune(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    let _ = calls::set_notsent_lowat(tcp.as_fd(), limits::NOTSENT_LOWAT);
    let millis = u32::try_from(limits::TCP_USER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    let _ = nix::sys::socket::setsockopt(tcp, nix::sys::socket::sockopt::TcpUserTimeout, &millis);
}

async fn resolve(
    address: &Address,
    separation: Option<&Separation>,
) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(ip) = address.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, address.port)]);
    }
    let fail = |source| DialError::Resolve { host: address.host.clone(), source };
    let late = |_| fail(io::ErrorKind::TimedOut.into());
    let found = Separation::names(separation, &address.host, address.port);
    let found = timeout(limits::RESOLVE, found).await.map_err(late)?.map_err(fail)?;
    if found.is_empty() {
        return Err(fail(io::ErrorKind::NotFound.into()));
    }
    Ok(alternate(found))
}

/// Looks a name up by the C library, which blocks; in the order of [`race`].
///
/// # Errors
/// The resolver's.
pub fn resolve_here(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = (host, port).to_socket_addrs()?.collect();
    if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(alternate(found)) }
}

/// IPv6 first, then the families in turn, at most [`limits::ADDRESSES`].
fn alternate(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (six, four): (Vec<_>, Vec<_>) = found.into_iter().partition(SocketAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut order = Vec::new();
    loop {
        let pair = [six.next(), four.next()];
        if pair == [None, None] || order.len() >= limits::ADDRESSES {
            order.truncate(limits::ADDRESSES);
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

/// Connects to whichever address answers first.
async fn race(address: &Address, candidates: Vec<SocketAddr>) -> Result<TcpStream, DialError> {
    let mut waiting = candidates.into_iter();
    let mut running: Vec<Attempt> = Vec::new();
    let mut head_start = Box::pin(sleep(Duration::ZERO));
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    poll_fn(|cx| {
        loop {
            let mut at = 0;
            while let Some(attempt) = running.get_mut(at) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        last = error;
                        drop(running.swap_remove(at));
                    }
                    Poll::Pending => at += 1,
                }
            }
            if !running.is_empty() && head_start.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match waiting.next() {
                Some(candidate) => {
                    running.push(Box::pin(TcpStream::connect(candidate)));
                    head_start = Box::pin(sleep(limits::HEAD_START));
                }
                None if running.is_empty() => {
                    let source = std::mem::replace(&mut last, io::ErrorKind::Other.into());
                    return Poll::Ready(Err(DialError::Connect {
                        address: address.clone(),
                        source,
                    }));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_tried_in_turn_beginning_with_ipv6() {
        let of = |text: &str| text.parse::<SocketAddr>().unwrap();
        let found = vec![of("10.0.0.1:1"), of("10.0.0.2:1"), of("[fd00::1]:1")];
        assert_eq!(alternate(found), [of("[fd00::1]:1"), of("10.0.0.1:1"), of("10.0.0.2:1")]);
    }

    #[test]
    fn a_name_with_many_addresses_is_not_tried_without_end() {
        let found = (0..200).map(|i| SocketAddr::from(([10, 0, 0, i], 1))).collect();
        assert_eq!(alternate(found).len(), limits::ADDRESSES);
    }

    fn with_runtime<F: Future>(story: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
    }

    /// Holds a port at which nobody listens.
    fn closed() -> tokio::net::TcpSocket {
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        closed
    }

    #[test]
    fn an_address_that_refuses_does_not_keep_from_the_one_that_accepts() {
        with_runtime(async {
            let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let closed = closed();
            let address = Address { host: "test".into(), port: 1 };
            let stream =
                race(&address, vec![closed.local_addr().unwrap(), open.local_addr().unwrap()])
                    .await
                    .unwrap();
            assert_eq!(stream.peer_addr().unwrap(), open.local_addr().unwrap());
        });
    }

    #[test]
    fn when_all_refuse_the_error_names_the_gateway() {
        with_runtime(async {
            let closed = closed();
            let address = Address { host: "gw.example".into(), port: 443 };
            let error = race(&address, vec![closed.local_addr().unwrap()]).await.unwrap_err();
            assert!(error.to_string().starts_with("cannot connect to gw.example:443"), "{error}");
        });
    }
}
