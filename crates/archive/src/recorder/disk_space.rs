//! Free space on the disk of the archive: when recording pauses, and the reserve with which
//! recordings that have begun can still end.
//!
//! Ending a recording needs a little disk: its last block, its seal, its records in the node's
//! chain. On a disk that is full to the last byte nothing could end, so nothing could be sent, so
//! nothing would be freed. The reserve is a file whose only purpose is to be removed then.
//!
//! # Invariants
//! - While the reserve is in use no new recording begins: it is for ends.
//! - The reserve is written again before recording goes on.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::RESERVE;
use crate::settings::Settings;
use crate::spool;

/// Folders whose files wait for delivery; together they have a bound.
const WAITING: [&str; 4] = ["outbox", "staging", "cloudwatch", "copies"];

/// Watches the disk and keeps the reserve.
pub(super) struct DiskSpace {
    home: PathBuf,
    floor: u64,
    max_staged: u64,
    paused: Mutex<Option<String>>,
}

impl DiskSpace {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            home: settings.home.clone(),
            floor: settings.free_space_floor,
            max_staged: settings.max_staged,
            paused: Mutex::new(None),
        }
    }

    /// Why recording is paused; `None` when it is not.
    pub(super) fn paused(&self) -> Option<String> {
        self.reason().clone()
    }

    /// Frees the reserve after the disk refused a write, and pauses recording. `false`: the reserve
    /// is in use already.
    pub(super) fn use_reserve(&self) -> bool {
        let freed = fs::remove_file(reserve(&self.home)).is_ok();
        if freed {
            let why = "the disk is full: what is left of it is for the ends of recordings";
            tracing::error!(why, "recording is paused");
            *self.reason() = Some(why.to_owned());
        }
        freed
    }

    /// Looks at free space and at what waits, and pauses or resumes recording.
    pub(super) fn look(&self) {
        let why = self.shortage();
        let mut paused = self.reason();
        if *paused == why {
            return;
        }
        match &why {
            Some(why) => tracing::warn!(why, "recording is paused"),
            None => tracing::warn!("recording goes on: there is enough disk space again"),
        }
        *paused = why;
    }

    fn shortage(&self) -> Option<String> {
        match free(&self.home) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Some("the gateway's folder of recordings is not there".to_owned());
            }
            Err(error) => return Some(format!("cannot read the free disk space: {error}")),
            Ok(free) if free < self.floor => {
                return Some(format!(
                    "{} MiB are free on the disk, at least {} MiB must stay free",
                    free >> 20,
                    self.floor >> 20
                ));
            }
            Ok(_) => {}
        }
        if let Err(error) = write_reserve(&self.home) {
            return Some(format!("cannot create the disk reserve: {error}"));
        }
        let waiting = WAITING.iter().map(|name| spool::bytes_below(&self.home.join(name)));
        let waiting = waiting.sum::<u64>();
        (waiting > self.max_staged).then(|| {
            format!(
                "{} MiB wait for delivery, at most {} MiB may",
                waiting >> 20,
                self.max_staged >> 20
            )
        })
    }

    fn reason(&self) -> MutexGuard<'_, Option<String>> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner) // replaced as a whole
    }
}

/// Whether a write failed because the disk is full, or because a limit of this process permits no
/// larger file.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Bytes that this process may still write on the file system of `path`.
pub(crate) fn free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn reserve(home: &Path) -> PathBuf {
    home.join("reserve")
}

/// Writes the reserve unless it is there. Every byte is written: a sparse file reserves nothing.
fn write_reserve(home: &Path) -> io::Result<()> {
    let (path, temporary) = (reserve(home), home.join("reserve.new"));
    if fs::metadata(&path).is_ok_and(|meta| meta.len() == RESERVE) {
        return Ok(());
    }
    let written = File::create(&temporary).and_then(|mut file| {
        let zeros = vec![0; 64 * 1024];
        (0..RESERVE / 65_536).try_for_each(|_| file.write_all(&zeros))?;
        file.sync_data()
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary); // half a reserve is of no use
    }
    written.and_then(|()| fs::rename(temporary, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_takes_up_its_size_and_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        write_reserve(dir.path()).unwrap();
        let written = fs::metadata(reserve(dir.path())).unwrap();
        assert_eq!(written.len(), RESERVE);
        assert!(std::os::unix::fs::MetadataExt::blocks(&written) * 512 >= RESERVE);
        write_reserve(dir.path()).unwrap();
        assert_eq!(
            fs::metadata(reserve(dir.path())).unwrap().modified().unwrap(),
            written.modified().unwrap()
        );
    }

    #[test]
    fn a_full_disk_pauses_recording_until_the_reserve_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let settings = crate::settings::RawEvidence::default().settings(dir.path()).unwrap();
        fs::create_dir_all(&settings.home).unwrap();
        let space = DiskSpace::new(&Settings { free_space_floor: 0, ..settings });
        space.look();
        assert_eq!(space.paused(), None);
        assert!(space.use_reserve() && !space.use_reserve(), "there is one reserve");
        assert!(space.paused().unwrap().contains("the disk is full"));
        space.look();
        assert_eq!(space.paused(), None, "the reserve was written again");
    }
}
