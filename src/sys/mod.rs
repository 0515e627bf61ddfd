//! Calls to the kernel and the C library: the lowest folder of the agent.
//!
//! `calls` holds the calls without a safe form, `image` what a forked child reads, [`account`]
//! reads the user database, [`proc_table`] reads `/proc`, [`memory`] makes files without names and
//! gives memory back, `seccomp` filters system calls, `landlock` forbids files and ports,
//! [`cgroup`] writes cgroup directories, [`fn@watch`] registers a descriptor with the runtime.
//!
//! # Invariants
//! - `calls` is the only file of the agent with `unsafe`.
//! - Outside of it this folder uses only the limits and the log.
//!
//! # Not here
//! - Sessions: [`crate::process`] starts and ends their processes, [`crate::pty`] opens their
//!   terminal.

pub mod account;
#[allow(unsafe_code)] // the one file of the agent where it is allowed
pub(crate) mod calls;
pub mod cgroup;
pub(crate) mod image;
pub(crate) mod landlock;
pub mod memory;
pub mod owner;
pub mod proc_table;
pub(crate) mod seccomp;
mod watch;

pub use watch::{watch, watch_again, watch_written};
