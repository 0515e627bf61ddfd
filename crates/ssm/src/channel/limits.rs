//! Bounds and times of both halves of a channel.

use core::time::Duration;

use crate::message::MAX_PAYLOAD;

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
/// Input that is kept for an agent which may shake hands late, bytes: the credit of a client.
pub const EARLY_BYTES: usize = 64 * 1024;
/// Most actions that a handshake may ask for. Agents ask for two.
pub const MAX_HANDSHAKE_ACTIONS: usize = 16;
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
