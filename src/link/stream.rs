//! The bytes of a link: of a TLS connection in this process, or of one in a network process.

use crate::separation::monitor::Line;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// An open connection to the gateway.
#[derive(Debug)]
pub enum Stream {
    /// TLS is done here.
    Here(Box<TlsStream<TcpStream>>),
    /// TLS is done in a process without rights.
    Apart(Box<Line>),
}

impl Stream {
    /// The device's own address on this connection.
    #[must_use]
    pub fn local_address(&self) -> String {
        match self {
            Self::Here(stream) => {
                let address = stream.get_ref().0.local_addr();
                address.map(|address| address.ip().to_string()).unwrap_or_default()
            }
            Self::Apart(line) => line.local_address(),
        }
    }

    /// Why it ended, where that is not in the error of a read or write.
    #[must_use]
    pub fn last_words(&self) -> Option<String> {
        match self {
            Self::Here(_) => None,
            Self::Apart(line) => line.last_words(),
        }
    }

    /// Reads.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Here(stream) => Pin::new(stream).poll_read(cx, to),
            Self::Apart(line) => Pin::new(&mut line.stream).poll_read(cx, to),
        }
    }

    /// Writes.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Here(stream) => Pin::new(stream).poll_write(cx, from),
            Self::Apart(line) => Pin::new(&mut line.stream).poll_write(cx, from),
        }
    }

    /// Flushes.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Here(stream) => Pin::new(stream).poll_flush(cx),
            Self::Apart(_) => Poll::Ready(Ok(())), // the kernel has it, and the process flushes
        }
    }

    /// Tells the gateway that nothing more comes. Ready when that has left this process, and the
    /// network process has ended.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let line = match self {
            Self::Here(stream) => return Pin::new(stream).poll_shutdown(cx).map(drop),
            Self::Apart(line) => line,
        };
        if ready!(Pin::new(&mut line.stream).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        loop {
            let mut scratch = [0; 512];
            let mut rest = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut line.stream).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}
