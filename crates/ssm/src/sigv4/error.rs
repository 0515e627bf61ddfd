//! Why a signature was not accepted, and the AWS error code for each reason.
//!
//! Data flow: [`super::Authorization`] and [`super::verify()`] -> [`SignatureError`] -> `ApiError`.
//!
//! # Invariants
//! - No variant can hold a secret, a token or a signature.

use crate::clock::format_amz_date;
use crate::error::{ApiError, ErrorCode};

/// A request that does not prove who sent it. Everything that comes from outside is bounded before
/// it gets in here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Nothing to check.
    #[error(
        "the request is not signed: send an Authorization header with an AWS4-HMAC-SHA256 signature"
    )]
    Missing,
    /// The header cannot be read; `why` says which part.
    #[error("the Authorization header cannot be used: {why}")]
    Malformed {
        /// The part that is wrong and what it should be.
        why: &'static str,
    },
    /// A header that must be there is not, or is there twice.
    #[error("a signed request needs exactly one {name} header")]
    Header {
        /// Its name in lower case.
        name: &'static str,
    },
    /// A header that decides the meaning of the request could have been changed on the way.
    #[error("the header {name} must be among the signed headers")]
    Unsigned {
        /// Its name in lower case.
        name: &'static str,
    },
    /// `SignedHeaders` names a header that did not arrive.
    #[error("a header that SignedHeaders names did not arrive")]
    SignedHeaderAbsent,
    /// The credential scope is not for this gateway.
    #[error(
        "the credential scope must be <date of X-Amz-Date>/{region}/{service}/aws4_request: set \
         the client's region to {region} (AWS_REGION)"
    )]
    Scope {
        /// The region that this gateway answers for.
        region: String,
        /// The service that this operation belongs to.
        service: String,
    },
    /// Signed too long ago, or with a clock that is behind. Times in epoch seconds.
    #[error(
        "Signature expired: it was made at {}, and at {} that is over {allowed} s ago; check the \
         clock of the client",
        format_amz_date(*.signed_at), format_amz_date(*.now)
    )]
    Expired {
        /// The time in `X-Amz-Date`.
        signed_at: i64,
        /// The time here.
        now: i64,
        /// The allowed difference in seconds.
        allowed: i64,
    },
    /// Signed in the future. Times in epoch seconds.
    #[error(
        "Signature not yet current: it was made for {}, and here it is {}, over {allowed} s \
         earlier; check the clock of the client",
        format_amz_date(*.signed_at), format_amz_date(*.now)
    )]
    NotYetCurrent {
        /// The time in `X-Amz-Date`.
        signed_at: i64,
        /// The time here.
        now: i64,
        /// The allowed difference in seconds.
        allowed: i64,
    },
    /// The secret of this access key gives another signature.
    #[error(
        "the signature does not match this request: check the secret access key, and that nothing \
         on the way changes headers or body"
    )]
    Mismatch,
}

impl From<SignatureError> for ApiError {
    fn from(error: SignatureError) -> Self {
        let code = match &error {
            SignatureError::Missing => ErrorCode::MissingAuthenticationTokenException,
            SignatureError::Malformed { .. } | SignatureError::Header { .. } => {
                ErrorCode::IncompleteSignatureException
            }
            SignatureError::Unsigned { .. }
            | SignatureError::SignedHeaderAbsent
            | SignatureError::Scope { .. }
            | SignatureError::Expired { .. }
            | SignatureError::NotYetCurrent { .. }
            | SignatureError::Mismatch => ErrorCode::InvalidSignatureException,
        };
        Self::new(code, error.to_string())
    }
}
