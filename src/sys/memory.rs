//! Memory: files that have no name, and what allocator and stack keep.
//!
//! # Invariants
//! - Nobody else can open one by a path once it holds something.

use super::calls;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{mkstemp, unlink};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// Folders in memory, for Linux before 3.17.
const IN_MEMORY: [&str; 2] = ["/run/towline-XXXXXX", "/dev/shm/towline-XXXXXX"];

/// Has the allocator keep nothing large. Called once, before anything large is allocated.
pub fn keep_nothing_large() {
    calls::map_large_allocations();
}

/// Gives free memory back to the system.
pub(crate) fn give_back() {
    calls::give_memory_back();
}

/// Gives back what deeper calls have used of the main thread's stack; elsewhere it does nothing.
pub(crate) fn give_stack_back() {
    if std::thread::current().name() == Some("main") {
        calls::give_stack_back();
    }
}

/// An empty file; `label` is shown in `/proc`.
///
/// # Errors
/// No descriptor, or no folder in memory on an old kernel.
pub(crate) fn unnamed_file(label: &CStr) -> nix::Result<OwnedFd> {
    match memfd_create(label, MFdFlags::MFD_CLOEXEC) {
        Err(Errno::ENOSYS) => without_memfd(),
        made => made,
    }
}

fn without_memfd() -> nix::Result<OwnedFd> {
    let mut failure = Errno::ENOSYS;
    for place in IN_MEMORY {
        match mkstemp(place) {
            Ok((file, path)) => {
                unlink(&path)?;
                fcntl(&file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
                return Ok(file);
            }
            Err(errno) => failure = errno,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::fstat;

    #[test]
    fn both_ways_make_an_empty_file_without_a_name() {
        for file in [unnamed_file(c"x").unwrap(), without_memfd().unwrap()] {
            let stat = fstat(&file).unwrap();
            assert_eq!((stat.st_size, stat.st_nlink), (0, 0));
            assert!(fcntl(&file, FcntlArg::F_GETFD).unwrap() & 1 == 1, "close-on-exec");
        }
    }
}
