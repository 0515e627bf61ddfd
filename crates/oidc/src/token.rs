//! A signed token in the compact form (RFC 7515, RFC 7519): its form, its signature, its claims.
//!
//! Data flow: text -> [`Token::parse`] (form and header) -> [`Token::issuer`] chooses the keys ->
//! [`Token::verify`] -> [`Claims`].
//!
//! # Invariants
//! - A header that names its own key (`jwk`, `jku`, `x5u`, `x5c`) or wants something special
//!   (`crit`) is refused: keys come from the provider's published set alone.

use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::claims::{Claims, Expected};
use crate::jwks::{Judged, KeySet};
use crate::limits::MAX_TOKEN;

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Too many bytes.
    #[error("the token has {0} bytes, at most {MAX_TOKEN} are read")]
    TooLong(usize),
    /// Not three parts of base64url with JSON in them.
    #[error("the token is no signed token in the compact form (header.claims.signature)")]
    Form,
    /// The algorithm is not accepted.
    #[error("the token's algorithm is not accepted: it must be an RSA, ECDSA or Ed25519 signature")]
    Algorithm,
    /// The header has a member that is not accepted.
    #[error("the token's header has `{0}`, which is not accepted")]
    Header(&'static str),
    /// The type is not an ID token's.
    #[error("the token's `typ` is not JWT: it is no ID token")]
    Type,
    /// No key of the provider fits.
    #[error("the provider publishes no key that fits the token")]
    NoKey,
    /// Several keys of the provider fit.
    #[error("the provider publishes several keys that fit the token: it must name one by `kid`")]
    SeveralKeys,
    /// The signature is wrong.
    #[error("the token's signature is not right")]
    Signature,
    /// A claim is missing or of another type.
    #[error("the token lacks a usable claim `{0}`")]
    Lacks(&'static str),
    /// It is of another issuer.
    #[error("the token's issuer is not the provider's")]
    Issuer,
    /// It is for somebody else.
    #[error("the token's audience (`aud`) is none that the provider is configured for")]
    Audience,
    /// It was given to another client.
    #[error("the token's authorized party (`azp`) is none that the provider is configured for")]
    Party,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet: is this clock, or the provider's, wrong?")]
    Early,
    /// It belongs to another sign-in.
    #[error("the token's `nonce` is not that of this sign-in")]
    Nonce,
    /// It belongs to another access token.
    #[error("the token's `at_hash` is not that of the access token beside it")]
    AccessTokenHash,
}

/// A token of a good form; nothing in it is believed yet.
#[derive(Debug, Clone)]
pub struct Token<'t> {
    algorithm: Algorithm,
    key_id: Option<String>,
    signed: &'t str,
    signature: Vec<u8>,
    claims: Value,
}

impl<'t> Token<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(text: &'t str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN {
            return Err(TokenError::TooLong(text.len()));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Form)?;
        let header = object(header)?;
        let name = header.get("alg").and_then(Value::as_str).ok_or(TokenError::Algorithm)?;
        let algorithm = Algorithm::parse(name).ok_or(TokenError::Algorithm)?;
        const REFUSED: [&str; 7] = ["crit", "jwk", "jku", "x5u", "x5c", "enc", "b64"];
        if let Some(member) = REFUSED.into_iter().find(|member| header.get(member).is_some()) {
            return Err(TokenError::Header(member));
        }
        match header.get("typ") {
            None => {}
            Some(Value::String(name)) if name.eq_ignore_ascii_case("jwt") => {}
            Some(_) => return Err(TokenError::Type),
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(TokenError::Header("kid")),
        };
        let claims = object(claims)?;
        let signature = base64url::decode(signature).ok_or(TokenError::Form)?;
        Ok(Self { algorithm, key_id, signed, signature, claims })
    }

    /// The issuer that the token names. It chooses the keys and means nothing else.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The key that the token names.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Checks the signature, then the claims.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(self, keys: &KeySet, expected: &Expected<'_>) -> Result<Claims, TokenError> {
        let key_id = self.key_id.as_deref();
        match keys.check(key_id, self.algorithm, self.signed.as_bytes(), &self.signature) {
            Judged::Right => Claims::check(self.claims, self.algorithm, expected),
            Judged::Wrong => Err(TokenError::Signature),
            Judged::NoKey => Err(TokenError::NoKey),
            Judged::Several => Err(TokenError::SeveralKeys),
        }
    }
}

fn object(part: &str) -> Result<Value, TokenError> {
    let bytes = base64url::decode(part).ok_or(TokenError::Form)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| TokenError::Form)?;
    if value.is_object() { Ok(value) } else { Err(TokenError::Form) }
}
