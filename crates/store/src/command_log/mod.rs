//! The command log: records of devices, each exactly once, in the order of their numbers.
//!
//! Way: batches of a link -> [`CommandLog::append`], one transaction -> what is stored by now, to
//! be confirmed.
//!
//! # Invariants
//! - A record's place is (device, boot, number). What came before is passed over; a number that
//!   never came is a gap row.
//! - Rows are only added, and removed by age and number.
//! - An agent that went without a word leaves a gap row behind its last record, written when its
//!   successor reports.
//! - The programs of a session are counted in its own row, in the same transaction: who lists
//!   sessions counts nothing.

mod log;
mod rows;
#[cfg(test)]
mod tests;

pub use log::CommandLog;
pub use rows::{CommandBatch, CommandRow, RawCommand, StoredCommand};
