//! The beginning of a sign-in: a browser is sent to a provider.
//!
//! # Invariants
//! - It does nothing but set cookies of attempts.
//! - People are sent to a page by https, unless the provider itself is one by http, which the
//!   gateway's settings name.

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use towline_ssm::error::ApiError;
use towline_store::IdentityProvider;

use super::super::internal::OrInternal as _;
use super::super::service::Api;
use super::super::web_identity::{settings_of, stopped};
use super::attempt::{Attempt, Target};
use super::pages::redirect;
use super::redirects::callback_path;

/// Percent-encoding for a query and a form.
pub(in super::super) fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Whether people may be sent to a page of this issuer.
fn is_page(endpoint: &str, issuer: &str) -> bool {
    endpoint.starts_with("https://") || issuer.starts_with("http://")
}

impl Api {
    /// Providers through which people sign in, and those of them that were stopped.
    pub(super) async fn providers_with_a_client(&self) -> Result<Vec<IdentityProvider>, ApiError> {
        let all = self.store().identity_providers().list().await;
        let mut all = all.or_internal("cannot list identity providers")?;
        all.retain(|one| settings_of(one).is_ok_and(|settings| settings.client_id.is_some()));
        Ok(all)
    }

    /// The provider of this name, or the one that there is.
    pub(in super::super) async fn provider_for_people(
        &self,
        name: Option<&str>,
    ) -> Result<IdentityProvider, ApiError> {
        let mut all = self.providers_with_a_client().await?;
        // Who names a stopped one, or has no other, is told that it is stopped.
        let named = name.and_then(|name| all.iter().find(|one| one.name == name));
        let only = all.first().filter(|_| name.is_none() && all.iter().all(|one| one.is_disabled));
        if let Some(stopped_one) = named.or(only).filter(|one| one.is_disabled) {
            return Err(stopped(stopped_one));
        }
        all.retain(|one| !one.is_disabled);
        let found = match name {
            None if all.len() == 1 => Some(0),
            None => None,
            Some(name) => all.iter().position(|provider| provider.name == name),
        };
        if let Some(found) = found {
            return Ok(all.swap_remove(found));
        }
        let names: Vec<&str> = all.iter().map(|provider| provider.name.as_str()).collect();
        if names.is_empty() {
            return Err(ApiError::validation(
                "nobody can sign in this way: an administrator has to make an identity provider \
                 with a client first (`towline admin provider create`)",
            ));
        }
        let names = names.join(", ");
        Err(ApiError::validation(format!("name an identity provider: this gateway has {names}")))
    }

    /// Sends a browser to the provider.
    pub(super) async fn start(
        &self,
        name: Option<&str>,
        target: Target,
        fresh: bool,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, ApiError> {
        let provider = self.provider_for_people(name).await?;
        let now = self.parts.clock.now();
        let known = self.known(&provider, now).await?;
        let endpoint = known.discovery.authorization_endpoint.as_deref().ok_or_else(|| {
            ApiError::validation("the identity provider signs no people in".to_owned())
        })?;
        if !is_page(endpoint, &provider.issuer) {
            return Err(ApiError::validation(
                "the identity provider sends people to a page by http (authorization_endpoint): \
                 nobody signs in there before it uses https",
            ));
        }
        let settings = settings_of(&provider)?;
        let of = (provider.unique_id.clone(), callback_path(&provider));
        let attempt = Attempt::new(of, target, fresh, now)?;
        let scopes: Vec<&str> =
            std::iter::once("openid").chain(settings.scopes.iter().map(String::as_str)).collect();
        // OpenID Connect Core, section 11: a refresh token for later use needs consent.
        let mut more = match (fresh, scopes.contains(&"offline_access")) {
            (true, true) => "&max_age=0&prompt=login%20consent",
            (true, false) => "&max_age=0&prompt=login",
            (false, true) => "&prompt=consent",
            (false, false) => "",
        }
        .to_owned();
        if fresh && !settings.acr_values.is_empty() {
            more.push_str(&format!("&acr_values={}", encoded(&settings.acr_values.join(" "))));
        }
        let mark = if endpoint.contains('?') { '&' } else { '?' };
        let to = format!(
            "{endpoint}{mark}response_type=code&client_id={}&redirect_uri={}&scope={}&state={}&nonce={}\
             &code_challenge={}&code_challenge_method=S256{more}",
            encoded(settings.client_id.as_deref().unwrap_or_default()),
            encoded(&self.needed_callback_url(&attempt.callback)?),
            encoded(&scopes.join(" ")),
            attempt.state,
            attempt.nonce,
            towline_oidc::challenge(&attempt.verifier),
        );
        Ok(redirect(&to, &self.cookies_of_attempt(&attempt, headers, now)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_by_https_sends_nobody_to_a_page_in_plain_text() {
        for (endpoint, issuer, good) in [
            ("https://id.example/auth", "https://id.example", true),
            ("http://id.example/auth", "https://id.example", false),
            ("HTTP://id.example/auth", "https://id.example", false),
            ("http://127.0.0.1:1/auth", "http://127.0.0.1:1", true),
        ] {
            assert_eq!(is_page(endpoint, issuer), good, "{endpoint} of {issuer}");
        }
    }

    #[test]
    fn a_value_in_a_query_stays_one_value() {
        assert_eq!(encoded("a b&c=d/é"), "a%20b%26c%3Dd%2F%C3%A9");
    }
}
