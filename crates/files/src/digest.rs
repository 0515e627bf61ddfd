//! A finished SHA-256 as bytes.

use ring::digest::Context;

/// A finished SHA-256.
#[must_use]
pub fn bytes_of(digest: Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.finish().as_ref()); // SHA-256 has 32
    bytes
}
