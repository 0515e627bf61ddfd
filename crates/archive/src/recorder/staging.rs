//! A recording on this disk while it is made: gzip members, one a block, each ending with a seal.
//!
//! # Invariants
//! - A member is in the file whole or not at all, as far as this process can tell; what a power cut
//!   leaves of one is cut off when the file is opened again.
//! - The file's digest is known without reading it again.
//!
//! # Not here
//! - When to write and what becomes of failures: `writer`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use towline_evidence::cast::MAX_LINE;
use towline_evidence::digest::{Digest, Running};

use crate::recorder::gzip::packed;

/// Largest member, bytes when unpacked: a block of the longest lines. What is larger was not
/// written by us.
const MAX_MEMBER: u64 = (towline_evidence::seal::BLOCK as u64 + 2) * MAX_LINE as u64;

/// A recording's file.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) path: PathBuf,
    file: File,
    /// Bytes of whole members.
    length: u64,
    digest: DebugRunning,
}

struct DebugRunning(Running);

impl std::fmt::Debug for DebugRunning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Running(..)")
    }
}

impl Staged {
    /// A new file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { path: path.to_owned(), file, length: 0, digest: DebugRunning(Running::new()) })
    }

    /// A file that an earlier process left: its lines go to `line`, member by member, and what is
    /// not a whole member is cut off.
    pub(crate) fn reopen(path: &Path, mut line: impl FnMut(&[u8])) -> io::Result<Self> {
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
        let mut staged = Self { path: path.to_owned(), file, length, digest: DebugRunning(digest) };
        staged.file.seek(SeekFrom::Start(length))?;
        Ok(staged)
    }

    /// Adds a block as one member. On an error the file is as it was.
    pub(crate) fn append(&mut self, block: &[u8]) -> io::Result<()> {
        packed(block, |member| self.append_member(member))?
    }

    fn append_member(&mut self, member: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        if let Err(error) = self.file.write_all(member) {
            let _ = self.file.set_len(self.length); // if this fails too, the next append or opening cuts it off
            return Err(error);
        }
        self.digest.0.update(member);
        self.length += member.len() as u64;
        Ok(())
    }

    /// Brings what was written to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Bytes in the file.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of the file.
    pub(crate) fn sha256(&self) -> Digest {
        self.digest.0.clone().finish()
    }
}

/// Free bytes for us on the file system of `path`.
pub(crate) fn free_space(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
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
