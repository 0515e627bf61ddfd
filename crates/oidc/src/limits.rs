//! Limits of what providers and callers send.

/// Longest token, bytes. Tokens with 200 groups have 8 to 12 KiB.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Largest key set, bytes.
pub const MAX_KEY_SET: usize = 64 * 1024;
/// Keys of a set; a set with more is refused, for a key that is left out would be missed later.
pub const MAX_KEYS: usize = 64;
/// Largest discovery document, bytes.
pub const MAX_DISCOVERY: usize = 64 * 1024;
/// Longest word of a refusal, bytes.
pub const MAX_REFUSAL: usize = 100;
/// Longest issuer or endpoint, bytes.
pub const MAX_URL: usize = 1024;
/// Longest subject, bytes: OpenID Connect Core 1.0, section 2.
pub const MAX_SUBJECT: usize = 255;
/// Steps of a path to a claim.
pub const MAX_STEPS: usize = 5;
/// Groups of one token.
pub const MAX_GROUPS: usize = 1000;
/// Longest group, bytes.
pub const MAX_GROUP: usize = 256;
/// Difference of clocks that is forgiven, seconds.
pub const SKEW_SECONDS: i64 = 60;
/// Audiences of one token.
pub const MAX_AUDIENCES: usize = 32;
