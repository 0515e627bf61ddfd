//! Frames over any stream, blocking, with a deadline on every read.

use std::io::{ErrorKind, Read, Write};

use towline_testkit::{Outcome, Trouble};
use towline_wire::frame::{Frame, FrameReader};

/// A frame that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Control(Vec<u8>),
    Data(Vec<u8>),
    Version(u16, u16),
    Pong,
    /// Credit, fin, ping: not looked into by these tests.
    Other,
    /// The other side has closed the link.
    End,
}

/// Frames in both directions.
pub(crate) struct Line<S> {
    stream: S,
    reader: FrameReader,
}

impl<S: Read + Write> Line<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, reader: FrameReader::new() }
    }

    /// Sends bytes that may or may not be frames.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.stream.write_all(bytes)?;
        Ok(self.stream.flush()?)
    }

    pub(crate) fn send(&mut self, frame: &Frame<'_>) -> Outcome {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes)?;
        self.send_bytes(&bytes)
    }

    /// The next frame, or the end; an error when the read's deadline passes.
    pub(crate) fn hear(&mut self) -> Outcome<Heard> {
        loop {
            if let Some(frame) = self.reader.next()? {
                return Ok(owned(&frame));
            }
            let spare = self.reader.spare();
            match self.stream.read(spare) {
                Ok(0) => return Ok(Heard::End),
                Ok(n) => self.reader.filled(n),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Trouble::new(
                        "the other side says nothing, and does not close the link",
                    ));
                }
                // Reset, or closed without a TLS goodbye: closed.
                Err(_) => return Ok(Heard::End),
            }
        }
    }

    /// Control messages until one is wanted.
    pub(crate) fn hear_message<T>(&mut self, wanted: impl Fn(&[u8]) -> Option<T>) -> Outcome<T> {
        loop {
            match self.hear()? {
                Heard::Control(body) => {
                    if let Some(found) = wanted(&body) {
                        return Ok(found);
                    }
                }
                Heard::End => {
                    return Err(Trouble::new("the link was closed before the awaited message"));
                }
                Heard::Data(_) | Heard::Version(..) | Heard::Pong | Heard::Other => {}
            }
        }
    }

    /// Succeeds when the other side closes the link before the read's deadline.
    pub(crate) fn hear_the_end(&mut self) -> Outcome {
        while self.hear()? != Heard::End {}
        Ok(())
    }
}

fn owned(frame: &Frame<'_>) -> Heard {
    match frame {
        Frame::Control(body) => Heard::Control(body.to_vec()),
        Frame::Data { data, .. } => Heard::Data(data.to_vec()),
        Frame::Version { min, max } => Heard::Version(*min, *max),
        Frame::Pong => Heard::Pong,
        _ => Heard::Other,
    }
}
