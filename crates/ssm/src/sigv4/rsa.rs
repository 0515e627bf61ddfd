//! Signatures of a device's own RSA key, as amazon-ssm-agent makes them: the string to sign of
//! Signature Version 4, signed by RSA-PSS with SHA-256 in place of the HMAC, in base64.
//!
//! Data flow: `Authorization` header -> [`RsaAuthorization`] (the id of a device stands where the
//! access key stands) -> the caller looks the device's key up -> [`verify_rsa`].
//!
//! # Invariants
//! - A key has 2048 to 4096 bits and an odd exponent of at most 32 bits: a check has a bounded
//!   cost.
//! - The key's form is DER without a byte to spare: one key has one spelling, and one fingerprint.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};

use super::authorization::{Scope, Unproven};
use super::canonical::{RequestParts, canonical_request};
use super::error::SignatureError;
use super::key::{sha256, string_to_sign};
use super::limits::BODY_HASH;
use super::verify::{Expected, Verified, head};
use crate::ids::hex_lower;

/// Fewest bits of a device's modulus.
const MIN_BITS: usize = 2048;
/// Most bits of a device's modulus.
const MAX_BITS: usize = 4096;
/// Longest `PublicKey` in base64, bytes: a key of 4096 bits has about 740.
pub const MAX_PUBLIC_KEY: usize = 1024;
/// Longest signature in base64, bytes: that of a key of 4096 bits has 684.
const MAX_SIGNATURE: usize = 700;
/// [`MUST_SIGN`](super::MUST_SIGN) without [`BODY_HASH`]: amazon-ssm-agent adds that header when it
/// has made the list of signed headers. The signature covers the hash of the body in any case.
const MUST_SIGN_BY_RSA: [&str; 5] =
    ["host", "x-amz-date", "x-amz-target", "content-type", "x-amz-security-token"];
/// What stands before the key's own bytes: the algorithm rsaEncryption with its NULL.
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// A text or bytes that are no public key of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("PublicKey must be the base64 of an RSA SubjectPublicKeyInfo with 2048 to 4096 bits: {0}")]
pub struct BadPublicKey(&'static str);

/// The public key of a device with amazon-ssm-agent.
#[derive(Clone, PartialEq, Eq)]
pub struct RsaPublicKey {
    spki: Vec<u8>,
    /// The form without the algorithm (PKCS#1), which the check wants.
    pkcs1: core::ops::Range<usize>,
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaPublicKey").field("bytes", &self.spki.len()).finish()
    }
}

impl RsaPublicKey {
    /// Reads `PublicKey` of a registration.
    ///
    /// # Errors
    /// [`BadPublicKey`] says what is wrong.
    pub fn from_base64(text: &str) -> Result<Self, BadPublicKey> {
        if text.len() > MAX_PUBLIC_KEY {
            return Err(BadPublicKey("it is too long"));
        }
        let spki = STANDARD.decode(text.trim()).map_err(|_| BadPublicKey("it is not base64"))?;
        Self::from_spki(spki)
    }

    /// Reads a `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// [`BadPublicKey`] says what is wrong.
    pub fn from_spki(spki: Vec<u8>) -> Result<Self, BadPublicKey> {
        let whole = Reader { bytes: &spki }.only(SEQUENCE)?;
        let rest = whole.strip_prefix(&RSA_ENCRYPTION).ok_or(BadPublicKey("it is no RSA key"))?;
        let bits = Reader { bytes: rest }.only(BIT_STRING)?;
        let pkcs1 = bits.strip_prefix(&[0]).ok_or(BadPublicKey("its bits are no whole bytes"))?;
        let mut numbers = Reader { bytes: Reader { bytes: pkcs1 }.only(SEQUENCE)? };
        let modulus = unsigned(numbers.next(INTEGER)?)?;
        let exponent = unsigned(numbers.only(INTEGER)?)?;
        let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
        if !(MIN_BITS..=MAX_BITS).contains(&bits) {
            return Err(BadPublicKey("its modulus has another length"));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
        if !odd(modulus) || !odd(exponent) || exponent.len() > 4 || exponent == [1] {
            return Err(BadPublicKey("its numbers are no RSA key"));
        }
        // Everything before the key's own bytes was read, and nothing follows them.
        let pkcs1 = spki.len() - pkcs1.len()..spki.len();
        Ok(Self { spki, pkcs1 })
    }

    /// The `SubjectPublicKeyInfo`: the identity of the device.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn pkcs1(&self) -> &[u8] {
        self.spki.get(self.pkcs1.clone()).unwrap_or_default()
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// Reads values of DER, one after the other.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn next(&mut self, tag: u8) -> Result<&'a [u8], BadPublicKey> {
        let bad = BadPublicKey("it is not DER");
        let (&[found, first], rest) = self.bytes.split_first_chunk::<2>().ok_or(bad)?;
        // The length in its shortest form: itself, or one or two bytes of it behind their number.
        let long = usize::from(first.saturating_sub(0x80));
        let (length, rest) = match (first, long) {
            (0..=0x7f, _) => (usize::from(first), rest),
            (_, 1 | 2) => {
                let (bytes, rest) = rest.split_at_checked(long).ok_or(bad)?;
                let length = bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                if length < [0x80, 0x100][long - 1] {
                    return Err(bad);
                }
                (length, rest)
            }
            _ => return Err(bad),
        };
        if found != tag {
            return Err(bad);
        }
        let (value, rest) = rest.split_at_checked(length).ok_or(bad)?;
        self.bytes = rest;
        Ok(value)
    }

    /// The last value.
    fn only(mut self, tag: u8) -> Result<&'a [u8], BadPublicKey> {
        let value = self.next(tag)?;
        if self.bytes.is_empty() { Ok(value) } else { Err(BadPublicKey("something follows it")) }
    }
}

/// A positive number without leading zeros.
fn unsigned(integer: &[u8]) -> Result<&[u8], BadPublicKey> {
    match integer {
        [0, number @ ..] if number.first().is_some_and(|high| *high >= 0x80) => Ok(number),
        [1..0x80, ..] => Ok(integer),
        _ => Err(BadPublicKey("a number is not positive, or not in its shortest form")),
    }
}

/// The claim of a device about its request. Prove it with [`verify_rsa`].
#[derive(Clone, PartialEq, Eq)]
pub struct RsaAuthorization {
    /// The device's id as the request has it.
    pub device: String,
    /// What the signature is good for.
    pub scope: Scope,
    signed_headers: Vec<String>,
    signature: Vec<u8>,
}

impl fmt::Debug for RsaAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaAuthorization")
            .field("device", &self.device)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl RsaAuthorization {
    /// Finds and reads the header among all headers of a request (names in any case).
    ///
    /// # Errors
    /// [`SignatureError::Missing`] without the header, [`SignatureError::Malformed`] when it cannot
    /// be read.
    pub fn from_headers(headers: &[(&str, &str)]) -> Result<Self, SignatureError> {
        let Unproven { access_key: device, scope, signed_headers, signature } =
            Unproven::from_headers(headers)?;
        let bad = SignatureError::Malformed {
            why: "Signature must be the base64 of an RSA-PSS signature",
        };
        if signature.len() > MAX_SIGNATURE {
            return Err(bad);
        }
        let signature = STANDARD.decode(signature).map_err(|_| bad)?;
        Ok(Self { device, scope, signed_headers, signature })
    }
}

/// Whether `key` made the signature of `auth` over this request. `body_sha256` is of the body as it
/// arrived.
///
/// # Errors
/// [`SignatureError`]; turn it into an `ApiError` for the device.
pub fn verify_rsa(
    auth: &RsaAuthorization,
    parts: &RequestParts<'_>,
    body_sha256: &[u8; 32],
    key: &RsaPublicKey,
    expected: &Expected<'_>,
) -> Result<Verified, SignatureError> {
    let claim = (&auth.scope, auth.signed_headers.as_slice());
    let (amz_date, signed_at) = head(claim, &MUST_SIGN_BY_RSA, parts, expected)?;
    let named = parts.single(BODY_HASH)?;
    if named.is_some_and(|named| !named.eq_ignore_ascii_case(&hex_lower(body_sha256))) {
        return Err(SignatureError::Mismatch);
    }
    let canonical = canonical_request(parts, &auth.signed_headers, body_sha256)?;
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key.pkcs1())
        .verify(string_to_sign(amz_date, &auth.scope, &canonical).as_bytes(), &auth.signature)
        .map_err(|_| SignatureError::Mismatch)?;
    let forget_at = signed_at.saturating_add(expected.allowed_skew).saturating_add(1);
    Ok(Verified { signed_at, replay_key: sha256(&auth.signature), forget_at })
}

#[cfg(test)]
mod tests;
