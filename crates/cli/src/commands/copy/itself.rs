//! A copy whose target lies in its source, where one machine is both sides: it would copy what it
//! makes, without end.
//!
//! Data flow, to the device: the directories of the source before anything is made
//! ([`Before::read`]) -> a directory that is none of them is left out. From the device: a file with
//! a name of its own in the target ([`Marker::set`]) -> a directory that lists it is left out.
//!
//! # Invariants
//! - Nothing is decided by paths: the same path on two machines names two directories.
//! - The marker goes with the copy, whatever its end; a copy that is killed leaves it as a partial
//!   file.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};
use towline_files::Wish;
use towline_wire::copy::mark_of;

use super::job::Job;
use super::sink::Sink;
use crate::platform::{self, Identity};

/// The directories of a source, as they were before the copy made any.
pub(super) struct Before(HashSet<Identity>);

impl Before {
    /// Reads them. What cannot be read is told when its turn comes.
    pub(super) fn read(source: &Path, follow: bool) -> Self {
        let (mut known, mut todo) = (HashSet::new(), vec![source.to_owned()]);
        while let Some(path) = todo.pop() {
            let Some(identity) = identity(&path) else { continue };
            if !known.insert(identity) {
                continue;
            }
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            todo.extend(
                entries.map(|entry| entry.path()).filter(|path| is_directory(path, follow)),
            );
        }
        Self(known)
    }

    /// Whether a directory was there before the copy began.
    pub(super) fn has(&self, path: &Path) -> bool {
        identity(path).is_none_or(|identity| self.0.contains(&identity))
    }
}

fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).and_then(|what| platform::identity(path, &what)).ok()
}

fn is_directory(path: &Path, follow: bool) -> bool {
    let what = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    what.is_ok_and(|what| what.is_dir())
}

/// A file in the directory that a copy fills, by which the copy knows it again.
pub(super) struct Marker {
    mark: String,
    /// Removed with it.
    _file: Sink,
}

impl Marker {
    /// Puts one into `target`; none where no file can be made.
    pub(super) fn set(target: &Path, job: &Job) -> Option<Self> {
        let mut mark = [0; 8];
        SystemRandom::new().fill(&mut mark).ok()?;
        let mark = mark_of(mark);
        let wish = Wish { mode: 0o600, size: None, mark: &mark };
        let path: PathBuf = target.join("towline-cp");
        let file = Sink::open(&path, job, &wish).ok()?;
        Some(Self { mark, _file: file })
    }

    /// Whether the name of a file is the marker's.
    pub(super) fn is(&self, name: &str) -> bool {
        name.contains(&self.mark)
    }
}
