//! The state directory: made, locked, its files read and written.

use super::atomic;
use crate::limits;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Where the state is kept unless told otherwise.
pub const DEFAULT_DIR: &str = "/var/lib/towline";

/// The key in use. This file is locked while an agent runs.
pub(super) const KEY_FILE: &str = "device.key";

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refused a file or directory.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} is damaged: {why}; restore it, or enroll this device again with --reenroll")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no enrollment.
    #[error(
        "this device is not enrolled (no {0}): run `towline-agent enroll --gateway HOST \
         --activation-id ID`"
    )]
    NotEnrolled(PathBuf),
    /// Another agent uses the directory.
    #[error(
        "another towline-agent is running with the state directory {0}: stop it, or use another \
         --state-dir"
    )]
    InUse(PathBuf),
    /// The kernel has no random numbers.
    #[error("cannot make a key: the system provided no random numbers")]
    Random,
}

/// The state directory.
#[derive(Debug, Clone)]
pub struct Dir {
    path: PathBuf,
}

impl Dir {
    /// Names a directory; nothing is touched.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the directory if it is missing, and restricts it to its owner.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn prepare(&self) -> Result<(), StateError> {
        let fail =
            |doing| move |source| StateError::File { doing, path: self.path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(fail("make"))?;
        let mode = fs::metadata(&self.path).map_err(fail("read"))?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700))
                .map_err(fail("restrict the permissions of"))?;
        }
        Ok(())
    }

    /// Claims the directory for this process until the guard is dropped. Two agents with one key
    /// would look like a copied device and be locked out. The key file itself is locked: it needs
    /// no writable file system.
    ///
    /// # Errors
    /// [`StateError::InUse`], or the key file is missing.
    // at the start, before there is a loop; who holds the lock tells nobody when it goes
    #[allow(clippy::disallowed_methods)]
    pub fn lock(&self) -> Result<Flock<File>, StateError> {
        for _ in 1..limits::LOCK_TRIES {
            match self.lock_now() {
                Err(StateError::InUse(_)) => std::thread::sleep(limits::LOCK_PAUSE),
                outcome => return outcome,
            }
        }
        self.lock_now()
    }

    /// The same without a wait, to find out whether an agent runs.
    ///
    /// # Errors
    /// As [`Dir::lock`].
    pub fn lock_now(&self) -> Result<Flock<File>, StateError> {
        self.lock_file(KEY_FILE)
    }

    pub(super) fn lock_file(&self, name: &str) -> Result<Flock<File>, StateError> {
        let path = self.file(name);
        let file = File::open(&path).map_err(|source| self.missing_or(source, "read", &path))?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| StateError::InUse(self.path.clone()))
    }

    fn missing_or(&self, source: io::Error, doing: &'static str, path: &Path) -> StateError {
        if source.kind() == io::ErrorKind::NotFound {
            StateError::NotEnrolled(path.to_owned())
        } else {
            StateError::File { doing, path: path.to_owned(), source }
        }
    }

    /// Reads a small file of the directory.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, StateError> {
        let path = self.file(name);
        let read = || {
            let mut bytes = Vec::new();
            io::Read::read_to_end(
                &mut io::Read::take(File::open(&path)?, limits::STATE_FILE),
                &mut bytes,
            )
            .map(|_| bytes)
        };
        read().map_err(|source| self.missing_or(source, "read", &path))
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let path = self.file(name);
        atomic::replace(&path, bytes, 0o600).map_err(|source| StateError::File {
            doing: "write",
            path,
            source,
        })
    }
}
