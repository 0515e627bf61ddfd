//! Administration of principals: users with their access keys, groups, roles, and the policies of
//! all three.
//!
//! # Invariants
//! - A secret leaves once, in the answer that made it; it is stored sealed.
//! - A policy that does not parse, or names a condition key that nothing fills in, is not stored.
//! - Nobody removes herself, and the last way in is kept ([`super::way_in`]).
//! - What is changed is the principal that was authorised, by its id; with it, all that hangs on it
//!   goes in one transaction. Its name is given again once nothing names it
//!   ([`super::approver_names`]).

use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_policy::Use;
use towline_ssm::api::admin::{
    AccessKeyMetadata, AccessKeyStatus, CreateAccessKeyResult, CreatePrincipalRequest,
    CreatePrincipalResult, CreatedAccessKey, DeleteAccessKeyRequest, GetPrincipalPolicyResult,
    ListAccessKeysResult, ListPrincipalPoliciesResult, ListPrincipalsRequest, ListPrincipalsResult,
    PolicyRequest, Principal, PrincipalKind, PrincipalRequest, PutPrincipalPolicyRequest,
    ROLE_SECONDS, RightsRemoved, UpdateAccessKeyRequest,
};
use towline_ssm::api::tags::Tag;
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::ApiError;
use towline_ssm::ids::{AccessKeyId, SecretAccessKey, UserName, unique_id};
use towline_store::{Change, TagKind};

use super::authz::Question;
use super::call::Call;
use super::internal::OrInternal as _;
use super::named::{self, Named, missing, prefix};
use super::paging::page;
use super::removal::Loss;
use super::roles::checked_policy;
use super::service::Api;
use super::tags::request_tags;

/// Page size when none is asked for.
const PAGE: i64 = 100;

fn date(at: UnixMillis) -> EpochSeconds {
    EpochSeconds::from_millis(at.0)
}

/// The use that decides about a policy's size.
const fn inline_use(kind: PrincipalKind) -> Use {
    match kind {
        // as before there were other kinds; the store bounds the sum
        PrincipalKind::User => Use::Managed,
        PrincipalKind::Group => Use::GroupInline,
        PrincipalKind::Role => Use::RoleInline,
    }
}

impl Api {
    /// Authorises a request about a principal. Whether it is there is asked afterwards.
    async fn about_principal(
        &self,
        call: &Call,
        named: &Named,
        tags: &[Tag],
    ) -> Result<(), ApiError> {
        let stored = named.stored();
        call.note("principalName", &*stored);
        let mut question = Question::about(named.arn(self.realm()));
        question.tags = self
            .store()
            .tags()
            .of(TagKind::Principal, &stored)
            .await
            .or_internal("cannot read tags")?;
        question.facts.extend(request_tags(tags));
        self.authorize(call, &question).await
    }

    /// A principal that policy lets the caller ask about, and that is there.
    pub(super) async fn existing(
        &self,
        call: &Call,
        named: &Named,
    ) -> Result<towline_store::Principal, ApiError> {
        self.about_principal(call, named, &[]).await?;
        let found = self
            .store()
            .principals()
            .get(&named.stored())
            .await
            .or_internal("cannot read a principal")?;
        found.ok_or_else(|| named.missing())
    }

    /// The same for a user, by her name.
    pub(super) async fn existing_user_named(
        &self,
        call: &Call,
        name: &str,
    ) -> Result<towline_store::Principal, ApiError> {
        self.existing(call, &Named::new(PrincipalKind::User, name)?).await
    }

    /// The same for what only users have.
    async fn existing_user(
        &self,
        call: &Call,
        request: &PrincipalRequest,
    ) -> Result<towline_store::Principal, ApiError> {
        let named = Named::of(request.principal_type.as_ref(), &request.principal_name)?;
        if named.kind != PrincipalKind::User {
            return Err(ApiError::validation("only users have access keys"));
        }
        self.existing(call, &named).await
    }

    async fn shown_principal(
        &self,
        row: towline_store::Principal,
        kind: PrincipalKind,
    ) -> Result<Principal, ApiError> {
        let tags = self
            .store()
            .tags()
            .of(TagKind::Principal, &row.name)
            .await
            .or_internal("cannot read tags")?;
        let bare = row.name.strip_prefix(prefix(kind)).unwrap_or(&row.name);
        let name: UserName = bare
            .parse()
            .map_err(|error| super::internal::internal("a stored principal", &error))?;
        let roles = self.store().roles();
        let members = match kind {
            PrincipalKind::User => roles.groups_of(&row.name).await,
            PrincipalKind::Group => roles.members_of(&row.name).await,
            PrincipalKind::Role => Ok(Vec::new()),
        };
        let members = members.or_internal("cannot read a group")?;
        let role = roles.get(&row.name).await.or_internal("cannot read a role")?;
        let boundary = roles.boundary(&row.name).await.or_internal("cannot read a boundary")?;
        let named = Named { kind, name };
        Ok(Principal {
            arn: named.arn(self.realm()),
            principal_name: named.name.to_string(),
            principal_type: Some(kind.as_str().to_owned()).filter(|_| kind != PrincipalKind::User),
            created_date: date(row.created_at),
            members: members
                .into_iter()
                .map(|name| name.trim_start_matches("group/").to_owned())
                .collect(),
            max_session_duration: role.as_ref().map(|role| role.max_seconds),
            trust_policy_document: role.map(|role| role.trust),
            has_boundary: boundary.is_some(),
            tags: tags.into_iter().map(|(key, value)| Tag { key, value }).collect(),
        })
    }

    pub(super) async fn create_principal(
        &self,
        call: &Call,
        request: CreatePrincipalRequest,
    ) -> Result<CreatePrincipalResult, ApiError> {
        let named = Named::of(request.principal_type.as_ref(), &request.principal_name)?;
        self.about_principal(call, &named, &request.tags).await?;
        let tags: Vec<_> = request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        let name = named.stored();
        let mut change = self.store().change().await.or_internal("cannot begin a change")?;
        self.refuse_if_named(&mut change, &name, call.now).await?;
        let made = match &request.trust_policy_document {
            Some(trust) => {
                checked_policy(trust, Use::Trust)?;
                self.trusted_exist(&mut change, trust).await?;
                let role = towline_store::Role {
                    unique_id: AccessKeyId::role_id_from_random(
                        entropy::random().or_internal("no role id")?,
                    ),
                    trust: trust.clone(),
                    max_seconds: request.max_session_duration.unwrap_or(*ROLE_SECONDS.start()),
                };
                change.create_role(&name, &role, &tags, call.now).await
            }
            None => change.create(&name, &tags, call.now).await,
        };
        let row = named::made(made, &named.shown(), "cannot make a principal")?;
        // A trust policy of an older version may name the former bearer of this name.
        let nobody = entropy::random().or_internal("no id")?;
        self.untrust(&mut change, &row.name, &unique_id("AIDA", nobody)).await?;
        change.commit().await.or_internal("cannot make a principal")?;
        self.policies.changed();
        Ok(CreatePrincipalResult { principal: self.shown_principal(row, named.kind).await? })
    }

    pub(super) async fn list_principals(
        &self,
        call: &Call,
        request: ListPrincipalsRequest,
    ) -> Result<ListPrincipalsResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let after = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let size = request.max_results.unwrap_or(PAGE);
        let kind = PrincipalKind::of(request.principal_type.as_ref());
        let rows = self.store().principals().list(prefix(kind), &after, size + 1).await;
        let rows = rows.or_internal("cannot list principals")?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let (rows, next_token) =
            page(rows, size, &self.pages, call.operation, |row| row.name.clone());
        let mut principals = Vec::with_capacity(rows.len());
        for row in rows {
            principals.push(self.shown_principal(row, kind).await?);
        }
        Ok(ListPrincipalsResult { principals, next_token })
    }

    pub(super) async fn delete_principal(
        &self,
        call: &Call,
        request: PrincipalRequest,
    ) -> Result<RightsRemoved, ApiError> {
        let named = Named::of(request.principal_type.as_ref(), &request.principal_name)?;
        let row = self.existing(call, &named).await?;
        if [&call.caller.person.id, &call.caller.principal_id].contains(&&row.unique_id) {
            return Err(ApiError::validation(
                "nobody can remove herself: let another administrator do it",
            ));
        }
        let mut change = self.change_of(&row).await?;
        let loss = self.lost(&mut change, &row, request.end_sessions).await?;
        let removed = change.remove(&row, &call.caller.arn, call.now).await;
        let removed = removed.or_internal("cannot remove a principal")?;
        let trusted = self.untrust(&mut change, &row.name, &row.unique_id).await?;
        let sessions = self.commit_rights(call, change, loss).await?;
        call.note("requestsVoided", removed.requests.to_string());
        call.note("trustPoliciesChanged", trusted.to_string());
        Ok(sessions)
    }

    /// Begins a change of a principal that was read and authorised.
    pub(super) async fn change_of(
        &self,
        principal: &towline_store::Principal,
    ) -> Result<Change, ApiError> {
        self.store().change_of(principal).await.or_internal("cannot begin a change")
    }

    pub(super) async fn create_access_key(
        &self,
        call: &Call,
        request: PrincipalRequest,
    ) -> Result<CreateAccessKeyResult, ApiError> {
        let user = self.existing_user(call, &request).await?;
        let (id, secret) = new_access_key()?;
        let sealed = self
            .parts
            .vault
            .seal(id.as_str(), secret.expose().as_bytes())
            .or_internal("cannot seal a secret")?;
        let mut change = self.change_of(&user).await?;
        let added = change.add_key(&user.name, id.as_str(), &sealed, call.now).await;
        added.or_internal("cannot store an access key")?;
        change.commit().await.or_internal("cannot store an access key")?;
        call.note("accessKeyId", id.as_str());
        Ok(CreateAccessKeyResult {
            access_key: CreatedAccessKey {
                principal_name: user.name,
                access_key_id: id.to_string(),
                secret_access_key: secret.expose().to_owned(),
                created_date: date(call.now),
            },
        })
    }

    pub(super) async fn list_access_keys(
        &self,
        call: &Call,
        request: PrincipalRequest,
    ) -> Result<ListAccessKeysResult, ApiError> {
        let user = self.existing_user(call, &request).await?;
        let keys = self
            .store()
            .principals()
            .keys(&user.name)
            .await
            .or_internal("cannot list access keys")?;
        let shown = |key: towline_store::AccessKey| AccessKeyMetadata {
            principal_name: key.principal,
            access_key_id: key.id,
            status: if key.active { AccessKeyStatus::Active } else { AccessKeyStatus::Inactive },
            created_date: date(key.created_at),
            last_used_date: key.last_used.map(date),
        };
        Ok(ListAccessKeysResult { access_keys: keys.into_iter().map(shown).collect() })
    }

    pub(super) async fn update_access_key(
        &self,
        call: &Call,
        request: UpdateAccessKeyRequest,
    ) -> Result<RightsRemoved, ApiError> {
        let user =
            self.existing(call, &Named::new(PrincipalKind::User, &request.principal_name)?).await?;
        call.note("accessKeyId", &*request.access_key_id);
        let active = request.wanted() == AccessKeyStatus::Active;
        let mut change = self.change_of(&user).await?;
        let done =
            change.set_key_active(&user.name, &request.access_key_id, active, call.now).await;
        if !done.or_internal("cannot switch an access key")? {
            return Err(no_key(&request.access_key_id, &user.name));
        }
        if active {
            return self.commit_rights(call, change, Loss::default()).await;
        }
        let loss = self.lost(&mut change, &user, request.end_sessions).await?;
        self.commit_rights(call, change, loss).await
    }

    pub(super) async fn delete_access_key(
        &self,
        call: &Call,
        request: DeleteAccessKeyRequest,
    ) -> Result<RightsRemoved, ApiError> {
        let user =
            self.existing(call, &Named::new(PrincipalKind::User, &request.principal_name)?).await?;
        call.note("accessKeyId", &*request.access_key_id);
        let mut change = self.change_of(&user).await?;
        let done = change.delete_key(&user.name, &request.access_key_id).await;
        if !done.or_internal("cannot remove an access key")? {
            return Err(no_key(&request.access_key_id, &user.name));
        }
        let loss = self.lost(&mut change, &user, request.end_sessions).await?;
        self.commit_rights(call, change, loss).await
    }

    pub(super) async fn put_policy(
        &self,
        call: &Call,
        request: PutPrincipalPolicyRequest,
    ) -> Result<RightsRemoved, ApiError> {
        let named = Named::of(request.principal_type.as_ref(), &request.principal_name)?;
        let principal = self.existing(call, &named).await?;
        call.note("policyName", &*request.policy_name);
        let text = &request.policy_document;
        checked_policy(text, inline_use(named.kind))?;
        let mut change = self.change_of(&principal).await?;
        let put = change.put_policy(&principal.name, &request.policy_name, text, call.now).await;
        put.or_internal("cannot store a policy")?;
        let loss = self.perhaps_lost(&mut change, &principal, request.end_sessions).await?;
        self.commit_rights(call, change, loss).await
    }

    pub(super) async fn get_policy(
        &self,
        call: &Call,
        request: PolicyRequest,
    ) -> Result<GetPrincipalPolicyResult, ApiError> {
        let named = Named::of(request.principal_type.as_ref(), &request.principal_name)?;
        let name = self.existing(call, &named).await?.name;
        let policies =
            self.store().principals().policies(&name).await.or_internal("cannot read policies")?;
        let found = policies.into_iter().find(|(policy, _)| *policy == request.policy_name);
        let (policy_name, policy_document) =
            found.ok_or_else(|| no_policy(&request.policy_name, &named))?;
        let (principal_name, principal_type) = (request.principal_name, request.principal_type);
        Ok(GetPrincipalPolicyResult {
            principal_name,
            principal_type,
            policy_name,
            policy_document,
            end_sessions: None,
        })
    }

    pub(super) async fn list_policies(
        &self,
        call: &Call,
        request: PrincipalRequest,
    ) -> Result<ListPrincipalPoliciesResult, ApiError> {
        let named = Named::of(request.principal_type.as_ref(), &request.principal_name)?;
        let name = self.existing(call, &named).await?.name;
        let policies =
            self.store().principals().policies(&name).await.or_internal("cannot read policies")?;
        Ok(ListPrincipalPoliciesResult {
            policy_names: policies.into_iter().map(|(policy, _)| policy).collect(),
        })
    }

    pub(super) async fn delete_policy(
        &self,
        call: &Call,
        request: PolicyRequest,
    ) -> Result<RightsRemoved, ApiError> {
        let named = Named::of(request.principal_type.as_ref(), &request.principal_name)?;
        let principal = self.existing(call, &named).await?;
        call.note("policyName", &*request.policy_name);
        let mut change = self.change_of(&principal).await?;
        let done = change.delete_policy(&principal.name, &request.policy_name).await;
        if !done.or_internal("cannot remove a policy")? {
            return Err(no_policy(&request.policy_name, &named));
        }
        let loss = self.lost(&mut change, &principal, request.end_sessions).await?;
        self.commit_rights(call, change, loss).await
    }
}

fn no_key(id: &str, user: &str) -> ApiError {
    missing(&format!("access key of user {user} with the id"), id)
}

fn no_policy(name: &str, of: &Named) -> ApiError {
    missing(&format!("policy of {} with the name", of.shown()), name)
}

/// A fresh access key.
fn new_access_key() -> Result<(AccessKeyId, SecretAccessKey), ApiError> {
    let id = AccessKeyId::from_random(entropy::random().or_internal("no access key id")?);
    Ok((id, SecretAccessKey::from_random(entropy::random().or_internal("no secret")?)))
}
