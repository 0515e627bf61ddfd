//! Terminal bytes as text: characters that lie across two pieces are kept whole.
//!
//! # Invariants
//! - At most three bytes are held back, and only while they can still become one character.
//! - Bytes that are no UTF-8 become U+FFFD; how many is counted, so that a recording can say that
//!   it is not exact.

/// Longest beginning of a UTF-8 character that is not yet whole, bytes.
const LONGEST_HEAD: usize = 3;

/// Splits `text` behind at most `limit` bytes, between two characters.
#[must_use]
pub fn split(text: &str, limit: usize) -> (&str, &str) {
    let at = (0..=limit.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.split_at(at)
}

/// Decodes one stream of bytes.
#[derive(Debug, Default, Clone)]
pub struct Decoder {
    held: Vec<u8>,
    replaced: u64,
}

impl Decoder {
    /// The text of `bytes`, with what was held back before in front; the beginning of a last
    /// character is held back.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        if self.held.is_empty() {
            return self.decode(bytes);
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        self.decode(&all)
    }

    /// What is still held back, as far as it is text: at a stream's end, or before a gap.
    pub fn flush(&mut self) -> String {
        if self.held.is_empty() {
            return String::new();
        }
        self.replaced += 1;
        self.held.clear();
        char::REPLACEMENT_CHARACTER.to_string()
    }

    /// Characters that stand for bytes which were no UTF-8, so far.
    #[must_use]
    pub const fn replaced(&self) -> u64 {
        self.replaced
    }

    fn decode(&mut self, bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let wrong = chunk.invalid();
            if wrong.is_empty() {
                continue;
            }
            if chunks.peek().is_none() && may_become_a_character(wrong) {
                self.held.extend_from_slice(wrong);
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
                self.replaced += 1;
            }
        }
        text
    }
}

/// Whether more bytes could make `head` a character.
fn may_become_a_character(head: &[u8]) -> bool {
    let wanted = match head.first() {
        Some(0xC2..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF4) => 4,
        _ => return false,
    };
    head.len() <= LONGEST_HEAD
        && head.len() < wanted
        && std::str::from_utf8(head).is_err_and(|e| e.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_the_same_wherever_it_is_cut() {
        let text = "a\u{1b}[31mé€😀z";
        for cut in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            let mut decoder = Decoder::default();
            let whole = decoder.push(first) + &decoder.push(second) + &decoder.flush();
            assert_eq!(whole, text, "cut at {cut}");
            assert_eq!(decoder.replaced(), 0);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_counted() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push(b"a\xFFb\xE2\x82"), "a\u{FFFD}b");
        assert_eq!(decoder.push(b"c"), "\u{FFFD}c");
        assert_eq!(decoder.push(b"\xF0\x9F"), "");
        assert_eq!(decoder.flush(), "\u{FFFD}");
        assert_eq!(decoder.replaced(), 3);
    }
}
