//! Notifications: what is told to receivers outside, and how it gets there.
//!
//! Data flow: an operation writes a message in the transaction of what it tells (the store) ->
//! [`Bell`] wakes the [`Sender`] -> the receiver, signed, or its mail server; what is not received
//! is sent again.
//!
//! # Invariants
//! - A receiver gets messages in their order, each at least once, under one id.
//! - A receiver that is away or slow keeps nothing waiting but its own messages.

mod message;
mod sender;
mod signature;

pub use message::{Letter, Secrets, body_for};
pub use sender::{Bell, Sender, Turn};
pub use signature::{new_secret, secret_bytes, signature};
