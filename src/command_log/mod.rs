//! The command log: which programs the sessions of this device really executed, by the kernel's own
//! word.
//!
//! Way: the kernel's process events ([`events`]) -> which of them belong to a session ([`process_tree`])
//! -> what was executed, from the process itself ([`watcher`] with its [`process_readers`], threads;
//! [`polling`] where the kernel has no events) -> [`observations`] -> the loop's [`command_log`], which
//! puts names and numbers to it -> a bounded [`ring`] -> the link. One direction; only a number
//! comes back.
//!
//! # Invariants
//! - A shell never waits for this module, and memory is bounded: what does not fit is a gap record
//!   with its range.
//! - Membership goes by descent: a double fork, `setsid` or a cleared environment changes nothing.
//! - What is in use is said in the log itself, in the status, and in each session's first record.
//!
//! # Not here
//! - Barriers: root on the device can stop this program. The terminal is recorded at the gateway
//!   for that reason.
//! - Judgement about commands: allow and deny belong to the gateway.
//!
//! # Known limits
//! - Processes that a session asks somebody else to start (a service manager, `cron`, a container
//!   engine) descend from that one, and are not the session's.
//! - A program's first thread that ends before its others counts as the program's end.

mod command_log;
pub mod detector;
pub mod events;
pub mod local;
pub mod look_ahead;
pub mod observations;
pub mod polling;
pub mod process_info;
mod process_readers;
pub mod process_tree;
pub mod ring;
pub mod spool;
pub mod watcher;

pub use command_log::CommandLog;
