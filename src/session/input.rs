//! Input of the operator that the program has not read yet.

use std::collections::VecDeque;

/// A byte queue that holds at most what the stream's receiver gives credit for, and no memory while
/// empty.
#[derive(Debug, Default)]
pub struct Input {
    bytes: VecDeque<u8>,
    /// The operator closed the input; it is handed on when the bytes are.
    ended: bool,
}

impl Input {
    /// Keeps what a direct write could not take. The bound is the receiver's credit: it refuses
    /// more before this.
    pub fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Nothing comes after what is kept.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next bytes to write.
    #[must_use]
    pub fn next(&self) -> &[u8] {
        self.bytes.as_slices().0
    }

    /// Says that the program took `n` bytes.
    pub fn taken(&mut self, n: usize) {
        self.bytes.drain(..n.min(self.bytes.len()));
        if self.bytes.is_empty() {
            self.bytes = VecDeque::new();
        }
    }

    /// What is kept, in one or two runs, and whether it is all that will ever come.
    #[must_use]
    pub fn kept(&self) -> ([&[u8]; 2], bool) {
        let (first, second) = self.bytes.as_slices();
        ([first, second], self.ended)
    }

    /// Forgets all, because nobody will read it; how many bytes that were.
    pub fn discard(&mut self) -> usize {
        std::mem::take(&mut self.bytes).len()
    }

    /// How many bytes are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True when the program has everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// True when the program has everything and nothing more will come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended && self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_they_came_and_their_memory_with_them() {
        let mut input = Input::default();
        input.keep(b"abc");
        input.keep(b"de");
        let mut out = Vec::new();
        while !input.is_empty() {
            out.push(input.next()[0]);
            input.taken(1);
        }
        assert_eq!(out, b"abcde");
        assert_eq!(input.bytes.capacity(), 0);
    }

    #[test]
    fn the_end_is_handed_on_only_after_the_last_byte() {
        let mut input = Input::default();
        input.keep(b"x");
        input.end();
        assert!(!input.is_over());
        input.taken(1);
        assert!(input.is_over());
    }
}
