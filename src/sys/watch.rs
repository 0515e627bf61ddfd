//! Registers descriptors with the runtime, for code outside of [`super::calls`].

use super::calls;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the runtime, to learn when it can be read or written.
///
/// # Errors
/// The runtime cannot wait for this kind of descriptor (a plain file), or the system is out of
/// memory.
pub fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    calls::watch(fd)
}
