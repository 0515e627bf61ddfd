//! Message ids: UUIDs, in text as everywhere, in the header with their halves exchanged.
//!
//! Data flow: a seed from the caller -> [`MessageIds`] -> one id a message, without further
//! randomness.
//!
//! # Invariants
//! - Ids of one generator never repeat within 2^64 messages, and say nothing about the seed.

use core::fmt;
use core::str::FromStr;

use crate::sigv4::sha256;

/// A UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// From 122 of these random bits; version and variant are set.
    #[must_use]
    pub const fn from_random(mut random: [u8; 16]) -> Self {
        random[6] = (random[6] & 0x0f) | 0x40;
        random[8] = (random[8] & 0x3f) | 0x80;
        Self(random)
    }

    /// From the 16 bytes of a header: there the last eight bytes of the text come first.
    #[must_use]
    pub fn from_header(bytes: [u8; 16]) -> Self {
        let mut id = bytes;
        id.rotate_left(8);
        Self(id)
    }

    /// The 16 bytes for a header.
    #[must_use]
    pub fn to_header(self) -> [u8; 16] {
        let mut bytes = self.0;
        bytes.rotate_left(8);
        bytes
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A text that is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message id must be a UUID of 36 characters")]
pub struct BadMessageId;

impl FromStr for MessageId {
    type Err = BadMessageId;

    fn from_str(text: &str) -> Result<Self, BadMessageId> {
        let text = text.as_bytes();
        if text.len() != 36 || [8, 13, 18, 23].iter().any(|&at| text[at] != b'-') {
            return Err(BadMessageId);
        }
        let mut digits = text.iter().filter(|&&b| b != b'-').map(|&b| char::from(b).to_digit(16));
        let mut id = [0; 16];
        for byte in &mut id {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
                return Err(BadMessageId);
            };
            *byte = u8::try_from(high << 4 | low).map_err(|_| BadMessageId)?;
        }
        Ok(Self(id))
    }
}

/// Makes message ids from a seed.
#[derive(Clone)]
pub struct MessageIds {
    seed: [u8; 16],
    count: u64,
}

impl fmt::Debug for MessageIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageIds").field("count", &self.count).finish_non_exhaustive()
    }
}

impl MessageIds {
    /// A generator; `seed` must be random and used for nothing else.
    #[must_use]
    pub const fn new(seed: [u8; 16]) -> Self {
        Self { seed, count: 0 }
    }

    /// The next id.
    pub fn next_id(&mut self) -> MessageId {
        let mut input = [0; 24];
        input[..16].copy_from_slice(&self.seed);
        input[16..].copy_from_slice(&self.count.to_be_bytes());
        self.count = self.count.wrapping_add(1);
        let hash = sha256(&input);
        let mut random = [0; 16];
        random.copy_from_slice(&hash[..16]);
        MessageId::from_random(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_last_half_first() {
        let id: MessageId = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
        let header = id.to_header();
        assert_eq!(header[..8], [0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
        assert_eq!(header[8..], [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]);
        assert_eq!(MessageId::from_header(header), id);
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn a_text_of_another_form_is_no_id() {
        for text in [
            "",
            "00112233-4455-6677-8899-aabbccddeef",
            "00112233-4455-6677-8899-aabbccddeefg",
            "001122334455-6677-8899-aabbccddeeff--",
            "0-112233-4455-6677-8899-aabbccddeeff",
        ] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_differ_and_are_of_version_four() {
        let mut ids = MessageIds::new([7; 16]);
        let (a, b) = (ids.next_id().to_string(), ids.next_id().to_string());
        assert_ne!(a, b);
        assert_eq!((&a[14..15], a[19..20].contains(['8', '9', 'a', 'b'])), ("4", true));
    }
}
