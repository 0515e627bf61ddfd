//! The provider's answer to a sign-in, by a redirect of the browser.
//!
//! # Invariants
//! - An answer without the cookie of its attempt does nothing. An attempt leads somewhere once.
//! - An answer counts at its provider's address alone: elsewhere it costs the attempt, and no token
//!   endpoint is asked ([`super::redirects`]).
//! - The way on was fixed when the attempt began: nothing in the answer changes it.
//! - Failures count against their source, and a throttled source gets no further: its attempt goes
//!   on, so that the same answer counts once the source is let in again. What a provider fails in
//!   counts against nobody.
//! - Who waits for a sign-in is told that it was refused, and waits on where nothing was decided:
//!   [`super::refusing`].

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_ssm::error::{ApiError, ErrorCode};

use super::super::internal::OrInternal as _;
use super::super::service::Api;
use super::super::sign_in::{By, Held};
use super::super::token::Token;
use super::super::web_identity::stopped;
use super::attempt::{Attempt, ConsolePage, Program, Target};
use super::pages::{page, redirect};
use super::pending::Waiting;
use super::redeeming::is_passing_word;
use super::redirects::came_to;
use super::refusing::{Waits, is_passing};
use super::standing::removed;
use super::start::encoded;
use crate::audit::{Event, Who};
use crate::limits::{MAX_SIGN_IN_PARAMETER, PROGRAM_CODE};
use crate::plane::Peer;

/// Characters of a path in an audit line.
const SHOWN: usize = 100;

/// What the provider answers.
#[derive(Deserialize)]
pub(super) struct Answer {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    /// Who answers (RFC 9207).
    iss: Option<String>,
}

/// Where an answer leads to.
struct Led {
    to: String,
    /// A cookie that the browser gets.
    cookie: Option<String>,
}

/// An answer in a form (`response_mode=form_post`) comes without the attempt's cookie.
pub(super) async fn form_post() -> Response<Body> {
    let sentence = "the identity provider answered with a form; this gateway takes redirects \
                    alone: set response_mode to query at the provider";
    page(StatusCode::METHOD_NOT_ALLOWED, sentence, &[])
}

pub(super) async fn callback(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    uri: Uri,
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
    let state = answer.state.clone().unwrap_or_default();
    let attempt = api.attempt_of(&headers, &state, now);
    // A throttled source uses nothing up.
    let used = attempt.as_ref().filter(|_| !blocked).map(|attempt| api.no_attempt(attempt));
    let mut waits = None;
    let outcome = if blocked {
        let message = "too many failures: try again later";
        Err(ApiError::new(ErrorCode::ThrottlingException, message))
    } else {
        match api.taken(attempt, now).await {
            // Who waited for it was answered before.
            Err(error) => Err(error),
            Ok(attempt) => {
                waits = Some(Waits { target: attempt.target.clone(), fresh: attempt.fresh });
                let answer = (uri.path(), answer);
                Box::pin(api.answered(attempt, answer, (source, now), &mut event)).await
            }
        }
    };
    if outcome.is_err() && waits.is_some() {
        api.forget_answer(&state).await;
    }
    let outcome = outcome.map_err(|error| match is_passing(&error) && !blocked {
        true => error,
        false => api.turn_away(error, source, blocked, now),
    });
    api.count_sign_in(outcome.is_ok());
    if let Err(error) = &outcome {
        event.error = Some((error.code.as_str().to_owned(), error.message.clone()));
    }
    let provider = event.facts.iter().find(|(fact, _)| *fact == "providerName");
    let provider = provider.map(|(_, name)| name.clone());
    api.parts.audit.write_request(&Who::Stranger(source), event, None).await;
    let used: Vec<String> = used.into_iter().collect();
    match outcome {
        Ok(Led { to, cookie }) => {
            let cookies: Vec<String> = used.into_iter().chain(cookie).collect();
            redirect(&to, &cookies)
        }
        Err(error) => api.refuse(waits, &error, provider.as_deref(), &used, now).await,
    }
}

fn mixed() -> ApiError {
    let message = "this answer belongs to no sign-in of this browser, or it was used: begin again";
    ApiError::new(ErrorCode::UnrecognizedClientException, message)
}

impl Api {
    /// Counts a sign-in through a provider, or its renewal.
    pub(super) fn count_sign_in(&self, done: bool) {
        let metrics = &self.parts.metrics;
        let counter =
            if done { &metrics.provider_sign_ins } else { &metrics.provider_sign_ins_refused };
        counter.add(1);
    }

    /// An attempt that is answered the first time.
    async fn taken(&self, attempt: Option<Attempt>, now: UnixMillis) -> Result<Attempt, ApiError> {
        let attempt = attempt.ok_or_else(mixed)?;
        if self.note_answer(&attempt, now).await? { Ok(attempt) } else { Err(mixed()) }
    }

    /// Where an answer of the provider leads to, which came to this path.
    async fn answered(
        &self,
        attempt: Attempt,
        (arrived, answer): (&str, Answer),
        (source, now): (IpAddr, UnixMillis),
        event: &mut Event,
    ) -> Result<Led, ApiError> {
        let provider = self.store().identity_providers().of_id(&attempt.provider).await;
        let provider = provider.or_internal("cannot read an identity provider")?;
        let provider = provider.ok_or_else(removed)?;
        event.facts.push(("for", attempt.target.kind().to_owned()));
        event.facts.push(("providerName", provider.name.clone()));
        if let Err(error) = came_to(arrived, &attempt.callback, &provider) {
            event.facts.push(("arrivedAt", arrived.chars().take(SHOWN).collect()));
            return Err(error);
        }
        if provider.is_disabled {
            return Err(stopped(&provider));
        }
        if let Some(why) = answer.error {
            let why: String = why.chars().take(100).collect();
            let message = format!("the identity provider did not sign you in: {why}");
            let code = match is_passing_word(&why) {
                true => ErrorCode::IDPCommunicationError,
                false => ErrorCode::IDPRejectedClaim,
            };
            return Err(ApiError::new(code, message));
        }
        let code = answer.code.filter(|code| code.len() <= MAX_SIGN_IN_PARAMETER);
        let code = code.ok_or_else(mixed)?;
        event.principal = self.realm().provider_arn(&provider.issuer);
        let known = self.known(&provider, now).await?;
        if answer.iss.as_deref().map_or(known.discovery.names_itself, |iss| iss != provider.issuer)
        {
            return Err(mixed()); // RFC 9207: the answer is of another provider
        }
        let (token, subject, given) =
            Box::pin(self.person_with_role(provider, &attempt, &code, now)).await?;
        event.facts.push(("subject", subject));
        event.facts.push(("roleName", token.role().to_owned()));
        match attempt.target {
            Target::Program(program) => {
                let secret = self.keep_renewal(&given, &token, now).await?;
                self.lead_to_program(&program, token, secret, now).await
            }
            Target::Console(page) => self.lead_to_console(page, token, source, now).await,
        }
    }

    /// A code for a program, which gets its credentials with it.
    async fn lead_to_program(
        &self,
        program: &Program,
        token: Token,
        renewal: Option<String>,
        now: UnixMillis,
    ) -> Result<Led, ApiError> {
        let code = entropy::random::<32>().or_internal("no code for a program")?;
        let code = URL_SAFE_NO_PAD.encode(code);
        let waiting = Waiting { token, renewal };
        let times = (now.plus(PROGRAM_CODE), now);
        self.keep_for_program(&code, &program.challenge, &waiting, times).await?;
        let to = format!("{}?code={code}&state={}", program.redirect, encoded(&program.state));
        Ok(Led { to, cookie: None })
    }

    /// The console's cookie, and the page that the person wanted.
    async fn lead_to_console(
        &self,
        page: ConsolePage,
        token: Token,
        source: IpAddr,
        now: UnixMillis,
    ) -> Result<Led, ApiError> {
        let by = By::Token(Box::new(Held { access_key: String::new(), token }));
        let row = self.begin_sign_in(by, source, page.before.as_deref(), now).await?;
        let cookie = Some(self.cookie_of(&row.id)?);
        Ok(Led { to: format!("/console/#{}", page.to), cookie })
    }
}
