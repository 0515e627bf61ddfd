//! The authority: the Ed25519 key whose public half each device pinned at enrollment, and which
//! signs session grants.
//!
//! # Invariants
//! - The private key leaves this module only as signatures; it has no `Debug`.
//! - Signing needs no store, no network and no clock, so that this can become a process of its own.
//!
//! # Not here
//! - What a grant says and how it is encoded: `towline_wire`.
//! - The decision to grant: [`crate::api`].

use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use towline_ssm::ids::hex_lower;
use zeroize::Zeroizing;

/// Why there is no usable authority key.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file holds something else.
    #[error(
        "authority.key is not an Ed25519 key in PKCS#8 form: restore it from its backup, devices \
         pinned it"
    )]
    NotAKey,
    /// The system gave no random bytes.
    #[error("the system's random number generator failed")]
    NoRandom,
}

/// The authority's key pair.
pub struct Authority {
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(..)")
    }
}

impl Authority {
    /// From the PKCS#8 bytes of the key file.
    ///
    /// # Errors
    /// [`AuthorityError::NotAKey`].
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, AuthorityError> {
        Ok(Self { pair: Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| AuthorityError::NotAKey)? })
    }

    /// The PKCS#8 bytes of a fresh key.
    ///
    /// # Errors
    /// [`AuthorityError::NoRandom`].
    pub fn generate() -> Result<Zeroizing<Vec<u8>>, AuthorityError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| AuthorityError::NoRandom)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The signature over `bytes`.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        // Ed25519 signatures have 64 bytes (RFC 8032)
        signature.copy_from_slice(self.pair.sign(bytes).as_ref());
        signature
    }

    /// The public key that devices pin.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        let mut public = [0; 32];
        // Ed25519 public keys have 32 bytes (RFC 8032)
        public.copy_from_slice(self.pair.public_key().as_ref());
        public
    }

    /// SHA-256 of the public key, 64 hex digits: what `towline-agent enroll --authority` takes.
    #[must_use]
    pub fn digest(&self) -> String {
        hex_lower(digest::digest(&digest::SHA256, &self.public()).as_ref())
    }

    /// Tells this gateway from others: 16 hex digits of the public key's SHA-256.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.digest().chars().take(16).collect()
    }
}

/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410,
/// section 4).
const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The `SubjectPublicKeyInfo` of an Ed25519 key.
#[must_use]
pub fn spki_of(public: &[u8; 32]) -> Vec<u8> {
    [&ED25519_SPKI_PREFIX[..], public].concat()
}

/// Whether `spki` is an Ed25519 key in the only encoding DER allows for it.
#[must_use]
pub fn is_ed25519(spki: &[u8]) -> bool {
    spki.len() == ED25519_SPKI_PREFIX.len() + 32 && spki.starts_with(&ED25519_SPKI_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    #[test]
    fn a_signature_verifies_under_the_public_key_and_no_other_message() {
        let authority = Authority::from_pkcs8(&Authority::generate().unwrap()).unwrap();
        let signature = authority.sign(b"grant");
        let key = UnparsedPublicKey::new(&ED25519, authority.public());
        assert!(key.verify(b"grant", &signature).is_ok());
        assert!(key.verify(b"other", &signature).is_err());
    }

    #[test]
    fn a_damaged_key_file_says_what_to_do() {
        assert!(Authority::from_pkcs8(b"garbage").unwrap_err().to_string().contains("backup"));
    }
}
