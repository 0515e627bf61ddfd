//! The command log: the programs that sessions of this device execute, as the kernel reports
//! them.
//!
//! Data flow: process events of the kernel ([`events`]) -> the processes of sessions
//! ([`process_tree`]) -> arguments, read from the process ([`watcher`] and its process readers;
//! [`polling`] where the kernel has no events) -> [`observations`] -> [`CommandLog`] in the
//! loop, which adds names and numbers -> a bounded [`ring`] -> the link. The gateway returns the
//! number up to which it has stored records.
//!
//! # Invariants
//! - A shell never waits for this folder.
//! - Memory is bounded. Missing data is reported: a gap record covers its range.
//! - ProcessTree decides membership: a double fork, `setsid` or a cleared environment changes
//!   nothing.
//! - The log itself, the status and each session's first record name the source in use.
//!
//! # Not here
//! - Protection against root on the device, who can stop this program. The gateway records the
//!   terminal for that reason.
//! - Permission to execute: the gateway's policy decides.
//!
//! # Known limits
//! - A process that another program starts on a session's request (a service manager, `cron`, a
//!   container engine) descends from that program and is not the session's.
//! - A program counts as ended when its first thread ends before its others.

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
