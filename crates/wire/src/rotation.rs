//! A device's key is replaced by a new one, on a link that the old one has proved.
//!
//! Data flow: [`ToAgent::RotateKey`] -> [`NewKey`] or [`FromAgent::NoNewKey`] ->
//! [`ToAgent::KeyAdded`] -> the agent dials again with the new key -> the gateway lets the older
//! keys in no more.
//!
//! # Invariants
//! - Both keys are proved: the old one by the link's handshake, the new one by its signature over
//!   this link's challenge.
//! - Between [`NewKey`] and the first link of the new key both keys are let in, so that no lost
//!   message locks a device out.
//!
//! # Not here
//! - The signature algorithm (Ed25519) is brought by the caller.
//!
//! [`ToAgent::RotateKey`]: crate::message::ToAgent::RotateKey
//! [`ToAgent::KeyAdded`]: crate::message::ToAgent::KeyAdded
//! [`FromAgent::NoNewKey`]: crate::message::FromAgent::NoNewKey

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Put before the bytes that a new key signs, so that no other signature can be taken for its
/// proof.
pub const NEW_KEY_CONTEXT: &[u8] = b"towline new key v1\0";

/// A key that the device will dial with from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// `SubjectPublicKeyInfo` (DER) of an Ed25519 key, 44 bytes.
    pub spki: Vec<u8>,
    /// Ed25519 by that key over [`NewKey::signed_bytes`], 64 bytes.
    pub proof: Vec<u8>,
}

impl NewKey {
    /// What the new key signs: context, the challenge of the old key's link, the device's name.
    #[must_use]
    pub fn signed_bytes(challenge: &[u8; 16], device: &str) -> Vec<u8> {
        [NEW_KEY_CONTEXT, challenge, device.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{FromAgent, ToAgent, encode};
    use alloc::vec;

    #[test]
    fn golden_bytes_of_a_rotation() {
        assert_eq!(encode(&ToAgent::RotateKey).unwrap(), [12]);
        assert_eq!(encode(&ToAgent::KeyAdded).unwrap(), [13]);
        let new = NewKey { spki: vec![1, 2], proof: vec![3] };
        assert_eq!(encode(&FromAgent::NewKey(new)).unwrap(), [9, 2, 1, 2, 1, 3]);
        assert_eq!(
            encode(&FromAgent::NoNewKey { text: "no".into() }).unwrap(),
            [10, 2, b'n', b'o']
        );
        assert_eq!(
            NewKey::signed_bytes(&[7; 16], "mi-1"),
            *b"towline new key v1\0\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07mi-1"
        );
    }
}
