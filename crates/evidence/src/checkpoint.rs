//! Keys and signatures of checkpoints: Ed25519 (RFC 8032), a key of its own.
//!
//! # Invariants
//! - The private key leaves this module only as signatures; it has no `Debug`.
//! - What is signed begins with a text that no other signature of Towline begins with.

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::digest::{Digest, hex, unhex};

/// What every signed text begins with.
const CONTEXT: &[u8] = b"towline evidence checkpoint v1\0";

/// Why there is no usable key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The private key's bytes are something else.
    #[error("not an Ed25519 key in PKCS#8 form: restore the evidence key from its backup")]
    NotAKey,
    /// The public key's text is something else.
    #[error("a public evidence key is 64 lower-case hex digits")]
    NotAPublicKey,
    /// The system gave no random bytes.
    #[error("the system's random number generator failed")]
    NoRandom,
}

/// Signs checkpoints.
pub struct SigningKey(Ed25519KeyPair);

/// Verifies checkpoints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// What a checkpoint says: the chain of `node` has `records` records, whose hash is `head`.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// The node whose chain it is.
    pub node: &'a str,
    /// Number of records before the checkpoint.
    pub records: u64,
    /// When it was signed, ms since 1970.
    pub at: i64,
    /// Digest of the last record before the checkpoint, which covers all before it.
    pub head: Digest,
}

impl Statement<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = CONTEXT.to_vec();
        bytes.extend_from_slice(self.node.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&self.records.to_be_bytes());
        bytes.extend_from_slice(&self.at.to_be_bytes());
        bytes.extend_from_slice(&self.head.0);
        bytes
    }
}

impl core::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// From the PKCS#8 bytes of the key file.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`].
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        Ed25519KeyPair::from_pkcs8(bytes).map(Self).map_err(|_| KeyError::NotAKey)
    }

    /// The PKCS#8 bytes of a fresh key. Keep them secret.
    ///
    /// # Errors
    /// [`KeyError::NoRandom`].
    pub fn generate() -> Result<Vec<u8>, KeyError> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::NoRandom)?;
        Ok(document.as_ref().to_vec())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref()); // 32 bytes (RFC 8032)
        PublicKey(bytes)
    }

    /// The signature of a statement, 128 hex digits.
    #[must_use]
    pub fn sign(&self, statement: &Statement<'_>) -> String {
        hex(self.0.sign(&statement.bytes()).as_ref())
    }
}

impl PublicKey {
    /// Whether `signature` is this key's for the statement.
    #[must_use]
    pub fn verifies(&self, statement: &Statement<'_>, signature: &str) -> bool {
        let Some(signature) = unhex(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.0).verify(&statement.bytes(), &signature).is_ok()
    }
}

impl core::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl core::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl core::str::FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        unhex(text.trim())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(KeyError::NotAPublicKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_for_its_statement_and_key_only() {
        let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        let said = Statement { node: "gw", records: 3, at: 9, head: Digest([7; 32]) };
        let signature = key.sign(&said);
        assert!(key.public().verifies(&said, &signature));
        assert!(!key.public().verifies(&Statement { records: 4, ..said }, &signature));
        assert!(!key.public().verifies(&Statement { node: "gx", ..said }, &signature));
        let other = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        assert!(!other.public().verifies(&said, &signature));
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
    }
}
