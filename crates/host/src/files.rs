//! Private files: created once, readable by their owner only, and never half written.
//!
//! # Invariants
//! - A file appears under its name only after its bytes are on the disk (temporary file, sync,
//!   link, sync of the folder).
//! - No file is replaced: an existing name is an error, so a second `init` cannot destroy a key.
//!
//! # Not here
//! - The database's files: SQLite keeps them consistent.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a private file could not be created or read.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}: {source}", path.display())]
pub struct FileError {
    /// What failed: "cannot create", "cannot read".
    pub doing: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { doing, path, source }
}

/// Creates `dir` (and its parents) with mode 0700; an existing folder gets this mode.
///
/// # Errors
/// When the folder cannot be created or its mode cannot be set.
pub fn private_dir(dir: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed("cannot create", dir))?;
    fs::set_permissions(dir, Permissions::from_mode(0o700))
        .map_err(failed("cannot set the mode of", dir))
}

/// Writes `bytes` as the new file `path`, mode 0600.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when the name is taken; else the system's reason.
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let fail = || failed("cannot create", path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")); // a bare name has the parent ""
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".new-{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = write_new(&temporary, bytes)
        // A hard link, because a rename would replace an existing file.
        .and_then(|()| fs::hard_link(&temporary, path))
        .and_then(|()| File::open(folder)?.sync_all());
    let _ = fs::remove_file(&temporary);
    written.map_err(fail())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read, or is longer than `limit`.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let fail = || failed("cannot read", path);
    let length = fs::metadata(path).map_err(fail())?.len();
    if length > limit {
        return Err(fail()(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{length} bytes, expected at most {limit}"),
        )));
    }
    fs::read(path).map_err(fail())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_readable_by_its_owner_only_and_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("a/b");
        private_dir(&home).unwrap();
        assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);

        let path = home.join("key");
        create_private(&path, b"first").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let again = create_private(&path, b"second").unwrap_err();
        assert_eq!(again.source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path, 10).unwrap(), b"first");
        assert_eq!(fs::read_dir(&home).unwrap().count(), 1, "no temporary file is left behind");
    }

    #[test]
    fn a_file_longer_than_expected_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create_private(&path, b"12345").unwrap();
        assert!(read(&path, 4).unwrap_err().to_string().contains("expected at most 4"));
    }
}
