//! The addresses of a sign-in through a provider.
//!
//! # Invariants
//! - A start does nothing but set a cookie. A callback without the cookie of its start does nothing.
//! - Failures count against their source, and a throttled source gets no further.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::IdentityProvider;

use super::super::internal::{OrInternal as _, internal};
use super::super::service::Api;
use super::super::tokens::Token;
use super::super::web_identity::settings_of;
use super::attempt::{Attempt, Program};
use super::pages::{page, redirect};
use super::pending::Waiting;
use crate::audit::{Event, Who};
use crate::error_response::{JSON, error_response};
use crate::limits::{MAX_SIGN_IN_PARAMETER, PROGRAM_CODE};
use crate::plane::Peer;

/// The routes of sign-ins through a provider.
pub(in super::super) fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/sign-in/providers", get(providers))
        .route("/sign-in/start", get(start_program))
        .route("/sign-in/callback", get(callback))
        .route("/sign-in/token", post(token))
        .with_state(api)
}

/// Percent-encoding for a query and a form.
pub(super) fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// What a program asks for.
#[derive(Deserialize)]
struct Start {
    provider: Option<String>,
    redirect: String,
    challenge: String,
    state: String,
    role: Option<String>,
}

/// What the provider answers.
#[derive(Deserialize)]
struct Answer {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// What a program sends for its credentials.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Redeem {
    code: String,
    verifier: String,
}

/// Names of the providers that people can sign in with.
async fn providers(State(api): State<Arc<Api>>) -> Response<Body> {
    match api.providers_for_people().await {
        Ok(all) => {
            let names: Vec<_> = all.iter().map(|provider| &provider.name).collect();
            json_answer(json!({ "Providers": names }).to_string())
        }
        Err(error) => error_response(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

async fn start_program(State(api): State<Arc<Api>>, Query(start): Query<Start>) -> Response<Body> {
    let Start { provider, redirect, challenge, state, role } = start;
    if !is_loopback(&redirect) || challenge.len() != 43 || state.len() > MAX_SIGN_IN_PARAMETER {
        let sentence = "this sign-in was not begun by towline: run `towline login`";
        return page(StatusCode::BAD_REQUEST, sentence, &[]);
    }
    let program = Program { redirect, challenge, state, role };
    let outcome = api.start(provider.as_deref(), program).await;
    outcome.unwrap_or_else(|error| page(StatusCode::BAD_REQUEST, &error.message, &[]))
}

/// A port of this machine: RFC 8252, section 7.3.
fn is_loopback(url: &str) -> bool {
    let port =
        ["http://127.0.0.1:", "http://[::1]:"].iter().find_map(|head| url.strip_prefix(head));
    port.and_then(|rest| rest.strip_suffix("/callback"))
        .is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
}

async fn callback(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Response<Body> {
    let (source, now) = (peer.ip(), api.parts.clock.now());
    let blocked = api.failures.blocks(source, now);
    let mut event = Event {
        name: "SignInWithProvider".to_owned(),
        source: "towline",
        request_id: entropy::uuid().unwrap_or_default(),
        source_ip: source.to_string(),
        ..Event::default()
    };
    let attempt = api.attempt_of(&headers, now);
    let outcome = if blocked {
        Err(ApiError::new(ErrorCode::ThrottlingException, "too many failures: try again later"))
    } else {
        Box::pin(api.answered(attempt, answer, now, &mut event)).await
    };
    let cookies = [api.no_attempt()];
    let outcome = outcome.map_err(|error| api.turn_away(error, source, blocked, now));
    if let Err(error) = &outcome {
        event.error = Some((error.code.as_str().to_owned(), error.message.clone()));
    }
    api.parts.audit.write_request(&Who::Stranger(source), event, None).await;
    match outcome {
        Ok(to) => redirect(&to, &cookies),
        Err(error) => page(StatusCode::FORBIDDEN, &error.message, &cookies),
    }
}

async fn token(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    mut body: Body,
) -> Response<Body> {
    let (source, now) = (peer.ip(), api.parts.clock.now());
    let blocked = api.failures.blocks(source, now);
    let outcome = match api.bodies.read(&mut body, Some(source)).await {
        Ok(body) if !blocked => api.redeemed(&body, now),
        Ok(_) => Err(wrong_code()),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(text) => json_answer(text),
        Err(error) => {
            let error = api.turn_away(error, source, blocked, now);
            error_response(StatusCode::BAD_REQUEST, &error)
        }
    }
}

fn wrong_code() -> ApiError {
    let message = "the code is not known, was used, or is over: run `towline login` again";
    ApiError::new(ErrorCode::UnrecognizedClientException, message)
}

fn json_answer(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Api {
    async fn providers_for_people(&self) -> Result<Vec<IdentityProvider>, ApiError> {
        let all = self.store().identity_providers().list().await;
        let mut all = all.or_internal("cannot list identity providers")?;
        all.retain(|one| settings_of(one).is_ok_and(|settings| settings.client_id.is_some()));
        Ok(all)
    }

    /// Sends a browser to the provider.
    async fn start(
        &self,
        name: Option<&str>,
        program: Program,
    ) -> Result<Response<Body>, ApiError> {
        let all = self.providers_for_people().await?;
        let names: Vec<&str> = all.iter().map(|provider| provider.name.as_str()).collect();
        let provider = match (name, all.as_slice()) {
            (None, [one]) => Some(one),
            (None, _) => None,
            (Some(name), all) => all.iter().find(|provider| provider.name == name),
        };
        let provider = provider.ok_or_else(|| {
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            ApiError::validation(format!(
                "name an identity provider for people; there are: {names}"
            ))
        })?;
        let now = self.parts.clock.now();
        let known = self.parts.providers.of(&provider.unique_id, &provider.issuer, None, now);
        let known = known
            .await
            .map_err(|error| ApiError::new(ErrorCode::IDPCommunicationError, error.to_string()))?;
        let endpoint = known.discovery.authorization_endpoint.as_deref().ok_or_else(|| {
            ApiError::validation("the identity provider signs no people in".to_owned())
        })?;
        let settings = settings_of(provider)?;
        let attempt = Attempt::new(provider.unique_id.clone(), program, now)?;
        let scopes: Vec<&str> =
            std::iter::once("openid").chain(settings.scopes.iter().map(String::as_str)).collect();
        let mark = if endpoint.contains('?') { '&' } else { '?' };
        let to = format!(
            "{endpoint}{mark}response_type=code&client_id={}&redirect_uri={}&scope={}&state={}&nonce={}\
             &code_challenge={}&code_challenge_method=S256",
            encoded(settings.client_id.as_deref().unwrap_or_default()),
            encoded(&self.callback_url()?),
            encoded(&scopes.join(" ")),
            attempt.state,
            attempt.nonce,
            towline_oidc::challenge(&attempt.verifier),
        );
        Ok(redirect(&to, &[self.cookie_of_attempt(&attempt)?]))
    }

    /// Where an answer of the provider leads to.
    async fn answered(
        &self,
        attempt: Option<Attempt>,
        answer: Answer,
        now: UnixMillis,
        event: &mut Event,
    ) -> Result<String, ApiError> {
        let mixed = || {
            let message = "this answer belongs to no sign-in of this browser, or it was used: \
                           begin again";
            ApiError::new(ErrorCode::UnrecognizedClientException, message)
        };
        let attempt = attempt.ok_or_else(mixed)?;
        let state = answer.state.as_deref().filter(|state| attempt.is_answered_by(state));
        let state = state.ok_or_else(mixed)?;
        if !self.pending.answer(state, UnixMillis(attempt.ends_at), now) {
            return Err(mixed());
        }
        if let Some(why) = answer.error {
            let why: String = why.chars().take(100).collect();
            let message = format!("the identity provider did not sign you in: {why}");
            return Err(ApiError::new(ErrorCode::IDPRejectedClaim, message));
        }
        let code = answer.code.filter(|code| code.len() <= MAX_SIGN_IN_PARAMETER);
        let code = code.ok_or_else(mixed)?;
        let provider = self.store().identity_providers().of_id(&attempt.provider).await;
        let provider = provider.or_internal("cannot read an identity provider")?;
        let provider = provider.ok_or_else(mixed)?;
        event.facts.push(("providerName", provider.name.clone()));
        event.principal = self.realm().provider_arn(&provider.issuer);
        let (token, subject) =
            Box::pin(self.person_with_role(provider, &attempt, &code, now)).await?;
        event.facts.push(("subject", subject));
        event.facts.push(("roleName", token.role().to_owned()));
        let Program { redirect, challenge, state, .. } = attempt.program;
        let code = entropy::random::<32>().or_internal("no code for a program")?;
        let code = URL_SAFE_NO_PAD.encode(code);
        let token = serde_json::to_vec(&token).map_err(|error| internal("a token", &error))?;
        let waiting = Waiting { challenge, token, ends_at: now.plus(PROGRAM_CODE) };
        if !self.pending.keep(code.clone(), waiting, now) {
            let message = "too many sign-ins are under way: try again in a minute";
            return Err(ApiError::new(ErrorCode::ThrottlingException, message));
        }
        Ok(format!("{redirect}?code={code}&state={}", encoded(&state)))
    }

    /// The credentials for a program's code.
    fn redeemed(&self, body: &[u8], now: UnixMillis) -> Result<String, ApiError> {
        let redeem: Redeem = serde_json::from_slice(body).map_err(|_| wrong_code())?;
        let challenge = towline_oidc::challenge(&redeem.verifier);
        let token = self.pending.take(&redeem.code, &challenge, now).ok_or_else(wrong_code)?;
        let token: Token =
            serde_json::from_slice(&token).map_err(|error| internal("a token", &error))?;
        let made = self.mint(token)?;
        Ok(json!({
            "Version": 1,
            "AccessKeyId": made.access_key_id,
            "SecretAccessKey": made.secret_access_key,
            "SessionToken": made.session_token,
            "Expiration": towline_ssm::clock::format_iso8601(made.expiration.secs()),
        })
        .to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_answered_on_loopback_alone() {
        for good in ["http://127.0.0.1:4711/callback", "http://[::1]:1/callback"] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "https://127.0.0.1:4711/callback",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:0/callback",
            "http://localhost:4711/callback",
            "http://127.0.0.1:4711@eve.example/callback",
            "http://127.0.0.1:4711/callback?x",
            "http://127.0.0.1:4711/../callback",
            "http://127.0.0.1.eve.example:1/callback",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn a_value_in_a_query_stays_one_value() {
        assert_eq!(encoded("a b&c=d/é"), "a%20b%26c%3Dd%2F%C3%A9");
    }
}
