//! What waits for the sink, and the room that is left for it.
//!
//! # Invariants
//! - At most [`MOST_COUNTED`] files are looked at; it tells whether there are more.

use std::path::Path;
use std::time::SystemTime;

use crate::archive::Archive;
use crate::recorder::free;

/// Most files that are looked at.
const MOST_COUNTED: u64 = 100_000;

/// What waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Finished files in the outbox.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was finished.
    pub oldest: Option<SystemTime>,
    /// Files in quarantine.
    pub quarantined: u64,
    /// Whether there are more than were counted.
    pub more: bool,
}

/// The disk of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// Free bytes.
    pub free: Option<u64>,
    /// Free bytes below which recording pauses.
    pub floor: u64,
}

impl Archive {
    /// Counts what waits. Reads folders: not for the thread of a task.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let home = &self.recorder.settings.home;
        let mut found = Backlog::default();
        count(&home.join("outbox"), &mut found);
        let mut kept = Backlog::default();
        count(&home.join("quarantine"), &mut kept);
        Backlog { quarantined: kept.files, more: found.more || kept.more, ..found }
    }

    /// The room on the disk.
    #[must_use]
    pub fn room(&self) -> Room {
        let settings = &self.recorder.settings;
        Room { free: free(&settings.home).ok(), floor: settings.free_space_floor }
    }

    /// The node's name in the signed chain.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.recorder.settings.node
    }
}

fn count(folder: &Path, found: &mut Backlog) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                folders.push(entry.path());
                continue;
            }
            if found.files >= MOST_COUNTED {
                found.more = true;
                return;
            }
            found.files += 1;
            found.bytes += meta.len();
            let finished = meta.modified().ok();
            found.oldest = [found.oldest, finished].into_iter().flatten().min();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_host::files;

    #[test]
    fn files_of_all_folders_are_counted_with_their_bytes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        files::create_private(&dir.path().join("a/one"), b"123").unwrap();
        files::create_private(&dir.path().join("a/b/two"), b"4567").unwrap();
        let mut found = Backlog::default();
        count(dir.path(), &mut found);
        assert_eq!((found.files, found.bytes, found.more), (2, 7, false));
        assert!(found.oldest.is_some());
        let mut none = Backlog::default();
        count(&dir.path().join("absent"), &mut none);
        assert_eq!(none, Backlog::default());
    }
}
