//! Pseudo-random text for bulk tests: reproducible, and not compressible.

/// Columns of a line, the newline not counted.
const COLUMNS: u64 = 76;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// An endless text in the alphabet of base64, in lines.
#[derive(Debug, Clone)]
pub struct Text {
    state: u64,
    at: u64,
}

impl Text {
    /// The text that belongs to this number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self {
            state: number.wrapping_mul(2).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            at: 0,
        }
    }

    /// Its next `n` bytes.
    pub fn take_bytes(&mut self, n: usize) -> Vec<u8> {
        self.by_ref().take(n).collect()
    }
}

impl Iterator for Text {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        self.at += 1;
        if self.at.is_multiple_of(COLUMNS + 1) {
            return Some(b'\n');
        }
        // xorshift64
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        Some(ALPHABET[usize::try_from(self.state >> 58).unwrap_or(0)])
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn a_text_is_the_same_however_it_is_taken() {
        let (mut one, mut two) = (Text::new(1), Text::new(1));
        assert_eq!(one.take_bytes(1000), [two.take_bytes(1), two.take_bytes(999)].concat());
        assert_ne!(Text::new(1).take_bytes(70), Text::new(2).take_bytes(70));
        assert_eq!(Text::new(1).take_bytes(77).last(), Some(&b'\n'));
    }
}
