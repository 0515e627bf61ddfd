//! Reading the `Authorization` header: who claims to have signed, for what scope, over which
//! headers.
//!
//! Data flow: header text -> [`Authorization`], without any secret, so that the caller can look the
//! secret up.
//!
//! # Invariants
//! - What is returned is bounded ([`super::MAX_AUTHORIZATION`], [`super::MAX_SIGNED_HEADERS`]) but
//!   NOT yet proven.
//! - Debug output leaves the signature out: with it a request could be sent again within the
//!   allowed skew.

use core::fmt;

use super::error::SignatureError;
use super::limits::{ALGORITHM, MAX_AUTHORIZATION, MAX_SIGNED_HEADERS, TERMINATOR};

/// Day, region and service that a signature is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `YYYYMMDD`.
    pub date: String,
    /// Region name.
    pub region: String,
    /// Signing name of the service.
    pub service: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}

/// The claim of a request about itself. Prove it with [`super::verify()`].
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The access key id as the client wrote it; any text without a slash, so that an unknown one
    /// can be told as such.
    pub access_key: String,
    /// What the signature is good for.
    pub scope: Scope,
    /// Names of the signed headers in lower case, in the client's order.
    pub signed_headers: Vec<String>,
    pub(super) signature: [u8; 32],
}

/// The header's parts; what form the signature has, its kind decides.
pub(super) struct Unproven<'v> {
    pub(super) access_key: String,
    pub(super) scope: Scope,
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: &'v str,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("access_key", &self.access_key)
            .field("scope", &self.scope)
            .field("signed_headers", &self.signed_headers)
            .finish_non_exhaustive()
    }
}

impl Authorization {
    /// Finds and reads the header among all headers of a request (names in any case).
    ///
    /// # Errors
    /// [`SignatureError::Missing`] without the header, [`SignatureError::Malformed`] when it cannot
    /// be read.
    pub fn from_headers(headers: &[(&str, &str)]) -> Result<Self, SignatureError> {
        Self::of_hmac(Unproven::from_headers(headers)?)
    }

    /// Reads the text of the header.
    ///
    /// # Errors
    /// [`SignatureError::Malformed`] with the part that is wrong.
    pub fn parse(value: &str) -> Result<Self, SignatureError> {
        Self::of_hmac(Unproven::parse(value)?)
    }

    fn of_hmac(parts: Unproven<'_>) -> Result<Self, SignatureError> {
        let Unproven { access_key, scope, signed_headers, signature } = parts;
        Ok(Self { access_key, scope, signed_headers, signature: signature_of(signature)? })
    }
}

impl<'v> Unproven<'v> {
    /// Finds the header among all headers of a request, and reads it.
    pub(super) fn from_headers(headers: &[(&str, &'v str)]) -> Result<Self, SignatureError> {
        let mut found =
            headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let (_, value) = found.next().ok_or(SignatureError::Missing)?;
        if found.next().is_some() {
            return Err(SignatureError::Header { name: "authorization" });
        }
        Self::parse(value)
    }

    fn parse(value: &'v str) -> Result<Self, SignatureError> {
        if value.len() > MAX_AUTHORIZATION {
            return Err(malformed("it is too long"));
        }
        let value = value.trim();
        let rest = value
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| malformed("the algorithm must be AWS4-HMAC-SHA256"))?;
        if !rest.starts_with([' ', '\t']) {
            return Err(malformed("the algorithm must be AWS4-HMAC-SHA256 and a space"));
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part
                .trim()
                .split_once('=')
                .ok_or_else(|| malformed("a part is not of the form Name=value"))?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => {
                    return Err(malformed("the parts are Credential, SignedHeaders and Signature"));
                }
            };
            if place.replace(value).is_some() {
                return Err(malformed("a part is there twice"));
            }
        }
        let (access_key, scope) =
            credential_of(credential.ok_or_else(|| malformed("Credential is missing"))?)?;
        let signed_headers =
            names_of(signed_headers.ok_or_else(|| malformed("SignedHeaders is missing"))?)?;
        let signature = signature.ok_or_else(|| malformed("Signature is missing"))?;
        Ok(Self { access_key, scope, signed_headers, signature })
    }
}

const fn malformed(why: &'static str) -> SignatureError {
    SignatureError::Malformed { why }
}

fn credential_of(text: &str) -> Result<(String, Scope), SignatureError> {
    let bad =
        || malformed("Credential must be <access key>/<date>/<region>/<service>/aws4_request");
    let parts: Vec<&str> = text.splitn(6, '/').collect();
    let [access_key, date, region, service, terminator] = parts[..] else { return Err(bad()) };
    let date_good = date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
    if access_key.is_empty()
        || !date_good
        || region.is_empty()
        || service.is_empty()
        || terminator != TERMINATOR
    {
        return Err(bad());
    }
    Ok((
        access_key.into(),
        Scope { date: date.into(), region: region.into(), service: service.into() },
    ))
}

fn names_of(text: &str) -> Result<Vec<String>, SignatureError> {
    let names: Vec<String> =
        text.split(';').take(MAX_SIGNED_HEADERS + 1).map(str::to_ascii_lowercase).collect();
    if names.len() > MAX_SIGNED_HEADERS {
        return Err(malformed("SignedHeaders names too many headers"));
    }
    // A repeated name would let one canonical text stand for two different sets of headers.
    let sorted = names.windows(2).all(|pair| pair[0] < pair[1]);
    if !sorted || names.iter().any(String::is_empty) {
        return Err(malformed(
            "SignedHeaders must be header names in order, separated by semicolons",
        ));
    }
    Ok(names)
}

fn signature_of(text: &str) -> Result<[u8; 32], SignatureError> {
    let bad = || malformed("Signature must be 64 hex digits");
    let text = text.as_bytes();
    let mut out = [0; 32];
    if text.len() != 64 {
        return Err(bad());
    }
    for (place, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let digit =
            |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or_else(bad);
        *place = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Ok(out)
}
