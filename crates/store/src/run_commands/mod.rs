//! Run Command: one row for each command, one for each of its devices, and the beginning of each
//! output.
//!
//! Data flow: `insert` (command and all its invocations, one transaction) -> `change` as devices
//! make progress -> lists for the API. After a restart `open` returns the commands that have not
//! ended.
//!
//! # Invariants
//! - A change of an invocation and of its command's counters is one transaction.
//! - An invocation that has ended never changes.
//! - Where several gateways work together, only the node that carries an invocation changes it, or
//!   any node while nobody carries it. Each change counts the command's version up.
//! - Ended commands are removed when they are older than
//!   [`COMMAND_HISTORY_DAYS`](crate::limits::COMMAND_HISTORY_DAYS), or too many.
//!
//! # Not here
//! - The meaning of plans, outputs and steps: JSON of the gateway, opaque here.

mod command_store;
mod leaving;
mod listing;
mod moving;
mod rows;
mod sharing;
#[cfg(test)]
pub(crate) mod tests;

pub use command_store::CommandStore;
pub(crate) use leaving::{LEAVES_COMMANDS, LEAVES_INVOCATIONS};
pub use listing::CommandFilter;
pub(crate) use moving::{come_with_device, leave_node};
pub use rows::{
    CommandEnd, InvocationChange, InvocationRow, NewCommand, OpenCommand, OutputHeads, OutputPiece,
    SentCommand, Wanted,
};
