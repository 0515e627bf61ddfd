//! Names and bounds of Signature Version 4.

/// The only algorithm there is.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Last part of every credential scope.
pub(crate) const TERMINATOR: &str = "aws4_request";
/// How far the clocks of client and gateway may be apart, in seconds, in both directions: the five
/// minutes of AWS.
pub const ALLOWED_SKEW_SECS: i64 = 300;
/// Longest `Authorization` header that is read, in bytes. Real ones have about 300; temporary
/// tokens travel elsewhere.
pub const MAX_AUTHORIZATION: usize = 4096;
/// Most header names in `SignedHeaders`. Clients of AWS sign 4 to 12.
pub const MAX_SIGNED_HEADERS: usize = 64;
/// Headers that must be signed when they are there: they say who asks, for what, when and how.
/// `host` and `x-amz-date` must be there in any case.
pub const MUST_SIGN: &[&str] =
    &["host", "x-amz-date", "x-amz-target", "content-type", "x-amz-security-token", BODY_HASH];
/// The hash of the body as its sender has it, in hex.
pub(crate) const BODY_HASH: &str = "x-amz-content-sha256";
