//! Any bytes through the decoder of messages: what decodes must encode to something that decodes to
//! the same. The readers of an agent's control channel and public key get them too.
//!
//! Run by the fuzzer (`fuzz_targets/message.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_ssm::message::AgentMessage;
use towline_ssm::message::payload::{
    Acknowledge, ChannelClosed, Flag, HandshakeComplete, HandshakeRequest, HandshakeResponse,
    JsonPayload, OpenDataChannel, Size,
};
use towline_ssm::sigv4::RsaPublicKey;
use towline_ssm::vendor::DeviceOperation;
use towline_ssm::vendor::calls::{GetMessages, Health, NewKey, Register};
use towline_ssm::vendor::control::{JobAck, JobReply, OpenControlChannel, TaskComplete};

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(message) = AgentMessage::decode(bytes) {
        assert_eq!(AgentMessage::decode(&message.encode()), Ok(message));
    }
    if let Ok(message) = AgentMessage::decode_control(bytes) {
        assert_eq!(AgentMessage::decode_control(&message.encode()), Ok(message));
    }
    if let Ok(key) = RsaPublicKey::from_spki(bytes.to_vec()) {
        assert_eq!(key.spki(), bytes, "a key has one spelling");
    }
    if let Ok(text) = core::str::from_utf8(bytes) {
        let _ = JobReply { job_id: String::new(), content: text.to_owned() }.parsed();
        let _ = RsaPublicKey::from_base64(text);
        let _ = DeviceOperation::parse(text);
    }
    let _ = serde_json::from_slice::<JobAck>(bytes).map(|ack| ack.verdict());
    let _ = serde_json::from_slice::<JobReply>(bytes).map(|reply| reply.parsed());
    let _ = serde_json::from_slice::<OpenControlChannel>(bytes);
    let _ = serde_json::from_slice::<TaskComplete>(bytes);
    let _ = serde_json::from_slice::<Register>(bytes);
    let _ = serde_json::from_slice::<NewKey>(bytes);
    let _ = serde_json::from_slice::<Health>(bytes);
    let _ = serde_json::from_slice::<GetMessages>(bytes);
    let _ = Acknowledge::from_payload(bytes);
    let _ = ChannelClosed::from_payload(bytes);
    let _ = Flag::from_payload(bytes);
    let _ = HandshakeComplete::from_payload(bytes);
    let _ = HandshakeRequest::from_payload(bytes);
    let _ = HandshakeResponse::from_payload(bytes);
    let _ = OpenDataChannel::from_payload(bytes);
    let _ = Size::from_payload(bytes);
}
