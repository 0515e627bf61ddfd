//! Where a forward listens: TCP on an address of this machine, or a unix socket; and what it
//! accepts.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpStream};

use crate::platform::{self, PathListener, PathSocket};

/// What to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// An address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A path that does not exist yet.
    Unix(PathBuf),
}

impl Listen {
    /// The address or path, for people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => path.display().to_string(),
        }
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket; its file goes with it.
    Unix(PathListener, PathBuf),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) async fn open(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            Listen::Unix(path) => {
                PathListener::bind(path).map(|listener| Self::Unix(listener, path.clone()))
            }
        }
    }

    /// The address, for people: `127.0.0.1:4711`, or a path.
    #[must_use]
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map(|address| address.to_string()).unwrap_or_default()
            }
            Self::Unix(_, path) => path.display().to_string(),
        }
    }

    /// The port, if it has one.
    #[must_use]
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            Self::Unix(..) => None,
        }
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| {
                // Who types through a forward waits for each key.
                let _ = stream.set_nodelay(true);
                Socket::Tcp(stream)
            }),
            Self::Unix(listener, _) => {
                listener.poll_accept(cx).map_ok(|(stream, _)| Socket::Unix(stream))
            }
        }
    }
}

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(PathSocket),
}

impl Socket {
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        place: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let ready = match self {
                Self::Tcp(stream) => stream.poll_read_ready(cx),
                Self::Unix(stream) => stream.poll_read_ready(cx),
            };
            std::task::ready!(ready)?;
            let read = match self {
                Self::Tcp(stream) => stream.try_read(place),
                Self::Unix(stream) => stream.try_read(place),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<Poll<usize>> {
        loop {
            let ready = match self {
                Self::Tcp(stream) => stream.poll_write_ready(cx),
                Self::Unix(stream) => stream.poll_write_ready(cx),
            };
            match ready {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(ready) => ready?,
            }
            let written = match self {
                Self::Tcp(stream) => stream.try_write(bytes),
                Self::Unix(stream) => stream.try_write(bytes),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result.map(Poll::Ready),
            }
        }
    }

    pub(super) fn shut_write(&self) {
        match self {
            Self::Tcp(stream) => platform::shut_write(stream),
            Self::Unix(stream) => platform::shut_write(stream),
        }
    }

    /// The next close tells the program at the other end that something broke.
    pub(super) fn break_off(&self) {
        match self {
            Self::Tcp(stream) => platform::break_off(stream),
            Self::Unix(stream) => platform::break_off(stream),
        }
    }
}
