//! OpenID Connect without I/O: what an identity provider publishes, and whether a token of it is
//! right.
//!
//! Data flow: bytes of a discovery document -> [`Discovery`]; bytes of a key set -> [`KeySet`]; a
//! token -> [`Token`] (its form) -> [`Token::verify`] (signature, then claims) -> [`Claims`] -> the
//! gateway.
//!
//! # Invariants
//! - The key's type decides the algorithm family, the token only names it: a public key is never an
//!   HMAC secret, and `none` is no algorithm.
//! - No claim is readable before the signature is right, except the issuer, which chooses the keys.
//! - Everything is bounded by [`limits`]; nothing panics on any input (fuzzed).
//!
//! # Not here
//! - Fetching, caching and time: the gateway's. Encrypted tokens (JWE): refused.
#![forbid(unsafe_code)]

mod algorithm;
mod answer;
mod base64url;
mod claims;
mod discovery;
mod groups;
mod jwks;
pub mod limits;
mod pkce;
mod token;

pub use algorithm::Algorithm;
pub use answer::{Answer, AnswerError, refusal};
pub use claims::{Claims, Expected};
pub use discovery::{Discovery, DiscoveryError, is_issuer};
pub use groups::{ClaimPath, PathError, groups};
pub use jwks::{KeySet, KeySetError};
pub use pkce::{Verifier, challenge};
pub use token::{Token, TokenError};
