//! Something mounted for a test: a small disk, a file behind another one. Root is needed.

use std::path::PathBuf;
use std::process::Command;

use crate::Outcome;
use crate::trouble::ensure;

/// Something mounted. Dropped: unmounted.
pub struct Mount(PathBuf);

impl Mount {
    /// `mount` with these words, there.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn new(words: &[&str], at: PathBuf) -> Outcome<Self> {
        let done = Command::new("mount").args(words).arg(&at).status()?;
        ensure(done.success(), || format!("cannot mount {}: root is needed", at.display()))?;
        Ok(Self(at))
    }

    /// A disk of so many bytes.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn small_disk(at: PathBuf, bytes: usize) -> Outcome<Self> {
        std::fs::create_dir_all(&at)?;
        Self::new(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"], at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
