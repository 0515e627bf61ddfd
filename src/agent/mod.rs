//! The agent's loop. Everything that can happen is an `Event`; all that the agent does follows
//! from one.
//!
//! Data flow: `Agent::poll_event` polls every source once (sessions, link, children, network,
//! timer, signals) and returns the first event -> `Agent::on_event` acts on it. Bytes of
//! sessions and frames of the link move inside of the poll, without an event.
//!
//! # Invariants
//! - Nothing in the loop blocks. A dial is polled like every other source, so sessions continue
//!   without a link.
//! - Only a signal stops the agent. A lost link is dialled again, whatever the reason.
//! - While nothing happens, only the keep-alive wakes the agent.

mod agent;
mod command_log;
mod connection;
mod handshake;
mod messages;
mod reload;
mod renewal;
mod rotation;
mod server_pin;
mod timekeeping;

pub use agent::{Agent, Outcome, Parts};
