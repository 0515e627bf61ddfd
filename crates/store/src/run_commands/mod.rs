//! Commands: one row each, one for each device, and the beginnings of their output.
//!
//! Way: `insert` (command and all its invocations, one transaction) -> `change` as devices go
//! through it -> `list`s and `get`s for the API. After a restart `open` says what is not over.
//!
//! # Invariants
//! - A change of an invocation and the counters of its command are one transaction.
//! - An invocation that has ended is never changed again.
//! - Ended commands go when they are older than [`limits::COMMAND_HISTORY_DAYS`], or too many.
//!
//! # Not here
//! - What plans, outputs and steps mean: they are JSON of [`crate::commands`], opaque here.

mod command_store;
mod listing;
mod rows;
#[cfg(test)]
mod tests;

pub use command_store::CommandStore;
pub use listing::CommandFilter;
pub use rows::{CommandEnd, InvocationChange, InvocationRow, NewCommand, OutputHeads, SentCommand};
