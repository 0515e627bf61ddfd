//! All sessions of this agent, their streams, and the processes that are being ended.
//!
//! # Invariants
//! - A message without a link is dropped: `Held` reports the state on the next link.
//! - A full queue of messages ends the link (see [`Table::take_failure`]), not the session.

mod endings;
mod opening;
mod scripts;
mod state_transfer;
mod table;
mod tunnels;
mod watched;

pub use table::Table;
