//! GetSignInRequest and DecideSignInRequest: a person looks at a request and decides.

use towline_ssm::api::Empty;
use towline_ssm::api::sign_in::{
    DecideSignInRequestRequest, GetSignInRequestRequest, GetSignInRequestResult, SignInDecision,
};
use towline_ssm::api::sts_tokens::SESSION_TOKEN_SECONDS;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{SignInOutcome, SignInRequest};

use super::super::call::{Call, Proof};
use super::super::internal::{OrInternal as _, internal};
use super::super::service::Api;
use super::super::sts::seconds;
use super::super::token::{Holder, Token};
use super::routes::{plain, refusal};

/// The sign-in whose cookie came.
fn by_browser(call: &Call) -> Result<&str, ApiError> {
    if let Proof::Cookie { sign_in } = &call.caller.proof {
        return Ok(sign_in);
    }
    let message = "a sign-in request is decided in the console: send the cookie of a sign-in";
    Err(ApiError::validation(message))
}

impl Api {
    /// Shows who asks.
    pub(in super::super) async fn get_sign_in_request(
        &self,
        call: &Call,
        request: GetSignInRequestRequest,
    ) -> Result<GetSignInRequestResult, ApiError> {
        by_browser(call)?;
        let asked = self.sign_in_request_of(call, &request.user_code).await?;
        let seconds = |millis: i64| u64::try_from(millis / 1000).unwrap_or(0);
        Ok(GetSignInRequestResult {
            source_ip_address: asked.source_ip,
            own_ip_address: call.source.to_string(),
            client: asked.client,
            role: asked.role,
            age_seconds: seconds(call.now.0 - asked.asked_at.0),
            remaining_seconds: seconds(asked.ends_at.0 - call.now.0),
        })
    }

    /// Gives a program the rights of the person who decides, or rejects it.
    pub(in super::super) async fn decide_sign_in_request(
        &self,
        call: &Call,
        request: DecideSignInRequestRequest,
    ) -> Result<Empty, ApiError> {
        by_browser(call)?;
        call.note("decision", request.decision.as_str());
        let asked = self.sign_in_request_of(call, &request.user_code).await?;
        let code = plain(&request.user_code);
        let outcome = match request.decision {
            SignInDecision::Reject => SignInOutcome::Rejected,
            SignInDecision::Approve => match self.token_for(call, &asked).await {
                Ok(token) => {
                    let sealed_for = self.sealed_for_request(&asked.digest);
                    let sealed = self.parts.vault.seal(&sealed_for, &token);
                    SignInOutcome::Approved(sealed.or_internal("cannot seal a token")?)
                }
                // A fault says nothing about the person, who may try again.
                Err(error) if error.code == ErrorCode::InternalServerError => return Err(error),
                Err(error) => {
                    self.decided(call, &code, &refusal(&error)).await?;
                    return Err(error);
                }
            },
        };
        self.decided(call, &code, &outcome).await?;
        Ok(Empty::default())
    }

    async fn decided(
        &self,
        call: &Call,
        code: &str,
        outcome: &SignInOutcome,
    ) -> Result<(), ApiError> {
        let decided = self.store().sign_in_requests().decide(code, outcome, call.now).await;
        let decided = decided.or_internal("cannot decide about a sign-in request")?;
        decided.then_some(()).ok_or_else(not_there)
    }

    /// The undecided request of a user code. A wrong code counts against its source.
    async fn sign_in_request_of(
        &self,
        call: &Call,
        user_code: &str,
    ) -> Result<SignInRequest, ApiError> {
        let blocked = self.failures.blocks(call.source, call.now);
        let found = self.store().sign_in_requests().look(&plain(user_code), call.now).await;
        let found = found.or_internal("cannot read a sign-in request")?;
        let found = found.filter(|_| !blocked).ok_or_else(not_there);
        let found = found.map_err(|error| self.turn_away(error, call.source, blocked, call.now))?;
        call.note("requestSourceIPAddress", found.source_ip.clone());
        call.note("requestClient", found.client.clone());
        Ok(found)
    }

    /// What the person's sign-in has, for a program.
    async fn token_for(&self, call: &Call, asked: &SignInRequest) -> Result<Vec<u8>, ApiError> {
        let row = self.store().sign_ins().get(by_browser(call)?).await;
        let row = row.or_internal("cannot read a sign-in")?.ok_or_else(|| {
            ApiError::new(ErrorCode::ExpiredTokenException, "the sign-in is over: sign in again")
        })?;
        let mut token = match &call.caller.temporary {
            None => {
                let holder = Holder::User { name: call.caller.name.to_string() };
                let life = seconds(SESSION_TOKEN_SECONDS);
                Token::new(holder, call.caller.root(), call.now, life)
            }
            Some(temporary) => Token { issued_at: call.now.0, ..Token::clone(&temporary.token) },
        };
        token.expires_at = token.expires_at.min(row.expires_at.0);
        if let Some(role) = asked.role.as_deref().filter(|role| *role != token.role()) {
            let message = format!(
                "the program asks for the role {role}, and the sign-in in the console has {}: sign \
                 in there with that role, or leave out --role, and run `towline login \
                 --no-browser` again",
                if token.role().is_empty() { "none" } else { token.role() }
            );
            return Err(ApiError::new(ErrorCode::AccessDeniedException, message));
        }
        call.note("roleName", token.role());
        serde_json::to_vec(&token).map_err(|error| internal("a token", &error))
    }
}

fn not_there() -> ApiError {
    let message = "no sign-in request with this code waits: check the code; a request lasts ten \
                   minutes and is decided once";
    ApiError::new(ErrorCode::ResourceNotFoundException, message)
}
