//! What a copy is told, what it has to tell at its end, and which failures stop it.

use std::path::{Path, PathBuf};

use towline_files::{Fault, Place};

use super::progress::Progress;
use crate::output::complain;
use crate::platform::{self, Source};
use crate::session::CopyError;

/// A running copy.
pub(super) struct Job {
    /// The device, by its id.
    pub(super) device: String,
    /// Directories with their contents.
    pub(super) recursive: bool,
    /// Symbolic links are followed.
    pub(super) follow: bool,
    /// The directory here in which all is found or made. Its own path may lead through links.
    pub(super) root: PathBuf,
    /// The destination ends with a slash: a file goes into a directory that is there.
    pub(super) into_directory: bool,
    /// The mask for the modes of what is made.
    pub(super) umask: u32,
    /// The line on the terminal.
    pub(super) progress: Progress,
    /// What was not copied.
    pub(super) left_out: usize,
    /// What stays of the file that is being copied, when the copy breaks off.
    pub(super) partial: Option<Left>,
}

/// A partial file.
pub(super) enum Left {
    /// Here.
    Here(PathBuf),
    /// On the device, as far as this end can know.
    Device(String),
}

/// Why one file or directory was not copied.
pub(super) enum Failed {
    /// The others can be.
    One(CopyError),
    /// The copy is over.
    All(CopyError),
}

impl Failed {
    /// A failure of this path here; the others can be copied.
    pub(super) fn here<E: Into<Fault>>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        |why| Self::One(CopyError::Local { path, why: why.into() })
    }
}

/// The device's words about one path leave the session as it is; everything else ends it.
impl From<CopyError> for Failed {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Device { .. } | CopyError::Local { .. } => Self::One(error),
            _ => Self::All(error),
        }
    }
}

/// How far a copy reads from here.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    /// As in [`Job`].
    pub(super) follow: bool,
    /// As in [`Job`].
    pub(super) root: PathBuf,
}

impl Reach {
    /// What is copied from here. A link below the root is refused unless links are followed.
    pub(super) fn source(&self, path: &Path) -> Result<Source, Fault> {
        match path.strip_prefix(&self.root) {
            Ok(below) if !self.follow && below.iter().next().is_some() => {
                platform::enter_beneath(&self.root, below)
            }
            _ => Source::open(path),
        }
    }
}

impl Job {
    /// How far it reads.
    pub(super) fn reach(&self) -> Reach {
        Reach { follow: self.follow, root: self.root.clone() }
    }

    /// The place of what is made here. A link below the root is refused unless links are followed:
    /// another user of this machine may put one there while the copy runs.
    pub(super) fn place(&self, path: &Path) -> Result<Place, Fault> {
        match path.strip_prefix(&self.root) {
            _ if self.follow => Place::following(path),
            Ok(below) if below.iter().count() > 1 => Place::beneath(&self.root, below),
            _ => Place::in_directory_of(path),
        }
    }

    /// Tells that something was not copied.
    pub(super) fn skip(&mut self, what: &str) {
        self.progress.done();
        complain(&format!("skipping {what}"));
        self.left_out += 1;
    }

    /// What becomes of a failure: the copy goes on behind it, unless it is about the whole of it.
    pub(super) fn judge(&mut self, failed: Failed, is_root: bool) -> Result<(), CopyError> {
        match failed {
            Failed::One(error) if !is_root => {
                self.skip(&error.to_string());
                self.tell_partial();
                Ok(())
            }
            Failed::One(error) | Failed::All(error) => Err(error),
        }
    }

    /// Names the partial file that stays, if one does.
    pub(super) fn tell_partial(&mut self) {
        let again = "the same command continues it";
        match self.partial.take() {
            Some(Left::Here(path)) if path.symlink_metadata().is_ok() => {
                complain(&format!("the partial file {} is kept: {again}", path.display()));
            }
            Some(Left::Device(path)) => {
                complain(&format!("what arrived is kept on the device as {path}: {again}"));
            }
            _ => {}
        }
    }
}
