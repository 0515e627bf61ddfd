//! Proof key for code exchange (RFC 7636), with S256 alone.

use ring::digest::{SHA256, digest};

use crate::base64url;

/// The secret half: 32 random bytes as 43 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier(String);

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(..)")
    }
}

impl Verifier {
    /// From random bytes.
    #[must_use]
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(base64url::encode(&random))
    }

    /// One that somebody sent: 43 to 128 characters of the set that section 4.1 allows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let good = (43..=128).contains(&text.len()) && text.bytes().all(unreserved);
        good.then(|| Self(text.to_owned()))
    }

    /// The characters: a secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The public half.
    #[must_use]
    pub fn challenge(&self) -> String {
        challenge(&self.0)
    }
}

/// The challenge of a verifier's characters, method S256.
#[must_use]
pub fn challenge(verifier: &str) -> String {
    base64url::encode(digest(&SHA256, verifier.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_gives_its_challenge() {
        let verifier = Verifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(Verifier::parse(Verifier::from_random([7; 32]).expose()).is_some());
    }

    #[test]
    fn a_verifier_of_another_form_is_none() {
        for wrong in ["", &"a".repeat(42), &"a".repeat(129), &format!("{}+", "a".repeat(50))] {
            assert!(Verifier::parse(wrong).is_none(), "{wrong}");
        }
    }
}
