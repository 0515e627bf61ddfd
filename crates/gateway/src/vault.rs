//! The store key: seals what the store must keep but must not show (the secrets of access keys).
//!
//! Data flow: secret -> [`Vault::seal`] -> bytes in a row -> [`Vault::open`] -> secret, for the
//! length of one signature check. SigV4 needs the secret itself, so a hash will not do; what is
//! kept is AES-256-GCM under a key file beside the store.
//!
//! # Invariants
//! - A sealed value is bound to the name it was sealed for: a row copied to another access key does
//!   not open.
//! - The key appears in no `Debug`, log or error.
//!
//! # Not here
//! - Protection from someone who holds both the store and the key file.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// Length of the key file, bytes (AES-256).
pub const KEY_LEN: usize = 32;

/// Why a value could not be sealed or opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VaultError {
    /// The key file has the wrong length.
    #[error(
        "the store key must be {KEY_LEN} bytes, this one has {0}: restore store.key from its backup"
    )]
    KeyLength(usize),
    /// The value was sealed under another key or for another name, or was altered.
    #[error(
        "a sealed value does not open: store.key does not belong to this store, or the row was \
         altered"
    )]
    DoesNotOpen,
    /// The system gave no random bytes.
    #[error("the system's random number generator failed")]
    NoRandom,
}

/// The store key, ready for use.
pub struct Vault {
    key: LessSafeKey,
    mac_key: hmac::Key,
    random: SystemRandom,
    epoch: String,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(..)")
    }
}

impl Vault {
    /// A vault from the bytes of the key file.
    ///
    /// # Errors
    /// [`VaultError::KeyLength`].
    pub fn new(key: &[u8]) -> Result<Self, VaultError> {
        let mac_key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"towline mac v1");
        let mac_key = hmac::Key::new(hmac::HMAC_SHA256, mac_key.as_ref());
        let key =
            UnboundKey::new(&AES_256_GCM, key).map_err(|_| VaultError::KeyLength(key.len()))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            mac_key,
            random: SystemRandom::new(),
            epoch: String::new(),
        })
    }

    /// The same vault after a restore: what was given out before it does not open any more.
    #[must_use]
    pub fn of_epoch(self, epoch: String) -> Self {
        Self { epoch, ..self }
    }

    /// The name that something given out under the key is sealed for: the name, and the epoch where
    /// a backup was restored.
    #[must_use]
    pub fn given_out(&self, name: &str) -> String {
        if self.epoch.is_empty() { name.to_owned() } else { format!("{name} {}", self.epoch) }
    }

    /// Fresh bytes for a key file.
    ///
    /// # Errors
    /// [`VaultError::NoRandom`].
    pub fn generate_key() -> Result<Zeroizing<[u8; KEY_LEN]>, VaultError> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        SystemRandom::new().fill(key.as_mut()).map_err(|_| VaultError::NoRandom)?;
        Ok(key)
    }

    /// Seals `secret` for `name`: nonce, ciphertext, tag.
    ///
    /// # Errors
    /// [`VaultError::NoRandom`].
    pub fn seal(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| VaultError::NoRandom)?;
        let mut body = secret.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut body,
            )
            .map_err(|_| VaultError::NoRandom)?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// A message authentication code of `data` for `name`: HMAC-SHA-256 under a key that is derived
    /// for this purpose and name.
    #[must_use]
    pub fn mac(&self, name: &str, data: &[u8]) -> [u8; 32] {
        let key = hmac::sign(&self.mac_key, name.as_bytes());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), data);
        let mut mac = [0; 32];
        mac.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        mac
    }

    /// Opens what [`Vault::seal`] made for the same name.
    ///
    /// # Errors
    /// [`VaultError::DoesNotOpen`].
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(VaultError::DoesNotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::DoesNotOpen)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self
            .key
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut body)
            .map_err(|_| VaultError::DoesNotOpen)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_under_its_own_name_and_key_only() {
        let vault = Vault::new(&[7; KEY_LEN]).unwrap();
        let sealed = vault.seal("AKIA1", b"secret").unwrap();
        assert_eq!(&**vault.open("AKIA1", &sealed).unwrap(), b"secret");
        assert_eq!(vault.open("AKIA2", &sealed), Err(VaultError::DoesNotOpen));
        assert_eq!(
            Vault::new(&[8; KEY_LEN]).unwrap().open("AKIA1", &sealed),
            Err(VaultError::DoesNotOpen)
        );
        assert_ne!(
            sealed,
            vault.seal("AKIA1", b"secret").unwrap(),
            "each sealing has its own nonce"
        );
    }

    #[test]
    fn a_code_depends_on_key_name_and_data() {
        let vault = Vault::new(&[7; KEY_LEN]).unwrap();
        let code = vault.mac("csrf", b"id");
        assert_eq!(code, Vault::new(&[7; KEY_LEN]).unwrap().mac("csrf", b"id"));
        assert_ne!(code, vault.mac("csrf", b"ie"));
        assert_ne!(code, vault.mac("other", b"id"));
        assert_ne!(code, Vault::new(&[8; KEY_LEN]).unwrap().mac("csrf", b"id"));
    }

    #[test]
    fn an_altered_or_truncated_value_does_not_open() {
        let vault = Vault::new(&[7; KEY_LEN]).unwrap();
        let sealed = vault.seal("n", b"secret").unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(vault.open("n", &altered), Err(VaultError::DoesNotOpen), "byte {at}");
            assert_eq!(vault.open("n", &sealed[..at]), Err(VaultError::DoesNotOpen), "cut at {at}");
        }
    }

    #[test]
    fn a_key_of_another_length_is_named() {
        assert_eq!(Vault::new(&[0; 31]).unwrap_err(), VaultError::KeyLength(31));
    }
}
