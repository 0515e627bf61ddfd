//! Roles, members of groups, and permission boundaries.
//!
//! # Invariants
//! - A trust policy, and a boundary, that does not parse or breaks a rule of its use is not stored.
//!
//! # Not here
//! - Making, listing and removing principals of any kind, and their policies:
//!   [`super::principals`].

use towline_policy::{Policy, Use};
use towline_ssm::api::Empty;
use towline_ssm::api::admin::{
    BoundaryRequest, GetBoundaryResult, GroupMemberRequest, PrincipalKind, PutBoundaryRequest,
    RightsRemoved, UpdateRoleRequest,
};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::StoreError;

use super::call::Call;
use super::internal::OrInternal as _;
use super::named::{Named, missing};
use super::removal::Loss;
use super::service::Api;

/// Reads a policy text for a use.
pub(super) fn checked_policy(text: &str, purpose: Use) -> Result<Policy, ApiError> {
    let malformed = |why: String| ApiError::new(ErrorCode::MalformedPolicyDocument, why);
    let policy = Policy::parse(text).map_err(|error| malformed(error.to_string()))?;
    policy.validate_for_storage(purpose, &[]).map_err(|error| malformed(error.to_string()))?;
    Ok(policy)
}

impl Api {
    pub(super) async fn update_role(
        &self,
        call: &Call,
        request: UpdateRoleRequest,
    ) -> Result<RightsRemoved, ApiError> {
        let named = Named::new(PrincipalKind::Role, &request.principal_name)?;
        let role = self.existing(call, &named).await?;
        let trust = request.trust_policy_document.as_deref();
        if let Some(trust) = trust {
            checked_policy(trust, Use::Trust)?;
        }
        let mut change = self.change_of(&role).await?;
        if let Some(trust) = trust {
            self.trusted_exist(&mut change, trust).await?;
        }
        let done = change.update_role(&role.name, trust, request.max_session_duration).await;
        if !done.or_internal("cannot change a role")? {
            return Err(named.missing());
        }
        let loss = self.perhaps_lost(&mut change, &role, request.end_sessions).await?;
        self.commit_rights(call, change, loss).await
    }

    pub(super) async fn add_group_member(
        &self,
        call: &Call,
        request: GroupMemberRequest,
    ) -> Result<Empty, ApiError> {
        let group =
            self.existing(call, &Named::new(PrincipalKind::Group, &request.group_name)?).await?;
        call.note("memberName", &*request.principal_name);
        let mut change = self.change_of(&group).await?;
        let joined = change.join(&group.name, &request.principal_name).await;
        if matches!(joined, Err(StoreError::Missing(_))) {
            return Err(missing("user", &request.principal_name)); // the group was looked up above
        }
        joined.or_internal("cannot change a group")?;
        self.commit_rights(call, change, Loss::default()).await?;
        Ok(Empty {})
    }

    pub(super) async fn remove_group_member(
        &self,
        call: &Call,
        request: GroupMemberRequest,
    ) -> Result<RightsRemoved, ApiError> {
        let group =
            self.existing(call, &Named::new(PrincipalKind::Group, &request.group_name)?).await?;
        call.note("memberName", &*request.principal_name);
        let mut change = self.change_of(&group).await?;
        let done = change.leave(&group.name, &request.principal_name).await;
        if !done.or_internal("cannot change a group")? {
            let kind = format!("member of group {}:", request.group_name);
            return Err(missing(&kind, &request.principal_name));
        }
        let end = request.end_sessions.unwrap_or(self.parts.removal_ends_sessions);
        let member = self.store().principals().get(&request.principal_name).await;
        let member = member.or_internal("cannot read a principal")?;
        let ids = member.into_iter().map(|member| member.unique_id).collect();
        self.commit_rights(call, change, Loss { ids, arns: Vec::new(), end }).await
    }

    pub(super) async fn put_boundary(
        &self,
        call: &Call,
        request: PutBoundaryRequest,
    ) -> Result<RightsRemoved, ApiError> {
        let named = Named::of(request.principal_type.as_ref(), &request.principal_name)?;
        let principal = self.existing(call, &named).await?;
        checked_policy(&request.policy_document, Use::Managed)?;
        let mut change = self.change_of(&principal).await?;
        let set = change.set_boundary(&principal.name, &request.policy_document).await;
        set.or_internal("cannot set a boundary")?;
        let loss = self.lost(&mut change, &principal, request.end_sessions).await?;
        self.commit_rights(call, change, loss).await
    }

    pub(super) async fn get_boundary(
        &self,
        call: &Call,
        request: BoundaryRequest,
    ) -> Result<GetBoundaryResult, ApiError> {
        let named = Named::of(request.principal_type.as_ref(), &request.principal_name)?;
        let principal = self.existing(call, &named).await?;
        let document = self
            .store()
            .roles()
            .boundary(&principal.name)
            .await
            .or_internal("cannot read a boundary")?;
        Ok(GetBoundaryResult {
            principal_name: request.principal_name,
            principal_type: request.principal_type,
            policy_document: document.ok_or_else(|| missing("boundary of", &named.shown()))?,
            end_sessions: None,
        })
    }

    pub(super) async fn delete_boundary(
        &self,
        call: &Call,
        request: BoundaryRequest,
    ) -> Result<Empty, ApiError> {
        let named = Named::of(request.principal_type.as_ref(), &request.principal_name)?;
        let principal = self.existing(call, &named).await?;
        let mut change = self.change_of(&principal).await?;
        let done = change.remove_boundary(&principal.name).await;
        if !done.or_internal("cannot remove a boundary")? {
            return Err(missing("boundary of", &named.shown()));
        }
        self.commit_rights(call, change, Loss::default()).await?;
        Ok(Empty {})
    }
}
