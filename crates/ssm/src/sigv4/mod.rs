//! AWS Signature Version 4 in its header form: making signatures (our command line) and checking
//! them (our gateway).
//!
//! Way at the gateway: headers -> [`Authorization::from_headers`] (no secret needed) -> the caller
//! looks the secret of `access_key` up -> [`verify()`] -> [`Verified`]. Way at the client: request
//! parts -> [`sign()`] -> headers to add.
//!
//! ```
//! use towline_ssm::ids::SecretAccessKey;
//! use towline_ssm::sigv4::{
//!     ALLOWED_SKEW_SECS, Authorization, Credentials, Expected, RequestParts, sha256, sign, verify,
//! };
//!
//! let (now, body) = (1_767_607_872, sha256(b"{}"));
//! let secret = SecretAccessKey::new("a made-up secret".into());
//! let headers = [("host", "gateway.example"), ("x-amz-target", "AmazonSSM.StartSession")];
//! let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
//!
//! // The client signs.
//! let credentials = Credentials {
//!     access_key: "AKIAEXAMPLE000000001",
//!     secret: &secret,
//!     session_token: None,
//!     region: "eu-central-1",
//!     service: "ssm",
//! };
//! let added = sign(&parts, &body, &credentials, now)?;
//! let mut sent = headers.to_vec();
//! sent.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
//!
//! // The gateway reads the claim, looks up the secret of `claim.access_key`, and checks.
//! let claim = Authorization::from_headers(&sent)?;
//! let received = RequestParts { headers: &sent, ..parts };
//! let expected = Expected {
//!     region: "eu-central-1",
//!     service: "ssm",
//!     now,
//!     allowed_skew: ALLOWED_SKEW_SECS,
//! };
//! assert!(verify(&claim, &received, &body, &secret, &expected).is_ok());
//! assert!(verify(&claim, &received, &sha256(b"other"), &secret, &expected).is_err());
//! # Ok::<(), towline_ssm::sigv4::SignatureError>(())
//! ```
//!
//! A device of amazon-ssm-agent signs by its own RSA key: [`RsaAuthorization`] and [`verify_rsa`].
//!
//! # Invariants
//! - The body is always part of what is checked: the hash of the real body counts, never one that a
//!   header claims.
//! - A header that decides what a request means (see [`MUST_SIGN`]) is refused when present but not
//!   signed.
//! - The comparison takes the same time wherever the signatures differ.
//! - No text of this module holds a secret or the signature that would have been right.
//!
//! # Not here
//! - No look-up of keys and no memory of seen signatures: the gateway has both; [`Verified`] has
//!   what they need.
//! - No signatures in the query string, and no chunk-wise signed or unsigned bodies.

mod authorization;
mod canonical;
mod error;
mod key;
mod limits;
mod rsa;
mod sign;
mod verify;

pub use authorization::{Authorization, Scope};
pub use canonical::RequestParts;
pub use error::SignatureError;
pub use key::sha256;
pub use limits::{ALLOWED_SKEW_SECS, MAX_AUTHORIZATION, MAX_SIGNED_HEADERS, MUST_SIGN};
pub use rsa::{BadPublicKey, MAX_PUBLIC_KEY, RsaAuthorization, RsaPublicKey, verify_rsa};
pub use sign::{Credentials, sign};
pub use verify::{Expected, Verified, check_head, verify};
