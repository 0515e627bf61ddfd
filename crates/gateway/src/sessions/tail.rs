//! The end of a terminal's output: what a viewer who comes later is shown first.
//!
//! Data flow: output of the device -> [`Tail::push`] -> [`Tail::shown`], when a viewer comes.
//!
//! # Invariants
//! - At most [`TAIL_BYTES`] are kept, in at most [`TAIL_PIECES`] pieces. They share the memory of
//!   the pieces that clients get.
//! - What is shown of an output that was longer begins behind a line feed, so that it does not
//!   begin within a character or a control sequence.
//!
//! # Not here
//! - Nothing is rendered: the viewer's terminal does that.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::limits::{TAIL_BYTES, TAIL_PIECES};

/// The end of what was shown.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    /// Output was dropped before the first piece.
    cut: bool,
}

impl Tail {
    /// Takes output.
    pub(super) fn push(&mut self, data: &Bytes) {
        self.bytes += data.len();
        self.pieces.push_back(data.clone());
        while self.bytes > TAIL_BYTES {
            let Some(first) = self.pieces.front_mut() else { break };
            let dropped = first.len().min(self.bytes - TAIL_BYTES);
            let _ = first.split_to(dropped);
            if first.is_empty() {
                self.pieces.pop_front();
            }
            self.bytes -= dropped;
            self.cut = true;
        }
        if self.pieces.len() > TAIL_PIECES {
            self.pieces = VecDeque::from([self.joined()]);
        }
    }

    /// What is shown to somebody who comes now.
    pub(super) fn shown(&self) -> Bytes {
        let all = self.joined();
        if !self.cut {
            return all;
        }
        let from = all.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        all.slice(from..)
    }

    fn joined(&self) -> Bytes {
        let mut all = BytesMut::with_capacity(self.bytes);
        self.pieces.iter().for_each(|piece| all.extend_from_slice(piece));
        all.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_output_is_shown_whole() {
        let mut tail = Tail::default();
        tail.push(&Bytes::from_static(b"one\ntw"));
        tail.push(&Bytes::from_static(b"o\n"));
        assert_eq!(tail.shown(), "one\ntwo\n");
    }

    #[test]
    fn a_long_output_is_bounded_and_begins_behind_a_line_feed() {
        let mut tail = Tail::default();
        for _ in 0..3 * TAIL_BYTES / 8 {
            tail.push(&Bytes::from_static(b"1234567\n"));
        }
        tail.push(&Bytes::from_static(b"end"));
        let shown = tail.shown();
        assert!(tail.bytes <= TAIL_BYTES && tail.pieces.len() <= TAIL_PIECES);
        assert!(shown.starts_with(b"1234567\n") && shown.ends_with(b"\nend"));
        assert!(shown.len() > TAIL_BYTES / 2);
    }
}
