//! The key that proves a node to other nodes: made at the first start as one, kept in its
//! directory.
//!
//! # Invariants
//! - Each gateway has its own: it is not copied with a directory's other keys.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use towline_host::files::{self, FileError};

use crate::authority::{Authority, AuthorityError, spki_of};
use crate::limits::MAX_CONFIG_FILE;

/// Name of the key's file in the gateway's directory.
pub const NODE_KEY: &str = "node.key";

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum NodeKeyError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system gave no random bytes.
    #[error(transparent)]
    Random(AuthorityError),
    /// The file holds something else.
    #[error("node.key is not an Ed25519 key in PKCS#8 form: remove it, and a new one is made")]
    NotAKey,
}

/// A node's key pair.
#[derive(Debug, Clone)]
pub struct NodeKey {
    pair: Arc<CertifiedKey>,
    spki: Vec<u8>,
}

impl NodeKey {
    /// Reads the key in a directory, and makes it when there is none.
    ///
    /// # Errors
    /// [`NodeKeyError`].
    pub fn in_directory(dir: &Path) -> Result<Self, NodeKeyError> {
        let path = dir.join(NODE_KEY);
        if !path.exists() {
            let made = Authority::generate().map_err(NodeKeyError::Random)?;
            files::create_private(&path, &made)?;
        }
        let bytes = zeroize::Zeroizing::new(files::read(&path, MAX_CONFIG_FILE)?);
        Self::from_pkcs8(&bytes)
    }

    fn from_pkcs8(bytes: &[u8]) -> Result<Self, NodeKeyError> {
        let public = Authority::from_pkcs8(bytes).map_err(|_| NodeKeyError::NotAKey)?.public();
        let spki = spki_of(&public);
        let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(bytes.to_vec()));
        let key = key.map_err(|_| NodeKeyError::NotAKey)?;
        let shown = vec![CertificateDer::from(spki.clone())];
        Ok(Self { pair: Arc::new(CertifiedKey::new(shown, key)), spki })
    }

    /// Its `SubjectPublicKeyInfo`, as the nodes' table has it.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The pair as TLS shows it.
    pub(super) fn pair(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let made = NodeKey::in_directory(dir.path()).unwrap();
        assert_eq!(NodeKey::in_directory(dir.path()).unwrap().spki(), made.spki());
        let other = tempfile::tempdir().unwrap();
        files::create_private(&other.path().join(NODE_KEY), b"garbage").unwrap();
        assert!(matches!(NodeKey::in_directory(other.path()), Err(NodeKeyError::NotAKey)));
    }
}
