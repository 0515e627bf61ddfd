//! Grants: what the authority signs, and what an agent demands of it.
//!
//! An agent opens nothing because a gateway says so. It opens a session because the *authority* (a
//! key pinned at enrollment, separable from the gateway) signed that this principal may have this
//! session on this device.
//!
//! # Invariants
//! - A grant works once: [`SeenNonces`] remembers each until it would have expired anyway, and
//!   refuses when full.
//! - A grant does not survive a restart of the agent: it names the agent's boot nonce.
//! - No clock of the device is needed: time is the authority's, signed over a challenge of this
//!   very link ([`SignedTime`]), and advanced by the device's monotonic clock.
//!
//! # Not here
//! - The signature algorithm (Ed25519) and SHA-256 are brought by the caller.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::epoch::BootNonce;
use crate::message::{MessageError, decode, encode};

/// Longest life of a grant, milliseconds. A session opens within seconds; what is older was held
/// back by somebody.
pub const MAX_LIFE_MS: u64 = 120_000;
/// How far ahead of the agent's idea of the authority's time a grant may be issued, milliseconds.
pub const MAX_AHEAD_MS: u64 = 30_000;
/// Put before the bytes of a grant when they are signed, so that no other signature can be taken
/// for one.
pub const GRANT_CONTEXT: &[u8] = b"towline grant v1\0";
/// Put before the bytes of a time.
pub const TIME_CONTEXT: &[u8] = b"towline time v1\0";

/// Who may open what, where, once, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The device, `mi-…`.
    pub device: String,
    /// The session.
    pub session: String,
    /// ARN of the principal, for the device's log.
    pub principal: String,
    /// Name of the session document.
    pub document: String,
    /// SHA-256 of the launch bytes.
    pub launch: [u8; 32],
    /// User to run as; `None` for the device's default.
    pub run_as: Option<String>,
    /// The agent's boot.
    pub boot: BootNonce,
    /// Never used twice.
    pub nonce: [u8; 16],
    /// Milliseconds since the epoch, by the authority's clock.
    pub issued_at: u64,
    /// Milliseconds since the epoch; at most [`MAX_LIFE_MS`] after `issued_at`.
    pub not_after: u64,
}

/// A grant's exact bytes with the authority's signature over [`GRANT_CONTEXT`] and them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedGrant {
    /// A postcard [`Grant`].
    pub grant: Vec<u8>,
    /// Ed25519, 64 bytes.
    pub signature: Vec<u8>,
}

/// The authority's time for one link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTime {
    /// Milliseconds since the epoch.
    pub unix_ms: u64,
    /// Ed25519 over [`SignedTime::signed_bytes`], 64 bytes.
    pub signature: Vec<u8>,
}

impl SignedTime {
    /// What is signed: context, the link's challenge, the time.
    #[must_use]
    pub fn signed_bytes(challenge: &[u8; 16], unix_ms: u64) -> Vec<u8> {
        [TIME_CONTEXT, challenge, &unix_ms.to_be_bytes()].concat()
    }
}

/// Why a grant opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Not made by the pinned authority, or altered.
    #[error("the grant is not signed by the authority this device was enrolled with")]
    Signature,
    /// Not a grant.
    #[error("the grant cannot be read: {0}")]
    Form(#[from] MessageError),
    /// Made for another device.
    #[error("the grant is for device {0}, this is another one")]
    Device(String),
    /// Made for another session.
    #[error("the grant is for session {0}, another one was to be opened")]
    Session(String),
    /// What is to be started is not what was granted.
    #[error("what is to be started is not what the grant was given for")]
    Launch,
    /// Made for an earlier run of the agent.
    #[error("the grant was made for an earlier start of this agent: ask for a new one")]
    Boot,
    /// Too old, too far in the future, or with too long a life.
    #[error(
        "the grant has expired or is not valid yet (issued {issued_at}, until {not_after}, now \
         {now}, all ms)"
    )]
    Time {
        /// From the grant.
        issued_at: u64,
        /// From the grant.
        not_after: u64,
        /// The authority's time as the device reckons it.
        now: u64,
    },
    /// Used before.
    #[error("the grant was used before")]
    Replayed,
    /// More grants are alive than can be remembered; none is taken until one expires.
    #[error("too many grants within {} s: wait and try again", MAX_LIFE_MS / 1000)]
    TooMany,
}

/// What the agent knows, and the grant must match.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// This device.
    pub device: &'a str,
    /// The session to be opened.
    pub session: &'a str,
    /// SHA-256 of the launch bytes as they came.
    pub launch: &'a [u8; 32],
    /// This run of the agent.
    pub boot: &'a BootNonce,
    /// The authority's time as the device reckons it, milliseconds since the epoch.
    pub now: u64,
    /// The session may use the place for a repair.
    pub reserved: bool,
}

impl SignedGrant {
    /// The bytes that are signed for an encoded grant.
    #[must_use]
    pub fn signed_bytes(grant: &[u8]) -> Vec<u8> {
        [GRANT_CONTEXT, grant].concat()
    }

    /// Encodes and signs.
    ///
    /// # Errors
    /// [`MessageError::TooLarge`] when the grant's strings do not fit into a frame.
    pub fn sign(grant: &Grant, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Result<Self, MessageError> {
        let grant = encode(grant)?;
        let signature = sign(&Self::signed_bytes(&grant)).to_vec();
        Ok(Self { grant, signature })
    }

    /// Checks everything about the grant and uses it up.
    ///
    /// `verify` gets the signed bytes and the signature. It is asked first: nothing unsigned is
    /// looked into.
    ///
    /// # Errors
    /// [`GrantError`]; a refused grant is not used up.
    pub fn accept(
        &self,
        expected: &Expected<'_>,
        seen: &mut SeenNonces,
        verify: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> Result<Grant, GrantError> {
        if !verify(&Self::signed_bytes(&self.grant), &self.signature) {
            return Err(GrantError::Signature);
        }
        let grant: Grant = decode(&self.grant)?;
        grant.check(expected)?;
        seen.use_up(grant.nonce, grant.not_after, expected)?;
        Ok(grant)
    }
}

impl Grant {
    fn check(&self, expected: &Expected<'_>) -> Result<(), GrantError> {
        if self.device != expected.device {
            return Err(GrantError::Device(self.device.clone()));
        }
        if self.session != expected.session {
            return Err(GrantError::Session(self.session.clone()));
        }
        if self.launch != *expected.launch {
            return Err(GrantError::Launch);
        }
        if self.boot != *expected.boot {
            return Err(GrantError::Boot);
        }
        let life = self.not_after.checked_sub(self.issued_at);
        let alive = expected.now < self.not_after
            && self.issued_at <= expected.now.saturating_add(MAX_AHEAD_MS);
        if alive && life.is_some_and(|life| life <= MAX_LIFE_MS) {
            return Ok(());
        }
        Err(GrantError::Time {
            issued_at: self.issued_at,
            not_after: self.not_after,
            now: expected.now,
        })
    }
}

/// The nonces of grants that are still alive: 3 KiB, inside of the value.
#[derive(Debug, Default)]
pub struct SeenNonces {
    seen: heapless::Vec<([u8; 16], u64), { Self::CAPACITY + Self::RESERVE }>,
}

impl SeenNonces {
    /// How many live grants are remembered.
    pub const CAPACITY: usize = 128;
    /// How many more for sessions in the place for a repair.
    pub const RESERVE: usize = 8;

    /// Nonces with the time until which they count, for a successor.
    #[must_use]
    pub fn list(&self) -> &[([u8; 16], u64)] {
        &self.seen
    }

    /// Remembers one more of a predecessor's; false when there are too many.
    #[must_use]
    pub fn remember(&mut self, nonce: [u8; 16], not_after: u64) -> bool {
        self.seen.push((nonce, not_after)).is_ok()
    }

    fn use_up(
        &mut self,
        nonce: [u8; 16],
        not_after: u64,
        expected: &Expected<'_>,
    ) -> Result<(), GrantError> {
        let now = expected.now;
        self.seen.retain(|&(_, until)| until > now);
        if self.seen.iter().any(|(old, _)| *old == nonce) {
            return Err(GrantError::Replayed);
        }
        if self.seen.len() >= Self::CAPACITY && !expected.reserved {
            return Err(GrantError::TooMany);
        }
        self.seen.push((nonce, not_after)).map_err(|_| GrantError::TooMany)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn grant() -> Grant {
        Grant {
            device: "mi-1".into(),
            session: "ann-1".into(),
            principal: "arn:aws:iam::1:user/ann".into(),
            document: "SSM-SessionManagerRunShell".into(),
            launch: [7; 32],
            run_as: None,
            boot: [1; 16],
            nonce: [2; 16],
            issued_at: NOW,
            not_after: NOW + 60_000,
        }
    }

    /// A stand-in for Ed25519: a checksum. The real one is tested where it is brought.
    fn toy(bytes: &[u8]) -> [u8; 64] {
        let mut out = [0_u8; 64];
        for (i, byte) in bytes.iter().enumerate() {
            out[i % 64] = out[i % 64].wrapping_mul(31) ^ byte;
        }
        out
    }

    fn accept(signed: &SignedGrant, now: u64, seen: &mut SeenNonces) -> Result<Grant, GrantError> {
        let expected = Expected {
            device: "mi-1",
            session: "ann-1",
            launch: &[7; 32],
            boot: &[1; 16],
            now,
            reserved: false,
        };
        signed.accept(&expected, seen, |bytes, signature| toy(bytes) == signature)
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Grant)) -> GrantError {
        let mut changed = grant();
        change(&mut changed);
        let signed = SignedGrant::sign(&changed, toy).unwrap();
        accept(&signed, NOW, &mut SeenNonces::default()).unwrap_err()
    }

    #[test]
    fn a_grant_opens_once() {
        let signed = SignedGrant::sign(&grant(), toy).unwrap();
        let mut seen = SeenNonces::default();
        assert_eq!(accept(&signed, NOW, &mut seen).unwrap(), grant());
        assert_eq!(accept(&signed, NOW + 1, &mut seen), Err(GrantError::Replayed));
    }

    #[test]
    fn a_grant_for_something_else_is_refused() {
        assert!(matches!(refused(|g| g.device = "mi-2".into()), GrantError::Device(_)));
        assert!(matches!(refused(|g| g.session = "bob-1".into()), GrantError::Session(_)));
        assert_eq!(refused(|g| g.launch = [8; 32]), GrantError::Launch);
        assert_eq!(refused(|g| g.boot = [9; 16]), GrantError::Boot);
    }

    #[test]
    fn a_grant_out_of_its_time_is_refused() {
        assert!(matches!(refused(|g| g.not_after = NOW), GrantError::Time { .. }));
        assert!(matches!(
            refused(|g| g.not_after = g.issued_at + MAX_LIFE_MS + 1),
            GrantError::Time { .. }
        ));
        assert!(matches!(refused(|g| g.not_after = g.issued_at - 1), GrantError::Time { .. }));
        let ahead = refused(|g| {
            g.issued_at = NOW + MAX_AHEAD_MS + 1;
            g.not_after = g.issued_at + 1;
        });
        assert!(matches!(ahead, GrantError::Time { .. }));
    }

    #[test]
    fn an_altered_grant_is_refused_before_it_is_read() {
        let mut signed = SignedGrant::sign(&grant(), toy).unwrap();
        for at in 0..signed.grant.len() {
            signed.grant[at] ^= 1;
            assert_eq!(
                accept(&signed, NOW, &mut SeenNonces::default()),
                Err(GrantError::Signature)
            );
            signed.grant[at] ^= 1;
        }
    }

    #[test]
    fn when_too_many_grants_are_alive_a_new_one_is_refused_until_one_expires() {
        let mut seen = SeenNonces::default();
        for i in 0..SeenNonces::CAPACITY {
            let mut one = grant();
            one.nonce[..8].copy_from_slice(&(i as u64).to_be_bytes());
            accept(&SignedGrant::sign(&one, toy).unwrap(), NOW, &mut seen).unwrap();
        }
        let mut late = grant();
        late.nonce = [0xff; 16];
        (late.issued_at, late.not_after) = (NOW + 60_000, NOW + 120_000);
        let signed = SignedGrant::sign(&late, toy).unwrap();
        assert_eq!(accept(&signed, NOW + 59_999, &mut seen), Err(GrantError::TooMany));
        accept(&signed, NOW + 60_000, &mut seen).unwrap();
    }
}
