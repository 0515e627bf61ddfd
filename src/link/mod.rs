//! The one connection: dialled out, kept alive, dialled again for ever.
//!
//! Way: [`backoff`] says when, [`dial`] makes the connection (through a [`proxy`] where one is set;
//! TLS by [`tls`]), [`driver`] moves frames over it. [`network`] says that the world has changed,
//! so that waiting longer is pointless.
//!
//! # Invariants
//! - No failure ends the agent: each [`dial::DialError`] is waited out, whatever it is.
//! - What waits to be sent is bounded by [`crate::limits::LINK_OUT`]; beyond it the producers are
//!   not read.
//!
//! # Not here
//! - What frames mean: see [`crate::agent`].

pub mod backoff;
pub mod dial;
pub mod driver;
pub mod network;
pub mod proxy;
pub mod tls;
