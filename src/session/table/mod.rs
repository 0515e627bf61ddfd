//! All sessions of this agent, the streams they share, and the processes that are still being
//! ended.
//!
//! Here: who is there, what is told to the gateway, and which bytes go where. Opening, tunnels,
//! scripts, ends and the hand-over have a file each below this one.
//!
//! # Invariants
//! - What is said while there is no link is not said: `Held` says it again on the next one.
//! - A full queue of messages ends the link (see [`Table::take_failure`]), not the session.

mod endings;
mod opening;
mod scripts;
mod state_transfer;
mod table;
mod tunnels;
mod watched;

pub use table::Table;
