//! The keys that a provider publishes (RFC 7517).
//!
//! # Invariants
//! - A key is used only for signatures, only with algorithms of its type, and only with the one
//!   that it names, if it names one.
//! - Two keys that could both be meant are refused: nothing is chosen.

use ring::signature::{self as ring_sig, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::Value;

use crate::algorithm::{Algorithm, Family};
use crate::base64url;
use crate::limits::{MAX_KEY_SET, MAX_KEYS};

/// Why bytes are no key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Too many bytes.
    #[error("the key set has {0} bytes, at most {MAX_KEY_SET} are read")]
    TooLarge(usize),
    /// Too many keys.
    #[error("the key set has {0} keys, at most {MAX_KEYS} are read")]
    TooMany(usize),
    /// Not the form of RFC 7517.
    #[error("the key set is not a JSON object with the array `keys`")]
    Form,
    /// None of the keys can check a signature here.
    #[error(
        "the key set has no key that is usable here: RSA from 2048 bits, P-256, P-384 or Ed25519"
    )]
    NoKey,
}

/// The keys of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    public: Public,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// What a set says of a token's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// The signature is right.
    Right,
    /// It is not.
    Wrong,
    /// No key fits.
    NoKey,
    /// Several keys fit.
    Several,
}

impl KeySet {
    /// Reads a key set. Keys that cannot be used are left out.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > MAX_KEY_SET {
            return Err(KeySetError::TooLarge(bytes.len()));
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|_| KeySetError::Form)?;
        let keys = value.get("keys").and_then(Value::as_array).ok_or(KeySetError::Form)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany(keys.len()));
        }
        let keys: Vec<Key> = keys.iter().filter_map(key).collect();
        if keys.is_empty() { Err(KeySetError::NoKey) } else { Ok(Self { keys }) }
    }

    /// How many usable keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never: a set without a usable key is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key of this id is there. Without an id, any key will do.
    #[must_use]
    pub fn knows(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.keys.iter().any(|key| key.id.as_deref() == Some(id)))
    }

    /// Checks a signature by the one key that a token means.
    pub(crate) fn check(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Judged {
        let mut fitting = self.keys.iter().filter(|key| {
            (id.is_none() || key.id.as_deref() == id)
                && key.public.family() == algorithm.family()
                && key.algorithm.is_none_or(|of| of == algorithm)
        });
        match (fitting.next(), fitting.next()) {
            (None, _) => Judged::NoKey,
            (Some(_), Some(_)) => Judged::Several,
            (Some(key), None) if key.public.signed(algorithm, message, signature) => Judged::Right,
            (Some(_), None) => Judged::Wrong,
        }
    }
}

impl Public {
    const fn family(&self) -> Family {
        match self {
            Self::Rsa { .. } => Family::Rsa,
            Self::P256(_) => Family::P256,
            Self::P384(_) => Family::P384,
            Self::Ed25519(_) => Family::Ed25519,
        }
    }

    fn signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let of = |with: &'static dyn ring_sig::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(with, key).verify(message, signature).is_ok()
        };
        match self {
            Self::Rsa { n, e } => algorithm.rsa().is_some_and(|with| {
                RsaPublicKeyComponents { n, e }.verify(with, message, signature).is_ok()
            }),
            Self::P256(point) => of(&ring_sig::ECDSA_P256_SHA256_FIXED, point),
            Self::P384(point) => of(&ring_sig::ECDSA_P384_SHA384_FIXED, point),
            Self::Ed25519(key) => of(&ring_sig::ED25519, key),
        }
    }
}

/// A key of a set; nothing for one that is of no use here.
fn key(value: &Value) -> Option<Key> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let verifies = |all: &Vec<Value>| all.iter().any(|one| one == "verify");
    if value.get("key_ops").and_then(Value::as_array).is_some_and(|all| !verifies(all)) {
        return None;
    }
    let bytes = |name: &str| text(name).and_then(base64url::decode);
    let point = |length: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        (x.len() == length && y.len() == length).then(|| [&[4], &*x, &*y].concat())
    };
    let public = match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            let bare = |number: &[u8]| {
                let zeros = number.iter().take_while(|byte| **byte == 0).count();
                number.get(zeros..).unwrap_or_default().to_vec()
            };
            let (n, e) = (bare(&n), bare(&e));
            (n.len() >= 256 && !e.is_empty()).then_some(Public::Rsa { n, e })?
        }
        ("EC", Some("P-256")) => Public::P256(point(32)?),
        ("EC", Some("P-384")) => Public::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Public::Ed25519(bytes("x").filter(|bytes| bytes.len() == 32)?),
        _ => return None,
    };
    // An algorithm that is not known here makes the key useless here.
    let algorithm = match text("alg") {
        None => None,
        Some(name) => Some(Algorithm::parse(name)?),
    };
    let id = text("kid").map(str::to_owned);
    Some(Key { id, algorithm, public })
}
