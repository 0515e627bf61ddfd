//! Tokens: what opens a data channel, once, for one session.
//!
//! # Invariants
//! - 32 random bytes, never stored, never logged; a restart of the gateway makes all of them void.
//! - One session has one token at most: a newer one voids the older.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::limits::TOKEN_LIFE;

/// A token that opens one data channel, once.
pub struct Token {
    text: Zeroizing<String>,
    until: Instant,
}

impl Token {
    /// A fresh token and its text for the client; `None` when the system has no randomness.
    #[must_use]
    pub fn fresh(now: Instant) -> Option<(Self, String)> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *bytes).ok()?;
        let text = URL_SAFE_NO_PAD.encode(*bytes);
        Some((Self { text: Zeroizing::new(text.clone()), until: now + TOKEN_LIFE }, text))
    }

    /// Whether `text` is this token and it is still young enough. Takes the same time whatever is
    /// wrong.
    #[must_use]
    pub fn opens(&self, text: &str, now: Instant) -> bool {
        let same: bool = self.text.as_bytes().ct_eq(text.as_bytes()).into();
        same && now < self.until
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_with_its_own_text_until_it_is_too_old() {
        let now = Instant::now();
        let (token, text) = Token::fresh(now).unwrap();
        assert!(token.opens(&text, now));
        assert!(!token.opens("", now));
        assert!(!token.opens(&text[1..], now));
        assert!(!token.opens(&text, now + TOKEN_LIFE));
    }
}
