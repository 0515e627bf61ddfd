//! The one loop. All that can happen to the agent is an [`Event`]; all that it does follows from
//! one.
//!
//! Way: [`Agent::next_event`] polls every source once (sessions, link, children, network, timer,
//! signals) and gives the first event; [`Agent::on_event`] acts on it. Bytes of sessions move
//! inside the poll, without an event.
//!
//! # Invariants
//! - Nothing in the loop waits: dialling is polled like everything else, so sessions go on while
//!   there is no link.
//! - The agent stops only when it is told to; a failed link is dialled again, whatever the reason.
//! - While nothing happens, only the keep-alive wakes it.

mod agent;
mod command_log;
mod connection;
mod handshake;
mod messages;
mod renewal;
mod rotation;

pub use agent::{Agent, Outcome, Parts};
