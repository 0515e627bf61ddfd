//! The AWS data channel as pure state machines: both halves, without a socket, a clock or a
//! runtime.
//!
//! Way at the gateway: websocket frames -> [`AgentChannel::on_frame`] -> [`AgentEvent`]s; session
//! output -> [`AgentChannel::write`] -> [`Transmit`]s. [`ClientChannel`] is the same for our own
//! plugin towards other gateways.
//!
//! # How to drive a half
//! 1. `attach` when a websocket is up (again), `detach` when it is gone. The half outlives any
//!    number of websockets.
//! 2. After each call: take all of `poll_event`, then all of `poll_transmit`. What cannot be sent
//!    now must not be polled now: the half keeps it.
//! 3. Call `tick` when the time of `next_timeout` has come.
//!
//! Times are `Duration`s since the epoch that never go back: wall clock at the start plus monotonic
//! time since.
//!
//! # Invariants
//! - Memory is bounded by the constants below, whatever the peer does: what finds no room is not
//!   acknowledged, so the peer keeps it and repeats it.
//! - Bytes come out once and in order, over any number of lost websockets, and at the agent's half
//!   over any number of lost processes ([`ChannelState`]): it acknowledges what its owner has
//!   taken, not what is in memory.
//! - `channel_closed` is sent after the last output was acknowledged, or after [`LINGER`] without
//!   any progress.
//!
//! # Not here
//! - No tokens, no websockets, no KMS encryption, no smux: port sessions are bytes and [`Flag`]s
//!   here.

mod agent;
mod client;
mod half;
mod receiver;
mod rtt;
mod sender;
mod state;

pub use agent::{AgentChannel, AgentConfig, AgentEvent, Stream};
pub use client::{ClientChannel, ClientConfig, ClientEvent};
pub use state::{BadState, ChannelState, Cut, CutKind, MAX_STATE, Reached};

use core::time::Duration;

use crate::message::payload::{Acknowledge, JsonPayload};
use crate::message::{
    AgentMessage, FLAGS_FIN, FLAGS_SYN, MAX_PAYLOAD, MessageId, MessageIds, MessageType,
    PayloadType,
};

#[cfg(doc)]
use crate::message::payload::Flag;

/// The version that our agent half announces: four numbers, high enough for multiplexed ports
/// (3.0.196.0), ports without keep-alive (3.1.1511.0) and the flag that ends a port session
/// (2.3.722.0).
pub const ANNOUNCED_AGENT_VERSION: &str = "3.3.0.0";
/// Payload towards clients in bytes: the plugin takes 16 to 64 KiB twenty times faster than the
/// official 1 KiB.
pub const AGENT_PAYLOAD: usize = 32 * 1024;
/// Payload towards official agents in bytes, as the official client has it.
pub const CLIENT_PAYLOAD: usize = 1024;
/// Most bytes sent and not acknowledged. Throughput is at most this a round trip.
pub const SEND_WINDOW_BYTES: usize = 1024 * 1024;
/// Most messages sent and not acknowledged.
pub const SEND_WINDOW_MESSAGES: usize = 1024;
/// Most bytes received in order and not yet taken by the owner.
pub const READY_BYTES: usize = 256 * 1024;
/// Most messages received in order and not yet taken by the owner.
pub const READY_MESSAGES: usize = 1024;
/// Most bytes kept because an earlier message is missing.
pub const HELD_BYTES: usize = 256 * 1024;
/// Most messages kept because an earlier one is missing.
pub const HELD_MESSAGES: usize = 512;
/// Most acknowledgements waiting to be sent.
pub const PENDING_ACKS: usize = 1024;
/// How long a handshake may take on one websocket: the official agent's 15 s.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long output waits for the first size of a terminal. Clients of AWS drop what comes before
/// they sent it; one that never sends a size gets its output after this.
pub const SIZE_WAIT: Duration = Duration::from_secs(2);
/// How long the end of a session waits, without any acknowledgement, for the rest of its output to
/// arrive.
pub const LINGER: Duration = Duration::from_secs(5);

const _: () = assert!(AGENT_PAYLOAD <= MAX_PAYLOAD && CLIENT_PAYLOAD <= MAX_PAYLOAD);
const _: () = assert!(
    READY_BYTES >= 2 * MAX_PAYLOAD && HELD_BYTES >= 2 * MAX_PAYLOAD,
    "any message must find room"
);

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
fn millis(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A message outside of the numbered stream.
fn unnumbered(
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
fn acknowledgement(
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
