//! What one end says and an older other end does without: frames of one kind, told apart by a tag.
//!
//! Data flow: [`Frame::Extension`](crate::frame::Frame::Extension) holds a tag and a body. A
//! receiver that knows neither kind nor tag skips the frame, so no wire version is needed.
//!
//! # Invariants
//! - Nothing that the rest of the wire relies on is an extension: it may be skipped.
//! - A body that a receiver cannot read is skipped as well.
//! - Tags are never given again.
//!
//! # Not here
//! - [`ClientKey`] and [`DeviceAnswer`] are room for sessions that the gateway cannot read. No
//!   program sends or reads them today.

use alloc::string::String;
use alloc::vec::Vec;
use core::str;

use serde::{Deserialize, Serialize};

/// Tag of [`Separation`], from the agent after the gateway's welcome.
pub const SEPARATION: u16 = 1;
/// Tag of [`ClientKey`], from the gateway right before the order that it belongs to.
pub const CLIENT_KEY: u16 = 2;
/// Tag of [`DeviceAnswer`], from the agent right before `Opened`, and from the gateway to the
/// client.
pub const DEVICE_ANSWER: u16 = 3;

/// Tag of the addresses of other gateways, from the gateway right before `GoAway` or `Refuse`.
pub const ELSEWHERE: u16 = 4;
/// Most addresses that [`ELSEWHERE`] names; a receiver reads no more.
pub const MOST_ELSEWHERE: usize = 8;

/// The body of [`ELSEWHERE`]: addresses, each `HOST:PORT`, with a newline between two.
#[must_use]
pub fn elsewhere_bytes(addresses: &[String]) -> Vec<u8> {
    addresses.join("\n").into_bytes()
}

/// And back.
pub fn elsewhere(body: &[u8]) -> impl Iterator<Item = &str> {
    body.split(|byte| *byte == b'\n')
        .take(MOST_ELSEWHERE)
        .filter_map(|one| str::from_utf8(one).ok())
}

/// Whether what reads the network is a process without rights on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separation<'a> {
    /// The device's settings want one process.
    Off,
    /// It is.
    Separate,
    /// The settings want it, and the device cannot have it: why.
    Impossible(&'a str),
}

impl<'a> Separation<'a> {
    /// The body: one byte, then the reason in UTF-8.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        let (first, why) = match self {
            Self::Off => (0, ""),
            Self::Separate => (1, ""),
            Self::Impossible(why) => (2, why),
        };
        let mut bytes = Vec::from([first]);
        bytes.extend_from_slice(why.as_bytes());
        bytes
    }

    /// And back; `None` for what is none of these.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        match body {
            [0] => Some(Self::Off),
            [1] => Some(Self::Separate),
            [2, why @ ..] => str::from_utf8(why).ok().map(Self::Impossible),
            _ => None,
        }
    }
}

/// An ephemeral key of the client, bound to a grant by the authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientKey {
    /// The session.
    pub session: String,
    /// The client's X25519 key.
    pub key: [u8; 32],
    /// Ed25519 by the authority over [`ClientKey::signed_bytes`], 64 bytes.
    pub signature: Vec<u8>,
}

impl ClientKey {
    /// What the authority signs: context, the digest of the grant's bytes, the key.
    #[must_use]
    pub fn signed_bytes(grant_sha256: &[u8; 32], key: &[u8; 32]) -> Vec<u8> {
        [&b"towline client key v1\0"[..], grant_sha256, key].concat()
    }
}

/// The device's answer to a [`ClientKey`]: its own ephemeral key, signed by the device's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAnswer {
    /// The session.
    pub session: String,
    /// The device's X25519 key.
    pub key: [u8; 32],
    /// Ed25519 by the device over [`DeviceAnswer::signed_bytes`], 64 bytes.
    pub signature: Vec<u8>,
}

impl DeviceAnswer {
    /// What the device signs: context, the digest of the grant's bytes, both keys.
    #[must_use]
    pub fn signed_bytes(grant_sha256: &[u8; 32], client: &[u8; 32], device: &[u8; 32]) -> Vec<u8> {
        [&b"towline device answer v1\0"[..], grant_sha256, client, device].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_one_body_and_other_bodies_are_none() {
        for (told, body) in [
            (Separation::Off, &[0][..]),
            (Separation::Separate, &[1]),
            (Separation::Impossible("no"), &[2, b'n', b'o']),
        ] {
            assert_eq!(told.bytes(), body);
            assert_eq!(Separation::read(body), Some(told));
        }
        for other in [&[][..], &[0, 0], &[1, 1], &[2, 0xff], &[3]] {
            assert_eq!(Separation::read(other), None, "{other:?}");
        }
    }

    #[test]
    fn addresses_of_other_gateways_are_lines_and_a_bounded_number_of_them_is_read() {
        let two = ["a:1".into(), "b:2".into()];
        assert_eq!(elsewhere_bytes(&two), b"a:1\nb:2");
        assert_eq!(elsewhere(b"a:1\nb:2").collect::<Vec<_>>(), two);
        assert_eq!(elsewhere(b"a:1\n\xff\nb:2").collect::<Vec<_>>(), two);
        assert_eq!(elsewhere(&[b'\n'; 100]).count(), MOST_ELSEWHERE);
    }

    #[test]
    fn a_key_is_signed_for_one_grant_and_an_answer_for_one_pair_of_keys() {
        let bytes = ClientKey::signed_bytes(&[1; 32], &[2; 32]);
        assert_eq!(bytes, [&b"towline client key v1\0"[..], &[1; 32], &[2; 32]].concat());
        let bytes = DeviceAnswer::signed_bytes(&[1; 32], &[2; 32], &[3; 32]);
        let expected = [&b"towline device answer v1\0"[..], &[1; 32], &[2; 32], &[3; 32]].concat();
        assert_eq!(bytes, expected);
    }
}
