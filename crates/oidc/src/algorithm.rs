//! Signature algorithms that are accepted: RFC 7518, section 3.1, and RFC 8037, without symmetric
//! ones and without ES512, which ring does not have.

use ring::digest;
use ring::signature as ring_sig;

/// An algorithm of a token's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // names of RFC 7518
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// The type of a key, which decides the algorithms that it can be used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The name in `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name; letter case counts.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        // `Ed25519` is the name of the same thing in RFC 9864.
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    pub(crate) const fn family(self) -> Family {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                Family::Rsa
            }
            Self::Es256 => Family::P256,
            Self::Es384 => Family::P384,
            Self::EdDsa => Family::Ed25519,
        }
    }

    /// The digest of `at_hash`: that of the signature; SHA-512 for Ed25519.
    pub(crate) fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => &digest::SHA256,
            Self::Rs384 | Self::Ps384 | Self::Es384 => &digest::SHA384,
            Self::Rs512 | Self::Ps512 | Self::EdDsa => &digest::SHA512,
        }
    }

    /// The check of an RSA signature; nothing for another family.
    pub(crate) fn rsa(self) -> Option<&'static ring_sig::RsaParameters> {
        Some(match self {
            Self::Rs256 => &ring_sig::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &ring_sig::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &ring_sig::RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &ring_sig::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &ring_sig::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &ring_sig::RSA_PSS_2048_8192_SHA512,
            Self::Es256 | Self::Es384 | Self::EdDsa => return None,
        })
    }
}
