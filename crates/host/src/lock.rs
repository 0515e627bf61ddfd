//! A lock on a directory: one process works in it.
//!
//! # Invariants
//! - The lock is on the directory itself (flock(2)): no file has to be made, a full disk does not
//!   matter, and nothing is left behind when the process is killed.
//!
//! # Not here
//! - Directories on NFS: its locks need a file that is open for writing, and SQLite's log does not
//!   work there either.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Why the directory is not locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "another towline-gateway works in {}: two on one directory would damage its signed \
         records; \
         stop that one, or give this one a directory of its own", .0.display()
    )]
    Held(PathBuf),
    /// The system refused.
    #[error("cannot lock {}: {source}", path.display())]
    System {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Holds the directory until it is dropped, or the process ends.
#[derive(Debug)]
pub struct DirLock {
    _directory: File,
}

impl DirLock {
    /// Takes the lock on `path`, without waiting.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has it.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let system = |source| LockError::System { path: path.to_owned(), source };
        let directory = File::open(path).map_err(system)?;
        match directory.try_lock() {
            Ok(()) => Ok(Self { _directory: directory }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(system(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::take(dir.path()).unwrap();
        assert!(matches!(DirLock::take(dir.path()), Err(LockError::Held(_))));
        drop(first);
        DirLock::take(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "no file is left behind");
    }
}
