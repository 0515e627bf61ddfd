//! A connection that keeps what was read from it, until it is known who dials: the `ClientHello` is
//! read once to choose a configuration, and a device's TLS begins with it anew.
//!
//! # Invariants
//! - It holds what the reader of the `ClientHello` takes: 64 KiB at the most.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::transport::Transport;

/// A connection, and what was read from it.
pub struct Heard {
    /// The connection.
    pub transport: Transport,
    /// All bytes that were read.
    pub bytes: Vec<u8>,
}

impl Heard {
    /// A connection of which nothing was read.
    #[must_use]
    pub const fn new(transport: Transport) -> Self {
        Self { transport, bytes: Vec::new() }
    }
}

impl AsyncRead for Heard {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.transport).poll_read(cx, buf))?;
        this.bytes.extend_from_slice(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(cx)
    }
}
