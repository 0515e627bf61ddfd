//! The bytes of data-channel messages: golden frames, round trips, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use proptest::prelude::*;
use towline_ssm::message::payload::{Acknowledge, JsonPayload, OpenDataChannel, Size};
use towline_ssm::message::{
    AgentMessage, HEADER, MAX_PAYLOAD, MessageError, MessageId, MessageType, PayloadType,
};

/// Made by hand from the published layout, field by field, with an independent SHA-256 of `ls\n`.
const GOLDEN: &str = concat!(
    "00000074", // header length 116
    // input_stream_data and 15 spaces
    "696e7075745f73747265616d5f64617461202020202020202020202020202020",
    "00000001",                                                         // schema version
    "0000019b8d9d3680",                                                 // created
    "0000000000000007",                                                 // sequence number
    "0000000000000000",                                                 // flags
    "8899aabbccddeeff0011223344556677", // id with its halves exchanged
    "e9fe7e88e89d532379960402db8f9458194dae772aa5fda5a12806c22215f0ff", // digest
    "00000001",                         // payload type Output
    "00000003",                         // payload length
    "6c730a",                           // ls and newline
);

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn message() -> AgentMessage {
    AgentMessage {
        message_type: MessageType::InputStreamData,
        created: 0x0000_019b_8d9d_3680,
        sequence: 7,
        flags: 0,
        id: "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap(),
        payload_type: PayloadType::Output,
        payload: b"ls\n".to_vec(),
    }
}

#[test]
fn a_message_has_the_golden_bytes_in_both_directions() {
    assert_eq!(message().encode(), bytes(GOLDEN));
    assert_eq!(AgentMessage::decode(&bytes(GOLDEN)), Ok(message()));
}

#[test]
fn a_type_padded_with_nuls_is_read_as_well() {
    let mut frame = bytes(GOLDEN);
    frame[4 + 17..4 + 32].fill(0);
    assert_eq!(AgentMessage::decode(&frame), Ok(message()));
}

#[test]
fn publication_messages_need_no_time_and_no_payload() {
    let mut frame =
        AgentMessage { message_type: MessageType::PausePublication, payload: vec![], ..message() }
            .encode();
    frame[40..48].fill(0);
    assert_eq!(AgentMessage::decode(&frame).unwrap().message_type, MessageType::PausePublication);
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Vec<u8>), error: MessageError) {
    let mut frame = bytes(GOLDEN);
    change(&mut frame);
    assert_eq!(AgentMessage::decode(&frame), Err(error));
}

#[test]
fn a_frame_that_breaks_a_rule_is_refused_with_that_rule() {
    refused(|f| f.truncate(HEADER - 1), MessageError::Length(HEADER - 1));
    refused(
        |f| f.resize(HEADER + MAX_PAYLOAD + 1, 0),
        MessageError::Length(HEADER + MAX_PAYLOAD + 1),
    );
    refused(|f| f[3] = 117, MessageError::HeaderLength(117));
    refused(|f| f[4..36].fill(b' '), MessageError::Type);
    refused(|f| f[4] = 0xff, MessageError::Type);
    refused(|f| f[39] = 2, MessageError::Schema(2));
    refused(|f| f[40..48].fill(0), MessageError::Created);
    refused(|f| f[119] = 4, MessageError::PayloadLength { announced: 4, there: 3 });
    refused(|f| f[116] = 0xff, MessageError::PayloadLength { announced: 0xff00_0003, there: 3 });
}

#[test]
fn only_a_client_looks_at_the_digest() {
    let mut frame = bytes(GOLDEN);
    frame[120] ^= 1;
    assert_eq!(AgentMessage::decode_checked(&frame), Err(MessageError::Digest));
    assert_eq!(AgentMessage::decode(&frame).unwrap().payload, b"ms\n");
    assert_eq!(AgentMessage::decode_checked(&bytes(GOLDEN)), Ok(message()));
}

#[test]
fn frames_of_an_independent_client_are_read_with_all_their_quirks() {
    let frames: serde_json::Value =
        serde_json::from_str(include_str!("data/messages.json")).unwrap();
    let open = OpenDataChannel::from_payload(frames["open"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!((open.token_value.as_str(), open.client_id.as_str()), ("made-up", ""));
    let read = |name: &str| AgentMessage::decode(&bytes(frames[name].as_str().unwrap())).unwrap();
    let size = read("size");
    assert_eq!(
        (size.message_type, size.sequence, size.payload_type),
        (MessageType::InputStreamData, 0, PayloadType::Size)
    );
    assert_eq!(Size::from_payload(&size.payload), Ok(Size { cols: 132, rows: 43 }));
    let input = read("input");
    assert_eq!(
        (input.sequence, input.payload_type, input.payload),
        (1, PayloadType::Output, "ls ü\n".into())
    );
    let ack = read("acknowledge");
    assert_eq!(
        (ack.message_type, Acknowledge::from_payload(&ack.payload).unwrap().sequence),
        (MessageType::Acknowledge, 7)
    );
}

proptest! {
    #[test]
    fn any_message_survives_the_wire(
        name in "[!-~]{1,32}", created in 1_u64.., sequence: i64, flags: u64, id: [u8; 16], kind: u32,
        payload in proptest::collection::vec(any::<u8>(), 0..3000),
    ) {
        let message = AgentMessage {
            message_type: MessageType::from_name(&name).unwrap(),
            created, sequence, flags,
            id: MessageId::from_header(id),
            payload_type: PayloadType::from(kind),
            payload,
        };
        prop_assert_eq!(AgentMessage::decode_checked(&message.encode()), Ok(message));
    }

    #[test]
    fn any_bytes_are_either_a_message_that_is_written_alike_or_refused(
        mut frame in proptest::collection::vec(any::<u8>(), 0..400), good_head: bool,
    ) {
        if good_head && frame.len() >= HEADER {
            let golden = bytes(GOLDEN);
            frame[..48].copy_from_slice(&golden[..48]);
            let length = u32::try_from(frame.len() - HEADER).unwrap();
            frame[116..120].copy_from_slice(&length.to_be_bytes());
        }
        if let Ok(message) = AgentMessage::decode(&frame) {
            prop_assert_eq!(AgentMessage::decode(&message.encode()), Ok(message));
        }
    }
}
