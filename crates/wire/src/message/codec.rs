//! How a message becomes the body of a control frame, and back.
//!
//! # Invariants
//! - One message has one encoding: [`decode`] refuses trailing bytes.

use alloc::vec::Vec;

use serde::{Serialize, de::DeserializeOwned};

use crate::frame::MAX_CONTROL;

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
