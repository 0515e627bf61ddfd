//! The socket with a link's bytes, the same at both of its ends.
//!
//! # Invariants
//! - Its end is told that there is room only while a write waits. A Unix socket says so after each
//!   read of the other side; it would wake both processes once more for each key (decision 274).

use crate::sys::{watch, watch_again};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One end.
#[derive(Debug)]
pub struct Socket {
    /// `None` once the runtime has refused it.
    fd: Option<AsyncFd<OwnedFd>>,
    write_waits: bool,
}

impl Socket {
    /// An end, which the runtime watches from now on.
    ///
    /// # Errors
    /// The runtime cannot wait for it.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { fd: Some(watch(fd)?), write_waits: false })
    }

    fn fd(&self) -> io::Result<&AsyncFd<OwnedFd>> {
        self.fd.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Registers anew; the reader is polled once more, since its place in the runtime is gone.
    fn await_room(&mut self, write_waits: bool, cx: &Context<'_>) -> io::Result<()> {
        if self.write_waits != write_waits
            && let Some(fd) = self.fd.take()
        {
            self.fd = Some(watch_again(fd, write_waits)?);
            self.write_waits = write_waits;
            cx.waker().wake_by_ref();
        }
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let fd = self.fd()?;
        loop {
            let mut ready = ready!(fd.poll_read_ready(cx))?;
            let place = to.initialize_unfilled();
            match recv(fd.as_raw_fd(), place, MsgFlags::MSG_DONTWAIT) {
                Ok(n) => {
                    // A stream that gave less has nothing more, and what comes is told.
                    if 0 < n && n < place.len() {
                        ready.clear_ready();
                    }
                    to.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(errno) => return Poll::Ready(Err(errno.into())),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.fd()?.as_raw_fd(), from, flags) {
                Ok(n) => {
                    self.await_room(false, cx)?;
                    return Poll::Ready(Ok(n));
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    self.await_room(true, cx)?;
                    ready!(self.fd()?.poll_write_ready(cx))?.clear_ready();
                }
                Err(errno) => return Poll::Ready(Err(errno.into())),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the kernel has it
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shutdown(self.fd()?.as_raw_fd(), Shutdown::Write).map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn pair() -> (Socket, Socket) {
        let (one, other) = UnixStream::pair().unwrap();
        let end = |stream: UnixStream| Socket::new(stream.into()).unwrap();
        (end(one), end(other))
    }

    fn with_runtime<F: Future>(story: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
    }

    #[test]
    fn what_does_not_fit_waits_for_room_and_nothing_else_does() {
        with_runtime(async {
            let (mut ours, mut theirs) = pair();
            let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
            ours.write_all(b"key").await.unwrap();
            assert!(!ours.write_waits, "there is room");
            let mut key = [0; 3];
            theirs.read_exact(&mut key).await.unwrap();
            let mut got = vec![0; sent.len()];
            let (written, read) = tokio::join!(ours.write_all(&sent), theirs.read_exact(&mut got));
            written.unwrap();
            read.unwrap();
            assert!(got == sent && !ours.write_waits, "all of it, in order, and nothing waits");
        });
    }

    #[test]
    fn bytes_are_read_while_a_write_waits() {
        with_runtime(async {
            let (ours, mut theirs) = pair();
            let (mut reader, mut writer) = tokio::io::split(ours);
            let full = tokio::time::timeout(std::time::Duration::from_secs(60), async {
                let write = async {
                    let _ = writer.write_all(&vec![7; 4_000_000]).await;
                };
                let answer = async {
                    // The write waits by now: this end has read nothing.
                    let mut some = [0; 1];
                    theirs.read_exact(&mut some).await.unwrap();
                    theirs.write_all(b"answer").await.unwrap();
                    let mut got = [0; 6];
                    reader.read_exact(&mut got).await.unwrap();
                    got
                };
                tokio::select! {
                    biased;
                    () = write => None,
                    got = answer => Some(got),
                }
            });
            assert_eq!(full.await.unwrap().as_ref(), Some(b"answer"));
        });
    }

    #[test]
    fn the_end_of_one_side_is_read_and_the_other_side_may_still_write() {
        with_runtime(async {
            let (mut ours, mut theirs) = pair();
            ours.shutdown().await.unwrap();
            assert_eq!(theirs.read(&mut [0; 8]).await.unwrap(), 0);
            theirs.write_all(b"bye").await.unwrap();
            drop(theirs);
            let mut rest = Vec::new();
            ours.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"bye");
            let broken = ours.write_all(b"x").await.unwrap_err();
            assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
        });
    }
}
