//! File copies on the device: the device's endpoint of [`towline_wire::copy`], on standard input
//! and output.
//!
//! The agent starts its own program for each copy, as the session's user. The process gets the
//! one path that was granted, and whether it may read or write it.
//!
//! # Invariants
//! - No path outside of the granted one, by its text. The user's permissions apply.
//! - A file is written under another name and renamed when its digest is right. An interrupted
//!   copy leaves the other name, and the next copy resumes it.
//! - One buffer of one frame. Nothing grows with the size of files or folders.
//!
//! # Not here
//! - Links are neither followed in listings nor made. Owners, times and attributes are not kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::fcntl::OFlag;
use ring::digest::{Context, SHA256};
use towline_wire::copy::{Answer, Ask, Entry, Kind, is_below};
use towline_wire::frame::{Frame, FrameReader, MAX_DATA};
use towline_wire::message::{decode, encode};

/// A file on its way in.
struct Writing {
    file: File,
    part: PathBuf,
    target: PathBuf,
    digest: Context,
    mode: u32,
}

/// Serves until standard input ends.
#[must_use]
pub fn serve(put: bool, root: &str) -> ExitCode {
    let served =
        Server { root, put, writing: None, out: io::stdout() }.run(&mut io::stdin().lock());
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Server<'a> {
    root: &'a str,
    put: bool,
    writing: Option<Writing>,
    out: io::Stdout,
}

impl Server<'_> {
    fn run(&mut self, input: &mut impl Read) -> io::Result<()> {
        let mut reader = FrameReader::new();
        loop {
            while let Some(frame) = reader.next().map_err(io::Error::other)? {
                match frame {
                    Frame::Data { data, .. } => self.take(data)?,
                    Frame::Control(body) => {
                        let ask = decode(body).map_err(io::Error::other)?;
                        let answer = self
                            .answer(ask)
                            .unwrap_or_else(|error| Answer::Failed(error.to_string()));
                        self.say(&answer)?;
                    }
                    _ => {}
                }
            }
            match input.read(reader.spare())? {
                0 => return Ok(()),
                n => reader.filled(n),
            }
        }
    }

    fn send(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).map_err(io::Error::other)?;
        self.out.write_all(&bytes)
    }

    fn say(&mut self, answer: &Answer) -> io::Result<()> {
        let body = encode(answer).map_err(io::Error::other)?;
        self.send(&Frame::Control(&body))?;
        self.out.flush()
    }

    /// Content. What follows a failure is thrown away: its end was told already.
    fn take(&mut self, data: &[u8]) -> io::Result<()> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        writing.digest.update(data);
        if let Err(error) = writing.file.write_all(data) {
            self.writing = None;
            self.say(&Answer::Failed(error.to_string()))?;
        }
        Ok(())
    }

    fn answer(&mut self, ask: Ask) -> io::Result<Answer> {
        match ask {
            Ask::Look(path) => Ok(Answer::Is(entry(fs::metadata(self.granted(&path, None)?))?)),
            Ask::List(path) => self.list(&path),
            Ask::Read { path, offset } => self.read(&path, offset),
            Ask::Write { path, mode, mark, .. } => self.write(&path, mode, mark),
            Ask::Whole(digest) => self.whole(digest),
            Ask::Folder { path, mode } => {
                let path = self.granted(&path, Some(true))?;
                match fs::DirBuilder::new().mode(mode & 0o777).create(path) {
                    Err(error)
                        if error.kind() == io::ErrorKind::AlreadyExists
                            && Path::new(path).is_dir() => {}
                    result => result?,
                }
                Ok(Answer::Done)
            }
        }
    }

    /// The path, if it is granted for this.
    fn granted<'p>(&self, path: &'p str, put: Option<bool>) -> io::Result<&'p str> {
        let right = is_below(self.root, path) && put.is_none_or(|put| put == self.put);
        if right {
            Ok(path)
        } else {
            Err(io::Error::other("the grant of this session does not cover this"))
        }
    }

    fn list(&mut self, path: &str) -> io::Result<Answer> {
        let mut unnamed = 0;
        for found in fs::read_dir(self.granted(path, Some(false))?)? {
            let found = found?;
            match (found.file_name().into_string(), entry(fs::symlink_metadata(found.path()))) {
                (Ok(name), Ok(entry)) => self.say(&Answer::Item { name, entry })?,
                _ => unnamed += 1,
            }
        }
        Ok(Answer::End { unnamed })
    }

    fn read(&mut self, path: &str, offset: u64) -> io::Result<Answer> {
        let mut file = File::open(self.granted(path, Some(false))?)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let (mut digest, mut at, mut buffer) = (Context::new(&SHA256), 0_u64, vec![0; MAX_DATA]);
        loop {
            // A piece that ends at the offset, so that none is sent in part.
            let before = usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX);
            let most = if before == 0 { MAX_DATA } else { before.min(MAX_DATA) };
            let n = file.read(&mut buffer[..most])?;
            if n == 0 {
                break;
            }
            digest.update(&buffer[..n]);
            if at >= offset {
                self.send(&Frame::Data { stream: 0, offset: at, data: &buffer[..n] })?;
            }
            at += n as u64;
        }
        Ok(Answer::Whole(bytes_of(digest)))
    }

    fn write(&mut self, path: &str, mode: u32, mark: [u8; 8]) -> io::Result<Answer> {
        self.writing = None;
        let target = Path::new(self.granted(path, Some(true))?);
        let name =
            target.file_name().ok_or_else(|| io::Error::other("it has no name"))?.to_string_lossy();
        if target.is_dir() {
            return Err(io::Error::other("it is a folder"));
        }
        let part = target.with_file_name(format!(".{name}.{:016x}.part", u64::from_be_bytes(mark)));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&part)?;
        let (mut digest, mut have, mut buffer) = (Context::new(&SHA256), 0, vec![0; MAX_DATA]);
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => {
                    digest.update(&buffer[..n]);
                    have += n as u64;
                }
            }
        }
        file.seek(SeekFrom::Start(have))?;
        self.writing =
            Some(Writing { file, part, target: target.to_owned(), digest, mode: mode & 0o777 });
        Ok(Answer::Have(have))
    }

    fn whole(&mut self, digest: [u8; 32]) -> io::Result<Answer> {
        let writing =
            self.writing.take().ok_or_else(|| io::Error::other("no file is being written"))?;
        if bytes_of(writing.digest) != digest {
            fs::remove_file(&writing.part)?;
            return Err(io::Error::other(
                "the file arrived damaged: its digest differs from the sender's, so it was discarded",
            ));
        }
        writing.file.set_permissions(fs::Permissions::from_mode(writing.mode))?;
        writing.file.sync_all()?;
        fs::rename(&writing.part, &writing.target)?;
        Ok(Answer::Done)
    }
}

fn bytes_of(digest: Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.finish().as_ref()); // SHA-256 has 32
    bytes
}

fn entry(metadata: io::Result<fs::Metadata>) -> io::Result<Entry> {
    let metadata = match metadata {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Entry { kind: Kind::Nothing, size: 0, mode: 0 });
        }
        result => result?,
    };
    let kind = match metadata.file_type() {
        t if t.is_file() => Kind::File,
        t if t.is_dir() => Kind::Folder,
        // A device or socket has no content to copy, a link leads elsewhere.
        _ => Kind::Other,
    };
    Ok(Entry { kind, size: metadata.len(), mode: metadata.permissions().mode() & 0o777 })
}
