//! A hostile client against the agent's half: its messages are well framed, so that they get past
//! the digest; the second input steers the owner. Memory stays within the bounds whatever happens.
//!
//! Run by the fuzzer (`fuzz_targets/agent_channel.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use std::time::Duration;

use towline_ssm::channel::{
    AGENT_PAYLOAD, AgentChannel, AgentConfig, HELD_BYTES, READY_BYTES, SEND_WINDOW_BYTES, Stream,
};
use towline_ssm::message::{AgentMessage, MessageId, MessageType, PayloadType};

const BOUND: usize = SEND_WINDOW_BYTES + AGENT_PAYLOAD + READY_BYTES + HELD_BYTES;

/// One run.
pub(crate) fn run(input: (Vec<(u8, i16, u8, Vec<u8>)>, Vec<u8>)) {
    let (messages, steps) = input;
    let mut now = Duration::from_secs(1);
    let config = AgentConfig {
        session_id: "a-0123456789abcdefg".into(),
        target: "mi-0123456789abcdef0".into(),
        session_type: if steps.len() % 2 == 0 { "Standard_Stream" } else { "Port" },
        properties: serde_json::Value::Null,
        separate_output: steps.len() % 3 == 0,
        prefixes: Default::default(),
        customer_message: String::new(),
        seed: [1; 16],
    };
    let mut agent = AgentChannel::new(config, now);
    let mut steps = steps.iter().cycle();
    for (kind, sequence, payload_type, payload) in messages {
        let name = [
            "input_stream_data",
            "acknowledge",
            "pause_publication",
            "start_publication",
            "channel_closed",
        ];
        let message = AgentMessage {
            message_type: MessageType::from_name(name[usize::from(kind) % 5])
                .unwrap_or(MessageType::Acknowledge),
            created: 1,
            sequence: i64::from(sequence),
            flags: 0,
            id: MessageId::from_random([2; 16]),
            payload_type: PayloadType::from(u32::from(payload_type % 14)),
            payload,
        };
        let _ = agent.on_frame(&message.encode(), now);
        let step = *steps.next().unwrap_or(&0);
        now += Duration::from_millis(u64::from(step));
        match step % 7 {
            0 => agent.attach(now),
            1 => agent.detach(),
            2 => drop(agent.write(Stream::Stdout, &[7; 50_000], now)),
            3 => agent.tick(now),
            4 => agent.on_pong(&u64::from(step).to_be_bytes()),
            5 => while agent.poll_event(now).is_some() {},
            _ => while agent.poll_transmit(now).is_some() {},
        }
        assert!(agent.buffered() <= BOUND);
    }
    agent.finish("", now);
}
