//! The destination of a tunnel: its addresses, checked by the device's policy, and the dial to
//! them.
//!
//! # Invariants
//! - One look-up at a time, and its result is used for [`limits::NAME_KEPT`]: a thousand short
//!   connections are not a thousand look-ups.
//! - Addresses are checked after the look-up, each by itself, and the checked address is
//!   dialled.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use towline_wire::message::{Destination, Framing};

use crate::limits;
use crate::policy::DevicePolicy;
use crate::policy::forwards::{Forward, LOOPBACK, permits};
use crate::separation::monitor::Separation;

type Asking = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>>;

/// A dial on its way.
pub(super) type Dial = Pin<Box<dyn Future<Output = Result<TcpStream, String>>>>;

enum Names {
    Unknown,
    Asking(Asking),
    Known(Vec<SocketAddr>, Option<Instant>),
}

/// A destination and its known addresses.
pub struct Place {
    to: Destination,
    /// The session document that the tunnel was opened by.
    document: String,
    forwards: Vec<Forward>,
    descriptors: u64,
    /// Why the device permits no further connection.
    forbidden: Option<String>,
    names: Names,
    separation: Option<Separation>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("to", &self.to).finish_non_exhaustive()
    }
}

impl Place {
    /// A destination that the device's policy permits now. `descriptors`: those with lower numbers
    /// are for connections.
    #[must_use]
    pub fn new(
        to: Destination,
        forwards: Vec<Forward>,
        document: String,
        descriptors: u64,
    ) -> Self {
        let fixed = match to.host.as_deref().map(str::parse::<IpAddr>) {
            None => Some(LOOPBACK.to_vec()),
            Some(Ok(address)) => Some(vec![address]),
            Some(Err(_)) => None,
        };
        let names = match fixed {
            Some(all) => Names::Known(
                all.into_iter().map(|address| SocketAddr::new(address, to.port)).collect(),
                None,
            ),
            None => Names::Unknown,
        };
        Self { to, document, forwards, forbidden: None, descriptors, names, separation: None }
    }

    /// Has names looked up by a process without rights.
    #[must_use]
    pub fn separated(self, separation: Option<Separation>) -> Self {
        Self { separation, ..self }
    }

    /// How the connections stand in the stream.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.to.framing
    }

    /// New connections are judged by this policy from now on.
    pub fn judge(&mut self, policy: &DevicePolicy) {
        let judged = policy.permit_tunnel(self.to.host.as_deref(), self.to.port, &self.document);
        self.forbidden = judged.err().map(|forbidden| forbidden.to_string());
        self.forwards.clone_from(&policy.allowed_forwards);
    }

    /// A dial, once the addresses are known; or why there is none.
    pub(super) fn poll_dial(&mut self, cx: &mut Context<'_>) -> Poll<Result<Dial, String>> {
        if let Some(why) = &self.forbidden {
            return Poll::Ready(Err(why.clone()));
        }
        loop {
            match &mut self.names {
                Names::Known(addresses, until)
                    if until.is_none_or(|until| Instant::now() < until) =>
                {
                    let (host, forwards) =
                        (self.to.host.as_deref().unwrap_or("localhost"), &self.forwards);
                    let good: Vec<_> =
                        addresses.iter().copied().filter(|&a| permits(forwards, host, a)).collect();
                    return Poll::Ready(match good.is_empty() {
                        true => Err(forbidden(addresses)),
                        false => Ok(dial(good, self.descriptors)),
                    });
                }
                Names::Unknown | Names::Known(..) => {
                    let (host, port) = (self.to.host.clone().unwrap_or_default(), self.to.port);
                    let separation = self.separation.clone();
                    self.names = Names::Asking(Box::pin(async move {
                        let asked = Separation::names(separation.as_ref(), &host, port);
                        let mut found = timeout(limits::TUNNEL_DIAL, asked)
                            .await
                            .map_err(|_| io::ErrorKind::TimedOut)??;
                        found.truncate(limits::ADDRESSES);
                        Ok(found)
                    }));
                }
                Names::Asking(asking) => {
                    let answer = std::task::ready!(asking.as_mut().poll(cx));
                    self.names = Names::Unknown;
                    match answer {
                        Ok(found) if !found.is_empty() => {
                            self.names =
                                Names::Known(found, Some(Instant::now() + limits::NAME_KEPT));
                        }
                        Ok(_) => return Poll::Ready(Err(self.unresolved(&"it has no address"))),
                        Err(error) => return Poll::Ready(Err(self.unresolved(&error))),
                    }
                }
            }
        }
    }

    fn unresolved(&self, why: &dyn std::fmt::Display) -> String {
        format!("the device cannot resolve {}: {why}", self.to.host.as_deref().unwrap_or_default())
    }
}

fn forbidden(addresses: &[SocketAddr]) -> String {
    let shown = addresses.first().map(ToString::to_string).unwrap_or_default();
    format!("this device does not allow forwards to {shown} (policy.allowed_forwards)")
}

/// A socket, unless descriptors are about to run out: the kernel gives the lowest free number.
fn socket(address: SocketAddr, descriptors: u64) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    match socket {
        Ok(socket) if u64::try_from(socket.as_raw_fd()).is_ok_and(|fd| fd < descriptors) => {
            Ok(socket)
        }
        Ok(_) => Err(io::Error::other("the rest of its descriptors is kept for sessions")),
        Err(error) => Err(error),
    }
}

async fn connect(address: SocketAddr, descriptors: u64) -> io::Result<TcpStream> {
    socket(address, descriptors)?.connect(address).await
}

/// Tries the addresses one after the other.
fn dial(addresses: Vec<SocketAddr>, descriptors: u64) -> Dial {
    Box::pin(async move {
        let each = limits::TUNNEL_DIAL / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mut last = String::new();
        for address in addresses {
            let connected = connect(address, descriptors);
            last = match timeout(each.max(limits::TUNNEL_DIAL_ONE), connected).await {
                Ok(Ok(stream)) => {
                    // Who types through a tunnel waits for each key.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => format!("the device cannot connect to {address}: {error}"),
                Err(_) => format!("no answer from {address} to the device"),
            };
        }
        Err(last)
    })
}
