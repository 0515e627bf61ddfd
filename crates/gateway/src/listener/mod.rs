//! The listeners: one TLS listener for agents and HTTP, and the plain monitoring listener.
//!
//! Data flow: TCP -> [`tls`] (who is it?) -> an agent to the data plane's
//! [`AgentAcceptor`](crate::plane::AgentAcceptor), HTTP to [`http`].
//!
//! # Invariants
//! - At most [`Bounds::connections`] connections, of which [`crate::limits::MAX_HANDSHAKES`] in the
//!   handshake. Strangers share what they may have by source ([`places`]).
//! - Where a connection comes from is told by a balancer only ([`Proxies`]).
//! - A handshake, a request head and a body each have a deadline.
//! - A failure of one connection ends that connection only.
//!
//! # Not here
//! - Who may do what: the data plane judges an agent's key, the API a request's signature.

pub mod client_key;
pub(crate) mod detached;
mod handshake;
pub mod http;
pub mod monitor;
pub mod places;
mod proxy;
pub mod socket;
#[cfg(test)]
mod tests;
pub mod tls;
mod tls_listener;

pub use places::Bounds;
pub use proxy::Proxies;
pub use tls_listener::{Pipes, TlsListener, stopped};
