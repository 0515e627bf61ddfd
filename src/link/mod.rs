//! The connection to the gateway.
//!
//! Data flow: [`backoff`] decides when, [`gateways`] where to, [`dial`] makes the connection
//! ([`names`] looks a name up; through a [`proxy`] where one is set; TLS by [`tls`]), [`driver`]
//! moves frames over it.
//! [`network`] reports changes that make a further wait pointless.
//!
//! # Invariants
//! - No failure ends the agent: it waits after each [`dial::DialError`] and dials again.
//! - Bytes that wait to be sent are bounded by [`crate::limits::LINK_OUT`]. Beyond it the
//!   producers are not read.
//!
//! # Not here
//! - The meaning of frames: [`crate::agent`].

pub mod backoff;
pub mod dial;
pub mod driver;
pub mod gateways;
pub mod names;
pub mod network;
pub mod proxy;
pub mod stream;
pub mod tls;
