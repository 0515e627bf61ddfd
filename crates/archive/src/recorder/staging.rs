//! The file of a recording that is under way: gzip members, one for each block, each ending with a
//! seal.
//!
//! # Invariants
//! - A member is in the file whole or not at all. What a power cut leaves of one is cut off when
//!   the file is opened again.
//! - The file's digest is known without reading the file again.
//!
//! # Not here
//! - When to write, and what happens after a failure: `job`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use towline_evidence::digest::{Digest, Running};

use super::gzip;
use crate::limits::MAX_MEMBER;

/// The file of a recording.
pub(super) struct Staged {
    pub(super) path: PathBuf,
    file: File,
    /// Bytes of whole members.
    length: u64,
    digest: Running,
}

impl Staged {
    /// Creates the file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { path: path.to_owned(), file, length: 0, digest: Running::new() })
    }

    /// Opens a file that an earlier process left. Its lines go to `line`, member by member; what is
    /// not a whole member is cut off.
    pub(super) fn reopen(path: &Path, mut line: impl FnMut(&[u8])) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut reader = BufReader::new(file.try_clone()?);
        let (mut length, mut digest) = (0, Running::new());
        loop {
            if reader.fill_buf()?.is_empty() {
                break;
            }
            let mut member = Vec::new();
            let mut decoder = GzDecoder::new(&mut reader);
            let whole = (&mut decoder).take(MAX_MEMBER).read_to_end(&mut member).is_ok();
            drop(decoder);
            if !whole || !member.ends_with(b"\n") {
                break;
            }
            for one in member.split(|b| *b == b'\n').filter(|one| !one.is_empty()) {
                line(one);
            }
            length = reader.get_mut().stream_position()? - reader.buffer().len() as u64;
        }
        drop(reader);
        file.set_len(length)?;
        let mut whole = file.try_clone()?;
        whole.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match whole.read(&mut buffer)? {
                0 => break,
                n => digest.update(&buffer[..n]),
            }
        }
        let mut staged = Self { path: path.to_owned(), file, length, digest };
        staged.file.seek(SeekFrom::Start(length))?;
        Ok(staged)
    }

    /// Appends a block as one member. After an error the file is as before.
    pub(super) fn append(&mut self, block: &[u8]) -> io::Result<()> {
        gzip::member(block, |member| self.append_member(member))?
    }

    fn append_member(&mut self, member: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        if let Err(error) = self.file.write_all(member) {
            // if this fails, too, the next append or opening cuts the rest off
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.digest.update(member);
        self.length += member.len() as u64;
        Ok(())
    }

    /// Syncs the file to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Bytes in the file.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of the file.
    pub(super) fn sha256(&self) -> Digest {
        self.digest.clone().finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> (Staged, Vec<String>) {
        let mut lines = Vec::new();
        let staged =
            Staged::reopen(path, |line| lines.push(String::from_utf8(line.to_vec()).unwrap()))
                .unwrap();
        (staged, lines)
    }

    #[test]
    fn a_file_cut_at_any_byte_keeps_each_whole_block_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut staged = Staged::create(&path).unwrap();
        let mut ends = vec![0];
        for block in ["one\ntwo\n", "three\n", "four\nfive\n"] {
            staged.append(block.as_bytes()).unwrap();
            ends.push(staged.length());
        }
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(staged.sha256(), Digest::of(&[&whole]));
        let all = ["one", "two", "three", "four", "five"];
        for cut in 0..=whole.len() {
            let copy = dir.path().join(format!("cut-{cut}"));
            File::create(&copy).unwrap().write_all(&whole[..cut]).unwrap();
            let (mut staged, found) = lines(&copy);
            let blocks = ends.iter().filter(|end| **end <= cut as u64).count() - 1;
            assert_eq!(found, all[..[0, 2, 3, 5][blocks]], "cut at {cut}");
            assert_eq!(staged.length(), ends[blocks]);
            staged.append(b"more\n").unwrap();
            assert_eq!(staged.sha256(), Digest::of(&[&std::fs::read(&copy).unwrap()]));
            assert_eq!(lines(&copy).1.last().unwrap(), "more");
        }
    }
}
