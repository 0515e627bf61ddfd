//! Terminals, child processes, and that none of them is left behind.
//!
//! Way of an opening: [`account`] (who) + [`environment`] (with which variables) -> [`spawn::Plan`]
//! (all that the child needs, ready before the fork) -> [`spawn::Child`] (a process and the
//! descriptors to talk to it). Way of an end: [`reap`] tells which child ended; [`ending::Ending`]
//! ends whoever else the session has left, found by its [`family::Family`].
//!
//! # Invariants
//! - Between fork and exec the child allocates nothing and takes no lock: [`sys`] is the only file
//!   with `unsafe`.
//! - Each descriptor is close-on-exec: a session inherits its three standard ones and nothing else.
//! - A session's end leaves no process, whatever the session's programs did to hide (given a cgroup
//!   v2 file system; without one, see the limits in [`family`]).
//!
//! # Not here
//! - No PAM and no login records: the agent is a static binary, and starts a shell with nothing
//!   writable.

pub mod account;
pub mod cgroup;
pub mod ending;
pub mod environment;
pub mod family;
pub mod proc_table;
pub mod reap;
pub mod spawn;
mod succession;
#[allow(unsafe_code)] // the one file of the agent where it is allowed
pub(crate) mod sys;

use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the runtime, to learn when it can be read or written.
///
/// # Errors
/// The descriptor is of a kind that cannot be waited for (a plain file), or the system is out of
/// memory.
pub fn watch(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    sys::watch(fd)
}

pub(crate) use sys::{Filter, filter_messages, take_precedence};

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Lines; 0 is taken as 24.
    pub rows: u16,
    /// Columns; 0 is taken as 80.
    pub cols: u16,
}

impl Size {
    /// The size as the kernel wants it. Zero would make full-screen programs divide by it.
    pub(crate) fn to_kernel(self) -> nix::pty::Winsize {
        let or = |value, fallback| if value == 0 { fallback } else { value };
        nix::pty::Winsize {
            ws_row: or(self.rows, 24),
            ws_col: or(self.cols, 80),
            ws_xpixel: 0,
            ws_ypixel: 0,
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It ended itself, with this status (0 to 255).
    Code(u8),
    /// This signal killed it.
    Signal(u8),
}
