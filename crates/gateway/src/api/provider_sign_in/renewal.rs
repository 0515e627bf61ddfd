//! A program's credentials are renewed while the provider allows, without a question to the person.
//!
//! Data flow: the provider's refresh token, sealed in a row; the program's secret, whose digest
//! names the row -> `POST /sign-in/refresh` -> the provider's token endpoint -> ID token, claims
//! and role as at a sign-in -> new credentials.
//!
//! # Invariants
//! - The provider's token never leaves the gateway. The program's secret is stored as a digest.
//! - The claims are judged anew each time: another group gives another role, or none.
//! - A provider that refuses ends the renewal. One that does not answer ends nothing.
//! - A secret that is not known counts against its source, also where a renewal is to end.
//! - Requests with one secret come one after the other: providers that rotate take each token once.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_oidc::Answer;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{IdentityProvider, Renewal};

use super::super::internal::{OrInternal as _, internal};
use super::super::root::Root;
use super::super::service::Api;
use super::super::token::Token;
use super::super::web_identity::blocked;
use super::redeeming::NotRedeemed;
use super::routes::json_answer;
use super::standing::signs_people_in;
use super::start::encoded;
use crate::audit::{Event, Who};
use crate::error_response::error_response;
use crate::limits::{MAX_SIGN_IN_PARAMETER, RENEWAL};
use crate::plane::Peer;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    refresh_token: String,
}

pub(super) async fn refresh(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    mut body: Body,
) -> Response<Body> {
    let (source, now) = (peer.ip(), api.parts.clock.now());
    let blocked = api.failures.blocks(source, now);
    let mut event = Event {
        name: "RenewSignIn".to_owned(),
        source: "towline",
        request_id: entropy::uuid().unwrap_or_default(),
        source_ip: source.to_string(),
        ..Event::default()
    };
    let outcome = match api.bodies.read(&mut body, Some(source)).await {
        Ok(_) if blocked => Err(over()),
        Ok(body) => Box::pin(api.renewed(&body, now, &mut event)).await,
        Err(error) => Err(error),
    };
    let outcome = outcome.map_err(|error| {
        let is_guess = error.code == ErrorCode::UnrecognizedClientException;
        if is_guess || blocked { api.turn_away(error, source, blocked, now) } else { error }
    });
    api.count_sign_in(outcome.is_ok());
    if let Err(error) = &outcome {
        event.error = Some((error.code.as_str().to_owned(), error.message.clone()));
    }
    api.parts.audit.write_request(&Who::Stranger(source), event, None).await;
    match outcome {
        Ok(value) => json_answer(value.to_string()),
        Err(error) => error_response(StatusCode::BAD_REQUEST, &error),
    }
}

/// Ends a renewal: `towline logout`.
pub(super) async fn forget(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    mut body: Body,
) -> Response<Body> {
    let (source, now) = (peer.ip(), api.parts.clock.now());
    let blocked = api.failures.blocks(source, now);
    let outcome = match api.bodies.read(&mut body, Some(source)).await {
        Ok(_) if blocked => Err(over()),
        Ok(body) => api.forgotten(&body).await,
        Err(error) => Err(error),
    };
    let outcome = outcome.map_err(|error| api.turn_away(error, source, blocked, now));
    match outcome {
        // One that had ended before is signed out, too.
        Err(error) if blocked || error.code != ErrorCode::UnrecognizedClientException => {
            error_response(StatusCode::BAD_REQUEST, &error)
        }
        Ok(()) | Err(_) => json_answer("{}".to_owned()),
    }
}

fn over() -> ApiError {
    let message = "this sign-in is not renewed any more: run `towline login` again";
    ApiError::new(ErrorCode::UnrecognizedClientException, message)
}

/// What a program's secret is stored as.
fn digest_of(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, secret.as_bytes()))
}

impl Api {
    /// Keeps the refresh token of a provider's answer. The program's secret; nothing when the
    /// provider gave no token.
    pub(super) async fn keep_renewal(
        &self,
        answer: &Answer,
        token: &Token,
        now: UnixMillis,
    ) -> Result<Option<String>, ApiError> {
        let given = answer.refresh_token.as_deref();
        let given = given.filter(|text| text.len() <= MAX_SIGN_IN_PARAMETER);
        let (Some(given), Root::Vouched(vouched)) = (given, &token.root) else { return Ok(None) };
        let secret = entropy::random::<32>().or_internal("no secret for a renewal")?;
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let digest = digest_of(&secret);
        let renewal = Renewal {
            sealed: self.seal_renewal(&digest, given)?,
            digest,
            person_id: vouched.person.clone(),
            role: token.role().to_owned(),
            created_at: now,
            expires_at: now.plus(RENEWAL),
        };
        self.store().renewals().create(&renewal).await.or_internal("cannot store a renewal")?;
        Ok(Some(secret))
    }

    fn seal_renewal(&self, digest: &str, given: &str) -> Result<Vec<u8>, ApiError> {
        let sealed = self.parts.vault.seal(&self.renewal_sealed_for(digest), given.as_bytes());
        sealed.or_internal("cannot seal a refresh token")
    }

    fn renewal_sealed_for(&self, digest: &str) -> String {
        self.parts.vault.given_out(&format!("renewal {digest}"))
    }

    /// A stranger's guess is looked up and writes nothing.
    async fn forgotten(&self, body: &[u8]) -> Result<(), ApiError> {
        let Secret { refresh_token } = serde_json::from_slice(body).map_err(|_| over())?;
        let digest = digest_of(&refresh_token);
        let known = self.store().renewals().get(&digest).await;
        known.or_internal("cannot read a renewal")?.ok_or_else(over)?;
        let gone = self.store().renewals().remove(&digest).await;
        gone.or_internal("cannot remove a renewal").map(drop)
    }

    async fn renewed(
        &self,
        body: &[u8],
        now: UnixMillis,
        event: &mut Event,
    ) -> Result<Value, ApiError> {
        let Secret { refresh_token } = serde_json::from_slice(body).map_err(|_| over())?;
        let digest = digest_of(&refresh_token);
        let turn = self.turns.of(&digest);
        let _turn = turn.lock().await;
        let row = self.store().renewals().get(&digest).await;
        let row = row.or_internal("cannot read a renewal")?;
        let row = row.filter(|row| now < row.expires_at).ok_or_else(over)?;
        let store = self.store().identity_providers();
        let person = store.person(&row.person_id).await.or_internal("cannot read a person")?;
        let person = person.ok_or_else(over)?;
        if person.is_blocked {
            return Err(blocked());
        }
        let provider = store.of_id(&person.provider_id).await;
        let provider = provider.or_internal("cannot read an identity provider")?;
        let provider = provider.ok_or_else(over)?;
        signs_people_in(&provider)?;
        if row.created_at <= provider.holds_since.max(person.holds_since) {
            return Err(over());
        }
        event.facts.push(("providerName", provider.name.clone()));
        event.facts.push(("subject", person.subject.clone()));
        event.principal = self.realm().provider_arn(&provider.issuer);
        let token = self.asked_again(provider, &row, &person.subject, now).await?;
        event.facts.push(("roleName", token.role().to_owned()));
        let mut credentials = self.credentials_for_program(token)?;
        credentials["RefreshToken"] = json!(refresh_token);
        Ok(credentials)
    }

    /// Asks the provider with its refresh token.
    async fn asked_again(
        &self,
        provider: IdentityProvider,
        row: &Renewal,
        subject: &str,
        now: UnixMillis,
    ) -> Result<Token, ApiError> {
        let opened = self.parts.vault.open(&self.renewal_sealed_for(&row.digest), &row.sealed);
        let opened = opened.map_err(|_| over())?;
        let given = String::from_utf8_lossy(&opened).into_owned();
        let known = self.known(&provider, now).await?;
        let form = format!("grant_type=refresh_token&refresh_token={}", encoded(&given));
        let answer = match self.redeem(&provider, &known, form).await {
            Ok(answer) => answer,
            Err(NotRedeemed::Grant(error)) => {
                let gone = self.store().renewals().remove(&row.digest).await;
                gone.or_internal("cannot remove a renewal")?;
                let why = error.message;
                let message = format!("{why}: run `towline login` again");
                return Err(ApiError::new(ErrorCode::ExpiredTokenException, message));
            }
            Err(NotRedeemed::Other(error)) => return Err(error),
        };
        if let Some(next) = answer.refresh_token.as_deref()
            && next != given
            && next.len() <= MAX_SIGN_IN_PARAMETER
        {
            let sealed = self.seal_renewal(&row.digest, next)?;
            let stored = self.store().renewals().replace(&row.digest, &sealed).await;
            stored.or_internal("cannot store a refresh token")?;
        }
        let vouch = Box::pin(self.vouch_of_answer(provider, &known, &answer, None, now)).await?;
        if vouch.claims.subject() != subject {
            return Err(internal("a renewal", &"the provider answered with another subject"));
        }
        let (token, _) = self.token_of_person(&vouch, Some(&row.role), now).await?;
        // `logout` may have come while the provider was asked.
        let known = self.store().renewals().get(&row.digest).await;
        known.or_internal("cannot read a renewal")?.ok_or_else(over)?;
        Ok(token)
    }
}
