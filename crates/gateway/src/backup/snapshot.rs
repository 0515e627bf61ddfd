//! The state of a gateway at one instant, in a folder inside its directory.
//!
//! # Invariants
//! - The store in it is a file, whichever engine it came from.
//! - The chain is signed before it is copied: what a backup knows of it ends with a checkpoint.
//! - Cursors of exports are copied before the store: see [`towline_archive::copy_cursors`].
//! - A folder that nobody came for is removed by the next snapshot and by the next start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use towline_archive::Recorder;
use towline_host::entropy::{self, NoRandom};
use towline_host::files::{self, FileError};
use towline_store::{Store, StoreError, snapshot_of, snapshot_of_server};

use crate::config::{self, StorePlace};

/// Folder of evidence in a gateway's directory, and in a snapshot.
pub const EVIDENCE: &str = "evidence";
/// What names of these folders begin with.
const PREFIX: &str = "backup-";

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The disk.
    #[error("cannot copy the state of the gateway: {0}")]
    Disk(#[from] io::Error),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// Takes a snapshot beside a running gateway; the folder.
///
/// # Errors
/// [`SnapshotError`]; nothing is left of it.
pub async fn of_running(
    dir: &Path,
    store: &Store,
    recorder: &Recorder,
) -> Result<PathBuf, SnapshotError> {
    let folder = begin(dir)?;
    let taken = async {
        towline_archive::copy_cursors(&dir.join(EVIDENCE), &folder.join(EVIDENCE))?;
        recorder.checkpoint()?;
        store.snapshot(&folder.join(config::STORE)).await?;
        finish(dir, &folder).await
    };
    settle(taken.await, folder)
}

/// Takes a snapshot where no gateway runs. The caller holds the lock.
///
/// # Errors
/// [`SnapshotError`].
pub async fn of_stopped(dir: &Path) -> Result<PathBuf, SnapshotError> {
    let folder = begin(dir)?;
    let taken = async {
        towline_archive::copy_cursors(&dir.join(EVIDENCE), &folder.join(EVIDENCE))?;
        let copy = folder.join(config::STORE);
        match config::Config::load(dir)?.store {
            StorePlace::File(path) => snapshot_of(&path, &copy).await?,
            StorePlace::Server(address) => snapshot_of_server(&address, &copy).await?,
        }
        finish(dir, &folder).await
    };
    settle(taken.await, folder)
}

/// Removes what earlier snapshots left.
pub fn clean(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.path().is_dir() {
            let _ = fs::remove_dir_all(entry.path()); // what stays is removed the next time
        }
    }
}

fn begin(dir: &Path) -> Result<PathBuf, SnapshotError> {
    clean(dir);
    let name: String = entropy::random::<4>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = dir.join(format!("{PREFIX}{name}"));
    files::private_dir(&folder)?;
    Ok(folder)
}

async fn finish(dir: &Path, folder: &Path) -> Result<(), SnapshotError> {
    Store::accept(&folder.join(config::STORE)).await?;
    Ok(towline_archive::copy_unsent(&dir.join(EVIDENCE), &folder.join(EVIDENCE))?)
}

fn settle(taken: Result<(), SnapshotError>, folder: PathBuf) -> Result<PathBuf, SnapshotError> {
    if let Err(error) = taken {
        let _ = fs::remove_dir_all(&folder); // else the next snapshot does it
        return Err(error);
    }
    Ok(folder)
}
