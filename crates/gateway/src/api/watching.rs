//! Watching a session: decided here, and looked at again while it lasts.
//!
//! Data flow: policy on the session -> a token of the data plane -> the client. A task of each
//! viewer asks policy again and again, and ends the viewer when the right is gone.
//!
//! # Invariants
//! - A viewer ends within a second after its right. What cannot be judged is no right.
//! - One user watches a bounded number of sessions at once.
//! - An owner may watch her own session when she may resume it: who gave up her seat still sees it.

use std::sync::{Arc, Weak};

use towline_ssm::api::watch::{WatchSessionRequest, WatchSessionResponse};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::SessionId;
use towline_ssm::operation::{Operation, WATCH_SESSION_UNSEEN};
use towline_store::Session;

use super::authz::Question;
use super::call::Call;
use super::internal::internal;
use super::ownership::About;
use super::service::Api;
use super::watches::is_alive;
use crate::limits::{MAX_WATCHES, WATCH_RIGHT_EVERY};
use crate::plane::{WatchError, Watcher, Watching};

impl Api {
    pub(super) async fn watch_session(
        &self,
        call: &Call,
        request: WatchSessionRequest,
    ) -> Result<WatchSessionResponse, ApiError> {
        let id = request.session_id.as_str();
        call.note("sessionId", id);
        let unseen = request.unseen == Some(true);
        if unseen {
            call.note("unseen", "true");
        }
        let (question, row) = self.about_watched(call, id).await?;
        let own = row.as_ref().is_some_and(|row| self.is_own(call, row));
        if own && self.may_resume(call, &question).await? {
            call.asked(question.names.first().map_or("*", String::as_str), true);
        } else {
            self.authorize(call, &question).await?;
        }
        if unseen {
            self.authorize_action(call, WATCH_SESSION_UNSEEN, &question).await?;
        }
        let over = || {
            let message = "there is no such session, or it is over: `towline sessions` lists those \
                           that are active";
            ApiError::new(ErrorCode::DoesNotExistException, message)
        };
        let row = row.filter(|row| row.ended_at.is_none()).ok_or_else(over)?;
        let session: SessionId =
            row.new.id.parse().map_err(|error| internal("a stored session id", &error))?;
        let user = &call.caller.person.id;
        if self.watches.count(user) >= MAX_WATCHES {
            let message = format!("you watch {MAX_WATCHES} sessions, and may not watch more");
            return Err(ApiError::new(ErrorCode::ServiceQuotaExceededException, message));
        }
        let who = Watcher { arn: call.caller.arn.clone(), person: user.clone(), unseen };
        let granted = self.parts.sessions.watch(&session, who).await.here().ok_or_else(over)?;
        let granted = granted.map_err(|error| refusal(&error))?;
        self.watches.add(user, Weak::clone(&granted.watching));
        self.keep_looking(call, id, unseen, granted.watching);
        Ok(WatchSessionResponse {
            stream_url: self.stream_url(call, &session),
            session_id: session.into(),
            token_value: granted.token,
            owner: row.new.principal_arn,
            target: row.new.device_id,
        })
    }

    /// The question about a session that is to be watched: with the tags of its device, its owner
    /// and its document.
    pub(super) async fn about_watched(
        &self,
        call: &Call,
        id: &str,
    ) -> Result<(Question, Option<Session>), ApiError> {
        let (mut question, row) = self.about_session(call, id, About::Life).await?;
        if let Some(row) = &row {
            self.add_device(&mut question, &row.new.device_id).await?;
            question = question
                .with("towline:SessionOwner", [row.new.principal_arn.clone()])
                .with("towline:SessionDocument", [row.new.document.clone()]);
        }
        Ok((question, row))
    }

    async fn may_resume(&self, call: &Call, question: &Question) -> Result<bool, ApiError> {
        self.would_allow_action(call, Operation::ResumeSession.iam_action(), question).await
    }

    /// Whether the caller has the right to go on watching.
    async fn may_watch(&self, call: &Call, id: &str, unseen: bool) -> Result<bool, ApiError> {
        // The caller is as it was when it began to watch: its key may be off, its person blocked.
        if !self.still_stands(&call.caller).await? {
            return Ok(false);
        }
        let (question, row) = self.about_watched(call, id).await?;
        let own = row.is_some_and(|row| self.is_own(call, &row));
        let may = self.would_allow(call, &question).await?
            || (own && self.may_resume(call, &question).await?);
        Ok(may
            && (!unseen || self.would_allow_action(call, WATCH_SESSION_UNSEEN, &question).await?))
    }

    /// Looks at the right of a viewer again and again until the viewer is gone.
    fn keep_looking(&self, call: &Call, id: &str, unseen: bool, watching: Weak<dyn Watching>) {
        let Some(api) = self.own.get().and_then(Weak::upgrade) else { return };
        let (api, id) = (Arc::downgrade(&api), id.to_owned());
        let (caller, source, host) = (call.caller.clone(), call.source, call.host.clone());
        let agent = call.user_agent.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(WATCH_RIGHT_EVERY).await;
                let Some(api) = api.upgrade().filter(|_| is_alive(&watching)) else { return };
                let now = api.parts.clock.now();
                let (caller, agent, host) = (caller.clone(), agent.clone(), host.clone());
                let call = Call::new(Operation::WatchSession, caller, source, agent, host, now);
                let why = match api.may_watch(&call, &id, unseen).await {
                    Ok(true) => continue,
                    Ok(false) => "your right to watch this session has ended",
                    Err(_) => "the gateway cannot check your right to watch this session",
                };
                if let Some(watching) = watching.upgrade() {
                    tracing::info!(session = id, who = call.caller.arn, why, "viewer ended");
                    watching.end(why);
                }
                return;
            }
        });
    }
}

fn refusal(error: &WatchError) -> ApiError {
    let code = match error {
        WatchError::NoTerminal => return ApiError::validation(error.to_string()),
        WatchError::Over => ErrorCode::DoesNotExistException,
        WatchError::TooManyViewers { .. } => ErrorCode::ServiceQuotaExceededException,
        WatchError::Internal(why) => return internal("a session cannot be watched", why),
    };
    ApiError::new(code, error.to_string())
}
