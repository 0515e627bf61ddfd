//! Folders of files that wait for delivery, each file with a note of its destination.
//!
//! Data flow: a file gets a second name in the folder, and a note beside it ([`add`]) -> a sender
//! reads the note, sends, and updates the note -> both names are removed. The folder is the queue:
//! a restart forgets nothing.
//!
//! # Invariants
//! - Names of folders, endings and prefixes do not change: after an upgrade the gateway finds its
//!   queue by them.
//! - A note appears whole.
//!
//! # Not here
//! - Sending: `delivery`. The outbox needs no notes: a file's place in that folder is its key.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// One folder of waiting files.
pub(crate) struct Spool {
    /// The folder, below the archive's own.
    pub(crate) folder: &'static str,
    /// Endings of the files that belong to one name, without the dot. The first one marks a name
    /// that waits.
    pub(crate) files: &'static [&'static str],
    /// What precedes a name in the node's chain when its delivery was given up.
    pub(crate) lost: &'static str,
}

/// Session logs for CloudWatch Logs.
pub(crate) const CLOUDWATCH: Spool =
    Spool { folder: "cloudwatch", files: &["cast", "note"], lost: "cloudwatch:" };
/// Command outputs for CloudWatch Logs.
pub(crate) const OUTPUTS: Spool =
    Spool { folder: "cloudwatch/outputs", files: &["text", "note"], lost: "cloudwatch:outputs:" };
/// Plain session logs for buckets that preferences name; `log` is made from the recording.
pub(crate) const COPIES: Spool =
    Spool { folder: "copies", files: &["cast", "note", "log"], lost: "copy:" };

impl Spool {
    /// The folder, in the archive's folder `home`.
    pub(crate) fn path(&self, home: &Path) -> PathBuf {
        home.join(self.folder)
    }
}

/// Writes a note; it appears whole.
pub(crate) fn write_note(folder: &Path, name: &str, note: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(note).unwrap_or_default(); // plain data: cannot fail
    let temporary = folder.join(format!("{name}.new"));
    File::create(&temporary).and_then(|mut file| file.write_all(text.as_bytes()))?;
    fs::rename(temporary, folder.join(format!("{name}.note")))
}

/// Reads a note.
pub(crate) fn read_note<T: DeserializeOwned>(folder: &Path, name: &str) -> io::Result<T> {
    let text = fs::read_to_string(folder.join(format!("{name}.note")))?;
    serde_json::from_str(&text).map_err(io::Error::other)
}

/// Adds a file under a second name, with its note. The first name may be removed afterwards.
///
/// # Errors
/// `AlreadyExists` when this name waits already: its note says how far it was sent.
pub(crate) fn add(
    home: &Path,
    spool: &Spool,
    name: &str,
    path: &Path,
    note: &impl Serialize,
) -> io::Result<()> {
    let folder = spool.path(home);
    let file = folder.join(format!("{name}.{}", spool.files[0]));
    if file.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    write_note(&folder, name, note)?;
    fs::hard_link(path, file)
}

/// Bytes of all files in a folder and below it.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOOL: Spool = Spool { folder: "logs", files: &["text", "note"], lost: "logs:" };

    #[test]
    fn a_name_is_added_once_and_its_note_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (home, path) = (dir.path(), dir.path().join("whole"));
        fs::create_dir_all(SPOOL.path(home)).unwrap();
        File::create(&path).unwrap();
        add(home, &SPOOL, "a", &path, &7).unwrap();
        let again = add(home, &SPOOL, "a", &path, &8).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read_note::<u8>(&SPOOL.path(home), "a").unwrap(), 7);
    }

    #[test]
    fn bytes_in_folders_below_count() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for (name, bytes) in [("a/one", 3), ("a/b/two", 4)] {
            File::create(dir.path().join(name)).unwrap().set_len(bytes).unwrap();
        }
        assert_eq!(bytes_below(dir.path()), 7);
    }
}
