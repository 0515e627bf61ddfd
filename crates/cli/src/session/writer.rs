//! One local output: written straight from the frame, and kept only as far as the local end does
//! not take it.
//!
//! # Invariants
//! - At most a window of bytes waits: the device gets credit only for what was written.
//! - Once nobody reads any more, everything is thrown away, and counts as written.
//! - What was switched on in a terminal by bytes that reached it is switched off by
//!   [`LocalWriter::undo`].
//! - What output that another client had asks a terminal for does not reach it.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::time::Instant;

use super::begin::Prefix;
use super::old_output::OldOutput;
use crate::limits::UNDO_TIMEOUT;
use crate::platform::LocalStream;
use crate::terminal::modes::Modes;

/// A local output.
#[derive(Debug)]
pub(super) struct LocalWriter {
    stream: Option<LocalStream>,
    /// The stream after [`LocalWriter::discard`], for the undoing alone.
    discarded: Option<LocalStream>,
    /// Of the terminal that this is, if it is one.
    modes: Option<Modes>,
    waiting: BytesMut,
    /// What stands before text that begins a line; empty for most.
    prefix: Prefix,
    line_begins: bool,
    /// Bytes that were put beyond those that came, and are not yet done with: nobody gets credit
    /// for them.
    own: usize,
    /// What comes may have been shown by another client.
    pub(super) old: Option<OldOutput>,
}

impl LocalWriter {
    /// An output to this stream; to nowhere when there is none.
    #[must_use]
    pub(super) fn new(stream: Option<LocalStream>) -> Self {
        Self {
            stream,
            discarded: None,
            modes: None,
            waiting: BytesMut::new(),
            prefix: Prefix::default(),
            line_begins: true,
            own: 0,
            old: None,
        }
    }

    /// Puts this before each piece of text that begins a line, as AWS's agent does.
    pub(super) const fn set_prefix(&mut self, prefix: Prefix) {
        self.prefix = prefix;
    }

    /// The same for a terminal, whose modes are tracked.
    #[must_use]
    pub(super) fn of_terminal(stream: Option<LocalStream>) -> Self {
        Self { modes: Some(Modes::new()), ..Self::new(stream) }
    }

    /// What comes may have been shown by another client.
    pub(super) fn return_to_it(&mut self) {
        self.old = self.modes.as_ref().map(|_| OldOutput::default());
    }

    /// Switches off what the session has switched on in the terminal. Waits for a terminal that
    /// takes no bytes for at most [`UNDO_TIMEOUT`].
    pub(super) async fn undo(&mut self) {
        let (Some(modes), Some(stream)) =
            (&mut self.modes, self.stream.as_ref().or(self.discarded.as_ref()))
        else {
            return;
        };
        let text = modes.undo();
        let write = async {
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                match stream.try_write(rest) {
                    Ok(n) if n > 0 => rest = &rest[n..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        stream.writable().await?;
                    }
                    // The terminal is gone.
                    _ => break,
                }
            }
            io::Result::Ok(())
        };
        drop(tokio::time::timeout(UNDO_TIMEOUT, write).await);
    }

    /// Whether bytes wait.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes, or keeps what cannot be written. Returns how many bytes are done with.
    ///
    /// # Errors
    /// When the local end is of no more use; the bytes are then thrown away from here on.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (came, new) = (bytes.len(), self.prefixed(bytes).or_else(|| self.unasked(bytes)));
        let bytes = new.as_deref().unwrap_or(bytes);
        self.own += bytes.len().saturating_sub(came);
        let done = if self.waiting.is_empty() { self.write(bytes)? } else { 0 };
        self.waiting.extend_from_slice(&bytes[done..]);
        Ok(self.without_own(done) + came.saturating_sub(bytes.len()))
    }

    /// The bytes with the prefix, if it is due.
    fn prefixed(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let prefix = self.prefix.as_bytes();
        if prefix.is_empty() || bytes.is_empty() {
            return None;
        }
        let due = std::mem::replace(&mut self.line_begins, bytes.ends_with(b"\n"));
        due.then(|| [prefix, bytes].concat())
    }

    /// The bytes without what they ask for, while they may be old.
    fn unasked(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let left = self.old.as_mut()?.take_out(bytes, Instant::now());
        if left.is_none() {
            self.old = None;
        }
        left
    }

    /// Of so many bytes that are done with, those of the device.
    fn without_own(&mut self, done: usize) -> usize {
        let own = done.min(self.own);
        self.own -= own;
        done - own
    }

    /// Writes what waits. Returns how many bytes are done with.
    ///
    /// # Errors
    /// As [`LocalWriter::put`].
    pub(super) fn drain(&mut self) -> io::Result<usize> {
        let waiting = std::mem::take(&mut self.waiting);
        let result = self.write(&waiting);
        self.waiting = waiting;
        let done = result?;
        self.waiting.advance(done);
        Ok(self.without_own(done))
    }

    /// Throws away what waits, and from here on everything. Returns how many bytes that were.
    pub(super) fn discard(&mut self) -> usize {
        self.discarded = self.stream.take().or(self.discarded.take());
        let waiting = self.waiting.len();
        self.waiting.clear();
        self.without_own(waiting)
    }

    /// Waits until [`LocalWriter::drain`] is worth a try; for ever when nothing waits.
    pub(super) async fn writable(&self) {
        match &self.stream {
            Some(stream) if !self.waiting.is_empty() => {
                // An error of the runtime shows at the write.
                let _ = stream.writable().await;
            }
            _ => std::future::pending().await,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(stream) = &self.stream else { return Ok(bytes.len()) };
        let mut done = 0;
        while done < bytes.len() {
            match stream.try_write(&bytes[done..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if let Some(modes) = &mut self.modes {
            modes.push(&bytes[..done]);
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Access;
    use std::io::Read;

    #[test]
    fn a_prefix_stands_before_text_that_begins_a_line_and_counts_for_nobody() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let (mut reader, pipe) = std::io::pipe().unwrap();
            let mut writer =
                LocalWriter::new(Some(LocalStream::open(&pipe, Access::Write).unwrap()));
            writer.stream.as_ref().unwrap().writable().await.unwrap();
            writer.set_prefix(Prefix::new("OUT:"));
            for (piece, done) in [(&b"o1\n"[..], 3), (b"o2\nhalf", 7), (b"s\n", 2), (b"", 0)] {
                assert_eq!(writer.put(piece).unwrap(), done);
            }
            drop((writer, pipe));
            let mut got = String::new();
            reader.read_to_string(&mut got).unwrap();
            assert_eq!(got, "OUT:o1\nOUT:o2\nhalfs\n");
        });
    }

    #[test]
    fn what_a_full_pipe_does_not_take_waits_and_arrives_in_order() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let (mut reader, pipe) = std::io::pipe().unwrap();
            let mut writer =
                LocalWriter::new(Some(LocalStream::open(&pipe, Access::Write).unwrap()));
            writer.stream.as_ref().unwrap().writable().await.unwrap();
            let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
            let mut done = writer.put(&bytes[..150_000]).unwrap();
            assert!(done < 150_000 && !writer.is_empty());
            assert_eq!(writer.put(&bytes[150_000..]).unwrap(), 0, "in order, behind what waits");
            let mut got = Vec::new();
            while got.len() < bytes.len() {
                let mut buffer = vec![0; done - got.len()];
                reader.read_exact(&mut buffer).unwrap();
                got.extend(buffer);
                if !writer.is_empty() {
                    writer.writable().await;
                    done += writer.drain().unwrap();
                }
            }
            assert_eq!(got, bytes);
            drop(reader);
            assert_eq!(writer.put(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            writer.discard();
            assert_eq!(writer.put(b"x").unwrap(), 1);
        });
    }
}
