//! Agents' links: who is calling, whether it may, and the task that carries its frames.
//!
//! Data flow: TLS listener -> [`AgentsHandle`] -> `handshake` (version, hello or enrollment) ->
//! `Link` in the hub -> `drive` (frames in and out) -> link down.
//!
//! # Invariants
//! - Nothing of an agent is believed but its key, which the TLS handshake proved.
//! - A stranger gets one answer and is hung up on; all that it costs is bounded by time and by the
//!   listener's bounds.
//! - Two live processes with one key are both locked out, and that is written down.
//!
//! # Not here
//! - What frames mean to sessions: [`crate::sessions`].

mod admission;
mod agents;
mod command_log;
mod device;
mod drive;
mod handshake;
mod intake;
mod io;
mod link;
mod link_clock;
mod next_pin;
mod order;
mod outbox;
mod reports;
mod rotation;
mod streams;
#[cfg(test)]
mod tests;
mod texts;

pub use admission::AgentsHandle;
pub use agents::AgentParts;
