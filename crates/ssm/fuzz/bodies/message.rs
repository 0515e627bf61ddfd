//! Any bytes through the decoder of messages: what decodes must encode to something that decodes to
//! the same.
//!
//! Run by the fuzzer (`fuzz_targets/message.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_ssm::message::AgentMessage;
use towline_ssm::message::payload::{
    Acknowledge, ChannelClosed, Flag, HandshakeComplete, HandshakeRequest, HandshakeResponse,
    JsonPayload, OpenDataChannel, Size,
};

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(message) = AgentMessage::decode(bytes) {
        assert_eq!(AgentMessage::decode(&message.encode()), Ok(message));
    }
    let _ = Acknowledge::from_payload(bytes);
    let _ = ChannelClosed::from_payload(bytes);
    let _ = Flag::from_payload(bytes);
    let _ = HandshakeComplete::from_payload(bytes);
    let _ = HandshakeRequest::from_payload(bytes);
    let _ = HandshakeResponse::from_payload(bytes);
    let _ = OpenDataChannel::from_payload(bytes);
    let _ = Size::from_payload(bytes);
}
