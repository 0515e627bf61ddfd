//! The claims of a token whose signature is right (OpenID Connect Core 1.0, section 3.1.3.7).
//!
//! # Invariants
//! - Issuer, audience, authorized party, times and nonce hold, or there are no [`Claims`].
//! - Clocks may differ by [`SKEW_SECONDS`], in each direction.

use ring::digest::digest;
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::limits::{MAX_AUDIENCES, MAX_SUBJECT, SKEW_SECONDS};
use crate::token::TokenError;

/// Claims about a token and about the way in which somebody signed in.
const OF_THE_TOKEN: &[&str] = &[
    "acr",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "azp",
    "c_hash",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "nonce",
    "sid",
];

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'e> {
    /// The provider.
    pub issuer: &'e str,
    /// One of these must be in `aud`; an `azp` must be one of them, too.
    pub audiences: &'e [String],
    /// The value of the sign-in that the token answers; none for tokens of jobs.
    pub nonce: Option<&'e str>,
    /// The time, seconds.
    pub now: i64,
}

/// Claims that hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    all: Value,
    algorithm: Algorithm,
    subject: String,
    audience: String,
    expires_at: i64,
}

impl Claims {
    pub(crate) fn check(
        all: Value,
        algorithm: Algorithm,
        expected: &Expected<'_>,
    ) -> Result<Self, TokenError> {
        let text = |name: &'static str| all.get(name).and_then(Value::as_str);
        if text("iss").ok_or(TokenError::Lacks("iss"))? != expected.issuer {
            return Err(TokenError::Issuer);
        }
        let subject = text("sub").ok_or(TokenError::Lacks("sub"))?;
        let plain = !subject.chars().any(char::is_control);
        if subject.is_empty() || subject.len() > MAX_SUBJECT || !plain {
            return Err(TokenError::Lacks("sub"));
        }
        let audience = audience(&all, expected.audiences)?;
        if let Some(party) = all.get("azp") {
            let known = |party: &str| expected.audiences.iter().any(|one| one == party);
            if !party.as_str().is_some_and(known) {
                return Err(TokenError::Party);
            }
        }
        let expires_at = times(&all, expected.now)?;
        if let Some(nonce) = expected.nonce
            && text("nonce") != Some(nonce)
        {
            return Err(TokenError::Nonce);
        }
        let subject = subject.to_owned();
        Ok(Self { all, algorithm, subject, audience, expires_at })
    }

    /// Who it is, at this issuer.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The audience that was expected.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Until when, seconds.
    #[must_use]
    pub const fn expires_at(&self) -> i64 {
        self.expires_at
    }

    /// When the person last proved who she is, seconds, if the provider says so.
    #[must_use]
    pub fn auth_time(&self) -> Option<i64> {
        self.all.get("auth_time").and_then(seconds)
    }

    /// All claims, for the mapping.
    #[must_use]
    pub const fn all(&self) -> &Value {
        &self.all
    }

    /// Whether `amr` or `acr` has one of these values: what proves a second factor.
    #[must_use]
    pub fn proves(&self, factors: &[String]) -> bool {
        let is_one = |value: &Value| value.as_str().is_some_and(|v| factors.iter().any(|f| f == v));
        let listed = self.all.get("amr").and_then(Value::as_array);
        listed.is_some_and(|all| all.iter().any(is_one)) || self.all.get("acr").is_some_and(is_one)
    }

    /// The claims, and beside them those of userinfo (section 5.3). What the token says counts. How
    /// and when the person proved who she is, and to which client, the token alone says: userinfo
    /// has what people may have written themselves.
    ///
    /// # Errors
    /// [`TokenError::Lacks`] when userinfo is of another subject, or no object.
    pub fn with_userinfo(mut self, userinfo: Value) -> Result<Self, TokenError> {
        let Value::Object(more) = userinfo else { return Err(TokenError::Lacks("sub")) };
        if more.get("sub").and_then(Value::as_str) != Some(&self.subject) {
            return Err(TokenError::Lacks("sub"));
        }
        if let Value::Object(all) = &mut self.all {
            // The claim is about the address beside it, and about no other one.
            let other_address = all.contains_key("email") && all.get("email") != more.get("email");
            if !all.contains_key("email") {
                all.remove("email_verified");
            }
            let counts = |name: &str| {
                !(OF_THE_TOKEN.contains(&name) || other_address && name == "email_verified")
            };
            for (name, value) in more.into_iter().filter(|(name, _)| counts(name)) {
                all.entry(name).or_insert(value);
            }
        }
        Ok(self)
    }

    /// Checks that the token came together with this access token. A token without `at_hash` makes
    /// no statement (section 3.1.3.6).
    ///
    /// # Errors
    /// [`TokenError::AccessTokenHash`].
    pub fn check_access_token(&self, access_token: &str) -> Result<(), TokenError> {
        let Some(told) = self.all.get("at_hash") else { return Ok(()) };
        let whole = digest(self.algorithm.digest(), access_token.as_bytes());
        let half = whole.as_ref().get(..whole.as_ref().len() / 2).unwrap_or_default();
        if told.as_str() == Some(&*base64url::encode(half)) {
            return Ok(());
        }
        Err(TokenError::AccessTokenHash)
    }
}

/// The first expected audience that the token has.
fn audience(all: &Value, expected: &[String]) -> Result<String, TokenError> {
    let told: Vec<&str> = match all.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) if many.len() <= MAX_AUDIENCES => {
            many.iter().filter_map(Value::as_str).collect()
        }
        _ => return Err(TokenError::Lacks("aud")),
    };
    let found = expected.iter().find(|one| told.contains(&one.as_str()));
    found.cloned().ok_or(TokenError::Audience)
}

/// Checks `exp`, `nbf`, `iat` and `auth_time`; returns `exp`.
fn times(all: &Value, now: i64) -> Result<i64, TokenError> {
    let time = |name: &'static str| match all.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => seconds(value).map(Some).ok_or(TokenError::Lacks(name)),
    };
    let expires_at = time("exp")?.ok_or(TokenError::Lacks("exp"))?;
    let issued_at = time("iat")?.ok_or(TokenError::Lacks("iat"))?;
    if now >= expires_at.saturating_add(SKEW_SECONDS) {
        return Err(TokenError::Expired);
    }
    let begins = issued_at.max(time("nbf")?.unwrap_or(i64::MIN));
    // A sign-in that is to come would be fresh for as long.
    let begins = begins.max(time("auth_time")?.unwrap_or(i64::MIN));
    if now < begins.saturating_sub(SKEW_SECONDS) {
        return Err(TokenError::Early);
    }
    Ok(expires_at)
}

/// A NumericDate: a number that may have a fraction.
fn seconds(value: &Value) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)] // saturates, and the fraction means nothing
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}
