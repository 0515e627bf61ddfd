//! The last way in is kept: a change of rights that would leave nobody who can administer is
//! refused, and nobody takes her own administration away.
//!
//! Data flow: a change that was written and not committed ([`Change`]) -> who could administer with
//! it -> committed, or taken back with the reason.
//!
//! # Invariants
//! - Looked at and written in one transaction: two changes at once cannot remove the last two.
//! - A way in is a user with an active access key who may create users, keys and policies of any
//!   name, with its own policies or in a role that trusts it, in the circumstances of the call.
//! - Where there was no way in before, nothing is refused: root on the server makes one
//!   (`towline-gateway admin-key`).

use std::sync::Arc;

use towline_policy::{NamedPolicy, Outcome, Policy, PolicySet, evaluate, evaluate_trust};
use towline_ssm::api::admin::RightsRemoved;
use towline_ssm::error::ApiError;
use towline_ssm::ids::UserName;
use towline_ssm::operation::Operation;
use towline_store::{Change, Trust};

use super::authz::{Question, asked_by, parsed_set};
use super::call::{Call, Caller, Proof};
use super::internal::OrInternal as _;
use super::removal::{Left, Loss};
use super::service::Api;
use crate::plane::Person;

/// What somebody must be allowed to make a new administrator.
const ADMINISTRATION: [Operation; 3] =
    [Operation::CreatePrincipal, Operation::PutPrincipalPolicy, Operation::CreateAccessKey];

/// A role that may administer.
struct PowerfulRole {
    name: UserName,
    trust: NamedPolicy,
}

impl Api {
    /// Commits a change of rights, if it keeps the last way in. Then ends or counts the sessions of
    /// those who lost some.
    ///
    /// # Errors
    /// `ValidationException` when it does not; then nothing was changed.
    pub(super) async fn commit_rights(
        &self,
        call: &Call,
        mut change: Change,
        loss: Loss,
    ) -> Result<RightsRemoved, ApiError> {
        if !self.is_way_in(call, &mut change).await? {
            self.refuse_if_needed(call, &mut change).await?;
        }
        let sessions = change.live_sessions(&loss.ids).await.or_internal("cannot read sessions")?;
        change.commit().await.or_internal("cannot store a change")?;
        self.policies.changed();
        self.policies.forgotten_elsewhere().await;
        let left = Left { sessions, ids: loss.ids, arns: loss.arns, ..Left::default() };
        self.end_or_count(call, &left, loss.end).await
    }

    /// Whether the caller is a way in, without a role: most changes are made by an administrator,
    /// who stays one.
    async fn is_way_in(&self, call: &Call, view: &mut Change) -> Result<bool, ApiError> {
        let me = &*call.caller.person.name;
        let users = view.users_with_a_key().await.or_internal("cannot read users")?;
        let active = users.iter().any(|user| user == me);
        Ok(active && self.administers(call, view, me, &[]).await?)
    }

    /// Refuses a change after which the caller is no way in as before, or nobody is.
    async fn refuse_if_needed(&self, call: &Call, change: &mut Change) -> Result<(), ApiError> {
        let me = &*call.caller.person.name;
        let roles = self.powerful_roles(call, change).await?;
        let left = self.way_in(call, change, &roles, me).await?;
        if left.as_deref() == Some(me) {
            return Ok(());
        }
        let mut before = self.store().as_it_is().await.or_internal("cannot read users")?;
        let roles = self.powerful_roles(call, &mut before).await?;
        let were = self.way_in(call, &mut before, &roles, me).await?;
        if were.is_none() || (left.is_some() && were.as_deref() != Some(me)) {
            return Ok(());
        }
        Err(ApiError::validation(if left.is_none() {
            "this removes the last administrator: after it, no user with an active access key may \
             create users, access keys and policies; make another administrator first"
        } else {
            "this takes your own administration away: let another administrator do it"
        }))
    }

    /// One way in, if there is any: this user before all others.
    async fn way_in(
        &self,
        call: &Call,
        view: &mut Change,
        roles: &[PowerfulRole],
        me: &str,
    ) -> Result<Option<String>, ApiError> {
        let mut users = view.users_with_a_key().await.or_internal("cannot read users")?;
        users.sort_by_key(|user| user != me);
        for user in users {
            if self.administers(call, view, &user, roles).await? {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// Whether a user may administer by herself, or in one of these roles.
    async fn administers(
        &self,
        call: &Call,
        view: &mut Change,
        user: &str,
        roles: &[PowerfulRole],
    ) -> Result<bool, ApiError> {
        let Ok(name) = user.parse::<UserName>() else { return Ok(false) };
        let Some(set) = self.set_in(view, user).await? else { return Ok(false) };
        let mut caller = hypothetical(&name, user, self.realm().user_arn(&name));
        let tags = view.tags(user).await.or_internal("cannot read tags")?;
        caller.tags = tags.into_iter().collect();
        if self.may_administer(call, &caller, &set) {
            return Ok(true);
        }
        Ok(roles.iter().any(|role| {
            let about = Question::about(self.realm().role_arn(&role.name));
            let request = asked_by(&caller, call, self, "sts:AssumeRole", &about);
            let (trusted, account_only) = evaluate_trust(&role.trust, &request);
            let own = evaluate(&set, &request);
            let limited = account_only || set.boundary.is_some();
            trusted.is_allowed()
                && own.effect != Outcome::ExplicitlyDenied
                && (!limited || own.is_allowed())
        }))
    }

    async fn powerful_roles(
        &self,
        call: &Call,
        view: &mut Change,
    ) -> Result<Vec<PowerfulRole>, ApiError> {
        let mut found = Vec::new();
        for Trust { role, text } in view.trusts().await.or_internal("cannot read roles")? {
            let Some(Ok(name)) = role.strip_prefix("role/").map(str::parse::<UserName>) else {
                continue;
            };
            let (Some(set), Ok(trust)) = (self.set_in(view, &role).await?, Policy::parse(&text))
            else {
                continue;
            };
            let mut caller =
                hypothetical(&name, &role, self.realm().role_session_arn(&name, &name));
            let tags = view.tags(&role).await.or_internal("cannot read tags")?;
            caller.tags = tags.into_iter().collect();
            if self.may_administer(call, &caller, &set) {
                let trust = NamedPolicy::new("trust policy", Arc::new(trust));
                found.push(PowerfulRole { name, trust });
            }
        }
        Ok(found)
    }

    fn may_administer(&self, call: &Call, caller: &Caller, set: &PolicySet) -> bool {
        let anybody = Question::about(format!("arn:aws:iam::{}:user/*", self.realm().account));
        ADMINISTRATION.iter().all(|operation| {
            let request = asked_by(caller, call, self, operation.iam_action(), &anybody);
            evaluate(set, &request).is_allowed()
        })
    }

    /// The policies of a principal; nothing when they cannot be read, which allow nothing.
    async fn set_in(
        &self,
        view: &mut Change,
        principal: &str,
    ) -> Result<Option<PolicySet>, ApiError> {
        let texts = view.policy_texts(principal).await.or_internal("cannot read policies")?;
        Ok(parsed_set(&texts).ok())
    }
}

/// Somebody who might call, with a long-lived key or in a role.
fn hypothetical(name: &UserName, principal: &str, arn: String) -> Caller {
    Caller {
        person: Person { id: String::new(), name: name.to_string() },
        name: name.clone(),
        arn,
        user_id: name.to_string(),
        principal: principal.to_owned(),
        principal_id: String::new(),
        access_key: String::new(),
        proof: Proof::Signature,
        tags: std::collections::BTreeMap::new(),
        temporary: None,
    }
}
