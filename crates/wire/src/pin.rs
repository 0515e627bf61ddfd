//! The pin of the server's next key, given to devices before the key changes.
//!
//! Data flow: [`ToAgent::NextPin`] -> the agent checks and stores it -> [`FromAgent::PinKept`] ->
//! the server's key changes -> the agent meets the new key and drops the old pin.
//!
//! # Invariants
//! - The authority signs it, so the server's own key is not enough to change what devices trust.
//! - `issued` only grows: an older statement is not taken again.
//!
//! # Not here
//! - The signature algorithm (Ed25519) is brought by the caller.
//!
//! [`ToAgent::NextPin`]: crate::message::ToAgent::NextPin
//! [`FromAgent::PinKept`]: crate::message::FromAgent::PinKept

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Put before the bytes that are signed, so that no other signature can be taken for this one.
pub const PIN_CONTEXT: &[u8] = b"towline server pin v1\0";

/// A pin that counts beside the one in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPin {
    /// SHA-256 of the next key's `SubjectPublicKeyInfo` (DER); `None` takes the last one back.
    pub pin: Option<[u8; 32]>,
    /// When it was signed, ms since 1970.
    pub issued: u64,
    /// Ed25519 by the authority over [`SignedPin::signed_bytes`], 64 bytes.
    pub signature: Vec<u8>,
}

impl SignedPin {
    /// What the authority signs: context, time, a byte that says whether there is a pin, the pin.
    #[must_use]
    pub fn signed_bytes(pin: Option<&[u8; 32]>, issued: u64) -> Vec<u8> {
        let there = [u8::from(pin.is_some())];
        let pin = pin.map_or(&[][..], |pin| pin);
        [PIN_CONTEXT, &issued.to_be_bytes(), &there, pin].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_bytes_differ_for_each_pin_and_time() {
        let with = SignedPin::signed_bytes(Some(&[7; 32]), 1);
        assert_eq!(with, [PIN_CONTEXT, &[0, 0, 0, 0, 0, 0, 0, 1, 1], &[7; 32]].concat());
        let without = SignedPin::signed_bytes(None, 1);
        assert_eq!(without, [PIN_CONTEXT, &[0, 0, 0, 0, 0, 0, 0, 1, 0]].concat());
    }
}
