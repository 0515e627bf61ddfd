//! GetCallerIdentity, GetSessionToken, AssumeRole.
//!
//! Data flow of AssumeRole: the form -> the role's trust policy, and the caller's own policies -> a
//! token ([`super::tokens`]).
//!
//! # Invariants
//! - The trust policy itself must allow. One that names the account alone leaves it to the caller's
//!   policies as well; an explicit deny anywhere wins; a boundary and a session policy of the
//!   caller limit always.
//! - A role that is not there and one that does not trust the caller give the same answer.
//! - Who holds temporary credentials of a user gets no further ones of the user; a role's chain
//!   lives an hour at the most.

use std::sync::Arc;
use std::time::Duration;

use towline_policy::{NamedPolicy, Outcome, Policy, Use, evaluate, evaluate_trust};
use towline_ssm::api::sts::{CallerIdentity, StsRequest};
use towline_ssm::api::sts_tokens::{
    AssumeRoleRequest, AssumedRole, GetSessionTokenRequest, ROLE_SECONDS, SESSION_TOKEN_SECONDS,
    TemporaryCredentials,
};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::UserName;
use towline_store::TagKind;

use super::authz::{Question, asked};
use super::call::Call;
use super::internal::{OrInternal as _, internal};
use super::service::Api;
use super::tags::request_tags;
use super::token::{Holder, Token};
use crate::limits;

/// Longest life of a role's credentials that were got with another role's, seconds, as at AWS.
const CHAINED_SECONDS: i64 = 3600;

pub(super) fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Refuses a life that is longer than the role's.
pub(super) fn within(duration: i64, most: i64) -> Result<(), ApiError> {
    if duration <= most {
        return Ok(());
    }
    Err(ApiError::validation(format!(
        "DurationSeconds exceeds the {most} seconds that are possible here"
    )))
}

/// Refuses a session policy that is none.
pub(super) fn check_session_policy(text: Option<&str>) -> Result<(), ApiError> {
    let malformed = |why: String| ApiError::new(ErrorCode::MalformedPolicyDocument, why);
    let Some(text) = text else { return Ok(()) };
    let policy = Policy::parse(text).map_err(|error| malformed(error.to_string()))?;
    policy.validate_for_storage(Use::Session, &[]).map_err(|error| malformed(error.to_string()))
}

impl Api {
    pub(super) fn caller_identity(&self, call: &Call) -> CallerIdentity {
        CallerIdentity {
            user_id: call.caller.user_id.clone(),
            account: self.realm().account.clone(),
            arn: call.caller.arn.clone(),
        }
    }

    pub(super) async fn session_token(
        &self,
        call: &Call,
        body: &[u8],
    ) -> Result<TemporaryCredentials, ApiError> {
        let request = GetSessionTokenRequest::read(&StsRequest::parse(body)?.fields)?;
        if call.caller.temporary.is_some() {
            let message = "Cannot call GetSessionToken with session credentials";
            return Err(ApiError::new(ErrorCode::AccessDeniedException, message));
        }
        let (serial, code) = (request.serial_number.as_deref(), request.token_code.as_deref());
        let second_factor = self.second_factor_of(call, serial, code).await?;
        let life = seconds(request.duration.unwrap_or(SESSION_TOKEN_SECONDS));
        let holder = Holder::User { name: call.caller.name.to_string() };
        let token = Token::new(holder, call.caller.root(), call.now, life);
        let credentials = self.mint(Token { second_factor, ..token })?;
        call.note("issuedAccessKeyId", &*credentials.access_key_id);
        Ok(credentials)
    }

    pub(super) async fn assume_role(
        &self,
        call: &Call,
        body: &[u8],
    ) -> Result<AssumedRole, ApiError> {
        let request = AssumeRoleRequest::read(&StsRequest::parse(body)?.fields)?;
        call.note("roleArn", &*request.role_arn);
        call.note("roleSessionName", &*request.role_session_name);
        let (serial, code) = (request.serial_number.as_deref(), request.token_code.as_deref());
        let proved = self.second_factor_of(call, serial, code).await?.is_some();
        let name: UserName = request
            .role_session_name
            .parse()
            .map_err(|error| internal("a checked name", &error))?;
        let role = self.trusting_role(call, &request, proved).await?;
        let duration = request.duration.unwrap_or(ROLE_SECONDS);
        let chained = call.caller.principal.starts_with("role/");
        let most = if chained { CHAINED_SECONDS.min(role.max_seconds) } else { role.max_seconds };
        within(duration, most)?;
        check_session_policy(request.policy.as_deref())?;
        let holder = Holder::Role {
            role: role.name.to_string(),
            unique_id: role.unique_id.clone(),
            session: name.to_string(),
        };
        let temporary = call.caller.temporary.as_ref();
        let mut token = Token::new(holder, call.caller.root(), call.now, seconds(duration));
        token.policy = request.policy;
        token.tags = request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        token.transitive = request.transitive_tag_keys;
        let inherited = temporary.map(|temporary| temporary.transitive.clone()).unwrap_or_default();
        for (key, value) in inherited {
            token.inherit(key, value)?;
        }
        let source = temporary.and_then(|temporary| temporary.source_identity.clone());
        token.source_identity.clone_from(&source.or(request.source_identity));
        let source_identity = token.source_identity.clone();
        let credentials = self.mint(token)?;
        call.note("issuedAccessKeyId", &*credentials.access_key_id);
        Ok(self.assumed(&role.name, &role.unique_id, &name, source_identity, credentials))
    }

    /// The answer about a session of a role.
    pub(super) fn assumed(
        &self,
        role: &UserName,
        unique_id: &str,
        session: &UserName,
        source_identity: Option<String>,
        credentials: TemporaryCredentials,
    ) -> AssumedRole {
        let packed = credentials.session_token.len() * 100 / limits::MAX_SESSION_TOKEN;
        AssumedRole {
            arn: self.realm().role_session_arn(role, session),
            id: format!("{unique_id}:{session}"),
            packed_size: u8::try_from(packed).unwrap_or(100),
            source_identity,
            credentials,
        }
    }

    /// The role of a request, if it trusts the caller.
    async fn trusting_role(
        &self,
        call: &Call,
        request: &AssumeRoleRequest,
        proved: bool,
    ) -> Result<TrustedRole, ApiError> {
        let denied = |action: &str| {
            let message = format!(
                "User: {} is not authorized to perform: {action} on resource: {}",
                call.caller.arn, request.role_arn
            );
            ApiError::new(ErrorCode::AccessDeniedException, message)
        };
        call.asked(&request.role_arn, false);
        let name =
            self.realm().role_of_arn(&request.role_arn).ok_or_else(|| denied("sts:AssumeRole"))?;
        let principal = format!("role/{name}");
        let role = self.store().roles().get(&principal).await.or_internal("cannot read a role")?;
        let role = role.ok_or_else(|| denied("sts:AssumeRole"))?;
        let trust = Policy::parse(&role.trust)
            .map_err(|error| internal("a stored trust policy does not parse", &error))?;
        let trust = NamedPolicy::new("trust policy", Arc::new(trust));
        let mut question = Question::about(request.role_arn.clone());
        question.tags = self
            .store()
            .tags()
            .of(TagKind::Principal, &principal)
            .await
            .or_internal("cannot read tags")?;
        question.facts = facts(request);
        let mut actions = vec!["sts:AssumeRole"];
        if !request.tags.is_empty() {
            actions.push("sts:TagSession");
        }
        if request.source_identity.is_some() {
            actions.push("sts:SetSourceIdentity");
        }
        let own = self.policies_of(call).await?;
        for action in actions {
            let mut asked = asked(call, self, action, &question);
            if proved {
                // In place of what the caller's credentials say of an earlier proof.
                asked.context.replace("aws:MultiFactorAuthPresent", ["true"]);
                asked.context.replace("aws:MultiFactorAuthAge", ["0"]);
            }
            let (said, account_only) = evaluate_trust(&trust, &asked);
            let of_caller = evaluate(&own, &asked);
            let limited = account_only || own.session.is_some() || own.boundary.is_some();
            let good = said.is_allowed()
                && of_caller.effect != Outcome::ExplicitlyDenied
                && (!limited || of_caller.is_allowed());
            call.asked(&request.role_arn, good);
            if !good {
                call.note(
                    "denied",
                    if said.is_allowed() { of_caller.to_string() } else { said.to_string() },
                );
                return Err(denied(action));
            }
        }
        Ok(TrustedRole { name, unique_id: role.unique_id, max_seconds: role.max_seconds })
    }
}

/// A role that the caller may assume.
struct TrustedRole {
    name: UserName,
    unique_id: String,
    max_seconds: i64,
}

/// What a trust policy can ask about.
fn facts(request: &AssumeRoleRequest) -> Vec<(String, Vec<String>)> {
    let mut facts =
        vec![("sts:RoleSessionName".to_owned(), vec![request.role_session_name.clone()])];
    for (key, value) in
        [("sts:ExternalId", &request.external_id), ("sts:SourceIdentity", &request.source_identity)]
    {
        facts.extend(value.iter().map(|value| (key.to_owned(), vec![value.clone()])));
    }
    facts.extend(
        request
            .duration
            .map(|seconds| ("sts:DurationSeconds".to_owned(), vec![seconds.to_string()])),
    );
    facts.extend(request_tags(&request.tags));
    if !request.transitive_tag_keys.is_empty() {
        facts.push(("sts:TransitiveTagKeys".to_owned(), request.transitive_tag_keys.clone()));
    }
    facts
}
