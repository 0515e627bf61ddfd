//! Exports of the store: audit trail and command log as files for the sink, each with a cursor.

pub mod command_log;
mod cursor;
pub mod trail;

pub use cursor::ExportError;
