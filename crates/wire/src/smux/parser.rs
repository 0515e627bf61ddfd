//! Bytes to frames, in whatever pieces they come.
//!
//! # Invariants
//! - Data are handed out as they come, never gathered: the parser holds one header, or the body of
//!   one frame without data.

use alloc::string::String;

use super::{Broken, Command, HEADER, Header, MAX_REASON, Version};

/// A frame, or a part of one.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A stream is opened.
    Syn(u32),
    /// A stream, or its direction towards us, is over.
    Fin(u32),
    /// Data of a stream: all of a frame's, or some.
    Data(u32, &'a [u8]),
    /// The far end has taken `consumed` bytes in all (modulo 2^32) and has a window of `window`
    /// bytes.
    Window {
        /// Which stream.
        stream: u32,
        /// Taken in all.
        consumed: u32,
        /// Bytes that may be on their way beyond that.
        window: u32,
    },
    /// A stream was ended at once, for this reason.
    Reset(u32, String),
}

#[derive(Debug)]
enum State {
    Head,
    Data { stream: u32, left: usize },
    Body { header: Header },
}

/// Cuts the bytes of one end into headers, data and resets, whatever the size of the pieces.
#[derive(Debug)]
pub struct Parser {
    version: Option<Version>,
    state: State,
    held: [u8; MAX_REASON],
    have: usize,
}

impl Default for Parser {
    fn default() -> Self {
        Self { version: None, state: State::Head, held: [0; MAX_REASON], have: 0 }
    }
}

impl Parser {
    /// One that takes this version only; by default the first frame says which.
    #[must_use]
    pub fn of(version: Version) -> Self {
        Self { version: Some(version), ..Self::default() }
    }

    /// What the other end speaks, once it has spoken.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Takes from `input` up to the next piece; `None` when all of it was taken.
    ///
    /// # Errors
    /// [`Broken`]: nothing that follows can be understood.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Broken> {
        while !input.is_empty() {
            match self.state {
                State::Head => {
                    if self.gather(input, HEADER) {
                        let mut head = [0; HEADER];
                        head.copy_from_slice(&self.held[..HEADER]);
                        if let Some(piece) = self.begin(Header::decode(head)?)? {
                            return Ok(Some(piece));
                        }
                    }
                }
                State::Data { stream, left } => {
                    let (data, rest) = input.split_at(left.min(input.len()));
                    *input = rest;
                    let left = left - data.len();
                    self.state = if left == 0 { State::Head } else { State::Data { stream, left } };
                    return Ok(Some(Piece::Data(stream, data)));
                }
                State::Body { header } => {
                    if self.gather(input, usize::from(header.length)) {
                        self.state = State::Head;
                        return Ok(Some(self.body(header)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Fills the held bytes up to `wanted`; true when they are whole.
    fn gather(&mut self, input: &mut &[u8], wanted: usize) -> bool {
        let n = (wanted - self.have).min(input.len());
        self.held[self.have..self.have + n].copy_from_slice(&input[..n]);
        *input = &input[n..];
        self.have += n;
        let whole = self.have == wanted;
        if whole {
            self.have = 0;
        }
        whole
    }

    /// A header is there: a frame without a body is a piece by itself.
    fn begin(&mut self, header: Header) -> Result<Option<Piece<'static>>, Broken> {
        if *self.version.get_or_insert(header.version) != header.version {
            return Err(Broken::Version(header.version as u8));
        }
        let Header { command, length, stream, .. } = header;
        let bad = Err(Broken::Length { command: command as u8, length });
        match (command, length) {
            (Command::Syn, 0) => Ok(Some(Piece::Syn(stream))),
            (Command::Fin, 0) => Ok(Some(Piece::Fin(stream))),
            (Command::Nop | Command::Psh, 0) => Ok(None),
            (Command::Rst, 0) => Ok(Some(Piece::Reset(stream, String::new()))),
            (Command::Psh, _) => {
                self.state = State::Data { stream, left: length.into() };
                Ok(None)
            }
            (Command::Upd, 8) => {
                self.state = State::Body { header };
                Ok(None)
            }
            (Command::Rst, _) if usize::from(length) <= MAX_REASON => {
                self.state = State::Body { header };
                Ok(None)
            }
            (Command::Syn | Command::Fin | Command::Nop | Command::Upd | Command::Rst, _) => bad,
        }
    }

    fn body(&self, header: Header) -> Piece<'static> {
        let stream = header.stream;
        let number = |at: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&self.held[at..at + 4]);
            u32::from_le_bytes(bytes)
        };
        if header.command == Command::Upd {
            return Piece::Window { stream, consumed: number(0), window: number(4) };
        }
        let text = &self.held[..usize::from(header.length)];
        Piece::Reset(stream, String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// All pieces of `bytes` when they come `cut` at a time, data of one stream joined.
    fn pieces(bytes: &[u8], cut: usize) -> Result<Vec<(u8, u32, Vec<u8>)>, Broken> {
        let mut parser = Parser::default();
        let mut all: Vec<(u8, u32, Vec<u8>)> = Vec::new();
        for mut input in bytes.chunks(cut.max(1)) {
            while let Some(piece) = parser.next(&mut input)? {
                match piece {
                    Piece::Syn(id) => all.push((0, id, Vec::new())),
                    Piece::Fin(id) => all.push((1, id, Vec::new())),
                    Piece::Data(id, data) => match all.last_mut() {
                        Some((2, last, held)) if *last == id => held.extend(data),
                        _ => all.push((2, id, data.to_vec())),
                    },
                    Piece::Window { stream, consumed, window } => {
                        all.push((
                            4,
                            stream,
                            [consumed.to_le_bytes(), window.to_le_bytes()].concat(),
                        ));
                    }
                    Piece::Reset(id, text) => all.push((5, id, text.into_bytes())),
                }
            }
        }
        Ok(all)
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut() {
        let bytes = [
            &[2, 0, 0, 0, 3, 0, 0, 0][..],
            &[2, 4, 8, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0],
            &[2, 2, 5, 0, 3, 0, 0, 0, b'h', b'e', b'l', b'l', b'o'],
            &[2, 3, 0, 0, 0, 0, 0, 0],
            &[2, 1, 0, 0, 3, 0, 0, 0],
            &[2, 5, 2, 0, 5, 0, 0, 0, b'n', b'o'],
        ]
        .concat();
        let whole = pieces(&bytes, bytes.len()).unwrap();
        assert_eq!(
            whole,
            [
                (0, 3, Vec::new()),
                (4, 3, vec![1, 0, 0, 0, 0, 0, 1, 0]),
                (2, 3, b"hello".to_vec()),
                (1, 3, Vec::new()),
                (5, 5, b"no".to_vec()),
            ]
        );
        for cut in 1..bytes.len() {
            assert_eq!(pieces(&bytes, cut).unwrap(), whole, "cut {cut}");
        }
    }

    #[test]
    fn a_session_does_not_change_its_version() {
        let bytes = [[1, 0, 0, 0, 3, 0, 0, 0], [2, 0, 0, 0, 5, 0, 0, 0]].concat();
        assert_eq!(pieces(&bytes, 16), Err(Broken::Version(2)));
    }

    #[test]
    fn lengths_that_a_command_cannot_have_are_refused() {
        assert_eq!(
            pieces(&[1, 0, 1, 0, 3, 0, 0, 0], 8),
            Err(Broken::Length { command: 0, length: 1 })
        );
        assert_eq!(
            pieces(&[2, 4, 7, 0, 3, 0, 0, 0], 8),
            Err(Broken::Length { command: 4, length: 7 })
        );
        assert_eq!(
            pieces(&[2, 5, 0, 1, 3, 0, 0, 0], 8),
            Err(Broken::Length { command: 5, length: 256 })
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_pieces_or_an_error_and_cuts_change_nothing(
            bytes in proptest::collection::vec(prop_oneof![0..6_u8, any::<u8>()], 0..200),
            cut in 1..40_usize,
        ) {
            let whole = pieces(&bytes, bytes.len().max(1));
            prop_assert_eq!(pieces(&bytes, cut).is_ok(), whole.is_ok());
            if let (Ok(cut), Ok(whole)) = (pieces(&bytes, cut), whole) {
                prop_assert_eq!(cut, whole);
            }
        }
    }
}
