//! The interfaces between the control plane and the data plane ([`interfaces`]), and between
//! gateways that work together ([`peers`]).
//!
//! # Invariants
//! - Each side knows only what stands here.

mod interfaces;
mod peers;
mod seats;

pub use interfaces::*;
pub use peers::{ByPeer, PeerAcceptor, PeerConnection, Peers, Subject};
pub use seats::{Resumed, SeatError, Sitter, in_role};
