//! Exports of the store: audit trail and command log as files for the sink, each with a cursor; and
//! the removal of rows that are exported.

pub mod command_log;
mod cursor;
mod keep;
pub mod trail;

pub use cursor::ExportError;
pub use keep::Exports;
