//! A step's output on this disk: two files while it comes, two objects on their way to the sink
//! when it has ended.
//!
//! Data flow: bytes with their positions -> [`OutputWriter::write`] ->
//! `evidence/commands/<command>/<device>/<folder>/stdout` -> [`OutputWriter::sync`] -> the end is
//! stored -> [`hand_over`] -> `evidence/outbox/<key>` -> the sink.
//!
//! # Invariants
//! - What is acknowledged to the device is in the file; the end of a step is stored only after the
//!   file is synced.
//! - A file is handed over whole, once, after the end of its step was stored: a crash in between is
//!   mended at the next start.
//!
//! # Not here
//! - Sending: [`towline_archive`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use towline_archive::put_into_outbox;
use towline_host::files;
use towline_wire::lane::{Lane, Lanes};

use crate::limits::MAX_SCRIPT_OUTPUT;

/// Names of the two files, as Run Command calls its objects.
pub const NAMES: Lanes<&str> = Lanes::new("stdout", "stderr");
/// Bytes of each stream that the API may show: four for each character.
pub(super) const HEADS: Lanes<u64> = Lanes::new(
    4 * towline_ssm::api::command::MAX_STDOUT as u64,
    4 * towline_ssm::api::command::MAX_STDERR as u64,
);

/// What became of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    /// They are in the file.
    Kept,
    /// Some are not: the step has printed all that it may.
    TooMuch,
}

/// Writes one step's output.
#[derive(Debug)]
pub(super) struct OutputWriter {
    folder: PathBuf,
    files: Lanes<Option<File>>,
    /// Bytes in each file.
    stored: Lanes<u64>,
    /// Position up to which each stream has come; beyond what is stored by what is missing.
    position: Lanes<u64>,
    /// Bytes that never came: the machine lost what it had acknowledged.
    missing: u64,
}

impl OutputWriter {
    /// A step's files; what an earlier process wrote of them stays.
    pub(super) fn open(folder: PathBuf) -> Self {
        let stored = NAMES.map(|name| fs::metadata(folder.join(name)).map_or(0, |meta| meta.len()));
        Self { folder, files: Lanes::default(), stored, position: stored, missing: 0 }
    }

    /// Begins anew: what is in the files is not what counts.
    pub(super) fn forget(&mut self) {
        self.files = Lanes::default();
        for lane in Lane::ALL {
            let _ = fs::remove_file(self.path(lane)); // not there, or cut at the first write
        }
        (self.stored, self.position, self.missing) = Default::default();
    }

    /// Removes the files, and the folders that are empty then, up to `home`.
    pub(super) fn remove(&self, home: &Path) {
        for lane in Lane::ALL {
            let _ = fs::remove_file(self.path(lane)); // not there
        }
        tidy(&self.folder, home);
    }

    /// The file of a stream.
    pub(super) fn path(&self, lane: Lane) -> PathBuf {
        self.folder.join(NAMES[lane])
    }

    /// Bytes in each file.
    pub(super) const fn written(&self) -> Lanes<u64> {
        self.stored
    }

    /// Bytes that are missing.
    pub(super) const fn missing(&self) -> u64 {
        self.missing
    }

    /// Adds what is new of these bytes. On an error nothing of them counts as written.
    pub(super) fn write(&mut self, lane: Lane, offset: u64, data: &[u8]) -> io::Result<Wrote> {
        let Some(skip) = self.position[lane].checked_sub(offset) else {
            self.missing += offset - self.position[lane];
            self.position[lane] = offset;
            return self.write(lane, offset, data);
        };
        let fresh = data.get(usize::try_from(skip).unwrap_or(usize::MAX)..).unwrap_or_default();
        let room = MAX_SCRIPT_OUTPUT.saturating_sub(self.stored.io + self.stored.err);
        let kept = &fresh[..fresh.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        if !kept.is_empty() {
            let stored = self.stored[lane];
            let file = self.file(lane)?;
            if let Err(error) = file.write_all(kept) {
                let _ = file.set_len(stored); // cut again before the next write, if this fails too
                self.files[lane] = None;
                return Err(error);
            }
            self.stored[lane] += kept.len() as u64;
        }
        self.position[lane] += fresh.len() as u64;
        Ok(if kept.len() < fresh.len() { Wrote::TooMuch } else { Wrote::Kept })
    }

    fn file(&mut self, lane: Lane) -> io::Result<&mut File> {
        if self.files[lane].is_none() {
            files::private_dir(&self.folder).map_err(|error| error.source)?;
            let path = self.folder.join(NAMES[lane]);
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
            file.set_len(self.stored[lane])?;
            self.files[lane] = Some(file);
        }
        self.files[lane].as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Brings what was written to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Lane::ALL.iter().filter_map(|lane| self.files[*lane].as_ref()).try_for_each(File::sync_data)
    }

    /// The beginnings of both.
    pub(super) fn heads(&self) -> Lanes<Vec<u8>> {
        heads(&self.folder, HEADS)
    }
}

/// The beginnings of the files in a folder; what is not there is empty.
pub(super) fn heads(folder: &Path, most: Lanes<u64>) -> Lanes<Vec<u8>> {
    let head = |name: &str, most: u64| {
        let mut bytes = Vec::new();
        let read =
            File::open(folder.join(name)).and_then(|file| file.take(most).read_to_end(&mut bytes));
        read.map_or_else(|_| Vec::new(), |_| bytes)
    };
    Lanes::new(head(NAMES.io, most.io), head(NAMES.err, most.err))
}

/// A piece of a file from `offset` on, and the file's length; `None` when it is not there.
///
/// # Errors
/// The disk's.
pub(super) fn piece(path: &Path, offset: u64, most: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    if offset >= length {
        return Ok(Some((bytes, length)));
    }
    file.seek(SeekFrom::Start(offset))?;
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some((bytes, length)))
}

/// Moves a step's files to where they are sent from; `sent` hears of each one's key and place.
pub(super) fn hand_over(
    folder: &Path,
    outbox: &Path,
    key: impl Fn(&str) -> String,
    mut sent: impl FnMut(&str, &Path) -> io::Result<()>,
) -> io::Result<()> {
    for name in Lane::ALL.map(|lane| NAMES[lane]) {
        let path = folder.join(name);
        if !path.is_file() {
            continue;
        }
        let key = key(name);
        sent(&key, &path)?;
        put_into_outbox(outbox, &key, &path)?;
    }
    Ok(())
}

/// Removes a folder, and those above it that are empty then, up to `home`.
pub(super) fn tidy(folder: &Path, home: &Path) {
    let mut folder = Some(folder);
    while let Some(one) = folder.filter(|one| one.starts_with(home) && *one != home) {
        if fs::remove_dir(one).is_err() {
            return;
        }
        folder = one.parent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_after_a_restart_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("c/d/s");
        let mut writer = OutputWriter::open(folder.clone());
        assert_eq!(writer.write(Lane::Io, 0, b"hello ").unwrap(), Wrote::Kept);
        assert_eq!(writer.write(Lane::Err, 0, b"oh").unwrap(), Wrote::Kept);
        let mut again = OutputWriter::open(folder.clone());
        assert_eq!(again.written(), Lanes::new(6, 2));
        again.write(Lane::Io, 2, b"llo world").unwrap();
        again.write(Lane::Io, 0, b"hello").unwrap();
        assert_eq!(again.heads(), Lanes::new(b"hello world".to_vec(), b"oh".to_vec()));
        assert_eq!((again.written(), again.missing()), (Lanes::new(11, 2), 0));
    }

    #[test]
    fn what_is_missing_is_counted_and_what_follows_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = OutputWriter::open(dir.path().join("s"));
        writer.write(Lane::Io, 0, b"ab").unwrap();
        writer.write(Lane::Io, 5, b"fg").unwrap();
        assert_eq!((writer.position.io, writer.written().io, writer.missing()), (7, 4, 3));
        assert_eq!(writer.heads().io, b"abfg");
    }

    #[test]
    fn files_are_handed_over_under_their_keys_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (home, outbox) = (dir.path().join("commands"), dir.path().join("outbox"));
        let folder = home.join("c/mi-1/step");
        OutputWriter::open(folder.clone()).write(Lane::Err, 0, b"oh").unwrap();
        let mut told = Vec::new();
        let key = |name: &str| format!("p/c/mi-1/step/{name}");
        hand_over(&folder, &outbox, key, |key, _| {
            told.push(key.to_owned());
            Ok(())
        })
        .unwrap();
        tidy(&folder, &home);
        assert_eq!(told, ["p/c/mi-1/step/stderr"]);
        assert_eq!(fs::read(outbox.join("p/c/mi-1/step/stderr")).unwrap(), b"oh");
        assert!(!home.exists() || fs::read_dir(&home).unwrap().next().is_none());
    }
}
