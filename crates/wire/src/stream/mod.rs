//! One direction of a stream: counted bytes that survive the loss of any link between their two
//! ends.
//!
//! The *ends* are the agent and the operator's client. What lies between (links, gateway) may
//! vanish at any instant: the sender keeps each byte until the far end has acknowledged it, and
//! both ends count. After a loss the receiver says what it has ([`Receiver::received`]), the sender
//! goes back to it ([`Sender::attach`]), and what arrives twice is trimmed by its position.
//!
//! # Invariants
//! - Zero lost, zero doubled bytes, whatever is cut.
//! - A sender holds at most its ring's cap; all rings of an endpoint together at most their
//!   [`Budget`].
//! - A receiver never gets more than it has room for: sending beyond the credit is a [`Violation`].

mod receiver;
mod ring;
mod sender;
#[cfg(test)]
mod state_transfer;
mod violation;

pub use receiver::{ACK_EVERY, Receiver, ReceiverState};
pub use ring::{Budget, ReplayRing};
pub use sender::{Sender, SenderState};
pub use violation::Violation;
