//! What programs ask for: a request, and its outcome.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{Response, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{SIGN_IN_REQUEST_MARK, SignInOutcome, SignInPoll, SignInRequest};
use towline_wire::text;

use super::super::internal::{OrInternal as _, internal};
use super::super::provider_sign_in::{
    encoded, is_passing, json_answer, removed, signs_people_in, words_of,
};
use super::super::service::Api;
use super::super::token::Token;
use crate::error_response::error_response;
use crate::limits::{MAX_CLIENT_NAME, MAX_SIGN_IN_PARAMETER, SIGN_IN_ATTEMPT, SIGN_IN_POLL};
use crate::plane::Peer;
use crate::throttle::subscriber;

/// The console's page of a request, up to its mark.
const PLACE: &str = "/sign-in-request?id=";
/// Letters of user codes: no vowels, so that no words arise, and none that look like digits.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a user code, without the dash that it is shown with.
const CODE_LETTERS: usize = 8;

/// The routes of programs without a browser.
pub(in super::super) fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/sign-in/requests", post(ask))
        .route("/sign-in/requests/token", post(poll))
        .with_state(api)
}

/// What a program asks for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ask {
    challenge: String,
    provider: Option<String>,
    role: Option<String>,
    client: Option<String>,
}

/// A program that comes for its credentials.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Poll {
    request_code: String,
    verifier: String,
    /// It gives up: the request is forgotten.
    #[serde(default)]
    withdraw: bool,
}

async fn ask(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Body,
) -> Response<Body> {
    answer(&api, peer.ip(), body, async |api, body, now| {
        api.sign_in_asked(body, peer.ip(), now).await
    })
    .await
}

async fn poll(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Body,
) -> Response<Body> {
    answer(&api, peer.ip(), body, async |api, body, now| api.sign_in_polled(body, now).await).await
}

async fn answer(
    api: &Api,
    source: std::net::IpAddr,
    mut body: Body,
    act: impl AsyncFnOnce(&Api, &Bytes, UnixMillis) -> Result<Value, ApiError>,
) -> Response<Body> {
    let now = api.parts.clock.now();
    let blocked = api.failures.blocks(source, now);
    let outcome = match api.bodies.read(&mut body, Some(source)).await {
        Ok(_) if blocked => Err(unknown()),
        Ok(body) => act(api, &body, now).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(value) => json_answer(value.to_string()),
        Err(error) => {
            let error = api.turn_away(error, source, blocked, now);
            error_response(StatusCode::BAD_REQUEST, &error)
        }
    }
}

fn unknown() -> ApiError {
    let message = "this sign-in request is not known, was taken, or is over: run \
                   `towline login --no-browser` again";
    ApiError::new(ErrorCode::UnrecognizedClientException, message)
}

/// A user code of random bytes.
fn user_code(random: [u8; 32]) -> Option<String> {
    // 240 is the largest multiple of 20 in a byte: each letter is as likely as the others.
    let letters = random.iter().filter(|byte| **byte < 240);
    let letters = letters.filter_map(|byte| LETTERS.get(usize::from(byte % 20)));
    let code: String = letters.take(CODE_LETTERS).map(|letter| char::from(*letter)).collect();
    (code.len() == CODE_LETTERS).then_some(code)
}

/// A user code as it is kept: people write it with a dash, spaces and small letters.
pub(super) fn plain(user_code: &str) -> String {
    let letters = user_code.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_uppercase()).take(CODE_LETTERS + 1).collect()
}

impl Api {
    async fn sign_in_asked(
        &self,
        body: &[u8],
        source: std::net::IpAddr,
        now: UnixMillis,
    ) -> Result<Value, ApiError> {
        let wrong = || ApiError::validation("this sign-in request was not made by towline");
        let ask: Ask = serde_json::from_slice(body).map_err(|_| wrong())?;
        let longest = [&ask.provider, &ask.role].into_iter().flatten().map(String::len).max();
        if ask.challenge.len() != 43 || longest.unwrap_or(0) > MAX_SIGN_IN_PARAMETER {
            return Err(wrong());
        }
        let random = || entropy::random::<32>().or_internal("no code for a sign-in request");
        let code = URL_SAFE_NO_PAD.encode(random()?);
        let user =
            user_code(random()?).ok_or_else(|| internal("a user code", &"too few letters"))?;
        let provider = match &ask.provider {
            Some(name) => self.provider_for_people(Some(name)).await?.unique_id,
            None => String::new(),
        };
        let page = self.page_of_requests(&code, ask.provider.as_deref(), ask.role.as_deref())?;
        let client = ask.client.unwrap_or_default();
        let asked = SignInRequest {
            digest: digest_of(&code),
            user_code: user.clone(),
            challenge: ask.challenge,
            source_ip: source.to_string(),
            subscriber: subscriber(source).to_string(),
            client: text::plain(&client, MAX_CLIENT_NAME),
            provider,
            role: ask.role,
            asked_at: now,
            ends_at: now.plus(SIGN_IN_ATTEMPT),
        };
        let kept = self.store().sign_in_requests().keep(&asked).await;
        if !kept.or_internal("cannot store a sign-in request")? {
            let message = "too many sign-ins wait for a decision: try again in ten minutes";
            return Err(ApiError::new(ErrorCode::ThrottlingException, message));
        }
        let (first, second) = user.split_at(CODE_LETTERS / 2);
        Ok(json!({
            "RequestCode": code,
            "UserCode": format!("{first}-{second}"),
            "VerificationUri": page,
            "ExpiresIn": SIGN_IN_ATTEMPT.as_secs(),
            "Interval": SIGN_IN_POLL.as_secs(),
        }))
    }

    /// Where a person enters the code. The mark in it is good for a refusal alone.
    fn page_of_requests(
        &self,
        code: &str,
        provider: Option<&str>,
        role: Option<&str>,
    ) -> Result<String, ApiError> {
        let origin = self.parts.sign_in.origins.first().ok_or_else(|| {
            internal("sign-in needs an origin", &"set `origins` in [console] of gateway.toml")
        })?;
        let place = format!("{PLACE}{}", mark_of(&digest_of(code)));
        let Some(provider) = provider else {
            return Ok(format!("{origin}/console/#{place}"));
        };
        let role = role.map(|role| format!("&role={}", encoded(role))).unwrap_or_default();
        let (provider, place) = (encoded(provider), encoded(&place));
        Ok(format!("{origin}/console/sign-in/{provider}?to={place}{role}"))
    }

    async fn sign_in_polled(&self, body: &Bytes, now: UnixMillis) -> Result<Value, ApiError> {
        let poll: Poll = serde_json::from_slice(body).map_err(|_| unknown())?;
        let challenge = towline_oidc::challenge(&poll.verifier);
        let digest = digest_of(&poll.request_code);
        if poll.withdraw {
            let gone = self.store().sign_in_requests().withdraw(&digest, &challenge).await;
            gone.or_internal("cannot withdraw a sign-in request")?;
            return Ok(json!({ "Status": "Withdrawn" }));
        }
        let found = self.store().sign_in_requests().poll(&digest, &challenge, now).await;
        match found.or_internal("cannot read a sign-in request")? {
            SignInPoll::Unknown => Err(unknown()),
            SignInPoll::Open { .. } if self.paces.is_too_soon(&digest, now) => {
                Ok(json!({ "Status": "SlowDown" }))
            }
            SignInPoll::Open { provider } => match self.may_still_come(&provider).await {
                Ok(()) => Ok(json!({ "Status": "Pending" })),
                Err(error) if is_passing(&error) => Err(error),
                Err(error) => {
                    let gone = self.store().sign_in_requests().withdraw(&digest, &challenge).await;
                    gone.or_internal("cannot withdraw a sign-in request")?;
                    rejected(&error)
                }
            },
            SignInPoll::Decided(SignInOutcome::Rejected) => Ok(json!({ "Status": "Rejected" })),
            SignInPoll::Decided(SignInOutcome::Refused { code, why }) => {
                Ok(json!({ "Status": "Rejected", "Code": code, "Message": why }))
            }
            SignInPoll::Decided(SignInOutcome::Approved(sealed)) => {
                // Sealed before a restore, it opens no more.
                let opened = self.parts.vault.open(&self.sealed_for_request(&digest), &sealed);
                let token: Token = serde_json::from_slice(&opened.map_err(|_| unknown())?)
                    .map_err(|error| internal("a token", &error))?;
                if let Err(error) = self.still_holds(&token).await {
                    return rejected(&error);
                }
                let credentials = self.credentials_for_program(token)?;
                Ok(json!({ "Status": "Approved", "Credentials": credentials }))
            }
        }
    }

    /// Goes on only if the provider that a program asked for still signs people in.
    async fn may_still_come(&self, provider: &str) -> Result<(), ApiError> {
        if provider.is_empty() {
            return Ok(());
        }
        let found = self.store().identity_providers().of_id(provider).await;
        let found = found.or_internal("cannot read an identity provider")?.ok_or_else(removed)?;
        signs_people_in(&found)
    }

    /// A sign-in to the console was refused that led to this place: where it is the page of a
    /// request, its program learns why.
    pub(in super::super) async fn refuse_sign_in_request(
        &self,
        place: &str,
        error: &ApiError,
        now: UnixMillis,
    ) {
        let mark = place.strip_prefix(PLACE).filter(|mark| mark.len() == SIGN_IN_REQUEST_MARK);
        let Some(mark) = mark else { return };
        let outcome = refusal(error);
        if let Err(error) = self.store().sign_in_requests().refuse(mark, &outcome, now).await {
            tracing::warn!(%error, "a program is not told that its sign-in was refused");
        }
    }

    /// What the credentials of a request are sealed for.
    pub(super) fn sealed_for_request(&self, digest: &str) -> String {
        self.parts.vault.given_out(&format!("sign-in request {digest}"))
    }
}

/// The answer to a program that gets nothing; an error when that is for now.
fn rejected(error: &ApiError) -> Result<Value, ApiError> {
    if is_passing(error) {
        return Err(error.clone());
    }
    let (code, message) = (error.code.as_str(), words_of(error));
    Ok(json!({ "Status": "Rejected", "Code": code, "Message": message }))
}

/// A refusal as a program learns it.
pub(super) fn refusal(error: &ApiError) -> SignInOutcome {
    SignInOutcome::Refused { code: error.code.as_str().to_owned(), why: words_of(error) }
}

/// The part of a request's digest that its page names.
fn mark_of(digest: &str) -> &str {
    digest.get(..SIGN_IN_REQUEST_MARK).unwrap_or(digest)
}

/// What is kept of the code that a program polls with.
fn digest_of(code: &str) -> String {
    towline_oidc::challenge(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_code_has_eight_letters_that_make_no_words() {
        let code = user_code(std::array::from_fn(|at| u8::try_from(at * 7).unwrap())).unwrap();
        assert_eq!(code.len(), CODE_LETTERS);
        assert!(code.bytes().all(|letter| LETTERS.contains(&letter)), "{code}");
        assert_eq!(user_code([255; 32]), None);
    }

    #[test]
    fn people_write_a_code_as_they_like() {
        for written in ["BCDF-GHJK", "bcdf ghjk", " bcdfghjk ", "BCDF–GHJK"] {
            assert_eq!(plain(written), "BCDFGHJK", "{written}");
        }
        assert_eq!(plain(&"B".repeat(1000)).len(), CODE_LETTERS + 1, "bounded, and another code");
    }
}
