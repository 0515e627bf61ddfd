//! What a sign-in began with: made, sealed into a cookie, opened once.
//!
//! # Invariants
//! - Each attempt has a cookie of its own: sign-ins that are under way in one browser do not end
//!   each other, and an answer that belongs to none of them ends none.
//! - It keeps the address that its provider answers at: [`super::redirects`].
//! - A browser keeps [`MAX_ATTEMPTS_OF_BROWSER`] of them: a request's head has room for no more.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_oidc::Verifier;
use towline_oidc::limits::SKEW_SECONDS;
use towline_ssm::error::ApiError;

use super::super::internal::{OrInternal as _, internal};
use super::super::service::Api;
use super::super::sign_in::cookies;
use super::redirects::shared_path;
use crate::limits::{MAX_ATTEMPTS_OF_BROWSER, MAX_SIGN_IN_ATTEMPT, SIGN_IN_ATTEMPT};

/// What an attempt is sealed for: no other secret of the vault opens as one.
const SEALED_FOR: &str = "provider sign-in";

/// The program that a sign-in is for. It listens on loopback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Program {
    /// Where it listens.
    pub(super) redirect: String,
    /// Its challenge (PKCE, S256).
    pub(super) challenge: String,
    /// Its own state.
    pub(super) state: String,
    /// The role that it asks for.
    pub(super) role: Option<String>,
}

/// The console's page that a sign-in is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConsolePage {
    /// What stands behind `#` in its address.
    pub(super) to: String,
    /// The role that the person asks for.
    pub(super) role: Option<String>,
    /// The sign-in that the browser had.
    pub(super) before: Option<String>,
}

/// Who gets what a sign-in gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Target {
    /// A program: a code, for credentials.
    Program(Program),
    /// The browser itself: the console's cookie.
    Console(ConsolePage),
}

impl Target {
    /// The word of audit lines.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Program(_) => "program",
            Self::Console(_) => "console",
        }
    }

    /// The role that is asked for.
    pub(super) fn role(&self) -> Option<&str> {
        match self {
            Self::Program(program) => program.role.as_deref(),
            Self::Console(page) => page.role.as_deref(),
        }
    }
}

/// A sign-in that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// Id of the provider.
    pub(super) provider: String,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
    pub(super) target: Target,
    /// Whether the provider has to ask the person again.
    #[serde(default)]
    pub(super) fresh: bool,
    /// The path that the provider was told to answer at; a gateway of an older version knows one.
    #[serde(default = "shared_path")]
    pub(super) callback: String,
    pub(super) ends_at: i64,
}

impl Attempt {
    pub(super) fn new(
        (provider, callback): (String, String),
        target: Target,
        fresh: bool,
        now: UnixMillis,
    ) -> Result<Self, ApiError> {
        let random = || entropy::random::<32>().or_internal("no random bytes for a sign-in");
        Ok(Self {
            provider,
            state: URL_SAFE_NO_PAD.encode(random()?),
            nonce: URL_SAFE_NO_PAD.encode(random()?),
            verifier: Verifier::from_random(random()?).expose().to_owned(),
            target,
            fresh,
            callback,
            ends_at: now.plus(SIGN_IN_ATTEMPT).0,
        })
    }

    /// Whether the person proved who she is since it began, by the provider's word (`auth_time`,
    /// seconds), if that is wanted. Clocks may differ.
    pub(super) fn is_proved_at(&self, auth_time: Option<i64>) -> bool {
        let begun = UnixMillis(self.ends_at).minus(SIGN_IN_ATTEMPT).0.div_euclid(1000);
        !self.fresh || auth_time.is_some_and(|at| at >= begun - SKEW_SECONDS)
    }

    /// Whether an answer of the provider belongs to it.
    pub(super) fn is_answered_by(&self, state: &str) -> bool {
        self.state.as_bytes().ct_eq(state.as_bytes()).into()
    }
}

/// Letters of an attempt's state in the name of its cookie.
const STATE_IN_NAME: usize = 8;

impl Api {
    /// What the names of all attempts of this gateway begin with.
    fn attempt_cookies(&self) -> String {
        format!("__Host-towline-attempt-{}", self.parts.sign_in.gateway_id)
    }

    fn attempt_cookie(&self, state: &str) -> String {
        let part: String = state.chars().take(STATE_IN_NAME).collect();
        format!("{}-{part}", self.attempt_cookies())
    }

    /// The values of `Set-Cookie` for an attempt, and for those of the browser that are too many
    /// beside it. It comes back with the provider's redirect, so it is SameSite=Lax.
    pub(super) fn cookies_of_attempt(
        &self,
        attempt: &Attempt,
        headers: &HeaderMap,
        now: UnixMillis,
    ) -> Result<Vec<String>, ApiError> {
        let text = serde_json::to_vec(attempt).map_err(|error| internal("an attempt", &error))?;
        let vault = &self.parts.vault;
        let sealed = vault.seal(&vault.given_out(SEALED_FOR), &text);
        let value = URL_SAFE_NO_PAD.encode(sealed.or_internal("cannot seal an attempt")?);
        let name = self.attempt_cookie(&attempt.state);
        let mut all = vec![set(&name, &value, SIGN_IN_ATTEMPT.as_secs())];
        let mut others: Vec<(i64, &str)> = cookies(headers)
            .filter(|(name, _)| name.starts_with(&self.attempt_cookies()))
            .map(|(name, value)| (self.attempt_in(value, now).map_or(0, |one| one.ends_at), name))
            .collect();
        others.sort_unstable_by_key(|(ends_at, _)| std::cmp::Reverse(*ends_at)); // the newest first
        let too_many = others.into_iter().skip(MAX_ATTEMPTS_OF_BROWSER - 1);
        all.extend(too_many.map(|(_, name)| set(name, "", 0)));
        Ok(all)
    }

    /// The value of `Set-Cookie` for an attempt that was answered.
    pub(super) fn no_attempt(&self, attempt: &Attempt) -> String {
        set(&self.attempt_cookie(&attempt.state), "", 0)
    }

    /// The attempt in a request's cookies that this state answers, if it is not over.
    pub(super) fn attempt_of(
        &self,
        headers: &HeaderMap,
        state: &str,
        now: UnixMillis,
    ) -> Option<Attempt> {
        let name = self.attempt_cookie(state);
        let (_, value) = cookies(headers).find(|(of, _)| *of == name)?;
        self.attempt_in(value, now).filter(|attempt| attempt.is_answered_by(state))
    }

    fn attempt_in(&self, value: &str, now: UnixMillis) -> Option<Attempt> {
        let value = Some(value).filter(|value| value.len() <= MAX_SIGN_IN_ATTEMPT)?;
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let vault = &self.parts.vault;
        let opened = vault.open(&vault.given_out(SEALED_FOR), &sealed).ok()?;
        let attempt: Attempt = serde_json::from_slice(&opened).ok()?;
        (now.0 < attempt.ends_at).then_some(attempt)
    }
}

fn set(name: &str, value: &str, max_age: u64) -> String {
    format!("{name}={value}; Path=/; Max-Age={max_age}; Secure; HttpOnly; SameSite=Lax")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_sign_in_needs_the_providers_word_that_it_asked_again() {
        let now = UnixMillis(1_800_000_000_000);
        let page = ConsolePage { to: "/".into(), role: None, before: None };
        let of = || ("corp".into(), shared_path());
        let attempt =
            |fresh| Attempt::new(of(), Target::Console(page.clone()), fresh, now).unwrap();
        let fresh = attempt(true);
        for (auth_time, good) in [
            (None, false),
            (Some(1_800_000_000), true),
            (Some(1_800_000_030), true),
            (Some(1_800_000_000 - SKEW_SECONDS), true),
            (Some(1_800_000_000 - SKEW_SECONDS - 1), false),
        ] {
            assert_eq!(fresh.is_proved_at(auth_time), good, "{auth_time:?}");
        }
        assert!(attempt(false).is_proved_at(None));
    }
}
