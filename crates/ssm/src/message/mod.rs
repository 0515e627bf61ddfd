//! The messages of the AWS data channel: binary frames on a websocket, after one text frame with a
//! token.
//!
//! Data flow: websocket frame -> [`AgentMessage::decode`] -> `crate::channel`; and back by
//! [`AgentMessage::encode`]. What is in a payload is [`payload`]'s; the text frame is
//! [`payload::OpenDataChannel`].
//!
//! # Layout (all integers big-endian)
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | header length, always 116: the offset of the payload length |
//! | 4 | 32 | message type, padded with spaces |
//! | 36 | 4 | schema version, 1 |
//! | 40 | 8 | created, milliseconds since the epoch, never 0 |
//! | 48 | 8 | sequence number |
//! | 56 | 8 | flags |
//! | 64 | 16 | message id, its two halves exchanged |
//! | 80 | 32 | SHA-256 of the payload |
//! | 112 | 4 | payload type |
//! | 116 | 4 | payload length |
//! | 120 | n | payload |
//!
//! # Invariants
//! - `decode` never panics, allocates no more than the frame is long, and accepts only what
//!   `encode` could have made (names padded with NULs, on either side, as well: other clients write
//!   those).
//! - Clients check the digest (`decode_checked`), agents do not (`decode`), as at AWS.
//!
//! # Not here
//! - No order and no repetition: that is `crate::channel`. No encryption of payloads.

mod codec;
mod id;
mod kind;
pub mod payload;

pub use codec::{AgentMessage, HEADER, MAX_CONTROL_PAYLOAD, MAX_PAYLOAD, MessageError};
pub use id::{MessageId, MessageIds};
pub use kind::{FLAGS_FIN, FLAGS_SYN, MessageType, PayloadType};
