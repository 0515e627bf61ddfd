//! Questions to the stored policies, for people.
//!
//! Data flow: a principal by ARN or name -> its policies from the store ->
//! `towline_policy::explain` -> text.
//!
//! # Invariants
//! - The decision is made by the same function and over the same policies as that of a request;
//!   only what comes with a request (address, time, session policy) is the asker's to say.
//! - Nothing here changes anything.

use std::collections::BTreeMap;

use towline_policy::{Context, PolicySet, Request, evaluate, explain};
use towline_ssm::api::explain::{
    DeviceAccess, ExplainAccessRequest, ExplainAccessResult, ListDeviceAccessRequest,
    ListDeviceAccessResult,
};
use towline_ssm::documents::built_in;
use towline_ssm::error::ApiError;
use towline_ssm::ids::DeviceId;
use towline_ssm::operation::{Operation, ResourceKind};
use towline_store::TagKind;

use super::authz::Question;
use super::call::Call;
use super::internal::OrInternal as _;
use super::named::{missing, no_device};
use super::service::Api;
use crate::limits::MAX_EXPLAINED_PRINCIPALS;

/// A principal that is asked about.
struct Asked {
    arn: String,
    user_id: String,
    tags: BTreeMap<String, String>,
    policies: std::sync::Arc<PolicySet>,
}

impl Api {
    /// A principal by its ARN, or a user by her name.
    async fn asked_principal(&self, text: &str) -> Result<Asked, ApiError> {
        let account = &self.realm().account;
        let of =
            |prefix: &str| text.strip_prefix(&format!("{prefix}{account}:")).map(str::to_owned);
        let (principal, user_id) = match (of("arn:aws:iam::"), of("arn:aws:sts::")) {
            (Some(resource), _) => match resource.split_once('/') {
                Some(("user", name)) => (name.to_owned(), name.to_owned()),
                Some(("role", name)) => (format!("role/{name}"), name.to_owned()),
                _ => return Err(unknown_principal(text)),
            },
            (None, Some(session)) => match session.split('/').collect::<Vec<_>>()[..] {
                ["assumed-role", role, session] => {
                    (format!("role/{role}"), format!("{role}:{session}"))
                }
                _ => return Err(unknown_principal(text)),
            },
            (None, None) if text.starts_with("arn:") => return Err(unknown_principal(text)),
            (None, None) => (text.to_owned(), text.to_owned()),
        };
        let found = self
            .store()
            .principals()
            .get(&principal)
            .await
            .or_internal("cannot read a principal")?;
        found.ok_or_else(|| unknown_principal(text))?;
        let arn = if text.starts_with("arn:") {
            text.to_owned()
        } else {
            format!("arn:aws:iam::{account}:user/{text}")
        };
        let tags = self
            .store()
            .tags()
            .of(TagKind::Principal, &principal)
            .await
            .or_internal("cannot read tags")?;
        Ok(Asked { arn, user_id, tags, policies: self.stored_policies(&principal).await? })
    }

    /// What is asked about, with the tags that are known of it.
    async fn asked_resource(&self, resource: &str) -> Result<Question, ApiError> {
        let bare = |kind: &str| resource.rsplit_once(&format!(":{kind}/")).map(|(_, id)| id);
        if let Some(id) = [Some(resource), bare("managed-instance"), bare("instance")]
            .into_iter()
            .flatten()
            .find(|id| id.parse::<DeviceId>().is_ok())
        {
            return self.about_device(id).await;
        }
        match bare("document") {
            Some(name) => self.about_document(name).await,
            None => Ok(Question::about(resource)),
        }
    }

    fn hypothetical(
        &self,
        call: &Call,
        asked: &Asked,
        action: &str,
        question: &Question,
    ) -> Request {
        // What the caller supposes comes first: the rest is as it would be.
        let mut context = Context::new();
        for (key, values) in &question.facts {
            context.set(key, values.iter().map(String::as_str));
        }
        context.set_default("aws:userid", [asked.user_id.as_str()]);
        context.set_default("aws:CurrentTime", [call.now.whole_seconds().to_rfc3339()]);
        let now = call.now.to_datetime().unix_timestamp();
        context.set_default("aws:EpochTime", [now.to_string()]);
        context.set_default("aws:SecureTransport", ["true"]);
        context.set_default("aws:RequestedRegion", [self.realm().region.as_str()]);
        context.set_default("aws:ResourceAccount", [self.realm().account.as_str()]);
        for (key, value) in &asked.tags {
            context.set_default(&format!("aws:PrincipalTag/{key}"), [value.as_str()]);
        }
        for (key, value) in &question.tags {
            context.set_default(&format!("aws:ResourceTag/{key}"), [value.as_str()]);
            context.set_default(&format!("ssm:resourceTag/{key}"), [value.as_str()]);
        }
        context.fill_from_principal(&asked.arn);
        Request {
            principal: asked.arn.clone(),
            action: action.to_owned(),
            resources: question.names.clone(),
            context,
        }
    }

    pub(super) async fn explain_access(
        &self,
        call: &Call,
        request: ExplainAccessRequest,
    ) -> Result<ExplainAccessResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        if let Some(subject) = self.asked_subject(&request.principal).await? {
            return self.explain_trust(call, &subject, &request).await;
        }
        let asked = self.asked_principal(&request.principal).await?;
        let mut question = self.asked_resource(&request.resource).await?;
        question.facts.extend(request.context);
        let explanation =
            explain(&asked.policies, &self.hypothetical(call, &asked, &request.action, &question));
        let near = explanation.statements.iter().filter(|statement| statement.action);
        Ok(ExplainAccessResult {
            decision: explanation.decision.effect.to_string(),
            reason: explanation.decision.why.to_string(),
            statements: near.map(ToString::to_string).collect(),
        })
    }

    pub(super) async fn list_device_access(
        &self,
        call: &Call,
        request: ListDeviceAccessRequest,
    ) -> Result<ListDeviceAccessResult, ApiError> {
        let question = self.about_device(&request.instance_id).await?;
        self.authorize(call, &question).await?;
        let device = self
            .store()
            .devices()
            .get(&request.instance_id)
            .await
            .or_internal("cannot read a device")?;
        device.ok_or_else(|| no_device(&request.instance_id))?;
        let mut documents = Vec::new();
        let own = self.store().documents().list().await.or_internal("cannot list documents")?;
        let names = built_in::names().into_iter().map(str::to_owned);
        for name in
            names.chain(own.into_iter().filter(|own| own.kind == "Session").map(|own| own.name))
        {
            let about = self.about_document(&name).await?;
            documents
                .push((name, about.with("ssm:SessionDocumentAccessCheck", ["true".to_owned()])));
        }
        let mut result = ListDeviceAccessResult::default();
        for (kind, arn) in [("", "user"), ("role/", "role")] {
            let rows = self
                .store()
                .principals()
                .list(kind, "", MAX_EXPLAINED_PRINCIPALS)
                .await
                .or_internal("cannot list principals")?;
            result.truncated |=
                i64::try_from(rows.len()).is_ok_and(|rows| rows == MAX_EXPLAINED_PRINCIPALS);
            for row in rows {
                let name = row.name.strip_prefix(kind).unwrap_or(&row.name);
                let asked = self
                    .asked_principal(&format!("arn:aws:iam::{}:{arn}/{name}", self.realm().account))
                    .await?;
                let mut access = self.access_of(call, &asked, &question, &documents);
                if kind == "role/" {
                    access.through = self.ways_to_role(name).await?;
                }
                if !(access.actions.is_empty() && access.conditional.is_empty()) {
                    result.access.push(access);
                }
            }
        }
        Ok(result)
    }

    fn access_of(
        &self,
        call: &Call,
        asked: &Asked,
        device: &Question,
        documents: &[(String, Question)],
    ) -> DeviceAccess {
        let mut access = DeviceAccess { principal: asked.arn.clone(), ..DeviceAccess::default() };
        let about_devices = |op: &&Operation| {
            matches!(op.resource_kind(), ResourceKind::Device | ResourceKind::DeviceAndDocument)
        };
        for operation in Operation::ALL.iter().filter(about_devices) {
            let action = operation.iam_action();
            let explanation =
                explain(&asked.policies, &self.hypothetical(call, asked, action, device));
            // An Allow that only its conditions keep from applying may apply to a real request.
            let conditional = explanation.statements.iter().any(|statement| {
                statement.effect == towline_policy::Effect::Allow
                    && statement.action
                    && statement.resource
                    && !statement.applies()
            });
            if explanation.decision.is_allowed() {
                access.actions.push(action.to_owned());
            } else if conditional {
                access.conditional.push(action.to_owned());
            }
        }
        let start = Operation::StartSession.iam_action();
        if access.actions.iter().chain(&access.conditional).any(|action| action == start) {
            let may = |about: &Question| {
                evaluate(&asked.policies, &self.hypothetical(call, asked, start, about))
                    .is_allowed()
            };
            access.documents = documents
                .iter()
                .filter(|(_, about)| may(about))
                .map(|(name, _)| name.clone())
                .collect();
        }
        access
    }
}

fn unknown_principal(text: &str) -> ApiError {
    missing("user or role (a user's name, or an ARN)", text)
}
