//! Registers descriptors with the runtime, for code outside of [`super::calls`].
//!
//! # Invariants
//! - Only what somebody waits for is registered. A terminal, a Unix socket and an event counter
//!   tell after each read of the other side that they can be written, too. Each time would wake
//!   the agent for nothing: once more for each key (decision 274).

use super::calls;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the runtime, to learn when it can be read.
///
/// # Errors
/// The runtime cannot wait for this kind of descriptor (a plain file), or the system is out of
/// memory.
pub fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    calls::watch(fd, Interest::READABLE)
}

/// The same for one that is only written.
///
/// # Errors
/// As [`watch`].
pub fn watch_written(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    calls::watch(fd, Interest::WRITABLE)
}

/// Registers anew one that is read: while a write waits, it tells as well when it can be written.
/// Who waits for it has to poll it again.
///
/// # Errors
/// As [`watch`]; the descriptor is closed then.
pub fn watch_again(fd: AsyncFd<OwnedFd>, write_waits: bool) -> io::Result<AsyncFd<OwnedFd>> {
    let interest =
        if write_waits { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
    calls::watch(fd.into_inner(), interest)
}
