//! Sockets of this machine: TCP alone.

use std::convert::Infallible;
use std::io;
use std::net::Shutdown;
use std::os::windows::io::AsSocket;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;

/// WSAEMFILE.
const TOO_MANY_SOCKETS: i32 = 10_024;

/// A listener with a path: there is none here.
#[derive(Debug)]
pub(crate) struct PathListener(Infallible);

impl PathListener {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn bind(_path: &Path) -> io::Result<Self> {
        let why = "towline listens at no unix sockets on Windows: use a TCP port";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    pub(crate) fn poll_accept(&self, _cx: &mut Context<'_>) -> Poll<io::Result<(PathSocket, ())>> {
        match self.0 {}
    }
}

/// A connection at a path: there is none here.
#[derive(Debug)]
pub(crate) struct PathSocket(Infallible);

impl PathSocket {
    pub(crate) fn poll_read_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    pub(crate) fn poll_write_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    pub(crate) fn try_read(&self, _place: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }

    pub(crate) fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

impl AsSocket for PathSocket {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        match self.0 {}
    }
}

/// Nothing more will be written: the program at the other end reads an end.
pub(crate) fn shut_write(socket: &impl AsSocket) {
    // A program that has gone says so when it is read.
    let _ = SockRef::from(socket).shutdown(Shutdown::Write);
}

/// The next close of this socket tells its program that something broke.
pub(crate) fn break_off(socket: &impl AsSocket) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Whether sockets are short for the moment.
#[must_use]
pub(crate) fn is_short_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error() == Some(TOO_MANY_SOCKETS)
}
