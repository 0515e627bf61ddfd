//! What is kept between the requests of sign-ins, for this gateway and for the others: states that
//! were answered, and codes for programs.
//!
//! Data flow: a state, or a code with the credentials behind it -> a row under its digest -> the
//! next request, at whichever gateway it arrives.
//!
//! # Invariants
//! - A state leads somewhere once, a code is taken once, at all gateways together and across
//!   restarts.
//! - Strangers keep no places: what is refused is forgotten.
//! - A code is stored as a digest, and what waits for it sealed.

use serde::{Deserialize, Serialize};
use towline_host::clock::UnixMillis;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{SignInUnderWay, StoreError};

use super::super::internal::{OrInternal as _, internal};
use super::super::service::Api;
use super::super::token::Token;
use super::attempt::Attempt;

/// Credentials that wait for their program.
#[derive(Serialize, Deserialize)]
pub(super) struct Waiting {
    /// Not minted yet.
    pub(super) token: Token,
    /// The secret with which the program renews them.
    pub(super) renewal: Option<String>,
}

/// What a state or a code is kept as. Neither is found as the other.
fn digest_of(kind: &str, secret: &str) -> String {
    towline_oidc::challenge(&format!("{kind} {secret}"))
}

fn code_digest(code: &str) -> String {
    digest_of("code", code)
}

impl Api {
    /// Notes that the state of an attempt was answered. `false`: it was before.
    pub(super) async fn note_answer(
        &self,
        attempt: &Attempt,
        now: UnixMillis,
    ) -> Result<bool, ApiError> {
        let new = SignInUnderWay {
            digest: digest_of("state", &attempt.state),
            challenge: String::new(),
            sealed: None,
            ends_at: UnixMillis(attempt.ends_at),
        };
        self.keep_under_way(&new, now).await
    }

    /// An answer led nowhere: it takes no place of others any more. Its browser has lost its
    /// attempt.
    pub(super) async fn forget_answer(&self, state: &str) {
        let digest = digest_of("state", state);
        if let Err(error) = self.store().sign_ins_under_way().remove(&digest).await {
            tracing::warn!(%error, "an answer that was refused keeps its place until it is over");
        }
    }

    /// Keeps credentials for the program that will send this code, and prove this challenge.
    pub(super) async fn keep_for_program(
        &self,
        code: &str,
        challenge: &str,
        waiting: &Waiting,
        (ends_at, now): (UnixMillis, UnixMillis),
    ) -> Result<(), ApiError> {
        let text = serde_json::to_vec(waiting).map_err(|error| internal("a token", &error))?;
        let digest = code_digest(code);
        let sealed = self.parts.vault.seal(&self.sealed_for_code(&digest), &text);
        let new = SignInUnderWay {
            digest,
            challenge: challenge.to_owned(),
            sealed: Some(sealed.or_internal("cannot seal a token")?),
            ends_at,
        };
        match self.keep_under_way(&new, now).await? {
            true => Ok(()),
            false => Err(internal("a code for a program", &"it was given before")),
        }
    }

    /// Takes what waits for a code. A wrong challenge costs the code.
    pub(super) async fn take_for_program(
        &self,
        code: &str,
        challenge: &str,
        now: UnixMillis,
    ) -> Result<Option<Waiting>, ApiError> {
        let digest = code_digest(code);
        let taken = self.store().sign_ins_under_way().take(&digest, challenge, now).await;
        let Some(sealed) = taken.or_internal("cannot read a sign-in")? else { return Ok(None) };
        let opened = self.parts.vault.open(&self.sealed_for_code(&digest), &sealed);
        let Ok(opened) = opened else { return Ok(None) }; // of before a restore
        serde_json::from_slice(&opened).map(Some).map_err(|error| internal("a token", &error))
    }

    async fn keep_under_way(
        &self,
        new: &SignInUnderWay,
        now: UnixMillis,
    ) -> Result<bool, ApiError> {
        match self.store().sign_ins_under_way().keep(new, now).await {
            Err(StoreError::Full { .. }) => {
                let message = "too many sign-ins are under way: try again in a minute";
                Err(ApiError::new(ErrorCode::ThrottlingException, message))
            }
            kept => kept.or_internal("cannot store a sign-in"),
        }
    }

    /// What the credentials behind a code are sealed for.
    fn sealed_for_code(&self, digest: &str) -> String {
        self.parts.vault.given_out(&format!("program code {digest}"))
    }
}
