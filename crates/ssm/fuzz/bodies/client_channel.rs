//! A hostile gateway against the client's half. Memory stays within the bounds whatever happens.
//!
//! Run by the fuzzer (`fuzz_targets/client_channel.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use std::time::Duration;

use towline_ssm::channel::{
    CLIENT_PAYLOAD, ClientChannel, ClientConfig, EARLY_BYTES, HELD_BYTES, READY_BYTES,
    SEND_WINDOW_BYTES,
};
use towline_ssm::message::payload::Size;
use towline_ssm::message::{AgentMessage, MessageId, MessageType, PayloadType};

const BOUND: usize = SEND_WINDOW_BYTES + CLIENT_PAYLOAD + READY_BYTES + HELD_BYTES + EARLY_BYTES;

/// One run.
pub(crate) fn run(input: (Vec<(u8, i16, u8, Vec<u8>)>, Vec<u8>)) {
    let (messages, steps) = input;
    let mut now = Duration::from_secs(1);
    let config =
        ClientConfig { client_version: "1.2.0.0".into(), client_id: String::new(), seed: [1; 16] };
    let mut client = ClientChannel::new(config);
    let mut steps = steps.iter().cycle();
    for (kind, sequence, payload_type, payload) in messages {
        let name = ["output_stream_data", "acknowledge", "channel_closed"];
        let message = AgentMessage {
            message_type: MessageType::from_name(name[usize::from(kind) % 3])
                .unwrap_or(MessageType::Acknowledge),
            created: 1,
            sequence: i64::from(sequence),
            flags: 0,
            id: MessageId::from_random([2; 16]),
            payload_type: PayloadType::from(u32::from(payload_type % 14)),
            payload,
        };
        let _ = client.on_frame(&message.encode(), now);
        let step = *steps.next().unwrap_or(&0);
        now += Duration::from_millis(u64::from(step));
        match step % 7 {
            0 => client.attach("token"),
            1 => client.detach(),
            2 => drop(client.write(&[7; 5000], now)),
            3 => client.set_size(Size { cols: u32::from(step), rows: 1 }, now),
            4 => client.begin_without_handshake(now),
            5 => while client.poll_event(now).is_some() {},
            _ => while client.poll_transmit(now).is_some() {},
        }
        assert!(client.buffered() <= BOUND);
    }
}
