//! Questions about people and jobs of identity providers: which role trusts them, and which ways
//! lead from providers to a role.
//!
//! Data flow: `PROVIDER-ARN:SUBJECT` -> the facts that the gateway knows of it, and those that the
//! asker supposes -> the trust policy of a role, by the function that judges real tokens.
//!
//! # Invariants
//! - Nothing here changes anything, and no token is needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use towline_policy::{Context, NamedPolicy, Policy, Request, evaluate_trust};
use towline_ssm::api::explain::{ExplainAccessRequest, ExplainAccessResult};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{IdentityProvider, TagKind};

use super::call::Call;
use super::internal::{OrInternal as _, internal};
use super::service::Api;
use super::web_identity::settings_of;

/// The action that a trust policy allows to tokens.
const ASSUME: &str = "sts:AssumeRoleWithWebIdentity";

/// A subject of an identity provider.
pub(super) struct Subject {
    provider: IdentityProvider,
    provider_arn: String,
    subject: String,
}

impl Api {
    /// Reads `PROVIDER-ARN:SUBJECT`; nothing for another principal.
    pub(super) async fn asked_subject(&self, text: &str) -> Result<Option<Subject>, ApiError> {
        if !text.contains(":oidc-provider/") {
            return Ok(None);
        }
        let all = self.store().identity_providers().list().await;
        for provider in all.or_internal("cannot list identity providers")? {
            let provider_arn = self.realm().provider_arn(&provider.issuer);
            let subject = text.strip_prefix(&*provider_arn).and_then(|rest| rest.strip_prefix(':'));
            if let Some(subject) = subject.filter(|subject| !subject.is_empty()) {
                let subject = subject.to_owned();
                return Ok(Some(Subject { provider, provider_arn, subject }));
            }
        }
        let message = "no identity provider here has this ARN: write PROVIDER-ARN:SUBJECT, as \
                       `towline admin provider list` and `people` show them";
        Err(ApiError::new(ErrorCode::ResourceNotFoundException, message))
    }

    /// Whether a role would trust this subject.
    pub(super) async fn explain_trust(
        &self,
        call: &Call,
        asked: &Subject,
        request: &ExplainAccessRequest,
    ) -> Result<ExplainAccessResult, ApiError> {
        if request.action != ASSUME {
            return Err(ApiError::validation(format!(
                "a subject of an identity provider has a role and no policies: ask for {ASSUME} on \
                 the role, or name a session of it (arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION)"
            )));
        }
        let missing = || {
            let message = "there is no such role: give the ARN of a role as the resource";
            ApiError::new(ErrorCode::ResourceNotFoundException, message)
        };
        let name = self.realm().role_of_arn(&request.resource).ok_or_else(missing)?;
        let principal = format!("role/{name}");
        let role = self.store().roles().get(&principal).await.or_internal("cannot read a role")?;
        let role = role.ok_or_else(missing)?;
        let tags = self.store().tags().of(TagKind::Principal, &principal).await;
        let tags = tags.or_internal("cannot read tags")?;
        let trust = Policy::parse(&role.trust)
            .map_err(|error| internal("a stored trust policy does not parse", &error))?;
        let trust = NamedPolicy::new("trust policy", Arc::new(trust));
        let context = self.supposed(call, asked, &request.context, &tags)?;
        let question = Request::new(&asked.provider_arn, ASSUME, &request.resource, context);
        let (said, _) = evaluate_trust(&trust, &question);
        let blocked = self.is_blocked(asked).await?;
        let statements = vec![format!("trust policy of {name}: {}", role.trust)];
        let denied = |why: &str| ("ExplicitlyDenied".to_owned(), why.to_owned());
        let (decision, reason) = match (asked.provider.is_disabled, blocked) {
            (true, _) => denied("the identity provider is disabled here"),
            (false, true) => denied("the subject is blocked here"),
            (false, false) => (said.effect.to_string(), said.why.to_string()),
        };
        Ok(ExplainAccessResult { decision, reason, statements })
    }

    async fn is_blocked(&self, asked: &Subject) -> Result<bool, ApiError> {
        let store = self.store().identity_providers();
        let person = store.person_of(&asked.provider.unique_id, &asked.subject).await;
        let person = person.or_internal("cannot read a person of an identity provider")?;
        Ok(person.is_some_and(|person| person.is_blocked))
    }

    /// What a token of the subject would say. What the asker supposes comes first.
    fn supposed(
        &self,
        call: &Call,
        asked: &Subject,
        more: &BTreeMap<String, Vec<String>>,
        tags: &BTreeMap<String, String>,
    ) -> Result<Context, ApiError> {
        let issuer = asked.provider_arn.split_once("oidc-provider/").map_or("", |(_, name)| name);
        let audiences = settings_of(&asked.provider)?.accepted_audiences();
        let mut context = Context::new();
        for (key, values) in more {
            context.set(key, values.iter().map(String::as_str));
        }
        context.set_default(&format!("{issuer}:sub"), [asked.subject.as_str()]);
        context.set_default(&format!("{issuer}:aud"), audiences.first().map(String::as_str));
        context.set_default("aws:FederatedProvider", [asked.provider_arn.as_str()]);
        context.set_default("aws:CurrentTime", [call.now.whole_seconds().to_rfc3339()]);
        context.set_default("aws:SecureTransport", ["true"]);
        context.set_default("aws:RequestedRegion", [self.realm().region.as_str()]);
        for (key, value) in tags {
            context.set_default(&format!("aws:ResourceTag/{key}"), [value.as_str()]);
        }
        Ok(context)
    }

    /// The ways that lead people and jobs of providers to a role.
    pub(super) async fn ways_to_role(&self, role: &str) -> Result<Vec<String>, ApiError> {
        let all = self.store().identity_providers().list().await;
        let stored = self.store().roles().get(&format!("role/{role}")).await;
        let trust = stored.or_internal("cannot read a role")?.map(|role| role.trust);
        let mut ways = Vec::new();
        for provider in all.or_internal("cannot list identity providers")? {
            let settings = settings_of(&provider)?;
            let name = match provider.is_disabled {
                true => format!("{} (disabled)", provider.name),
                false => provider.name.clone(),
            };
            let groups = settings.group_roles.iter().filter(|entry| entry.role == role);
            ways.extend(groups.map(|entry| format!("{name}: group {}", entry.group)));
            if settings.default_role.as_deref() == Some(role) {
                ways.push(format!("{name}: everybody in no other group"));
            }
            let arn = self.realm().provider_arn(&provider.issuer);
            if trust.as_ref().is_some_and(|trust| trust.contains(&format!("\"{arn}\""))) {
                ways.push(format!("{name}: trust policy"));
            }
        }
        Ok(ways)
    }
}
