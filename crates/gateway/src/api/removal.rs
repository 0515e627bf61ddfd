//! Sessions of principals that lost rights, the seats that they have in sessions of others, and
//! their commands: ended where the request or the setting says so, else counted, so that the answer
//! is never silent about them.
//!
//! # Invariants
//! - The sessions are read in the transaction that removes the rights, and no session of a removed
//!   user is stored after it: none is missed. A seat, and a command, that is given at the same time
//!   is taken back by who gives it ([`Api::still_stands`]).
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
    /// Their ARNs, as [`towline_store`] finds commands by them.
    pub(super) arns: Vec<String>,
    /// Whether their sessions end.
    pub(super) end: bool,
}

/// What goes on of who lost rights.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Sessions.
    pub(super) sessions: Vec<String>,
    /// Ids of users, roles or people: whose seats and commands.
    pub(super) ids: Vec<String>,
    /// ARNs: whose commands.
    pub(super) arns: Vec<String>,
}

/// How many ids other gateways are asked about in one call.
const IDS_AT_ONCE: usize = 500;

impl Api {
    /// A change that may give rights or take some: it ends sessions only when asked to.
    pub(super) async fn perhaps_lost(
        &self,
        change: &mut Change,
        principal: &Principal,
        end: Option<bool>,
    ) -> Result<Loss, ApiError> {
        let end = end.unwrap_or(false);
        if principal.name.starts_with("group/") {
            let ids =
                change.member_ids(&principal.name).await.or_internal("cannot read a group")?;
            return Ok(Loss { ids, arns: Vec::new(), end });
        }
        let account = &self.realm().account;
        let arn = match principal.name.strip_prefix("role/") {
            Some(role) => format!("arn:aws:sts::{account}:assumed-role/{role}/"),
            None => format!("arn:aws:iam::{account}:user/{}", principal.name),
        };
        Ok(Loss { ids: vec![principal.unique_id.clone()], arns: vec![arn], end })
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

    /// Ends what goes on of who lost rights, or counts it: sessions, seats in sessions of others,
    /// commands.
    pub(super) async fn end_or_count(
        &self,
        call: &Call,
        left: &Left,
        end: bool,
    ) -> Result<RightsRemoved, ApiError> {
        let commands = self.store().run_commands().open_of(&left.ids, &left.arns).await;
        let commands = commands.or_internal("cannot read commands")?;
        let number = |list: &[String]| u64::try_from(list.len()).unwrap_or(u64::MAX);
        let mut removed = RightsRemoved {
            live_sessions: number(&left.sessions),
            towline_open_commands: number(&commands),
            ended_sessions: 0,
        };
        if end {
            self.end_sessions(call, &left.sessions).await?;
            for command in &commands {
                self.parts.commands.cancel(command, None).await;
            }
            removed = RightsRemoved { ended_sessions: removed.live_sessions, ..Default::default() };
        }
        let mut seats = 0_u64;
        for some in left.ids.chunks(IDS_AT_ONCE) {
            seats = seats.saturating_add(self.parts.sessions.leave_seats(some, end).await);
        }
        let (name, sessions) = match end {
            true => ("sessionsEnded", &mut removed.ended_sessions),
            false => ("sessionsLive", &mut removed.live_sessions),
        };
        *sessions = sessions.saturating_add(seats);
        call.note(name, sessions.to_string());
        if !commands.is_empty() {
            let name = if end { "commandsCancelled" } else { "commandsOpen" };
            call.note(name, number(&commands).to_string());
        }
        Ok(removed)
    }

    async fn end_sessions(&self, call: &Call, sessions: &[String]) -> Result<(), ApiError> {
        let sentence = format!("ended: rights of its owner were removed by {}", call.caller.arn);
        for session in sessions {
            let Ok(id) = session.parse::<SessionId>() else { continue };
            self.parts.sessions.terminate(&id, &sentence).await;
            let ended = self.store().sessions().end(session, false, &sentence, call.now).await;
            ended.or_internal("cannot end a session")?;
        }
        Ok(())
    }
}
