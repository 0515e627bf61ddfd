//! Frames on a TLS connection: encoded bytes that wait, and frames that were read.
//!
//! Poll-based: nothing here blocks. Data stays in the [`Mux`] until the connection accepts it,
//! so the echo of a keystroke overtakes bulk output at the last moment.

use super::stream::Stream;
use crate::limits;
use std::io;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use towline_wire::frame::{Frame, FrameError, FrameReader, MAX_DATA, MAX_FRAME};
use towline_wire::mux::Mux;
use towline_wire::text::connection_error;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection broke.
    #[error("the connection broke: {}", connection_error(.0))]
    Io(#[from] io::Error),
    /// The connection broke, as the network process says.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The gateway closed it.
    #[error("the gateway closed the connection")]
    Closed,
    /// What came is no frame.
    #[error("the gateway sent bytes that are no Towline frame: {0}")]
    Frame(#[from] FrameError),
    /// What came is no message.
    #[error("the gateway sent an unknown message: {0}")]
    Message(#[from] towline_wire::message::MessageError),
    /// The agent's own control messages pile up.
    #[error(transparent)]
    Full(#[from] towline_wire::mux::Full),
    /// No answer to a ping.
    #[error("the gateway stopped answering")]
    Silent,
    /// No answer to the handshake.
    #[error("the gateway did not answer the handshake within {} s", limits::HANDSHAKE.as_secs())]
    NoHandshake,
    /// No common version.
    #[error("the gateway speaks wire versions {min} to {max}, this agent {} to {}: update the older one",
        towline_wire::VERSIONS.min, towline_wire::VERSIONS.max)]
    Version {
        /// Lowest of theirs.
        min: u16,
        /// Highest of theirs.
        max: u16,
    },
    /// The authority's time is not signed by the authority.
    #[error(
        "the time of the gateway is not signed by the authority that this device was enrolled with"
    )]
    Time,
    /// The gateway refuses the device.
    #[error("the gateway refuses this device ({code:?}): {text}")]
    Refused {
        /// Class.
        code: towline_wire::message::RefusalCode,
        /// In words.
        text: String,
        /// Seconds; 0: the agent decides.
        retry_after: u32,
    },
    /// The gateway is about to stop.
    #[error("the gateway is stopping and asks for a new connection in {0} s")]
    GoAway(u32),
    /// The gateway knows the new key, which this link does not show.
    #[error("the gateway added the new key")]
    NewKey,
}

/// One connection with its buffers.
#[derive(Debug)]
pub struct Link {
    stream: Stream,
    reader: FrameReader,
    out: Vec<u8>,
    sent: usize,
    unflushed: bool,
}

impl Link {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self { stream, reader: FrameReader::new(), out: Vec::new(), sent: 0, unflushed: false }
    }

    /// The device's own address on this connection.
    #[must_use]
    pub fn local_address(&self) -> String {
        self.stream.local_address()
    }

    /// Encodes a small frame that goes before whatever the mux has: versions, pings, pongs.
    ///
    /// # Errors
    /// [`LinkError::Frame`] for one that is too large.
    pub fn push(&mut self, frame: &Frame<'_>) -> Result<(), LinkError> {
        // A peer that asks for pongs and reads none of them would make this grow.
        if self.out.len() > limits::LINK_OUT + 2 * MAX_FRAME {
            return Err(towline_wire::mux::Full::Control.into());
        }
        Ok(frame.encode(&mut self.out)?)
    }

    /// Sends what there is: first what is encoded, then what the mux gives. Pending when all is
    /// sent or the connection takes no more; ready only with an error.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, mux: &mut Mux) -> Poll<LinkError> {
        loop {
            while self.out.len() < limits::LINK_OUT {
                let mut encoded = Ok(());
                if !mux.next_frame(MAX_DATA, |frame| encoded = frame.encode(&mut self.out)) {
                    break;
                }
                if let Err(error) = encoded {
                    return Poll::Ready(error.into());
                }
            }
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
                return self.poll_flush(cx);
            }
            match ready!(self.stream.poll_write(cx, &self.out[self.sent..])) {
                Ok(0) => return Poll::Ready(self.ended(LinkError::Closed)),
                Ok(n) => {
                    self.sent += n;
                    self.unflushed = true;
                    if self.sent == self.out.len() {
                        self.out.clear();
                        self.sent = 0;
                    }
                }
                Err(error) => return Poll::Ready(self.ended(error.into())),
            }
        }
    }

    /// The error that says most.
    fn ended(&self, error: LinkError) -> LinkError {
        self.stream.last_words().map_or(error, LinkError::Broken)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<LinkError> {
        if self.unflushed {
            match ready!(self.stream.poll_flush(cx)) {
                Ok(()) => self.unflushed = false,
                Err(error) => return Poll::Ready(error.into()),
            }
        }
        Poll::Pending
    }

    /// Ready when bytes came: take the frames with [`Self::next_frame`] before the next call.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let mut buffer = ReadBuf::new(self.reader.spare());
        match ready!(self.stream.poll_read(cx, &mut buffer)) {
            Ok(()) => {
                let n = buffer.filled().len();
                self.reader.filled(n);
                Poll::Ready(if n == 0 { Err(self.ended(LinkError::Closed)) } else { Ok(()) })
            }
            Err(error) => Poll::Ready(Err(self.ended(error.into()))),
        }
    }

    /// The next whole frame that was read.
    ///
    /// # Errors
    /// [`LinkError::Frame`]: the link cannot be read any further.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, LinkError> {
        Ok(self.reader.next()?)
    }

    /// Gives back memory that only traffic needs; called when the link has been silent.
    pub fn relax(&mut self) {
        self.reader.relax();
        if self.out.is_empty() {
            self.out = Vec::new();
        }
    }

    /// Tells the other side that nothing more comes, as far as that is possible without waiting.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_close(cx)
    }
}
