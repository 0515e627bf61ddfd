//! The addresses of a sign-in through a provider.
//!
//! # Invariants
//! - A start does nothing but set cookies, or tell its program why it cannot begin.
//! - The way back is fixed at the start: loopback for a program, `/console/#...` for a browser.
//! - A link of another page signs no program in before a click here.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use towline_host::clock::UnixMillis;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::IdentityProvider;

use super::super::root::Root;
use super::super::service::Api;
use super::super::token::Token;
use super::attempt::{ConsolePage, Program, Target};
use super::callback::{callback, form_post};
use super::pages::{page, page_with_link};
use super::pending::Waiting;
use super::redirects::{SHARED_PATH, own_path};
use super::refusing::{Waits, again_at};
use super::renewal::{forget, refresh};
use crate::error_response::{JSON, error_response};
use crate::limits::{MAX_CONSOLE_PLACE, MAX_SIGN_IN_PARAMETER};
use crate::plane::Peer;

/// The routes of sign-ins through a provider.
pub(in super::super) fn routes(api: Arc<Api>) -> Router {
    let started = Arc::clone(&api);
    tokio::spawn(async move { started.warn_of_shared_redirects().await });
    Router::new()
        .route("/sign-in/providers", get(providers))
        .route("/sign-in/start", get(start_program))
        .route("/console/sign-in/{provider}", get(start_console))
        .route(SHARED_PATH, get(callback).post(form_post))
        .route(&own_path("{provider}"), get(callback).post(form_post))
        .route("/sign-in/token", post(token))
        .route("/sign-in/refresh", post(refresh))
        .route("/sign-in/logout", post(forget))
        .with_state(api)
}

/// What a program asks for.
#[derive(Deserialize)]
struct Start {
    provider: Option<String>,
    redirect: String,
    challenge: String,
    state: String,
    role: Option<String>,
    /// The provider has to ask again.
    #[serde(default)]
    fresh: bool,
}

/// What a browser asks for.
#[derive(Deserialize)]
struct StartConsole {
    /// The page that it wants to see: what stands behind `#` in its address.
    to: Option<String>,
    role: Option<String>,
    /// The provider has to ask again.
    #[serde(default)]
    fresh: bool,
}

/// What a program sends for its credentials.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Redeem {
    code: String,
    verifier: String,
}

/// Names of the providers that people can sign in with, and of those that were stopped.
async fn providers(State(api): State<Arc<Api>>) -> Response<Body> {
    match api.providers_with_a_client().await {
        Ok(all) => {
            let (stopped, open): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.is_disabled);
            let names = |some: Vec<&IdentityProvider>| -> Vec<String> {
                some.into_iter().map(|provider| provider.name.clone()).collect()
            };
            let mut answer = json!({ "Providers": names(open) });
            if !stopped.is_empty() {
                answer["Disabled"] = json!(names(stopped));
            }
            json_answer(answer.to_string())
        }
        Err(error) => error_response(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

async fn start_program(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Query(start): Query<Start>,
) -> Response<Body> {
    let Start { provider, redirect, challenge, state, role, fresh } = start;
    if !is_loopback(&redirect) || challenge.len() != 43 || state.len() > MAX_SIGN_IN_PARAMETER {
        let sentence = "this sign-in was not begun by towline: run `towline login`";
        return page(StatusCode::BAD_REQUEST, sentence, &[]);
    }
    let target = Target::Program(Program { redirect, challenge, state, role });
    if is_from_elsewhere(&headers) {
        return ask_first(provider.as_deref(), &target, fresh);
    }
    begun(&api, provider.as_deref(), Waits { target, fresh }, &headers).await
}

/// Whether another page has sent the browser here. `towline` opens the address by itself, and so
/// does who pastes it. Browsers that do not say it are believed.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    !matches!(site, None | Some("none" | "same-origin"))
}

/// A program that listens on that port gets the sign-in of the person who follows a link. Where the
/// provider asks nothing, nobody else asks (RFC 8252, section 8.6).
fn ask_first(provider: Option<&str>, target: &Target, fresh: bool) -> Response<Body> {
    let sentence = "Another page leads here, to sign a program on this computer in as you. Go on \
                    only if you have just run towline login on this computer.";
    let again = again_at(provider, target, fresh);
    let link = again.as_deref().map(|to| (to, "Sign the program in"));
    page_with_link(StatusCode::OK, sentence, link, &[])
}

async fn start_console(
    State(api): State<Arc<Api>>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    Query(start): Query<StartConsole>,
) -> Response<Body> {
    let to = start.to.unwrap_or_else(|| "/".to_owned());
    if !is_place(&to) {
        let sentence = "this address leads to no page of the console";
        return page(StatusCode::BAD_REQUEST, sentence, &[]);
    }
    // A link of another site comes without this cookie: it ends nobody's sign-in.
    let before = api.sign_in_cookie(&headers).and_then(|cookie| api.opened_cookie(cookie));
    let target = Target::Console(ConsolePage { to, role: start.role, before });
    begun(&api, Some(&provider), Waits { target, fresh: start.fresh }, &headers).await
}

/// Sends a browser to a provider, or tells why it cannot be sent there.
async fn begun(
    api: &Api,
    provider: Option<&str>,
    waits: Waits,
    headers: &HeaderMap,
) -> Response<Body> {
    match api.start(provider, waits.target.clone(), waits.fresh, headers).await {
        Ok(sent) => sent,
        Err(error) => {
            let now = api.parts.clock.now();
            api.refuse(Some(waits), &error, provider, &[], now).await
        }
    }
}

/// What stands behind `#` in an address of the console.
fn is_place(to: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%/?=&:@,+".contains(&b);
    to.len() <= MAX_CONSOLE_PLACE && to.starts_with('/') && to.bytes().all(plain)
}

/// A port of this machine: RFC 8252, section 7.3.
fn is_loopback(url: &str) -> bool {
    let port =
        ["http://127.0.0.1:", "http://[::1]:"].iter().find_map(|head| url.strip_prefix(head));
    port.and_then(|rest| rest.strip_suffix("/callback"))
        .is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
}

async fn token(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    mut body: Body,
) -> Response<Body> {
    let (source, now) = (peer.ip(), api.parts.clock.now());
    let blocked = api.failures.blocks(source, now);
    let outcome = match api.bodies.read(&mut body, Some(source)).await {
        Ok(body) if !blocked => api.redeemed(&body, now).await,
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

pub(in super::super) fn json_answer(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Api {
    /// The credentials for a program's code.
    async fn redeemed(&self, body: &[u8], now: UnixMillis) -> Result<String, ApiError> {
        let redeem: Redeem = serde_json::from_slice(body).map_err(|_| wrong_code())?;
        let challenge = towline_oidc::challenge(&redeem.verifier);
        let waiting = self.take_for_program(&redeem.code, &challenge, now).await?;
        let Waiting { token, renewal } = waiting.ok_or_else(wrong_code)?;
        self.still_holds(&token).await?;
        let mut credentials = self.credentials_for_program(token)?;
        if let Some(secret) = renewal {
            credentials["RefreshToken"] = json!(secret);
        }
        Ok(credentials.to_string())
    }

    /// The credentials of a token, as programs keep them.
    pub(in super::super) fn credentials_for_program(
        &self,
        token: Token,
    ) -> Result<Value, ApiError> {
        let second_factor = matches!(&token.root, Root::Vouched(vouched) if vouched.second_factor);
        let made = self.mint(token)?;
        Ok(json!({
            "Version": 1,
            "AccessKeyId": made.access_key_id,
            "SecretAccessKey": made.secret_access_key,
            "SessionToken": made.session_token,
            "Expiration": towline_ssm::clock::format_iso8601(made.expiration.secs()),
            "SecondFactor": second_factor,
        }))
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
    fn a_browser_comes_back_to_a_page_of_the_console_alone() {
        for good in ["/", "/device/mi-1", "/sessions?owner=ann%20lee", "//eve.example/"] {
            assert!(is_place(good), "{good}: it stands behind #");
        }
        let long = format!("/{}", "x".repeat(MAX_CONSOLE_PLACE));
        for bad in ["", "https://eve.example/", "/a\r\nSet-Cookie: x", "/a b", "/a#b", "\\", &long]
        {
            assert!(!is_place(bad), "{bad}");
        }
    }
}
