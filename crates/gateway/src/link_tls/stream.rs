//! A device's connection after its handshake: bytes as tokio reads and writes them.
//!
//! Data flow: socket -> a buffer on the stack -> [`Records`] -> reader; writer -> [`Records`] ->
//! socket.
//!
//! # Invariants
//! - Nothing is read from the socket while decrypted bytes wait for the reader, and nothing is
//!   encrypted while encrypted bytes wait for the socket.
//! - An end without the device's notice is an error: it may be somebody else's.
//! - The alert about a failure is tried once; the failure does not wait for it.
//!
//! # Not here
//! - Times: who awaits the handshake, a read or a write bounds it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::server::UnbufferedServerConnection;
use rustls::{CommonState, Error, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::records::Records;
use crate::limits::{LINK_BATCH, LINK_RECORD};
use crate::transport::Transport;

/// A device's TLS connection.
pub struct LinkStream {
    transport: Transport,
    records: Records,
    /// We have said that nothing more comes.
    is_closing: bool,
}

fn broken(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl LinkStream {
    /// Shakes hands with a device of which `heard` was read already.
    ///
    /// # Errors
    /// The connection's, the device's alert, or what the device did wrong; it is told so then.
    pub async fn accept(
        transport: Transport,
        config: Arc<ServerConfig>,
        mut heard: Vec<u8>,
    ) -> io::Result<Self> {
        let tls = UnbufferedServerConnection::new(config).map_err(broken)?;
        let mut stream = Self { transport, records: Records::new(tls), is_closing: false };
        let begun = stream.records.receive(&mut heard);
        drop(heard);
        std::future::poll_fn(|cx| {
            if let Err(error) = &begun {
                return Poll::Ready(Err(stream.failed(cx, error.clone())));
            }
            stream.poll_handshake(cx)
        })
        .await?;
        Ok(stream)
    }

    /// What was agreed on in the handshake.
    #[must_use]
    pub fn session(&self) -> &CommonState {
        self.records.session()
    }

    /// Memory that its buffers hold, bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.records.memory()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_send(cx))?;
            ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
            if !self.session().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_receive(cx))? == 0 {
                let why = "tls handshake eof";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, why)));
            }
        }
    }

    /// Reads from the socket and decrypts; how many bytes came, 0 at the end.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // On the stack, so that a link that waits holds none of it.
        let mut room = [MaybeUninit::uninit(); 2 * LINK_RECORD];
        let mut came = ReadBuf::uninit(&mut room);
        came.put_slice(self.records.held());
        let before = came.filled().len();
        ready!(Pin::new(&mut self.transport).poll_read(cx, &mut came))?;
        let new = came.filled().len() - before;
        if new > 0
            && let Err(error) = self.records.receive(came.filled_mut())
        {
            return Poll::Ready(Err(self.failed(cx, error)));
        }
        Poll::Ready(Ok(new))
    }

    /// Sends what is encrypted.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.records.to_send().is_empty() {
            let transport = Pin::new(&mut self.transport);
            match ready!(transport.poll_write(cx, self.records.to_send()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.records.sent(sent),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The failure, after one try to tell it.
    fn failed(&mut self, cx: &mut Context<'_>, error: Error) -> io::Error {
        let _ = self.poll_send(cx); // the failure counts, whether it was heard or not
        broken(error)
    }
}

impl AsyncRead for LinkStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.records.take(buf) || this.records.is_closed_by_device() {
                return Poll::Ready(Ok(()));
            }
            if ready!(this.poll_receive(cx))? == 0 {
                let why = "the device closed the connection without close_notify";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, why)));
            }
        }
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.poll_send(cx))?;
        let some = &data[..data.len().min(LINK_BATCH)];
        this.records.say(some).map_err(broken)?;
        // What the socket does not take now is sent by the next write, or by a flush.
        if let Poll::Ready(Err(error)) = this.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(some.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.transport).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_closing {
            this.is_closing = true;
            let _ = this.records.close(); // a link that has failed says so by its alert
        }
        ready!(this.poll_send(cx))?;
        match ready!(Pin::new(&mut this.transport).poll_shutdown(cx)) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}
