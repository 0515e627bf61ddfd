//! Tunnels: connections from this device to one place, for an operator.
//!
//! Way of an opening: grant and policy ([`crate::session::gate`]) -> [`Tunnel`] in the session
//! table -> a dial for each connection ([`place`], [`connection`]). Way of a byte: link -> frames
//! of smux ([`many`]) or as it is ([`single`]) -> the target's socket; target -> straight into the
//! session's replay ring, behind a frame's header.
//!
//! # Invariants
//! - Polled by the agent's one loop; no thread, but for the look-up of a name by the C library.
//! - Only an address that the device's policy allows is dialled, whatever a name means by then.
//! - Every connection has its turn, one frame each; one that does not take its bytes holds up no
//!   other (in version 1 of smux, which has no windows, once the session's whole room is full of
//!   its bytes it does).
//! - Bytes held for targets are bounded by [`crate::limits::WINDOW`] a tunnel; connections by
//!   [`crate::limits::CONNECTIONS`].
//!
//! # Known limits
//! - Names are asked of the C library, which blocks a thread of its own for as long as it takes. A
//!   name server that does not answer can so delay the look-up of the gateway's name as well,
//!   should the link be lost just then.

mod connection;
mod many;
mod news;
mod place;
mod single;
mod tunnel;

pub use news::News;
pub use tunnel::Tunnel;
