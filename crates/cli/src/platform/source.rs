//! What stands at a place that is copied from.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::path::Path;

use towline_files::Fault;

use super::side;

/// A file or directory, opened.
pub(crate) enum Source {
    /// A file.
    File(File),
    /// Names in a directory, and its permission bits.
    Folder(Vec<OsString>, u32),
}

impl Source {
    /// Opens what stands at `path`. Links are followed.
    ///
    /// # Errors
    /// [`Fault::NotAFile`], or what the system says.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        Self::of(path, &fs::metadata(path)?)
    }

    /// The same with what is known of it.
    pub(super) fn of(path: &Path, what: &Metadata) -> Result<Self, Fault> {
        if what.is_file() {
            return Ok(Self::File(File::open(path)?));
        }
        if !what.is_dir() {
            return Err(Fault::NotAFile);
        }
        let names = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name()));
        Ok(Self::Folder(names.collect::<Result<_, _>>()?, side::mode(what)))
    }
}
