//! The key that signs, and the text that is signed.

use ring::{digest, hmac};
use zeroize::Zeroizing;

use super::authorization::Scope;
use super::limits::{ALGORITHM, TERMINATOR};
use crate::ids::SecretAccessKey;

/// SHA-256 of a body, as [`verify`](super::verify()) and [`sign`](super::sign()) want it.
#[must_use]
pub fn sha256(body: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, body);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// The key that signs for one day, region and service, made from the secret in four steps.
pub(super) fn signing_key(secret: &SecretAccessKey, scope: &Scope) -> hmac::Key {
    let start = Zeroizing::new(format!("AWS4{}", secret.expose()));
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, start.as_bytes());
    for part in [scope.date.as_str(), &scope.region, &scope.service, TERMINATOR] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    key
}

/// What is really signed: time, scope and the hash of the canonical request.
pub(super) fn string_to_sign(amz_date: &str, scope: &Scope, canonical_request: &str) -> String {
    let hash = crate::ids::hex_lower(&sha256(canonical_request.as_bytes()));
    format!("{ALGORITHM}\n{amz_date}\n{scope}\n{hash}")
}
