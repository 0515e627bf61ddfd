//! The device's Ed25519 key, which is the device's identity.
//!
//! The key is made once, never sent and never printed. The public half leaves the device (in the
//! TLS handshake, as a raw public key of RFC 7250), and signatures do.

use super::{Dir, StateError};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

pub(super) use super::dir::KEY_FILE as FILE;
/// A key that is to take the place of [`FILE`], see [`super::keyring`].
pub(super) const NEXT_FILE: &str = "device.key.new";

/// SubjectPublicKeyInfo of an Ed25519 key up to the key itself (RFC 8410, section 4): sequence of
/// 42, algorithm 1.3.101.112, bit string of 33 with no unused bits.
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The key pair.
pub struct DeviceKey {
    pkcs8: Vec<u8>,
    public: [u8; 32],
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceKey")
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}

impl DeviceKey {
    /// Reads the key of a state directory.
    ///
    /// # Errors
    /// None there, unreadable, or not a key.
    pub fn load(dir: &Dir) -> Result<Self, StateError> {
        Self::load_from(dir, FILE)
    }

    pub(super) fn load_from(dir: &Dir, name: &str) -> Result<Self, StateError> {
        let pkcs8 = dir.read(name)?;
        Self::parse(pkcs8).map_err(|why| StateError::Damaged { path: dir.file(name), why })
    }

    /// The key of a state directory; made and stored first if there is none.
    ///
    /// # Errors
    /// A key that is there but unreadable is an error, never replaced.
    pub fn load_or_make(dir: &Dir) -> Result<Self, StateError> {
        match Self::load(dir) {
            Err(StateError::NotEnrolled(_)) => Self::make(dir),
            other => other,
        }
    }

    /// Makes a new key and stores it, in the place of whatever keys there are.
    ///
    /// # Errors
    /// No random numbers, or the directory cannot be written.
    pub fn make(dir: &Dir) -> Result<Self, StateError> {
        match std::fs::remove_file(dir.file(NEXT_FILE)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(StateError::File { doing: "remove", path: dir.file(NEXT_FILE), source })
            }
            _ => Self::make_in(dir, FILE),
        }
    }

    pub(super) fn make_in(dir: &Dir, name: &str) -> Result<Self, StateError> {
        let pkcs8 =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| StateError::Random)?;
        dir.write(name, pkcs8.as_ref())?;
        Self::parse(pkcs8.as_ref().to_vec())
            .map_err(|why| StateError::Damaged { path: dir.file(name), why })
    }

    fn parse(pkcs8: Vec<u8>) -> Result<Self, String> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8)
            .map_err(|error| format!("not an Ed25519 key ({error})"))?;
        let public =
            pair.public_key().as_ref().try_into().map_err(|_| "not an Ed25519 key".to_owned())?;
        Ok(Self { pkcs8, public })
    }

    /// The public half as a SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        [&SPKI_PREFIX[..], &self.public].concat()
    }

    /// SHA-256 of [`Self::spki`] in hexadecimal: what an administrator compares before approving a
    /// device.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex(ring::digest::digest(&ring::digest::SHA256, &self.spki()).as_ref())
    }

    /// A signature over `bytes`, 64 bytes.
    ///
    /// # Errors
    /// [`StateError::Random`]: never, for a key that was read or made.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, StateError> {
        let pair = Ed25519KeyPair::from_pkcs8(&self.pkcs8).map_err(|_| StateError::Random)?;
        Ok(pair.sign(bytes).as_ref().to_vec())
    }

    /// The key in the form TLS wants.
    ///
    /// # Errors
    /// The TLS library refuses the key, which it does not for an Ed25519 key.
    pub fn for_tls(&self) -> Result<Arc<CertifiedKey>, rustls::Error> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.clone()));
        let signer = rustls::crypto::ring::sign::any_eddsa_type(match &der {
            PrivateKeyDer::Pkcs8(key) => key,
            _ => return Err(rustls::Error::General("the device key is not PKCS#8".to_owned())),
        })?;
        Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(self.spki())], signer)))
    }
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 64 hexadecimal digits, colons allowed between them, as 32 bytes.
#[must_use]
pub fn unhex32(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_and_stays_the_same_closed_to_others() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::at(&temp.path().join("state"));
        dir.prepare().unwrap();
        let made = DeviceKey::load_or_make(&dir).unwrap().fingerprint();
        assert_eq!(DeviceKey::load_or_make(&dir).unwrap().fingerprint(), made);
        let mode =
            |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(dir.path()), mode(&dir.file(FILE))), (0o700, 0o600));
    }

    #[test]
    fn a_damaged_key_is_never_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::at(temp.path());
        dir.write(FILE, b"rubbish").unwrap();
        assert!(matches!(DeviceKey::load_or_make(&dir), Err(StateError::Damaged { .. })));
        assert_eq!(dir.read(FILE).unwrap(), b"rubbish");
    }

    #[test]
    fn a_directory_in_use_is_refused_to_a_second_agent() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::at(temp.path());
        DeviceKey::make(&dir).unwrap();
        let first = dir.lock().unwrap();
        assert!(matches!(dir.lock(), Err(StateError::InUse(_))));
        drop(first);
        assert!(dir.lock().is_ok());
    }

    #[test]
    fn hexadecimal_pins_are_read_with_and_without_colons() {
        let pin = [0xab; 32];
        assert_eq!(unhex32(&hex(&pin)), Some(pin));
        assert_eq!(unhex32(&["AB"; 32].join(":")), Some(pin));
        assert_eq!(unhex32("ab"), None);
        assert_eq!(unhex32(&"zz".repeat(32)), None);
    }

    #[test]
    fn the_public_key_is_a_valid_spki_of_44_bytes() {
        let temp = tempfile::tempdir().unwrap();
        let key = DeviceKey::make(&Dir::at(temp.path())).unwrap();
        assert_eq!(key.spki().len(), 44);
        key.for_tls().unwrap();
        assert!(!format!("{key:?}").contains("pkcs8"));
    }
}
