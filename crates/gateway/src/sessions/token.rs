//! Tokens: what opens a data channel, once, for one session.
//!
//! # Invariants
//! - 32 random bytes, never stored, never logged; a restart of the gateway makes all of them void.
//! - One session has one token at most: a newer one voids the older.
//! - Behind a dot a token names the seat that it is for, which is no secret: a client that returns
//!   names it, and is told when another client has taken the session over.

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
    seat: String,
}

/// The seat of the client that begins a session.
pub(super) const FIRST_SEAT: &str = "first";

impl Token {
    /// The token of the client that begins a session, and its text for it; `None` when the system
    /// has no randomness.
    #[must_use]
    pub fn first(now: Instant) -> Option<(Self, String)> {
        Self::of_seat(now, FIRST_SEAT.to_owned())
    }

    /// The same with a seat of its own, for a client that comes later.
    #[must_use]
    pub fn fresh(now: Instant) -> Option<(Self, String)> {
        let mut seat = [0; 8];
        SystemRandom::new().fill(&mut seat).ok()?;
        Self::of_seat(now, URL_SAFE_NO_PAD.encode(seat))
    }

    /// The same for a client that returns to its seat.
    #[must_use]
    pub fn of_seat(now: Instant, seat: String) -> Option<(Self, String)> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *bytes).ok()?;
        let text = format!("{}.{seat}", URL_SAFE_NO_PAD.encode(*bytes));
        Some((Self { text: Zeroizing::new(text.clone()), until: now + TOKEN_LIFE, seat }, text))
    }

    /// The seat that it is for.
    #[must_use]
    pub fn seat(&self) -> &str {
        &self.seat
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
