//! Standard input and output without blocking, by threads: a console, a pipe and a file of Windows
//! have no readiness that one could wait for.
//!
//! Data flow in: [`LocalStream::read`] gives the stream to a thread, which waits for the system and
//! leaves the bytes in the slot. Data flow out: [`LocalStream::try_write`] gives a copy of the
//! bytes to a thread and says `WouldBlock`; once they are written, the call that brings the same
//! bytes again hears how many the system took.
//!
//! A console that is not raw is read by the line, with its own editing.
//!
//! # Invariants
//! - One read or write at a time is under way, of at most [`PIECE`] bytes.
//! - Bytes count as written when the system has taken them, not before.
//! - A read that nobody waits for any more keeps its bytes for the next one.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use super::calls::{self, Event};
use super::console::is_terminal;
use super::signals;
use crate::platform::Access;
use crate::platform::console_modes::LINE_INPUT;
use crate::platform::console_text::{Shown, Typed};

/// Most bytes of one read or write.
const PIECE: usize = 64 * 1024;

/// ERROR_PIPE_NOT_CONNECTED.
const NOT_CONNECTED: i32 = 233;

/// One of the standard streams.
#[derive(Debug)]
pub(crate) struct LocalStream {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    end: Mutex<End>,
    slot: Mutex<Slot>,
    done: AtomicWaker,
}

/// What the thread works on.
#[derive(Debug)]
enum End {
    /// A console that is typed at.
    Keyboard(OwnedHandle, Typed),
    /// A console that shows.
    Screen(OwnedHandle, Shown),
    /// A pipe, a file, or `NUL`.
    File(File),
}

/// Where the work stands.
#[derive(Debug)]
enum Slot {
    Idle,
    Busy,
    /// Bytes that came.
    Came(io::Result<Vec<u8>>),
    /// Bytes that were to be written, and how many were.
    Wrote(Vec<u8>, io::Result<usize>),
}

impl LocalStream {
    /// Opens a stream for use in this direction.
    ///
    /// # Errors
    /// What the system says; a stream that is closed, for example.
    pub(crate) fn open(stream: impl AsHandle, access: Access) -> io::Result<Self> {
        let own = stream.as_handle().try_clone_to_owned()?;
        let end = match (is_terminal(&own), access) {
            (true, Access::Read) => End::Keyboard(own, Typed::default()),
            (true, Access::Write) => End::Screen(own, Shown::default()),
            (false, _) => End::File(own.into()),
        };
        let (end, slot) = (Mutex::new(end), Mutex::new(Slot::Idle));
        Ok(Self { shared: Arc::new(Shared { end, slot, done: AtomicWaker::new() }) })
    }

    /// Reads what is there, waiting for it. May be dropped without loss. 0 is the end.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    fn poll_read(&self, cx: &Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.shared.done.register(cx.waker());
        let mut slot = locked(&self.shared.slot);
        match std::mem::replace(&mut *slot, Slot::Busy) {
            Slot::Busy => Poll::Pending,
            Slot::Came(Ok(mut bytes)) => {
                let n = bytes.len().min(buffer.len());
                buffer[..n].copy_from_slice(&bytes[..n]);
                bytes.drain(..n);
                *slot = if bytes.is_empty() { Slot::Idle } else { Slot::Came(Ok(bytes)) };
                Poll::Ready(Ok(n))
            }
            Slot::Came(Err(error)) => {
                *slot = Slot::Idle;
                Poll::Ready(Err(error))
            }
            Slot::Idle | Slot::Wrote(..) => {
                let (shared, most) = (Arc::clone(&self.shared), buffer.len().min(PIECE));
                tokio::task::spawn_blocking(move || {
                    let came = locked(&shared.end).read(most);
                    shared.finish(Slot::Came(came));
                });
                Poll::Pending
            }
        }
    }

    /// Says how many of these bytes are written. `WouldBlock` while they are under way: call again
    /// with the same bytes once [`LocalStream::writable`] says so. Other bytes are written behind
    /// them.
    ///
    /// # Errors
    /// What the system says; `BrokenPipe` when nobody reads any more.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut slot = locked(&self.shared.slot);
        match std::mem::replace(&mut *slot, Slot::Busy) {
            Slot::Busy => return Err(io::ErrorKind::WouldBlock.into()),
            Slot::Wrote(given, result) if bytes.starts_with(&given) => {
                *slot = Slot::Idle;
                return result;
            }
            Slot::Idle | Slot::Came(_) | Slot::Wrote(..) => {}
        }
        let (shared, given) = (Arc::clone(&self.shared), bytes[..bytes.len().min(PIECE)].to_vec());
        tokio::task::spawn_blocking(move || {
            let wrote = locked(&shared.end).write(&given);
            shared.finish(Slot::Wrote(given, wrote));
        });
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Waits until [`LocalStream::try_write`] is worth a try.
    ///
    /// # Errors
    /// None here.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| {
            self.shared.done.register(cx.waker());
            match &*locked(&self.shared.slot) {
                Slot::Busy => Poll::Pending,
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }
}

impl Shared {
    fn finish(&self, slot: Slot) {
        *locked(&self.slot) = slot;
        self.done.wake();
    }
}

impl End {
    fn read(&mut self, most: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Keyboard(console, typed) if is_raw(console) => typed_bytes(console, typed),
            // By the line, as the console edits it; Ctrl-Z at its begin is the end.
            Self::Keyboard(..) => {
                let mut bytes = vec![0; most];
                let n = io::stdin().read(&mut bytes)?;
                bytes.truncate(n);
                Ok(bytes)
            }
            Self::Screen(..) => Err(io::ErrorKind::Unsupported.into()),
            Self::File(file) => {
                let mut bytes = vec![0; most];
                loop {
                    match file.read(&mut bytes) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        result => {
                            bytes.truncate(result?);
                            return Ok(bytes);
                        }
                    }
                }
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Keyboard(..) => Err(io::ErrorKind::Unsupported.into()),
            Self::Screen(console, shown) => {
                let units = shown.units(bytes);
                let mut rest = units.as_slice();
                while !rest.is_empty() {
                    match calls::write(console.as_handle(), rest)? {
                        0 => return Err(io::ErrorKind::WriteZero.into()),
                        n => rest = &rest[n.min(rest.len())..],
                    }
                }
                Ok(bytes.len())
            }
            Self::File(file) => loop {
                match file.write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return result,
                }
            },
        }
    }
}

/// Whether a write failed because nobody reads any more.
#[must_use]
pub(crate) fn is_reader_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(NOT_CONNECTED)
}

fn is_raw(console: &OwnedHandle) -> bool {
    calls::mode(console.as_handle()).is_ok_and(|mode| mode & LINE_INPUT == 0)
}

/// Waits until something is typed. A change of size is told on the way.
fn typed_bytes(console: &OwnedHandle, typed: &mut Typed) -> io::Result<Vec<u8>> {
    let (mut bytes, mut events) = (Vec::new(), Vec::new());
    while bytes.is_empty() {
        calls::read_events(console.as_handle(), &mut events)?;
        for event in events.drain(..) {
            match event {
                Event::Unit(unit) => typed.push(unit, &mut bytes),
                Event::Resized => signals::resized(),
            }
        }
    }
    Ok(bytes)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
