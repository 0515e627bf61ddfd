//! AWS Signature Version 4 in its header form: making signatures (our command line) and checking
//! them (our gateway).
//!
//! Way at the gateway: headers -> [`Authorization::from_headers`] (no secret needed) -> the caller
//! looks the secret of `access_key` up -> [`verify`] -> [`Verified`]. Way at the client: request
//! parts -> [`sign`] -> headers to add.
//!
//! # Invariants
//! - The body is always part of what is checked: the hash of the real body counts, never one that a
//!   header claims.
//! - A header that decides what a request means (see [`MUST_SIGN`]) is refused when present but not
//!   signed.
//! - The comparison takes the same time wherever the signatures differ.
//! - No text of this module holds a secret or the signature that would have been right.
//!
//! # Not here
//! - No look-up of keys and no memory of seen signatures: the gateway has both; [`Verified`] has
//!   what they need.
//! - No signatures in the query string, and no chunk-wise signed or unsigned bodies.

mod authorization;
mod canonical;
mod error;
mod sign;
mod verify;

pub use authorization::{Authorization, Scope};
pub use canonical::RequestParts;
pub use error::SignatureError;
pub use sign::{Credentials, sign};
pub use verify::{Expected, Verified, verify};

use ring::{digest, hmac};
use zeroize::Zeroizing;

use crate::ids::SecretAccessKey;

/// The only algorithm there is.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Last part of every credential scope.
pub(crate) const TERMINATOR: &str = "aws4_request";
/// How far the clocks of client and gateway may be apart, in seconds, in both directions: the five
/// minutes of AWS.
pub const ALLOWED_SKEW_SECS: i64 = 300;
/// Longest `Authorization` header that is read, in bytes. Real ones have about 300; temporary
/// tokens travel elsewhere.
pub const MAX_AUTHORIZATION: usize = 4096;
/// Most header names in `SignedHeaders`. Clients of AWS sign 4 to 12.
pub const MAX_SIGNED_HEADERS: usize = 64;
/// Headers that must be signed when they are there: they say who asks, for what, when and how.
/// `host` and `x-amz-date` must be there in any case.
pub const MUST_SIGN: &[&str] = &[
    "host",
    "x-amz-date",
    "x-amz-target",
    "content-type",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// SHA-256 of a body, as [`verify`] and [`sign`] want it.
#[must_use]
pub fn sha256(body: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, body);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// The key that signs for one day, region and service, made from the secret in four steps.
fn signing_key(secret: &SecretAccessKey, scope: &Scope) -> hmac::Key {
    let start = Zeroizing::new(format!("AWS4{}", secret.expose()));
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, start.as_bytes());
    for part in [scope.date.as_str(), &scope.region, &scope.service, TERMINATOR] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    key
}

/// What is really signed: time, scope and the hash of the canonical request.
fn string_to_sign(amz_date: &str, scope: &Scope, canonical_request: &str) -> String {
    let hash = crate::ids::hex_lower(&sha256(canonical_request.as_bytes()));
    format!("{ALGORITHM}\n{amz_date}\n{scope}\n{hash}")
}
