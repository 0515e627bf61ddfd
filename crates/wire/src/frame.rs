//! Frames: the length prefix, the kinds, and a reader that reassembles them from any cut of the
//! byte stream.
//!
//! ```text
//! u16 BE  length of what follows, 1 ..= MAX_FRAME - 2
//! u8      kind
//! ...     body, by kind (integers are LEB128 varints as postcard writes them, at most 10 bytes)
//! ```
//! A frame fits one TLS record. On a websocket, which has frames of its own, the length prefix is
//! left out ([`Frame::decode`] and [`Frame::encode_body`] work on what follows it).
//!
//! A frame goes out and comes back from any cut of its bytes:
//!
//! ```
//! use towline_wire::frame::{Frame, FrameReader};
//!
//! let sent = Frame::Data { stream: 1, offset: 0, data: b"uptime\n" };
//! let mut link = Vec::new();
//! sent.encode(&mut link)?;
//!
//! let (first, second) = link.split_at(3);
//! let mut reader = FrameReader::new();
//! reader.spare()[..3].copy_from_slice(first);
//! reader.filled(3);
//! assert_eq!(reader.next()?, None, "the frame is not complete");
//! reader.spare()[..second.len()].copy_from_slice(second);
//! reader.filled(second.len());
//! assert_eq!(reader.next()?, Some(sent));
//! # Ok::<(), towline_wire::frame::FrameError>(())
//! ```
//!
//! # Invariants
//! - [`FrameReader`] holds at most one frame: its buffer never grows past [`MAX_FRAME`].
//! - A frame of a kind this version does not know is [`Frame::Unknown`]: skipped by length, never
//!   an error.
//! - Data bytes are handed on as a slice; nothing here looks into them.

use alloc::vec::Vec;

/// Bytes of the largest frame with its length prefix: the plaintext limit of one TLS record (RFC
/// 8446, section 5.1).
pub const MAX_FRAME: usize = 16 * 1024;
/// Bytes of the length prefix.
pub const PREFIX: usize = 2;
/// Bytes that a data frame may need besides its data: prefix, kind, two varints (u32, u64).
pub const DATA_OVERHEAD: usize = PREFIX + 1 + 5 + 10;
/// Bytes a [`FrameReader`] holds while its link is idle.
pub const IDLE_BUFFER: usize = 512;
/// Most data bytes in one data frame.
pub const MAX_DATA: usize = MAX_FRAME - DATA_OVERHEAD;
/// Most bytes in the body of a control frame.
pub const MAX_CONTROL: usize = MAX_FRAME - PREFIX - 1;

mod kind {
    pub(super) const CONTROL: u8 = 0;
    pub(super) const DATA: u8 = 1;
    pub(super) const CREDIT: u8 = 2;
    pub(super) const FIN: u8 = 3;
    pub(super) const PING: u8 = 4;
    pub(super) const PONG: u8 = 5;
    pub(super) const VERSION: u8 = 6;
    pub(super) const EXTENSION: u8 = 7;
}

/// Names one stream on one link. Chosen by the gateway, the only side that opens sessions.
pub type StreamId = u32;

/// One frame, borrowed from the buffer it was read into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A postcard message of [`crate::message`] (agent's link) or [`crate::client`] (operator's
    /// websocket).
    Control(&'a [u8]),
    /// Bytes of a stream; `offset` is the position of the first one, counted from the stream's
    /// start.
    Data {
        /// Which stream.
        stream: StreamId,
        /// Position of the first byte.
        offset: u64,
        /// The bytes; never empty.
        data: &'a [u8],
    },
    /// The receiver has taken everything below `acked`, and has room for everything below `limit`.
    Credit {
        /// Which stream.
        stream: StreamId,
        /// Bytes taken by the final receiver; `length + 1` also acknowledges the end of the stream.
        acked: u64,
        /// The sender may send bytes below this position.
        limit: u64,
    },
    /// The stream ends at `length` bytes.
    Fin {
        /// Which stream.
        stream: StreamId,
        /// Total bytes of this direction.
        length: u64,
    },
    /// Asks for a [`Frame::Pong`].
    Ping {
        /// Seconds until the next ping if nothing else is sent; the other side derives its patience
        /// from it.
        next_in: u32,
    },
    /// Answers a [`Frame::Ping`].
    Pong,
    /// First frame of each direction: what versions the sender speaks (agent), or which one was
    /// chosen (gateway).
    Version {
        /// Lowest version.
        min: u16,
        /// Highest version.
        max: u16,
    },
    /// What an older receiver does without ([`crate::extension`]).
    Extension {
        /// What the body is.
        tag: u16,
        /// By tag.
        body: &'a [u8],
    },
    /// A kind from the future: skip it.
    Unknown(u8),
}

/// Why bytes are not a frame. The link that carried them is beyond repair: close it and dial again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length of 0, or beyond [`MAX_FRAME`].
    #[error("frame length {0} is outside of 1..={max}", max = MAX_FRAME - PREFIX)]
    Length(usize),
    /// The body ends inside of a number, or a number is longer than its type.
    #[error("frame of kind {0} has a malformed header")]
    Header(u8),
    /// A data frame without data: nothing would ever move.
    #[error("data frame of stream {0} is empty")]
    Empty(StreamId),
}

impl<'a> Frame<'a> {
    /// Decodes what follows the length prefix.
    ///
    /// # Errors
    /// [`FrameError`] when it is empty, too long, or its header is malformed.
    pub fn decode(body: &'a [u8]) -> Result<Self, FrameError> {
        let (&kind, rest) = body.split_first().ok_or(FrameError::Length(0))?;
        if body.len() > MAX_FRAME - PREFIX {
            return Err(FrameError::Length(body.len()));
        }
        let bad = FrameError::Header(kind);
        match kind {
            kind::CONTROL => Ok(Self::Control(rest)),
            kind::DATA => {
                let (stream, rest) = take::<u32>(rest, bad)?;
                let (offset, data) = take::<u64>(rest, bad)?;
                if data.is_empty() {
                    Err(FrameError::Empty(stream))
                } else {
                    Ok(Self::Data { stream, offset, data })
                }
            }
            kind::CREDIT => {
                let (stream, rest) = take(rest, bad)?;
                let (acked, rest) = take(rest, bad)?;
                let (limit, _) = take(rest, bad)?;
                Ok(Self::Credit { stream, acked, limit })
            }
            kind::FIN => {
                let (stream, rest) = take(rest, bad)?;
                let (length, _) = take(rest, bad)?;
                Ok(Self::Fin { stream, length })
            }
            kind::PING => Ok(Self::Ping { next_in: take(rest, bad)?.0 }),
            kind::PONG => Ok(Self::Pong),
            kind::VERSION => {
                let (min, rest) = take(rest, bad)?;
                let (max, _) = take(rest, bad)?;
                Ok(Self::Version { min, max })
            }
            kind::EXTENSION => {
                let (tag, body) = take(rest, bad)?;
                Ok(Self::Extension { tag, body })
            }
            other => Ok(Self::Unknown(other)),
        }
    }

    /// Appends kind and body, without the length prefix (the websocket form).
    pub fn encode_body(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Control(body) => {
                out.push(kind::CONTROL);
                out.extend_from_slice(body);
            }
            Self::Data { stream, offset, data } => {
                out.push(kind::DATA);
                put(out, stream.into());
                put(out, offset);
                out.extend_from_slice(data);
            }
            Self::Credit { stream, acked, limit } => {
                out.push(kind::CREDIT);
                put(out, stream.into());
                put(out, acked);
                put(out, limit);
            }
            Self::Fin { stream, length } => {
                out.push(kind::FIN);
                put(out, stream.into());
                put(out, length);
            }
            Self::Ping { next_in } => {
                out.push(kind::PING);
                put(out, next_in.into());
            }
            Self::Pong => out.push(kind::PONG),
            Self::Version { min, max } => {
                out.push(kind::VERSION);
                put(out, min.into());
                put(out, max.into());
            }
            Self::Extension { tag, body } => {
                out.push(kind::EXTENSION);
                put(out, tag.into());
                out.extend_from_slice(body);
            }
            Self::Unknown(other) => out.push(other),
        }
    }

    /// Appends the whole frame with its length prefix.
    ///
    /// # Errors
    /// [`FrameError::Length`] when it would be larger than [`MAX_FRAME`]; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX]);
        self.encode_body(out);
        let body = out.len() - start - PREFIX;
        match u16::try_from(body) {
            Ok(length) if body <= MAX_FRAME - PREFIX => {
                out[start..start + PREFIX].copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
            _ => {
                out.truncate(start);
                Err(FrameError::Length(body))
            }
        }
    }
}

/// Appends a LEB128 varint.
fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a LEB128 varint that must fit into `T`.
fn take<T: TryFrom<u64>>(bytes: &[u8], bad: FrameError) -> Result<(T, &[u8]), FrameError> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        if index == 9 && part > 1 {
            return Err(bad);
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((T::try_from(value).map_err(|_| bad)?, &bytes[index + 1..]));
        }
    }
    Err(bad)
}

/// Reassembles frames from a byte stream that may be cut anywhere.
///
/// Read into [`FrameReader::spare`], say how much with [`FrameReader::filled`], then take frames
/// until there is none. The buffer starts small, doubles up to [`MAX_FRAME`] under load, and
/// [`FrameReader::relax`] makes it small again: a gateway holds one of these for each idle device.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameReader {
    /// A reader with a buffer of [`IDLE_BUFFER`] bytes.
    #[must_use]
    pub fn new() -> Self {
        Self { buffer: alloc::vec![0; IDLE_BUFFER], start: 0, end: 0 }
    }

    /// Where the next bytes go. Never empty after [`FrameReader::next`] gave `None`.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end * 2 > self.buffer.len() && self.buffer.len() < MAX_FRAME {
            self.buffer.resize((self.buffer.len() * 2).min(MAX_FRAME), 0);
        }
        &mut self.buffer[self.end..]
    }

    /// Gives memory back if nothing is held; for a link on which nothing has come for a while.
    pub fn relax(&mut self) {
        if self.is_empty() && self.buffer.len() > IDLE_BUFFER {
            *self = Self::new();
        }
    }

    /// Says that `n` bytes were put into [`FrameReader::spare`]; more than it offered is taken as
    /// all of it.
    pub fn filled(&mut self, n: usize) {
        self.end = self.end.saturating_add(n).min(self.buffer.len());
    }

    /// The next whole frame, `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`]: the stream cannot be read any further.
    #[allow(clippy::should_implement_trait)] // it lends from itself, which Iterator cannot
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let held = &self.buffer[self.start..self.end];
        let Some((prefix, rest)) = held.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*prefix));
        if length == 0 || length > MAX_FRAME - PREFIX {
            return Err(FrameError::Length(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let at = self.start + PREFIX;
        self.start = at + length;
        Frame::decode(&self.buffer[at..at + length]).map(Some)
    }

    /// True when no part of a frame is held: a peer that stops here stopped between frames.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn golden(frame: Frame<'_>, bytes: &[u8]) {
        let mut out = Vec::new();
        frame.encode(&mut out).unwrap();
        assert_eq!(out, bytes, "{frame:?}");
        assert_eq!(Frame::decode(&out[PREFIX..]).unwrap(), frame);
    }

    #[test]
    fn golden_bytes_of_every_kind() {
        golden(Frame::Control(&[7, 8]), &[0, 3, 0, 7, 8]);
        golden(Frame::Data { stream: 5, offset: 300, data: b"x" }, &[0, 5, 1, 5, 0xac, 0x02, b'x']);
        golden(
            Frame::Credit { stream: 1, acked: 2, limit: 65536 },
            &[0, 6, 2, 1, 2, 0x80, 0x80, 0x04],
        );
        golden(Frame::Fin { stream: 1, length: 0 }, &[0, 3, 3, 1, 0]);
        golden(Frame::Ping { next_in: 60 }, &[0, 2, 4, 60]);
        golden(Frame::Pong, &[0, 1, 5]);
        golden(Frame::Version { min: 1, max: 1 }, &[0, 3, 6, 1, 1]);
        golden(Frame::Extension { tag: 300, body: b"x" }, &[0, 4, 7, 0xac, 2, b'x']);
        golden(Frame::Unknown(0xee), &[0, 1, 0xee]);
    }

    #[test]
    fn a_length_of_zero_or_beyond_one_tls_record_is_refused() {
        for bytes in [[0_u8, 0], [0xff, 0xff], [0x3f, 0xff]] {
            let mut reader = FrameReader::new();
            reader.spare()[..2].copy_from_slice(&bytes);
            reader.filled(2);
            assert!(matches!(reader.next(), Err(FrameError::Length(_))), "{bytes:?}");
        }
    }

    #[test]
    fn the_largest_data_frame_fits_with_the_largest_numbers() {
        let data = vec![1; MAX_DATA];
        let mut out = Vec::new();
        Frame::Data { stream: u32::MAX, offset: u64::MAX, data: &data }.encode(&mut out).unwrap();
        assert_eq!(out.len(), MAX_FRAME);
        let (mut reader, mut rest) = (FrameReader::new(), &out[..]);
        while !rest.is_empty() {
            assert_eq!(reader.next(), Ok(None));
            let spare = reader.spare();
            let n = spare.len().min(rest.len());
            spare[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            reader.filled(n);
        }
        assert!(matches!(reader.next(), Ok(Some(Frame::Data { .. }))));
        reader.relax();
        assert_eq!(reader.buffer.len(), IDLE_BUFFER);
    }

    #[test]
    fn a_frame_that_would_be_too_large_leaves_the_output_as_it_was() {
        let mut out = vec![9];
        let body = vec![0; MAX_CONTROL + 1];
        assert!(Frame::Control(&body).encode(&mut out).is_err());
        assert_eq!(out, [9]);
    }

    #[test]
    fn numbers_longer_than_their_type_are_refused() {
        assert_eq!(
            Frame::decode(&[1, 0xff, 0xff, 0xff, 0xff, 0x1f, 0, 1]),
            Err(FrameError::Header(1))
        );
        assert_eq!(Frame::decode(&[4, 0x80]), Err(FrameError::Header(4)));
        let endless = [2, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
        assert_eq!(Frame::decode(&endless), Err(FrameError::Header(2)));
        assert_eq!(Frame::decode(&[1, 3, 0]), Err(FrameError::Empty(3)));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_a_frame_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(frame) = Frame::decode(&body) {
                let mut again = Vec::new();
                frame.encode_body(&mut again);
                if !matches!(frame, Frame::Unknown(_)) {
                    prop_assert_eq!(Frame::decode(&again).unwrap(), frame);
                }
            }
        }

        #[test]
        fn frames_come_out_whole_however_the_bytes_are_cut(
            datas in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..3000), 1..20),
            cuts in proptest::collection::vec(1_usize..5000, 1..64),
        ) {
            let mut bytes = Vec::new();
            for (i, data) in datas.iter().enumerate() {
                Frame::Data { stream: 1, offset: i as u64, data }.encode(&mut bytes).unwrap();
            }
            let mut reader = FrameReader::new();
            let (mut got, mut rest, mut cut) = (Vec::new(), &bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let spare = reader.spare();
                let n = spare.len().min(rest.len()).min(*cut.next().unwrap());
                spare[..n].copy_from_slice(&rest[..n]);
                rest = &rest[n..];
                reader.filled(n);
                prop_assert!(reader.buffer.len() <= MAX_FRAME);
                while let Some(frame) = reader.next().unwrap() {
                    let Frame::Data { data, .. } = frame else { panic!("{frame:?}") };
                    got.push(data.to_vec());
                }
            }
            prop_assert_eq!(got, datas);
            prop_assert!(reader.is_empty());
        }
    }
}
