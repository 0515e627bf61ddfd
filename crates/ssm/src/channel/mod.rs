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
mod limits;
mod muxed;
mod receiver;
mod rtt;
mod sender;
mod state;
mod stream;
mod transmit;

pub use agent::{AgentChannel, AgentConfig, AgentEvent};
pub use client::{ClientChannel, ClientConfig, ClientEvent};
pub use limits::{
    AGENT_PAYLOAD, ANNOUNCED_AGENT_VERSION, CLIENT_PAYLOAD, EARLY_BYTES, HANDSHAKE_TIMEOUT,
    HELD_BYTES, HELD_MESSAGES, LINGER, MAX_HANDSHAKE_ACTIONS, PENDING_ACKS, READY_BYTES,
    READY_MESSAGES, SEND_WINDOW_BYTES, SEND_WINDOW_MESSAGES, SIZE_WAIT,
};
pub use state::{BadState, ChannelState, Cut, CutKind, MAX_STATE, Reached};
pub use stream::Stream;
pub use transmit::Transmit;

#[cfg(doc)]
use crate::message::payload::Flag;
