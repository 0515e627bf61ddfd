//! CreateSignIn, GetSignIn, DeleteSignIn.
//!
//! # Invariants
//! - A sign-in is made by a signature and from a page of this gateway; read and voided by its
//!   cookie. One by temporary credentials lasts as long as they do.

use std::time::Duration;

use axum::http::HeaderMap;
use towline_ssm::api::Empty;
use towline_ssm::api::sign_in::{ProveSecondFactorRequest, SignedIn};
use towline_ssm::error::ApiError;
use towline_store::SignIn;

use super::super::call::{Call, Proof};
use super::super::internal::{OrInternal as _, internal};
use super::super::service::Api;
use super::super::token::{Holder, Token};
use super::rows::{By, Held};
use crate::origins::Origin;

impl Api {
    /// Signs a browser in.
    pub(in super::super) async fn create_sign_in(&self, call: &Call) -> Result<SignedIn, ApiError> {
        if call.caller.proof != Proof::Signature {
            let message = "a sign-in is made by a signed request, not by another sign-in";
            return Err(ApiError::validation(message));
        }
        self.make(call).await
    }

    /// Signs a browser in by a link.
    pub(in super::super) async fn redeem_sign_in_link(
        &self,
        call: &Call,
    ) -> Result<SignedIn, ApiError> {
        if call.caller.proof != Proof::Link {
            let message = "this operation is proved by the link alone: send no signature";
            return Err(ApiError::validation(message));
        }
        self.make(call).await
    }

    async fn make(&self, call: &Call) -> Result<SignedIn, ApiError> {
        let by = match &call.caller.temporary {
            None => By::Key(call.caller.access_key.clone()),
            Some(temporary) => By::Token(Box::new(Held {
                access_key: call.caller.access_key.clone(),
                token: Token::clone(&temporary.token),
            })),
        };
        let before = call.sign_in_before.as_deref();
        let row = self.begin_sign_in(by, call.source, before, call.now).await?;
        call.set_cookie(self.cookie_of(&row.id)?);
        self.signed_in(call, &row).await
    }

    /// Proves a second factor: a new sign-in takes the place of the one before, until the same end.
    pub(in super::super) async fn prove_second_factor(
        &self,
        call: &Call,
        request: ProveSecondFactorRequest,
    ) -> Result<SignedIn, ApiError> {
        let before = cookie(call)?;
        let row = self.store().sign_ins().get(before).await.or_internal("cannot read a sign-in")?;
        let row = row.ok_or_else(|| internal("a sign-in ended while it was read", &before))?;
        let held = call.caller.temporary.as_ref().map(|temporary| &temporary.token);
        let token = match held {
            None => {
                let holder = Holder::User { name: call.caller.person.name.clone() };
                let left = u64::try_from(row.expires_at.0.saturating_sub(call.now.0)).unwrap_or(0);
                Token::new(holder, call.caller.root(), call.now, Duration::from_millis(left))
            }
            Some(token) if matches!(token.holder, Holder::User { .. }) => Token::clone(token),
            Some(_) => {
                let message = "one-time codes are for users who signed in as themselves";
                return Err(ApiError::validation(message));
            }
        };
        let second_factor = Some(self.proved_by(call, &request.token_code).await?);
        let access_key = call.caller.access_key.clone();
        let held = Held { access_key, token: Token { second_factor, ..token } };
        let by = By::Token(Box::new(held));
        let made = self.begin_sign_in(by, call.source, Some(before), call.now).await?;
        call.set_cookie(self.cookie_of(&made.id)?);
        let (_, caller) = self.sign_in_stands(&made.id, call.now).await.map_err(|f| f.error)?;
        let proved = Call::new(
            call.operation,
            caller,
            call.source,
            call.user_agent.clone(),
            call.host.clone(),
            call.now,
        );
        self.signed_in(&proved, &made).await
    }

    /// Says who is signed in, and gives the page its CSRF value.
    pub(in super::super) async fn get_sign_in(&self, call: &Call) -> Result<SignedIn, ApiError> {
        let id = cookie(call)?;
        let row = self.store().sign_ins().get(id).await.or_internal("cannot read a sign-in")?;
        let row = row.ok_or_else(|| internal("a sign-in ended while it was read", &id))?;
        self.signed_in(call, &row).await
    }

    /// Signs the browser out.
    pub(in super::super) async fn delete_sign_in(&self, call: &Call) -> Result<Empty, ApiError> {
        self.void(cookie(call)?).await?;
        call.set_cookie(self.no_cookie());
        Ok(Empty::default())
    }

    /// The sign-in that a browser has when it asks for a new one; a page of another site is
    /// refused.
    pub(in super::super) fn sign_in_before(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<String>, ApiError> {
        if self.parts.sign_in.origins.of(headers) == Origin::Foreign {
            self.own_page(headers)?;
        }
        Ok(self.sign_in_cookie(headers).and_then(|cookie| self.opened_cookie(cookie)))
    }

    async fn signed_in(&self, call: &Call, row: &SignIn) -> Result<SignedIn, ApiError> {
        let left = row.expires_at.0.saturating_sub(call.now.0) / 1000;
        let temporary = call.caller.temporary.as_ref();
        let by_provider = temporary.and_then(|temporary| temporary.federated.as_ref());
        let by_code = temporary.and_then(|temporary| temporary.second_factor_at);
        Ok(SignedIn {
            has_one_time_codes: self.has_codes(call).await?,
            second_factor_proved: by_code.is_some()
                || by_provider.is_some_and(|federated| federated.second_factor),
            principal_name: call.caller.name.to_string(),
            arn: call.caller.arn.clone(),
            csrf_token: self.csrf_of(&row.id),
            idle_seconds: self.parts.sign_in.idle.as_secs(),
            remaining_seconds: u64::try_from(left).unwrap_or(0),
        })
    }
}

/// The sign-in that proved this call.
fn cookie(call: &Call) -> Result<&str, ApiError> {
    match &call.caller.proof {
        Proof::Cookie { sign_in } => Ok(sign_in),
        Proof::Signature | Proof::Link | Proof::Token(_) => Err(ApiError::validation(
            "this operation is about a browser's sign-in: send its cookie",
        )),
    }
}
