//! File copies on the device: the device's endpoint of [`towline_wire::copy`], on standard input
//! and output.
//!
//! The agent starts its own program for each copy, as the session's user. The process gets the
//! one path that was granted, whether it may read or write it, and whether it follows links.
//!
//! # Invariants
//! - No path outside of the granted one, by its text. The user's permissions apply.
//! - Without the right to follow links, no link is opened: neither on the way nor at its end.
//! - What is written obeys [`towline_files`]: a file changes as a whole, and keeps what it has.
//! - Each question has one answer. A write whose data failed has its answer: [`Ask::Whole`] has
//!   none then.
//! - One buffer of one frame. Nothing grows with the size of files or folders.
//!
//! # Not here
//! - Links are not made. Owners, times and attributes of the sender are not kept.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, umask};
use ring::digest::{Context, SHA256};
use towline_files::{Fault, Incoming, Place, Seen, Wish, bytes_of};
use towline_wire::copy::{Answer, Ask, Entry, Kind, VERSIONS, is_below, mark_of};
use towline_wire::frame::{Frame, FrameReader, MAX_DATA};
use towline_wire::message::{decode, encode};

/// What a copy on the device was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Write the files, or read them.
    pub put: bool,
    /// Follow symbolic links.
    pub follow: bool,
    /// The file or directory.
    pub path: String,
}

/// Serves until standard input ends.
#[must_use]
pub fn serve(granted: &Granted) -> ExitCode {
    // The mask can only be read by setting it; this process has one thread.
    let mask = umask(Mode::empty());
    umask(mask);
    let served = Ends::listen().and_then(|ends| {
        let umask = mask.bits();
        Server { granted, umask, ends, writing: Writing::Nothing, out: io::stdout() }.run()
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The signals that end a session. They wait until this process asks for them, so that it removes
/// what nobody can go on with.
struct Ends(SignalFd);

impl Ends {
    fn listen() -> io::Result<Self> {
        let signals = SigSet::from_iter([Signal::SIGHUP, Signal::SIGTERM]);
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?))
    }

    /// Waits for input or a signal; true for a signal.
    fn is_due(&self) -> io::Result<bool> {
        let input = io::stdin();
        let mut both = [
            PollFd::new(input.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.0.as_fd(), PollFlags::POLLIN),
        ];
        loop {
            match poll(&mut both, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                result => {
                    result?;
                    return Ok(both[1].any() == Some(true));
                }
            }
        }
    }
}

/// What becomes of content.
enum Writing {
    Nothing,
    Open(Incoming),
    /// The failure was told.
    Failed,
}

struct Server<'a> {
    granted: &'a Granted,
    umask: u32,
    ends: Ends,
    writing: Writing,
    out: io::Stdout,
}

impl Server<'_> {
    fn run(&mut self) -> io::Result<()> {
        let mut reader = FrameReader::new();
        self.send(&Frame::Version { min: VERSIONS.min, max: VERSIONS.max })?;
        self.out.flush()?;
        loop {
            while let Some(frame) = reader.next().map_err(io::Error::other)? {
                match frame {
                    Frame::Data { data, .. } => self.take(data)?,
                    Frame::Control(body) => {
                        let ask = decode(body).map_err(io::Error::other)?;
                        let answer = self
                            .answer(ask)
                            .unwrap_or_else(|fault| Some(Answer::Failed(fault.to_string())));
                        if let Some(answer) = answer {
                            self.say(&answer)?;
                        }
                    }
                    _ => {}
                }
            }
            if self.ends.is_due()? {
                return Ok(());
            }
            // Without the buffer of the standard library: a poll does not see what is in it.
            match nix::unistd::read(io::stdin(), reader.spare()) {
                Ok(0) => return Ok(()),
                Ok(n) => reader.filled(n),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
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

    /// Content. What follows a failure is discarded: its end was told already.
    fn take(&mut self, data: &[u8]) -> io::Result<()> {
        let Writing::Open(incoming) = &mut self.writing else { return Ok(()) };
        let Err(fault) = incoming.write(data) else { return Ok(()) };
        let kept = incoming.kept();
        self.writing = Writing::Failed;
        self.say(&Answer::Failed(match kept {
            Some(name) => format!("{fault}; the partial file {} is kept", name.display()),
            None => fault.to_string(),
        }))
    }

    fn answer(&mut self, ask: Ask) -> Result<Option<Answer>, Fault> {
        Ok(Some(match ask {
            Ask::Look(path) => Answer::Is(self.look(&path)?),
            Ask::List(path) => self.list(&path)?,
            Ask::Read { path, offset } => self.read(&path, offset)?,
            Ask::Write { path, mode, size, mark } => self.write(&path, mode, size, mark)?,
            Ask::Whole(digest) => match std::mem::replace(&mut self.writing, Writing::Nothing) {
                Writing::Open(incoming) => {
                    incoming.finish(&digest)?;
                    Answer::Done
                }
                Writing::Failed => return Ok(None),
                Writing::Nothing => return Err(refused("no file is being written")),
            },
            Ask::Folder { path, mode } => {
                self.place(&path, Some(true))?.make_directory(mode)?;
                Answer::Done
            }
        }))
    }

    /// The place of a path, if it is granted for this.
    fn place(&self, path: &str, put: Option<bool>) -> Result<Place, Fault> {
        let granted = self.granted;
        if !is_below(&granted.path, path) || put.is_some_and(|put| put != granted.put) {
            return Err(refused("the grant of this session does not cover this"));
        }
        let path = Path::new(path);
        if granted.follow { Place::following(path) } else { Place::strict(path) }
    }

    fn look(&self, path: &str) -> Result<Entry, Fault> {
        let seen = match self.place(path, None) {
            Err(fault) if fault.is_not_found() => None,
            place => place?.look()?,
        };
        if seen.is_some_and(|seen| seen.kind == towline_files::Kind::Link) {
            return Err(Fault::Link(path.into()));
        }
        Ok(entry(seen))
    }

    fn list(&mut self, path: &str) -> Result<Answer, Fault> {
        let place = self.place(path, Some(false))?;
        if self.granted.follow && is_loop(Path::new(path)) {
            return Err(refused("it is a link to a directory above it"));
        }
        let mut unnamed = 0;
        place.list(self.granted.follow, &mut |name, seen| match name.into_string() {
            Ok(name) => self.say(&Answer::Item { name, entry: entry(seen) }),
            Err(_) => {
                unnamed += 1;
                Ok(())
            }
        })?;
        Ok(Answer::End { unnamed })
    }

    fn read(&mut self, path: &str, offset: u64) -> Result<Answer, Fault> {
        let (file, seen) = self.place(path, Some(false))?.read()?;
        // What is appended meanwhile is no part of it. Files of /proc say 0 and have content.
        let mut content = (&file).take(if seen.size > 0 { seen.size } else { u64::MAX });
        let (mut digest, mut at, mut buffer) = (Context::new(&SHA256), 0_u64, vec![0; MAX_DATA]);
        loop {
            // A piece that ends at the offset, so that none is sent in part.
            let before = usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX);
            let most = if before == 0 { MAX_DATA } else { before.min(MAX_DATA) };
            let n = content.read(&mut buffer[..most])?;
            if n == 0 {
                break;
            }
            digest.update(&buffer[..n]);
            if at >= offset {
                self.send(&Frame::Data { stream: 0, offset: at, data: &buffer[..n] })?;
            }
            at += n as u64;
        }
        // Files of /sys say 4096 and have less; they go on saying so.
        if file.metadata()?.len() < seen.size {
            return Err(refused("it became shorter while it was copied: copy it again"));
        }
        Ok(Answer::Whole(bytes_of(digest)))
    }

    fn write(&mut self, path: &str, mode: u32, size: u64, mark: [u8; 8]) -> Result<Answer, Fault> {
        self.writing = Writing::Nothing;
        let place = self.place(path, Some(true))?;
        let wish = Wish {
            mode: mode & 0o777 & !self.umask,
            size: Some(size).filter(|&size| size > 0),
            mark: &mark_of(mark),
        };
        let incoming = Incoming::begin(place, &wish)?;
        let have = incoming.have()?;
        self.writing = Writing::Open(incoming);
        Ok(Answer::Have(have))
    }
}

fn refused(why: &'static str) -> Fault {
    Fault::Io(io::Error::other(why))
}

/// Whether a directory is one of those that its path leads through. Links are followed.
fn is_loop(path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|seen| (seen.dev(), seen.ino())).ok();
    let own = identity(path);
    own.is_some() && path.ancestors().skip(1).any(|above| identity(above) == own)
}

fn entry(seen: Option<Seen>) -> Entry {
    let Some(seen) = seen else { return Entry { kind: Kind::Nothing, size: 0, mode: 0 } };
    let kind = match seen.kind {
        towline_files::Kind::File => Kind::File,
        towline_files::Kind::Directory => Kind::Folder,
        // A device or socket has no content to copy, a link leads elsewhere.
        _ => Kind::Other,
    };
    Entry { kind, size: seen.size, mode: seen.mode & 0o777 }
}
