//! The token by which a further gateway joins: where the inviting one is, which key it has, and a
//! secret.
//!
//! # Invariants
//! - The store has the digest of the secret alone.
//! - Who has the token reaches no other gateway than the one whose key it names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use towline_host::entropy::{self, NoRandom};
use towline_ssm::ids::hex_lower;

use super::tls::digest_of;

/// What a token begins with.
const PREFIX: &str = "towline-join";

/// Why a text is no token.
#[derive(Debug, thiserror::Error)]
#[error(
    "this is no token of `towline-gateway join-token`: it begins with {PREFIX}. and has four parts"
)]
pub struct TokenError;

/// A token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub(super) secret: [u8; 32],
    /// SHA-256 of the inviting gateway's key.
    pub(super) key: [u8; 32],
    /// HOST:PORT of the inviting gateway.
    pub(super) address: String,
}

impl Token {
    /// A new one of the gateway with this key at this address.
    ///
    /// # Errors
    /// No random bytes.
    pub fn fresh(key: [u8; 32], address: &str) -> Result<Self, NoRandom> {
        Ok(Self { secret: entropy::random()?, key, address: address.to_owned() })
    }

    /// What the store has of it.
    #[must_use]
    pub fn digest(&self) -> String {
        hex_lower(&digest_of(&self.secret))
    }

    /// For a person to copy.
    #[must_use]
    pub fn text(&self) -> String {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let Self { secret, key, address } = self;
        format!("{PREFIX}.{}.{}.{}", part(secret), part(key), part(address.as_bytes()))
    }

    /// And back.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let mut parts = text.trim().split('.');
        if parts.next() != Some(PREFIX) {
            return Err(TokenError);
        }
        let mut part = || URL_SAFE_NO_PAD.decode(parts.next()?).ok();
        let token = (|| {
            Some(Self {
                secret: part()?.try_into().ok()?,
                key: part()?.try_into().ok()?,
                address: String::from_utf8(part()?).ok()?,
            })
        })();
        match (token, parts.next()) {
            (Some(token), None) => Ok(token),
            _ => Err(TokenError),
        }
    }
}

impl std::fmt::Debug for Token {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let token = Token::fresh([7; 32], "10.0.0.1:8443").unwrap();
        let text = token.text();
        assert_eq!(Token::parse(&format!("{text}\n")).unwrap(), token);
        assert_ne!(Token::fresh([7; 32], "10.0.0.1:8443").unwrap().digest(), token.digest());
        assert!(!format!("{token:?}").contains(&text[13..40]));
        for wrong in ["", "x", &text[1..], &text[..text.len() - 30], &format!("{text}.x")] {
            assert!(Token::parse(wrong).is_err(), "{wrong}");
        }
    }
}
