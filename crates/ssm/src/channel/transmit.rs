//! What leaves a half: frames for the websocket, and messages outside of the numbered stream.

use core::time::Duration;

use crate::message::payload::{Acknowledge, JsonPayload};
use crate::message::{
    AgentMessage, FLAGS_FIN, FLAGS_SYN, MessageId, MessageIds, MessageType, PayloadType,
};

/// What to put on the websocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// A text frame.
    Text(String),
    /// A binary frame.
    Binary(Vec<u8>),
    /// A ping with this content; its pong must come back by `on_pong`.
    Ping(Vec<u8>),
}

/// Milliseconds since the epoch, as headers have them.
pub(super) fn millis(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A message outside of the numbered stream.
pub(super) fn unnumbered(
    message_type: MessageType,
    payload: Vec<u8>,
    ids: &mut MessageIds,
    now: Duration,
) -> AgentMessage {
    AgentMessage {
        message_type,
        created: millis(now),
        sequence: 0,
        flags: FLAGS_SYN | FLAGS_FIN,
        id: ids.next_id(),
        payload_type: PayloadType::None,
        payload,
    }
}

/// The acknowledgement of a message, as a frame.
pub(super) fn acknowledgement(
    message_type: &MessageType,
    sequence: i64,
    id: &MessageId,
    ids: &mut MessageIds,
    now: Duration,
) -> Vec<u8> {
    let payload = Acknowledge {
        message_type: message_type.as_str().to_owned(),
        message_id: id.to_string(),
        sequence,
        is_sequential: true,
    };
    unnumbered(MessageType::Acknowledge, payload.to_payload(), ids, now).encode()
}
