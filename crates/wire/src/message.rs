//! Control messages of the agent's link, and how they become bytes.
//!
//! Order on a new link: both sides send [`Version`]; the agent adds [`FromAgent::Hello`] (or
//! [`FromAgent::Enroll`]) at once; the gateway answers [`ToAgent::Welcome`], [`ToAgent::Enrolled`]
//! or [`ToAgent::Refuse`]. After the welcome the agent names each session it still holds with
//! [`FromAgent::Held`], then [`FromAgent::HeldEnd`].
//!
//! # Invariants
//! - Every message can be repeated: a lost link loses messages, and what counts is said again by
//!   `Held` and `Attach`.
//! - Variants and fields are only appended, and a field is only appended together with a new
//!   version.
//! - Strings are bounded by the frame; [`decode`] refuses trailing bytes, so two encodings of one
//!   message do not exist.

mod ending;
mod from_agent;
mod launch;
#[cfg(test)]
mod tests;
mod to_agent;

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Serialize, de::DeserializeOwned};

pub use self::ending::{EndReason, ExitStatus, RefusalCode};
pub use self::from_agent::{Enroll, FromAgent, Held, Hello, Platform};
pub use self::launch::{Destination, Framing, Launch, MAX_PROFILE_BYTES, Script, Size, Terminal};
pub use self::to_agent::{Open, ToAgent, Welcome};
use crate::frame::MAX_CONTROL;

/// What versions of the wire a side speaks. Sent as [`crate::frame::Frame::Version`], before
/// anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Lowest.
    pub min: u16,
    /// Highest.
    pub max: u16,
}

impl Version {
    /// The highest version that both speak.
    #[must_use]
    pub fn agree(self, other: Self) -> Option<u16> {
        let best = self.max.min(other.max);
        (best >= self.min && best >= other.min).then_some(best)
    }
}

/// Names a session: `<principal name>-<17 characters>`, 1 to 96 bytes (the API's `SessionId`).
pub type SessionName = String;

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not the expected form; a variant from a later version looks the same.
    #[error("control message of {0} bytes is malformed")]
    Malformed(usize),
    /// Bytes are left over.
    #[error("control message has {0} bytes too many")]
    Trailing(usize),
    /// The message does not fit into a frame.
    #[error("control message does not fit into a frame of {MAX_CONTROL} bytes")]
    TooLarge,
}

/// Encodes a message for [`crate::frame::Frame::Control`].
///
/// # Errors
/// [`MessageError::TooLarge`] beyond [`MAX_CONTROL`] bytes.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, MessageError> {
    let bytes = postcard::to_allocvec(message).map_err(|_| MessageError::TooLarge)?;
    if bytes.len() > MAX_CONTROL { Err(MessageError::TooLarge) } else { Ok(bytes) }
}

/// Decodes the body of a [`crate::frame::Frame::Control`].
///
/// # Errors
/// [`MessageError`] when it is malformed or has trailing bytes.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, MessageError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(MessageError::Trailing(rest.len())),
        Err(_) => Err(MessageError::Malformed(bytes.len())),
    }
}
