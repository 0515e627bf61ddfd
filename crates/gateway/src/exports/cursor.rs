//! How far an export has come: the number of the last exported row, in a file of its own, and in
//! the settings of a store that another gateway may take over.
//!
//! # Invariants
//! - The file is replaced whole: after a power cut it holds the old number or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use towline_archive::Recorder;
use towline_store::{Store, StoreError};

/// Why rows could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk.
    #[error("cannot write to the outbox: {0}")]
    Disk(#[from] io::Error),
}

/// Puts a file into the outbox and the chain, then moves the cursor; on a thread that may wait for
/// the disk.
pub(super) async fn write(
    store: &Store,
    recorder: &Arc<Recorder>,
    cursor: &Cursor,
    key: String,
    text: String,
    records: u64,
    last: i64,
) -> Result<(), ExportError> {
    let (recorder, own) = (Arc::clone(recorder), cursor.clone());
    let written = tokio::task::spawn_blocking(move || {
        recorder.export(&key, text.as_bytes(), records)?;
        own.write(last)
    });
    written.await.map_err(io::Error::other)??;
    if store.is_shared() {
        store.settings().set(&cursor.setting(), &last.to_string()).await?;
    }
    Ok(())
}

/// The cursor of one table.
#[derive(Clone)]
pub(super) struct Cursor {
    path: PathBuf,
}

impl Cursor {
    /// The cursor in the file `name` of the folder `home`.
    pub(super) fn new(home: &Path, name: &str) -> Self {
        Self { path: home.join(name) }
    }

    /// The number of the last exported row; 0 when nothing was exported yet.
    pub(super) fn read(&self) -> i64 {
        fs::read_to_string(&self.path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// The setting that tells another gateway.
    fn setting(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("export.{name}")
    }

    /// Moves the cursor to where the gateway that worked with the store before had come.
    pub(super) async fn catch_up(&self, store: &Store) -> Result<(), ExportError> {
        if !store.is_shared() {
            return Ok(());
        }
        let there = store.settings().get(&self.setting()).await?;
        let there = there.and_then(|text| text.parse().ok()).unwrap_or(0);
        if there > self.read() {
            self.write(there)?;
        }
        Ok(())
    }

    /// Moves the cursor.
    pub(super) fn write(&self, last: i64) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(last.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_begins_at_zero_and_keeps_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let cursor = Cursor::new(dir.path(), "trail.cursor");
        assert_eq!(cursor.read(), 0);
        cursor.write(7).unwrap();
        cursor.write(4096).unwrap();
        assert_eq!(Cursor::new(dir.path(), "trail.cursor").read(), 4096);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
