//! What the agent asks of the kernel and the C library: the lowest folder of the agent.
//!
//! [`calls`] holds the calls without a safe form, [`account`] reads the user database,
//! [`proc_table`] reads `/proc`, [`cgroup`] writes cgroup directories, [`watch`] registers a
//! descriptor with the runtime.
//!
//! # Invariants
//! - [`calls`] is the only file of the agent with `unsafe`.
//! - Nothing in this folder imports from outside of it, except the limits.
//!
//! # Not here
//! - What a session is: [`crate::process`] starts and ends its processes, [`crate::pty`] opens its
//!   terminal.

pub mod account;
#[allow(unsafe_code)] // the one file of the agent where it is allowed
pub(crate) mod calls;
pub mod cgroup;
pub mod proc_table;
mod watch;

pub use watch::watch;
