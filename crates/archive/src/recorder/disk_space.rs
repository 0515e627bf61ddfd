//! Room on the disk of what is under way: when recording stops for want of it, and the reserve with
//! which what was begun is ended.
//!
//! A recording needs a little more disk to be ended in good order: its last block, its seal, its
//! records in the node's chain. On a disk that is full to the last byte nothing could be ended, so
//! nothing sent, so nothing freed. Hence a file that is only there to be removed.
//!
//! # Invariants
//! - While the reserve is in use nothing new is recorded: it is for ends.
//! - It is made again before recording goes on.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::delivery::outbox;
use crate::recorder::recorder::{Recorder, lock};
use crate::recorder::staging;

/// Size of the reserve, bytes: a last block of 64 KiB and some lines for each of sixty recordings
/// that end on a full disk.
const RESERVE: u64 = 4 * 1024 * 1024;

/// Whether a write failed for want of room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn reserve(home: &Path) -> PathBuf {
    home.join("reserve")
}

/// Makes the reserve if it is not there. Written out: a file of holes would reserve nothing.
fn make(home: &Path) -> io::Result<()> {
    let (path, fresh) = (reserve(home), home.join("reserve.new"));
    if fs::metadata(&path).is_ok_and(|meta| meta.len() == RESERVE) {
        return Ok(());
    }
    let made = File::create(&fresh).and_then(|mut file| {
        let zeros = vec![0; 64 * 1024];
        (0..RESERVE / 65_536).try_for_each(|_| file.write_all(&zeros))?;
        file.sync_data()
    });
    if made.is_err() {
        let _ = fs::remove_file(&fresh); // half a reserve is none
    }
    made.and_then(|()| fs::rename(fresh, path))
}

impl Recorder {
    /// The disk refused a write: gives it the reserve, and stops recording. `false`: the reserve is
    /// in use already.
    pub(crate) fn use_reserve(&self) -> bool {
        let freed = fs::remove_file(reserve(&self.settings.home)).is_ok();
        if freed {
            let why = "the disk is full: what is left of it is for the ends of recordings";
            tracing::error!(why, "room for recordings");
            *lock(&self.room) = Some(why.to_owned());
        }
        freed
    }

    /// Looks at free space and at what waits.
    pub(crate) fn look_for_room(&self) {
        let why = self.want_of_room();
        let mut room = lock(&self.room);
        if *room != why {
            tracing::warn!(
                why = why.as_deref().unwrap_or("there is room again"),
                "room for recordings"
            );
            *room = why;
        }
    }

    fn want_of_room(&self) -> Option<String> {
        let (home, floor) = (&self.settings.home, self.settings.free_space_floor);
        match staging::free_space(home) {
            Err(error) => return Some(format!("the disk does not answer: {error}")),
            Ok(free) if free < floor => {
                return Some(format!("{} MiB are free, {} are kept", free >> 20, floor >> 20));
            }
            Ok(_) => {}
        }
        if let Err(error) = make(home) {
            return Some(format!(
                "the disk is full: no reserve for the ends of recordings can be made ({error})"
            ));
        }
        let folders = ["outbox", "staging", "cloudwatch", "copies"];
        let waiting = folders.iter().map(|name| outbox::size(&home.join(name))).sum::<u64>();
        (waiting > self.settings.max_staged)
            .then(|| format!("{} MiB wait for the sink already", waiting >> 20))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_real_and_made_once() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path()).unwrap();
        let made = fs::metadata(reserve(dir.path())).unwrap();
        assert_eq!(made.len(), RESERVE);
        assert!(
            std::os::unix::fs::MetadataExt::blocks(&made) * 512 >= RESERVE,
            "it takes up what it reserves"
        );
        make(dir.path()).unwrap();
        assert_eq!(
            fs::metadata(reserve(dir.path())).unwrap().modified().unwrap(),
            made.modified().unwrap()
        );
    }
}
