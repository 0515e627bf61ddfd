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

use futures_util::future::join_all;
use towline_ssm::api::admin::RightsRemoved;
use towline_ssm::error::ApiError;
use towline_ssm::ids::SessionId;
use towline_store::{Change, Principal};

use super::call::Call;
use super::internal::OrInternal as _;
use super::service::Api;
use crate::plane::{self, in_role};

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
    /// When there are some: of these ids, what they have in one of these roles alone counts.
    pub(super) roles: Vec<LostRole>,
}

/// A role that people of a provider have lost.
#[derive(Debug)]
pub(super) struct LostRole {
    /// Its id.
    pub(super) id: String,
    /// What the ARNs of its sessions begin with.
    pub(super) arn: String,
}

/// What was found of who lost rights, and ended where that was asked for.
struct Found {
    /// Sessions, and seats in sessions of others.
    sessions: u64,
    /// Sessions that were to end, at a gateway that does not answer.
    go_on: u64,
    /// Ids of commands that had not ended.
    commands: Vec<String>,
}

/// How many ids other gateways are asked about in one call.
const IDS_AT_ONCE: usize = 500;
/// How many sessions are ended together: fewer than calls to other gateways may be under way.
const SESSIONS_AT_ONCE: usize = 32;

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
        let found = self.settled(call, left, end).await?;
        note(call, &found, end);
        if end {
            return Ok(RightsRemoved {
                ended_sessions: found.sessions,
                live_sessions: found.go_on,
                ..Default::default()
            });
        }
        Ok(RightsRemoved {
            live_sessions: found.sessions,
            towline_open_commands: number(&found.commands),
            ended_sessions: 0,
        })
    }

    /// Ends some, and counts the others. `ended` is told apart from what goes on: a command that
    /// was cancelled may take its time.
    pub(super) async fn end_and_count(
        &self,
        call: &Call,
        ended: &Left,
        others: &Left,
    ) -> Result<RightsRemoved, ApiError> {
        let gone = self.settled(call, ended, true).await?;
        let mut rest = self.settled(call, others, false).await?;
        rest.commands.retain(|command| !gone.commands.contains(command));
        note(call, &gone, true);
        note(call, &rest, false);
        Ok(RightsRemoved {
            live_sessions: rest.sessions.saturating_add(gone.go_on),
            ended_sessions: gone.sessions,
            towline_open_commands: number(&rest.commands),
        })
    }

    async fn settled(&self, call: &Call, left: &Left, end: bool) -> Result<Found, ApiError> {
        let (commands, ids) = self.whose(left).await?;
        let mut go_on = 0;
        if end {
            go_on = self.end_sessions(call, &left.sessions).await?;
            for command in &commands {
                self.parts.commands.cancel(command, None).await;
            }
            if go_on > 0 {
                call.note("sessionsNotReached", go_on.to_string());
            }
        }
        let mut sessions = number(&left.sessions).saturating_sub(go_on);
        for some in ids.chunks(IDS_AT_ONCE) {
            sessions = sessions.saturating_add(self.parts.sessions.leave_seats(some, end).await);
        }
        Ok(Found { sessions, go_on, commands })
    }

    /// The open commands of who lost rights, and the ids of their seats.
    async fn whose(&self, left: &Left) -> Result<(Vec<String>, Vec<String>), ApiError> {
        let store = self.store().run_commands();
        if left.roles.is_empty() {
            let commands = store.open_of(&left.ids, &left.arns).await;
            return Ok((commands.or_internal("cannot read commands")?, left.ids.clone()));
        }
        let (mut commands, mut ids) = (Vec::new(), Vec::new());
        for role in &left.roles {
            let some = store.open_in_role(&left.ids, &role.arn).await;
            commands.extend(some.or_internal("cannot read commands")?);
            ids.extend(left.ids.iter().map(|person| in_role(person, &role.id)));
        }
        Ok((commands, ids))
    }

    /// The number of those that go on, because the gateway that carries them does not answer.
    async fn end_sessions(&self, call: &Call, sessions: &[String]) -> Result<u64, ApiError> {
        let mut go_on = 0;
        let sentence = format!("ended: rights of its owner were removed by {}", call.caller.arn);
        // Together: a gateway that does not answer takes its time for each.
        for some in sessions.chunks(SESSIONS_AT_ONCE) {
            let ends = some.iter().map(|session| self.end_session(call, session, &sentence));
            for goes_on in join_all(ends).await {
                go_on += u64::from(goes_on?);
            }
        }
        Ok(go_on)
    }

    /// Whether it goes on.
    async fn end_session(
        &self,
        call: &Call,
        session: &str,
        sentence: &str,
    ) -> Result<bool, ApiError> {
        let Ok(id) = session.parse::<SessionId>() else { return Ok(false) };
        let found = self.parts.sessions.terminate(&id, sentence).await;
        let ended = self.store_end(session, sentence, call.now).await?;
        Ok(!ended && matches!(found, plane::Found::Nowhere) && self.goes_on(session).await)
    }

    /// Whether the store has no end of a session.
    async fn goes_on(&self, session: &str) -> bool {
        let row = self.store().sessions().get(session).await;
        row.map_or(true, |row| row.is_some_and(|row| row.ended_at.is_none()))
    }
}

fn number(list: &[String]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}

/// Notes what was ended, or goes on.
fn note(call: &Call, found: &Found, end: bool) {
    call.note(if end { "sessionsEnded" } else { "sessionsLive" }, found.sessions.to_string());
    if !found.commands.is_empty() {
        let name = if end { "commandsCancelled" } else { "commandsOpen" };
        call.note(name, number(&found.commands).to_string());
    }
}
