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
mod succession;

pub use receiver::{Receiver, ReceiverState};
pub use ring::{Budget, ReplayRing};
pub use sender::{Sender, SenderState};

/// Bytes a receiver takes before it acknowledges, at the latest. Must be less than the smallest
/// ring, or a sender with such a ring would wait for an acknowledgement that waits for more bytes.
pub const ACK_EVERY: u32 = 4 * 1024;

const _: () = assert!(
    (ACK_EVERY as usize) < ring::SMALLEST,
    "a full smallest ring must cause an acknowledgement"
);

/// The other side broke the rules of the stream. The session cannot be trusted any more: end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It sent beyond the credit it had.
    #[error("bytes up to {end} were sent, but credit was given up to {limit} only")]
    BeyondCredit {
        /// Where the bytes ended.
        end: u64,
        /// Where the credit ended.
        limit: u64,
    },
    /// It acknowledged what was never sent.
    #[error("{acked} bytes were acknowledged, but only {sent} were sent")]
    AckedUnsent {
        /// What it claims.
        acked: u64,
        /// What is true.
        sent: u64,
    },
    /// It wants to go back to bytes that it has acknowledged already.
    #[error(
        "bytes from {wanted} on were asked for, but they were acknowledged up to {base} and are gone"
    )]
    Forgotten {
        /// Where it wants to go on.
        wanted: u64,
        /// First byte that is still there.
        base: u64,
    },
    /// It named two different lengths, or sent beyond the length it named.
    #[error("the stream was said to end at {said}, then at {now}")]
    LengthChanged {
        /// First.
        said: u64,
        /// Then.
        now: u64,
    },
}
