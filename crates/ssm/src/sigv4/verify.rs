//! Checking a signature, once the secret of the claimed access key is known.
//!
//! Data flow: [`super::Authorization`], [`RequestParts`], hash of the body, secret, time ->
//! [`Verified`] or a reason.
//!
//! # Invariants
//! - All checks of form, scope and time come before the comparison and do not depend on the secret.
//! - The comparison is `ring`'s, in constant time.

use ring::hmac;

use super::authorization::{Authorization, Scope};
use super::canonical::{RequestParts, canonical_request};
use super::error::SignatureError;
use super::key::{signing_key, string_to_sign};
use super::limits::MUST_SIGN;
use crate::clock::parse_amz_date;
use crate::ids::SecretAccessKey;

/// What the gateway insists on.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The region this gateway answers for.
    pub region: &'a str,
    /// The signing name of the service that was asked, for example `ssm`; `ssmmessages` for data
    /// channels.
    pub service: &'a str,
    /// The time here, in epoch seconds.
    pub now: i64,
    /// Largest difference of the clocks in seconds; [`super::ALLOWED_SKEW_SECS`] but in tests.
    pub allowed_skew: i64,
}

/// A request whose signature was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The time in `X-Amz-Date`, epoch seconds.
    pub signed_at: i64,
    /// The same for a repeated request and for no other: a gateway that keeps these refuses
    /// replays.
    pub replay_key: [u8; 32],
    /// From this time on (epoch seconds) the request would be refused as expired: `replay_key` can
    /// be forgotten.
    pub forget_at: i64,
}

/// What can be told without body and secret: that the head is whole, that the signature is for this
/// gateway and service, and that it is current.
///
/// # Errors
/// [`SignatureError`]; turn it into an `ApiError` for the client.
pub fn check_head(
    auth: &Authorization,
    parts: &RequestParts<'_>,
    expected: &Expected<'_>,
) -> Result<(), SignatureError> {
    head((&auth.scope, &auth.signed_headers), MUST_SIGN, parts, expected).map(drop)
}

/// The date of a head that is in order, as written and in epoch seconds.
pub(super) fn head<'p>(
    (scope, signed_headers): (&Scope, &[String]),
    must_sign: &[&'static str],
    parts: &RequestParts<'p>,
    expected: &Expected<'_>,
) -> Result<(&'p str, i64), SignatureError> {
    for name in must_sign {
        let signed = signed_headers.iter().any(|signed| signed == name);
        if parts.single(name)?.is_some() && !signed {
            return Err(SignatureError::Unsigned { name });
        }
    }
    parts.single("host")?.ok_or(SignatureError::Header { name: "host" })?;
    let amz_date =
        parts.single("x-amz-date")?.ok_or(SignatureError::Header { name: "x-amz-date" })?;
    let signed_at = parse_amz_date(amz_date).ok_or(SignatureError::Malformed {
        why: "X-Amz-Date must be of the form YYYYMMDDTHHMMSSZ",
    })?;
    check_scope(scope, amz_date, expected)?;
    check_time(signed_at, expected)?;
    Ok((amz_date, signed_at))
}

/// Whether `secret` made the signature of `auth` over this request. `body_sha256` is of the body as
/// it arrived.
///
/// # Errors
/// [`SignatureError`]; turn it into an `ApiError` for the client.
pub fn verify(
    auth: &Authorization,
    parts: &RequestParts<'_>,
    body_sha256: &[u8; 32],
    secret: &SecretAccessKey,
    expected: &Expected<'_>,
) -> Result<Verified, SignatureError> {
    let (amz_date, signed_at) =
        head((&auth.scope, &auth.signed_headers), MUST_SIGN, parts, expected)?;
    let canonical = canonical_request(parts, &auth.signed_headers, body_sha256)?;
    let key = signing_key(secret, &auth.scope);
    hmac::verify(
        &key,
        string_to_sign(amz_date, &auth.scope, &canonical).as_bytes(),
        &auth.signature,
    )
    .map_err(|_| SignatureError::Mismatch)?;
    let forget_at = signed_at.saturating_add(expected.allowed_skew).saturating_add(1);
    Ok(Verified { signed_at, replay_key: auth.signature, forget_at })
}

fn check_scope(
    scope: &Scope,
    amz_date: &str,
    expected: &Expected<'_>,
) -> Result<(), SignatureError> {
    let good = amz_date.get(..8) == Some(&scope.date)
        && scope.region == expected.region
        && scope.service == expected.service;
    if good {
        return Ok(());
    }
    Err(SignatureError::Scope { region: expected.region.into(), service: expected.service.into() })
}

fn check_time(signed_at: i64, expected: &Expected<'_>) -> Result<(), SignatureError> {
    let (now, allowed) = (expected.now, expected.allowed_skew);
    if signed_at < now.saturating_sub(allowed) {
        return Err(SignatureError::Expired { signed_at, now, allowed });
    }
    if signed_at > now.saturating_add(allowed) {
        return Err(SignatureError::NotYetCurrent { signed_at, now, allowed });
    }
    Ok(())
}
