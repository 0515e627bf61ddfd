//! Tunnels: connections from this device to one destination, for an operator.
//!
//! Data flow of an opening: grant and policy ([`crate::session::gate`]) -> [`Tunnel`] in the
//! session table -> a dial for each connection. Data flow of bytes: link -> frames of smux, or
//! one plain stream -> the target's socket; target -> straight into the session's replay ring,
//! behind a frame header.
//!
//! # Invariants
//! - The agent's loop polls all of it. Only the look-up of a name by the C library has a thread.
//! - Only an address that the device's policy permits is dialled, whatever a name resolves to by
//!   then.
//! - Connections take turns, one frame each. One that does not take its bytes delays no other
//!   (except in version 1 of smux, which has no windows, when its bytes fill the session's
//!   receive buffer).
//! - Bytes held for targets are bounded by [`crate::limits::WINDOW`] a tunnel, connections by
//!   [`crate::limits::CONNECTIONS`].
//!
//! # Known limits
//! - The C library resolves names and blocks its thread for as long as it takes. So a name
//!   server that does not answer can also delay the look-up of the gateway, if the link is lost
//!   just then.

mod connection;
mod many;
mod news;
mod place;
mod single;
mod tunnel;

pub use news::News;
pub use place::Place;
pub use tunnel::Tunnel;
