//! SHA-256 digests and the one step that makes a chain of them.
//!
//! # Invariants
//! - A chain's start depends on what it is for: a session's chain cannot be shown as another
//!   session's.

use core::fmt;
use core::str::FromStr;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// Bytes of a digest (SHA-256, FIPS 180-4).
pub const LEN: usize = 32;

/// A SHA-256 digest; as text, 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; LEN]);

/// A text that is not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 lower-case hex digits")]
pub struct NotADigest;

impl Digest {
    /// The digest of these parts, one after the other.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        Self::from_context(context)
    }

    fn from_context(context: Context) -> Self {
        let mut bytes = [0; LEN];
        bytes.copy_from_slice(context.finish().as_ref()); // SHA-256 has 32 bytes
        Self(bytes)
    }

    /// The start of the chain for `purpose` and `name`.
    #[must_use]
    pub fn chain_start(purpose: &str, name: &str) -> Self {
        Self::of(&[b"towline evidence v1 ", purpose.as_bytes(), b"\0", name.as_bytes()])
    }

    /// The chain's head after `record`, when `self` is the head before it.
    #[must_use]
    pub fn then(self, record: Self) -> Self {
        Self::of(&[&self.0, &record.0])
    }

    /// The first four bytes: enough to find the place of a change, not to prove its absence.
    #[must_use]
    pub const fn mark(self) -> [u8; 4] {
        [self.0[0], self.0[1], self.0[2], self.0[3]]
    }
}

/// A digest over bytes that come in pieces (a file, while it is written).
#[derive(Clone)]
pub struct Running(Context);

impl Running {
    /// Over nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest::from_context(self.0)
    }
}

impl Default for Running {
    fn default() -> Self {
        Self::new()
    }
}

/// `bytes` as lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes of lower-case hex digits; `None` for anything else.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        unhex(text).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(NotADigest)
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha_256_and_reads_back_from_its_text() {
        let digest = Digest::of(&[b"a", b"bc"]);
        assert_eq!(
            digest.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("BA".parse::<Digest>(), Err(NotADigest));
        assert_eq!(unhex("0"), None);
    }

    #[test]
    fn chains_of_different_names_never_meet() {
        let record = Digest::of(&[b"x"]);
        assert_ne!(
            Digest::chain_start("session", "a").then(record),
            Digest::chain_start("session", "b").then(record)
        );
    }
}
