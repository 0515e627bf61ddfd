//! Standard input and output without blocking and without a thread, whatever they are.
//!
//! A flag such as `O_NONBLOCK` belongs to the open file *description*, which the parent shell and
//! the other programs of a pipeline share. To set it there would break them, and a killed program
//! could never set it back. So:
//!
//! | what it is | how it is used |
//! |---|---|
//! | terminal, pipe | opened anew through `/proc/self/fd`: a description of our own, non-blocking |
//! | on macOS, where only terminals can be opened anew | by the terminal's path |
//! | terminal that may not be opened anew (after `su`) | the same through `/dev/tty` |
//! | socket | each call says that it must not wait |
//! | regular file, `/dev/null` | they never wait long: used as they are |
//! | none of these ways | readiness is waited for, then one small call; the flags stay as they are |
//!
//! # Invariants
//! - No flag of a description that is not our own is changed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::platform::Access;

/// Most bytes of one write to a description that may block: POSIX promises that a pipe that polls
/// as writable has room for them.
const SMALL_WRITE: usize = 512;

/// A broken socket is an error, not a signal; macOS has no such flag, and there this program
/// ignores the signal.
#[cfg(not(target_os = "macos"))]
const AT_ONCE: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
#[cfg(target_os = "macos")]
const AT_ONCE: SendFlags = SendFlags::DONTWAIT;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Own,
    Socket,
    Shared,
}

/// One of the standard streams.
#[derive(Debug)]
pub(crate) enum LocalStream {
    /// Read, with readiness.
    Polled(Polled),
    /// Written, with readiness while a write waits.
    Written(Written),
    /// Always ready.
    Direct(OwnedFd),
}

/// A stream whose readiness the kernel tells.
#[derive(Debug)]
pub(crate) struct Polled {
    fd: AsyncFd<OwnedFd>,
    how: How,
}

/// A stream that is written. The kernel tells its readiness only while a write waits: after each
/// write a terminal is ready anew, and to hear of it would wake this program once for each key.
#[derive(Debug)]
pub(crate) struct Written {
    fd: OwnedFd,
    how: How,
    /// The last write did not fit: what is not taken now will not be taken at a second call.
    full: AtomicBool,
}

impl LocalStream {
    /// Opens a stream for use in this direction. Must be called within the runtime.
    ///
    /// # Errors
    /// What the kernel says; a stream that is closed, for example.
    pub(crate) fn open(stream: impl AsFd, access: Access) -> io::Result<Self> {
        let fd = stream.as_fd();
        let (own, how) = match FileType::from_raw_mode(fstat(fd)?.st_mode) {
            FileType::Socket => (fd.try_clone_to_owned()?, How::Socket),
            FileType::Fifo | FileType::CharacterDevice => match reopen(fd, access) {
                Some(own) => (own, How::Own),
                None => (fd.try_clone_to_owned()?, How::Shared),
            },
            _ => return Ok(Self::Direct(fd.try_clone_to_owned()?)),
        };
        if access == Access::Write {
            return Ok(Self::Written(Written { fd: own, how, full: AtomicBool::new(false) }));
        }
        // Deprecated because a type could lend its descriptor and close it meanwhile; `OwnedFd` is
        // what cannot.
        #[allow(deprecated)]
        match AsyncFd::try_with_interest(own, Interest::READABLE) {
            Ok(fd) => Ok(Self::Polled(Polled { fd, how })),
            // epoll refuses what is always ready, /dev/null for example.
            Err(error) => Ok(Self::Direct(error.into_parts().0)),
        }
    }

    /// Reads what is there, waiting for it. May be dropped without loss. 0 is the end.
    ///
    /// # Errors
    /// What the kernel says; `EIO` for a terminal that is gone.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Written(_) => Err(io::ErrorKind::Unsupported.into()),
            Self::Direct(fd) => retry(|| rustix::io::read(fd, &mut *buffer)),
            Self::Polled(polled) => loop {
                let mut ready = polled.fd.readable().await?;
                if let Ok(result) = ready.try_io(|fd| polled.how.read(fd.as_fd(), &mut *buffer)) {
                    return result;
                }
            },
        }
    }

    /// Writes what fits now; `WouldBlock` when that is nothing, or when the last write did not fit
    /// and [`LocalStream::writable`] was not waited for.
    ///
    /// # Errors
    /// What the kernel says; `EPIPE` when nobody reads any more.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Direct(fd) => retry(|| rustix::io::write(fd, bytes)),
            Self::Written(written) => written.write(bytes),
            Self::Polled(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Waits until [`LocalStream::try_write`] is worth a try.
    ///
    /// # Errors
    /// Only when the runtime ends.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Written(written) => written.writable().await,
            Self::Direct(_) | Self::Polled(_) => Ok(()),
        }
    }
}

impl Written {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // The shared kind may block, so readiness comes first, and a small write.
        let most = if self.how == How::Shared { SMALL_WRITE } else { usize::MAX };
        let part = &bytes[..bytes.len().min(most)];
        let ready = if self.how == How::Shared { writable_now(self.fd.as_fd()) } else { Ok(()) };
        let result = ready.and_then(|()| self.how.write(self.fd.as_fd(), part));
        let full = match &result {
            Ok(n) => *n < part.len(),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        self.full.store(full, Ordering::Relaxed);
        result
    }

    async fn writable(&self) -> io::Result<()> {
        // Deprecated because a type could lend its descriptor and close it meanwhile; here it is
        // borrowed for as long as the registration lives.
        #[allow(deprecated)]
        let registered = AsyncFd::try_with_interest(self.fd.as_fd(), Interest::WRITABLE);
        // epoll refuses what is always ready.
        if let Ok(fd) = registered {
            drop(fd.writable().await?);
        }
        self.full.store(false, Ordering::Relaxed);
        Ok(())
    }
}

impl How {
    fn read(self, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket => retry(|| recv(fd, &mut *buffer, RecvFlags::DONTWAIT).map(|(n, _)| n)),
            Self::Own | Self::Shared => retry(|| rustix::io::read(fd, &mut *buffer)),
        }
    }

    fn write(self, fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket => retry(|| send(fd, bytes, AT_ONCE)),
            Self::Own | Self::Shared => retry(|| rustix::io::write(fd, bytes)),
        }
    }
}

fn writable_now(fd: BorrowedFd<'_>) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

/// A description of our own for the same terminal or pipe, non-blocking.
fn reopen(fd: BorrowedFd<'_>, access: Access) -> Option<OwnedFd> {
    let direction = if access == Access::Read { OFlags::RDONLY } else { OFlags::WRONLY };
    let flags = direction | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if let Some(own) = path_of(fd).and_then(|path| open(path, flags, Mode::empty()).ok()) {
        return Some(own);
    }
    if !rustix::termios::isatty(fd) {
        return None;
    }
    let own = open("/dev/tty", flags, Mode::empty()).ok()?;
    // Only when it is the same terminal: both must be led by the same session.
    (rustix::termios::tcgetsid(&own).ok()? == rustix::termios::tcgetsid(fd).ok()?).then_some(own)
}

/// A path that opens what is behind `fd` anew.
#[cfg(not(target_os = "macos"))]
fn path_of(fd: BorrowedFd<'_>) -> Option<String> {
    Some(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd)))
}

/// On macOS `/dev/fd` gives the same description again, so only terminals have such a path; kqueue
/// takes it, and not `/dev/tty`.
#[cfg(target_os = "macos")]
fn path_of(fd: BorrowedFd<'_>) -> Option<std::ffi::CString> {
    rustix::termios::ttyname(fd, Vec::new()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::fcntl_getfl;
    use std::future::Future;
    use std::io::{Read, Write};

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap().block_on(test)
    }

    #[test]
    fn a_pipe_is_read_without_a_change_of_its_flags() {
        run(async {
            let (reader, mut writer) = std::io::pipe().unwrap();
            let before = fcntl_getfl(&reader).unwrap();
            let stream = LocalStream::open(reader.as_fd(), Access::Read).unwrap();
            writer.write_all(b"hello").unwrap();
            let mut buffer = [0; 16];
            assert_eq!(stream.read(&mut buffer).await.unwrap(), 5);
            drop(writer);
            assert_eq!(stream.read(&mut buffer).await.unwrap(), 0, "the end is seen");
            assert_eq!(fcntl_getfl(&reader).unwrap(), before);
        });
    }

    #[test]
    fn a_full_pipe_would_block_until_somebody_reads() {
        run(async {
            let (mut reader, writer) = std::io::pipe().unwrap();
            let before = fcntl_getfl(&writer).unwrap();
            let stream = LocalStream::open(writer.as_fd(), Access::Write).unwrap();
            let mut written = 0;
            while let Ok(n) = stream.try_write(&[7; 65_536]) {
                written += n;
            }
            assert!(written >= 4096, "{written}");
            let mut buffer = vec![0; written];
            reader.read_exact(&mut buffer).unwrap();
            stream.writable().await.unwrap();
            assert!(stream.try_write(b"more").is_ok());
            assert_eq!(fcntl_getfl(&writer).unwrap(), before);
        });
    }

    #[test]
    fn sockets_files_and_null_are_read_as_well() {
        run(async {
            let mut buffer = [0; 16];
            let (socket, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
            let stream = LocalStream::open(socket.as_fd(), Access::Read).unwrap();
            peer.write_all(b"abc").unwrap();
            assert_eq!(stream.read(&mut buffer).await.unwrap(), 3);

            let null = std::fs::File::open("/dev/null").unwrap();
            assert_eq!(
                LocalStream::open(null.as_fd(), Access::Read)
                    .unwrap()
                    .read(&mut buffer)
                    .await
                    .unwrap(),
                0
            );

            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"x").unwrap();
            let stream = LocalStream::open(file.as_fd(), Access::Write).unwrap();
            assert_eq!(stream.try_write(b"yz").unwrap(), 2, "at the place where the file stands");
        });
    }

    #[test]
    fn nobody_reading_is_a_broken_pipe() {
        run(async {
            let (reader, writer) = std::io::pipe().unwrap();
            let stream = LocalStream::open(writer.as_fd(), Access::Write).unwrap();
            drop(reader);
            stream.writable().await.unwrap();
            assert_eq!(stream.try_write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        });
    }
}
