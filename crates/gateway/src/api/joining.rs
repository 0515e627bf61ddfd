//! Joining a session: another user takes its seat over. And messages to who has the seat.
//!
//! Data flow: policy on the session, and on a shell on its device by its document -> the consent of
//! who has the seat, or the right to do without -> a token of the data plane -> the client.
//!
//! # Invariants
//! - Nobody types into a session who could not open one like it: on that device, by that document,
//!   as that user of the device, with what policy judged it by at the start.
//! - Consent is asked for once, and waited for within a bound.

use towline_ssm::api::session::StartSessionResponse;
use towline_ssm::api::watch::{
    JoinSessionRequest, SendSessionMessageRequest, SendSessionMessageResponse,
};
use towline_ssm::documents;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::SessionId;
use towline_ssm::operation::{Operation, TAKE_OVER_SESSION};
use towline_store::Session;

use super::call::Call;
use super::internal::internal;
use super::resolution::RUN_AS_TAG;
use super::service::Api;
use super::start_facts::StartFacts;
use crate::plane::{Resumed, SeatError, Sitter};

impl Api {
    pub(super) async fn join_session(
        &self,
        call: &Call,
        request: JoinSessionRequest,
    ) -> Result<StartSessionResponse, ApiError> {
        let id = request.session_id.as_str();
        call.note("sessionId", id);
        let (question, row) = self.about_watched(call, id).await?;
        self.authorize(call, &question).await?;
        let row = row.filter(|row| row.ended_at.is_none()).ok_or_else(over)?;
        if self.is_own(call, &row) {
            let message = "the session is your own: take it up by ResumeSession";
            return Err(ApiError::validation(message));
        }
        self.authorize_like_start(call, &row).await?;
        let session: SessionId =
            row.new.id.parse().map_err(|error| internal("a stored session id", &error))?;
        let takes = self.would_allow_action(call, TAKE_OVER_SESSION, &question).await?;
        call.note("consent", if takes { "not needed" } else { "asked for" });
        let (user, seat) = (call.caller.sitter(), request.towline_seat);
        let joined = self.parts.sessions.join(&session, user, !takes, seat).await;
        let joined = joined.here().ok_or_else(over)?.map_err(|error| refusal(&error))?;
        let (token_value, towline_taken_over) = token_or_taker(call, Some(joined));
        self.seat_stands(call).await?;
        Ok(StartSessionResponse {
            stream_url: self.stream_url(call, &session),
            session_id: session.into(),
            token_value,
            towline_not_recorded: None,
            towline_input_recorded: row.new.input_recorded.then_some(true),
            towline_agent_kind: None,
            towline_ended: None,
            towline_end_code: None,
            towline_taken_over,
            towline_session_type: Some(row.new.session_type).filter(|kind| !kind.is_empty()),
        })
    }

    /// Consent is waited for: who was removed meanwhile loses the seat that she has just got.
    pub(super) async fn seat_stands(&self, call: &Call) -> Result<(), ApiError> {
        if self.still_stands(&call.caller).await? {
            return Ok(());
        }
        let Sitter { person_id, principal_id, .. } = call.caller.sitter();
        let ids =
            if call.caller.is_person() { vec![person_id] } else { vec![person_id, principal_id] };
        self.parts.sessions.leave_seats(&ids, true).await;
        let message = "your access key was switched off, or you were removed, meanwhile";
        Err(ApiError::new(ErrorCode::AccessDeniedException, message))
    }

    /// The right to open such a session: on its device, by its document, as its user.
    async fn authorize_like_start(&self, call: &Call, row: &Session) -> Result<(), ApiError> {
        let start = Operation::StartSession.iam_action();
        let user = Some(&row.new.run_as).filter(|user| !user.is_empty());
        let facts = StartFacts::of(row)?;
        let like = |about| facts.added_to(about, user.map(String::as_str));
        let device = like(self.about_device(&row.new.device_id).await?);
        self.authorize_action(call, start, &device).await?;
        let document = like(self.about_document(&row.new.document).await?);
        self.authorize_action(call, start, &document).await?;
        let account = self.account_preferences().await?;
        // An own document may set run-as otherwise than the account: what it meant at the start.
        let of_account = account.run_as == Some(true) && documents::find(&row.new.document).is_ok();
        if facts.run_as_enforced || of_account {
            let default = if facts.run_as_enforced {
                facts.run_as_default.as_ref()
            } else {
                account.run_as_default_user.as_ref()
            };
            let own = call.caller.tag(RUN_AS_TAG).or(default);
            if own != user {
                let message = format!(
                    "run-as is on: the session runs as {}, yours run as {}",
                    user.map_or("the device's default user", String::as_str),
                    own.map_or("nobody", String::as_str),
                );
                return Err(ApiError::new(ErrorCode::AccessDeniedException, message));
            }
        }
        Ok(())
    }

    pub(super) async fn send_session_message(
        &self,
        call: &Call,
        request: SendSessionMessageRequest,
    ) -> Result<SendSessionMessageResponse, ApiError> {
        let id = request.session_id.as_str();
        call.note("sessionId", id);
        call.note("message", &*request.message);
        let (question, row) = self.about_watched(call, id).await?;
        self.authorize(call, &question).await?;
        let row = row.filter(|row| row.ended_at.is_none()).ok_or_else(over)?;
        let session: SessionId =
            row.new.id.parse().map_err(|error| internal("a stored session id", &error))?;
        let from = call.caller.arn.clone();
        let delivered = self.parts.sessions.message(&session, &from, &request.message).await;
        let delivered = delivered.here().ok_or_else(over)?;
        Ok(SendSessionMessageResponse { delivered })
    }
}

/// A token, empty where there is none; and who has taken the seat over, in words.
pub(super) fn token_or_taker(call: &Call, resumed: Option<Resumed>) -> (String, Option<String>) {
    match resumed {
        None => (String::new(), None),
        Some(Resumed::Token(token)) => (token, None),
        Some(Resumed::TakenOver(by)) => {
            call.note("takenOver", &*by);
            (String::new(), Some(by))
        }
    }
}

fn over() -> ApiError {
    let message = "there is no such session, or it is over: `towline sessions` lists those that \
                   are \
                   active";
    ApiError::new(ErrorCode::DoesNotExistException, message)
}

fn refusal(error: &SeatError) -> ApiError {
    let code = match error {
        SeatError::NoTerminal => return ApiError::validation(error.to_string()),
        SeatError::Over => ErrorCode::DoesNotExistException,
        SeatError::Refused | SeatError::NoAnswer | SeatError::NobodyToAsk => {
            ErrorCode::AccessDeniedException
        }
        SeatError::Busy => ErrorCode::ThrottlingException,
        SeatError::Internal(why) => return internal("a session cannot be joined", why),
    };
    ApiError::new(code, error.to_string())
}
