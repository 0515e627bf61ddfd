//! The AWS-facing formats of Towline, as pure functions and types: bytes and time in, values and
//! bytes out.
//!
//! Way of a request: [`sigv4`] says whose it is, [`operation`] what it asks for, [`api`] whether
//! its body is well formed, [`documents`] what session and [`command_document`] what command it
//! means; [`error`] is how every refusal is answered. Way of a session's bytes: websocket frames ->
//! [`message`] -> [`channel`] and back. Calls and control channel of amazon-ssm-agent: [`vendor`].
//!
//! # Invariants
//! - No I/O, no clock, no randomness, no runtime: the caller brings bytes, the time and random
//!   bytes.
//! - Member names, limits and error codes are those of AWS, so that unmodified AWS clients are
//!   content.
//! - No secret is ever in an error, a `Debug` text or a message for the user.
//!
//! # Not here
//! - No decision about who may do what: that is the policy crate. No storage: that is the gateway.
#![forbid(unsafe_code)]

pub mod api;
pub mod channel;
pub mod clock;
pub mod command_document;
pub mod documents;
pub mod error;
pub mod ids;
mod json;
pub mod message;
pub mod operation;
mod parameter_store;
mod pattern;
pub mod sigv4;
pub mod vendor;

pub use error::{ApiError, ErrorCode};
pub use operation::Operation;
