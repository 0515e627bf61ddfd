//! Many pipes over one unix socket: links between two processes that cost no open file each.
//!
//! Data flow: [`Mux::open`] here, the first piece of a link there -> a [`Pipe`] in each process;
//! its bytes travel in pieces (link, length, bytes) in the socket.
//!
//! # Invariants
//! - A pipe that is dropped ends the other one. Pieces of a link that has ended are dropped.
//! - What waits for the socket is bounded: writers wait at [`MOST_WAITING`] bytes.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};

/// Bytes that wait for the socket.
const MOST_WAITING: usize = 4 * 1024 * 1024;
/// Pipes of the other side that wait to be accepted.
const NEWCOMERS: usize = 1024;
/// In place of a length: the link begins, or ends.
const OPENS: u32 = u32::MAX;
const ENDS: u32 = 0;

/// All pipes of one socket.
pub struct Mux {
    out: Mutex<Out>,
    ready: Notify,
    next: AtomicU32,
    ends: Mutex<HashMap<u32, Arc<Mutex<Input>>>>,
}

#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    writers: Vec<Waker>,
}

#[derive(Default)]
struct Input {
    bytes: VecDeque<u8>,
    ended: bool,
    reader: Option<Waker>,
}

/// One end of a pipe.
pub struct Pipe {
    mux: Arc<Mux>,
    link: u32,
    input: Arc<Mutex<Input>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // each step leaves it whole
}

impl Mux {
    /// Over this socket. Pipes that the other side opens come out of the second value.
    #[must_use]
    pub fn over(socket: UnixStream) -> (Arc<Self>, mpsc::Receiver<Pipe>) {
        let mux = Arc::new(Self {
            out: Mutex::default(),
            ready: Notify::new(),
            next: AtomicU32::new(0),
            ends: Mutex::default(),
        });
        let (newcomers, accept) = mpsc::channel(NEWCOMERS);
        let (read, write) = socket.into_split();
        tokio::spawn(Arc::clone(&mux).receive(read, newcomers));
        tokio::spawn(Arc::clone(&mux).send(write));
        (mux, accept)
    }

    /// A new pipe. Only one side of a socket opens pipes.
    #[must_use]
    pub fn open(self: &Arc<Self>) -> Pipe {
        let link = self.next.fetch_add(1, Ordering::Relaxed);
        self.push(link, OPENS, &[]);
        self.pipe(link)
    }

    /// Ends all pipes at once.
    pub fn cut(&self) {
        let ends: Vec<_> = lock(&self.ends).drain().collect();
        for (link, input) in ends {
            self.push(link, ENDS, &[]);
            lock(&input).end();
        }
    }

    fn pipe(self: &Arc<Self>, link: u32) -> Pipe {
        let input = Arc::<Mutex<Input>>::default();
        lock(&self.ends).insert(link, Arc::clone(&input));
        Pipe { mux: Arc::clone(self), link, input }
    }

    fn push(&self, link: u32, length: u32, bytes: &[u8]) {
        let mut out = lock(&self.out);
        out.bytes.extend_from_slice(&link.to_le_bytes());
        out.bytes.extend_from_slice(&length.to_le_bytes());
        out.bytes.extend_from_slice(bytes);
        self.ready.notify_one();
    }

    async fn send(self: Arc<Self>, mut socket: tokio::net::unix::OwnedWriteHalf) {
        loop {
            self.ready.notified().await;
            let Out { bytes, writers } = std::mem::take(&mut *lock(&self.out));
            if socket.write_all(&bytes).await.is_err() {
                return;
            }
            writers.into_iter().for_each(Waker::wake);
        }
    }

    async fn receive(
        self: Arc<Self>,
        mut socket: tokio::net::unix::OwnedReadHalf,
        newcomers: mpsc::Sender<Pipe>,
    ) {
        let mut bytes = Vec::new();
        while let (Ok(link), Ok(length)) = (socket.read_u32_le().await, socket.read_u32_le().await)
        {
            let end = lock(&self.ends).get(&link).cloned();
            match (length, end) {
                (OPENS, _) => {
                    if newcomers.send(self.pipe(link)).await.is_err() {
                        return;
                    }
                }
                (ENDS, Some(end)) => lock(&end).end(),
                (ENDS, None) => {}
                (length, end) => {
                    bytes.resize(usize::try_from(length).unwrap_or(0), 0);
                    if socket.read_exact(&mut bytes).await.is_err() {
                        break;
                    }
                    if let Some(end) = end {
                        lock(&end).take(&bytes);
                    }
                }
            }
        }
        for end in lock(&self.ends).values() {
            lock(end).end();
        }
    }
}

impl Input {
    fn end(&mut self) {
        self.ended = true;
        self.wake();
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut input = lock(&self.input);
        if input.bytes.is_empty() {
            if input.ended {
                return Poll::Ready(Ok(()));
            }
            input.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (first, _) = input.bytes.as_slices();
        let taken = first.len().min(buf.remaining());
        buf.put_slice(&first[..taken]);
        input.bytes.drain(..taken);
        if input.bytes.is_empty() {
            input.bytes = VecDeque::new(); // an idle pipe holds nothing
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if lock(&self.input).ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        {
            let mut out = lock(&self.mux.out);
            if out.bytes.len() > MOST_WAITING {
                out.writers.push(cx.waker().clone());
                return Poll::Pending;
            }
        }
        if let Ok(length) = u32::try_from(bytes.len())
            && length > 0
        {
            self.mux.push(self.link, length, bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.mux.push(self.link, ENDS, &[]);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if lock(&self.mux.ends).remove(&self.link).is_some() {
            self.mux.push(self.link, ENDS, &[]);
        }
    }
}
