//! The command log: records of devices, each stored once, in the order of their numbers.
//!
//! Data flow: batches of a link -> [`CommandLog::append`], one transaction -> the number to confirm
//! to the device.
//!
//! # Invariants
//! - A record is identified by (device, boot, number). A repeated record is skipped; a number that
//!   never arrived becomes a gap row.
//! - Rows are added, and removed by age, number and device; they never change.
//! - When an agent ended without an end record, a gap row follows its last record. It is written
//!   when the agent's next boot reports.
//! - The programs of a session are counted in the session's row, in the same transaction: listing
//!   sessions counts nothing.

mod log;
mod pruning;
mod rows;
#[cfg(test)]
mod tests;

pub use log::CommandLog;
pub use pruning::{CommandBounds, Excess};
pub use rows::{CommandBatch, CommandRow, CommandText, RawCommand, StoredCommand};
