//! Sessions of principals that lost rights: ended where the request or the setting says so, else
//! counted, so that the answer is never silent about them.
//!
//! # Invariants
//! - The sessions are read in the transaction that removes the rights, and no session of a removed
//!   user is stored after it: none is missed.
//! - All sessions of the principal count, also those that it could still open: which right opened a
//!   session depends on circumstances that are past.

use towline_ssm::api::admin::RightsRemoved;
use towline_ssm::error::ApiError;
use towline_ssm::ids::SessionId;
use towline_store::{Change, Principal};

use super::call::Call;
use super::internal::OrInternal as _;
use super::service::Api;

/// Who loses rights by a change, and whether their sessions end.
#[derive(Debug, Default)]
pub(super) struct Loss {
    /// Ids of users and roles.
    pub(super) ids: Vec<String>,
    /// Whether their sessions end.
    pub(super) end: bool,
}

impl Api {
    /// A change that may give rights or take some: it ends sessions only when asked to.
    pub(super) async fn perhaps_lost(
        &self,
        change: &mut Change,
        principal: &Principal,
        end: Option<bool>,
    ) -> Result<Loss, ApiError> {
        let ids = if principal.name.starts_with("group/") {
            change.member_ids(&principal.name).await.or_internal("cannot read a group")?
        } else {
            vec![principal.unique_id.clone()]
        };
        Ok(Loss { ids, end: end.unwrap_or(false) })
    }

    /// A change that takes rights: it ends sessions when asked to, or when the gateway is set so.
    pub(super) async fn lost(
        &self,
        change: &mut Change,
        principal: &Principal,
        end: Option<bool>,
    ) -> Result<Loss, ApiError> {
        let end = Some(end.unwrap_or(self.parts.removal_ends_sessions));
        self.perhaps_lost(change, principal, end).await
    }

    /// Ends sessions, or counts them.
    pub(super) async fn end_or_count(
        &self,
        call: &Call,
        sessions: &[String],
        end: bool,
    ) -> Result<RightsRemoved, ApiError> {
        let number = u64::try_from(sessions.len()).unwrap_or(u64::MAX);
        call.note(if end { "sessionsEnded" } else { "sessionsLive" }, number.to_string());
        if !end {
            return Ok(RightsRemoved { live_sessions: number, ended_sessions: 0 });
        }
        let sentence = format!("ended: rights of its owner were removed by {}", call.caller.arn);
        for session in sessions {
            let Ok(id) = session.parse::<SessionId>() else { continue };
            self.parts.sessions.terminate(&id, &sentence).await;
            let ended = self.store().sessions().end(session, false, &sentence, call.now).await;
            ended.or_internal("cannot end a session")?;
        }
        Ok(RightsRemoved { live_sessions: 0, ended_sessions: number })
    }
}
