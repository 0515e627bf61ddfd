//! Administration of principals: users, their access keys and policies.
//!
//! # Invariants
//! - A secret leaves once, in the answer that made it; it is stored sealed.
//! - A policy that does not parse, or names a condition key that nothing fills in, is not stored.
//! - Nobody removes herself: the last administrator cannot lock everyone out by one slip.

use towline_policy::{Policy, Use};
use towline_ssm::api::Empty;
use towline_ssm::api::admin::{
    AccessKeyMetadata, AccessKeyStatus, CreateAccessKeyResult, CreatePrincipalRequest, CreatePrincipalResult,
    CreatedAccessKey, DeleteAccessKeyRequest, GetPrincipalPolicyResult, ListAccessKeysResult,
    ListPrincipalPoliciesResult, ListPrincipalsRequest, ListPrincipalsResult, PolicyRequest, Principal,
    PrincipalRequest, PutPrincipalPolicyRequest, UpdateAccessKeyRequest,
};
use towline_ssm::api::tags::Tag;
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::{AccessKeyId, SecretAccessKey, UserName};

use super::authz::Question;
use super::call::Call;
use super::paging::page;
use super::tags::request_tags;
use super::{Api, OrInternal as _};
use crate::clock::UnixMillis;
use crate::entropy;
use crate::store::{self, TagKind};

/// Page size when none is asked for.
const PAGE: i64 = 100;

fn missing(what: &str) -> ApiError {
    ApiError::new(ErrorCode::ResourceNotFoundException, format!("there is no such {what}"))
}

fn date(at: UnixMillis) -> EpochSeconds {
    EpochSeconds::from_millis(at.0)
}

impl Api {
    /// Authorises a request about a user. Whether the user is there is asked afterwards.
    async fn about_user(&self, call: &Call, name: &str, tags: &[Tag]) -> Result<UserName, ApiError> {
        call.note("principalName", name);
        let name: UserName = name.parse().map_err(|_| missing("principal"))?;
        let mut question = Question::about(self.realm().user_arn(&name));
        question.tags =
            self.store().tags().of(TagKind::Principal, name.as_str()).await.or_internal("cannot read tags")?;
        question.facts.extend(request_tags(tags));
        self.authorize(call, &question).await?;
        Ok(name)
    }

    async fn existing_user(&self, call: &Call, name: &str) -> Result<(UserName, store::Principal), ApiError> {
        let name = self.about_user(call, name, &[]).await?;
        let user = self.store().principals().get(name.as_str()).await.or_internal("cannot read a principal")?;
        Ok((name, user.ok_or_else(|| missing("principal"))?))
    }

    async fn shown_user(&self, user: store::Principal) -> Result<Principal, ApiError> {
        let tags = self.store().tags().of(TagKind::Principal, &user.name).await.or_internal("cannot read tags")?;
        let name: UserName = user.name.parse().map_err(|error| super::internal("a stored principal", &error))?;
        Ok(Principal {
            arn: self.realm().user_arn(&name),
            principal_name: user.name,
            created_date: date(user.created_at),
            tags: tags.into_iter().map(|(key, value)| Tag { key, value }).collect(),
        })
    }

    pub(super) async fn create_principal(
        &self,
        call: &Call,
        request: CreatePrincipalRequest,
    ) -> Result<CreatePrincipalResult, ApiError> {
        let name = self.about_user(call, &request.principal_name, &request.tags).await?;
        let tags: Vec<_> = request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        self.store()
            .principals()
            .create(name.as_str(), &tags, call.now)
            .await
            .or_internal("cannot make a principal")?;
        self.policies.changed();
        let user = store::Principal { name: name.to_string(), created_at: call.now };
        Ok(CreatePrincipalResult { principal: self.shown_user(user).await? })
    }

    pub(super) async fn list_principals(
        &self,
        call: &Call,
        request: ListPrincipalsRequest,
    ) -> Result<ListPrincipalsResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let after = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let size = request.max_results.unwrap_or(PAGE);
        let rows = self.store().principals().list(&after, size + 1).await.or_internal("cannot list principals")?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let (rows, next_token) = page(rows, size, &self.pages, call.operation, |row| row.name.clone());
        let mut principals = Vec::with_capacity(rows.len());
        for row in rows {
            principals.push(self.shown_user(row).await?);
        }
        Ok(ListPrincipalsResult { principals, next_token })
    }

    pub(super) async fn delete_principal(&self, call: &Call, request: PrincipalRequest) -> Result<Empty, ApiError> {
        let (name, _) = self.existing_user(call, &request.principal_name).await?;
        if name == call.caller.name {
            return Err(ApiError::validation("nobody can remove herself: let another administrator do it"));
        }
        self.store().principals().delete(name.as_str()).await.or_internal("cannot remove a principal")?;
        self.policies.changed();
        Ok(Empty {})
    }

    pub(super) async fn create_access_key(
        &self,
        call: &Call,
        request: PrincipalRequest,
    ) -> Result<CreateAccessKeyResult, ApiError> {
        let (name, _) = self.existing_user(call, &request.principal_name).await?;
        let (id, secret) = new_access_key()?;
        let sealed =
            self.parts.vault.seal(id.as_str(), secret.expose().as_bytes()).or_internal("cannot seal a secret")?;
        let added = self.store().principals().add_key(name.as_str(), id.as_str(), &sealed, call.now).await;
        added.or_internal("cannot store an access key")?;
        call.note("accessKeyId", id.as_str());
        Ok(CreateAccessKeyResult {
            access_key: CreatedAccessKey {
                principal_name: name.to_string(),
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
        let (name, _) = self.existing_user(call, &request.principal_name).await?;
        let keys = self.store().principals().keys(name.as_str()).await.or_internal("cannot list access keys")?;
        let shown = |key: store::AccessKey| AccessKeyMetadata {
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
    ) -> Result<Empty, ApiError> {
        let (name, _) = self.existing_user(call, &request.principal_name).await?;
        call.note("accessKeyId", &*request.access_key_id);
        let active = request.wanted() == AccessKeyStatus::Active;
        let done = self.store().principals().set_key_active(name.as_str(), &request.access_key_id, active).await;
        if done.or_internal("cannot switch an access key")? { Ok(Empty {}) } else { Err(missing("access key")) }
    }

    pub(super) async fn delete_access_key(
        &self,
        call: &Call,
        request: DeleteAccessKeyRequest,
    ) -> Result<Empty, ApiError> {
        let (name, _) = self.existing_user(call, &request.principal_name).await?;
        call.note("accessKeyId", &*request.access_key_id);
        let done = self.store().principals().delete_key(name.as_str(), &request.access_key_id).await;
        if done.or_internal("cannot remove an access key")? { Ok(Empty {}) } else { Err(missing("access key")) }
    }

    pub(super) async fn put_policy(&self, call: &Call, request: PutPrincipalPolicyRequest) -> Result<Empty, ApiError> {
        let (name, _) = self.existing_user(call, &request.principal_name).await?;
        call.note("policyName", &*request.policy_name);
        let malformed = |why: String| ApiError::new(ErrorCode::MalformedPolicyDocument, why);
        let policy = Policy::parse(&request.policy_document).map_err(|error| malformed(error.to_string()))?;
        policy.validate_for_storage(Use::Managed, &[]).map_err(|error| malformed(error.to_string()))?;
        let principals = self.store().principals();
        let put = principals.put_policy(name.as_str(), &request.policy_name, &request.policy_document, call.now).await;
        put.or_internal("cannot store a policy")?;
        self.policies.changed();
        Ok(Empty {})
    }

    pub(super) async fn get_policy(
        &self,
        call: &Call,
        request: PolicyRequest,
    ) -> Result<GetPrincipalPolicyResult, ApiError> {
        let (name, _) = self.existing_user(call, &request.principal_name).await?;
        let policies = self.store().principals().policies(name.as_str()).await.or_internal("cannot read policies")?;
        let found = policies.into_iter().find(|(policy, _)| *policy == request.policy_name);
        let (policy_name, policy_document) = found.ok_or_else(|| missing("policy"))?;
        Ok(GetPrincipalPolicyResult { principal_name: name.to_string(), policy_name, policy_document })
    }

    pub(super) async fn list_policies(
        &self,
        call: &Call,
        request: PrincipalRequest,
    ) -> Result<ListPrincipalPoliciesResult, ApiError> {
        let (name, _) = self.existing_user(call, &request.principal_name).await?;
        let policies = self.store().principals().policies(name.as_str()).await.or_internal("cannot read policies")?;
        Ok(ListPrincipalPoliciesResult { policy_names: policies.into_iter().map(|(policy, _)| policy).collect() })
    }

    pub(super) async fn delete_policy(&self, call: &Call, request: PolicyRequest) -> Result<Empty, ApiError> {
        let (name, _) = self.existing_user(call, &request.principal_name).await?;
        call.note("policyName", &*request.policy_name);
        let done = self.store().principals().delete_policy(name.as_str(), &request.policy_name).await;
        let done = done.or_internal("cannot remove a policy")?;
        self.policies.changed();
        if done { Ok(Empty {}) } else { Err(missing("policy")) }
    }
}

/// A fresh access key.
fn new_access_key() -> Result<(AccessKeyId, SecretAccessKey), ApiError> {
    let id = AccessKeyId::from_random(entropy::random().or_internal("no access key id")?);
    Ok((id, SecretAccessKey::from_random(entropy::random().or_internal("no secret")?)))
}
