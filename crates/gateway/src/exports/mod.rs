//! What leaves the store as files: the audit trail and the command log.

pub mod command_log;
mod cursor;
pub mod trail;

pub use cursor::ExportError;
