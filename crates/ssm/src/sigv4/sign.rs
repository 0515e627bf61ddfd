//! Making a signature, for our own command line.
//!
//! Data flow: a request that is complete but for its signature -> [`sign`] -> the headers to add to
//! it.
//!
//! # Invariants
//! - Everything is signed but the headers that proxies change on the way.
//! - The secret leaves as nothing but a signature.

use ring::hmac;

use super::authorization::Scope;
use super::canonical::{RequestParts, canonical_request};
use super::error::SignatureError;
use super::key::{signing_key, string_to_sign};
use super::limits::ALGORITHM;
use crate::clock::format_amz_date;
use crate::ids::{SecretAccessKey, hex_lower};

/// Headers that are left out: transports and proxies add or change them after signing.
const NEVER_SIGN: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "expect",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

/// With what to sign, and for where.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// Access key id.
    pub access_key: &'a str,
    /// Its secret.
    pub secret: &'a SecretAccessKey,
    /// The token of temporary credentials.
    pub session_token: Option<&'a str>,
    /// Region name.
    pub region: &'a str,
    /// Signing name of the service, for example `ssm`.
    pub service: &'a str,
}

/// Signs a request at `now` (epoch seconds). `parts` must have a `host` header and none of those
/// that are returned: `x-amz-date`, `authorization`, and with temporary credentials
/// `x-amz-security-token`.
///
/// # Errors
/// [`SignatureError::Header`] when `host` is missing or a header to be added is there already.
pub fn sign(
    parts: &RequestParts<'_>,
    body_sha256: &[u8; 32],
    credentials: &Credentials<'_>,
    now: i64,
) -> Result<Vec<(&'static str, String)>, SignatureError> {
    parts.single("host")?.ok_or(SignatureError::Header { name: "host" })?;
    for name in ["x-amz-date", "authorization", "x-amz-security-token"] {
        if parts.single(name)?.is_some() {
            return Err(SignatureError::Header { name });
        }
    }
    let amz_date = format_amz_date(now);
    let mut headers = parts.headers.to_vec();
    headers.push(("x-amz-date", &amz_date));
    if let Some(token) = credentials.session_token {
        headers.push(("x-amz-security-token", token));
    }
    let mut names: Vec<String> =
        headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.retain(|name| !NEVER_SIGN.contains(&name.as_str()));
    names.sort();
    names.dedup();
    let scope = Scope {
        date: amz_date[..8].to_owned(),
        region: credentials.region.to_owned(),
        service: credentials.service.to_owned(),
    };
    let canonical =
        canonical_request(&RequestParts { headers: &headers, ..*parts }, &names, body_sha256)?;
    let key = signing_key(credentials.secret, &scope);
    let signature = hex_lower(
        hmac::sign(&key, string_to_sign(&amz_date, &scope, &canonical).as_bytes()).as_ref(),
    );
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
        credentials.access_key,
        names.join(";")
    );
    let mut added = vec![("authorization", authorization)];
    if let Some(token) = credentials.session_token {
        added.push(("x-amz-security-token", token.to_owned()));
    }
    added.push(("x-amz-date", amz_date));
    Ok(added)
}
