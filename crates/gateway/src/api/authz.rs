//! May this caller do that? Every operation asks here before it does anything.
//!
//! Data flow: what is asked about ([`Question`]) and the circumstances of the call ->
//! `towline_policy` -> yes, or the error that the client gets, and in both cases a note for the
//! audit line.
//!
//! # Invariants
//! - Deny by default: a user without policies, and a stored policy that does not parse, allow
//!   nothing.
//! - A refusal names action, resource and principal. Statements are named only to callers who may
//!   read their own policies: otherwise a refusal would tell what the rules are.
//! - The cache of parsed policies holds what the store holds: every change through the API empties
//!   it.

use std::collections::BTreeMap;
use std::sync::Arc;

use towline_policy::{
    Context, NamedPolicy, Outcome, Policy, PolicySet, Request, evaluate, explain,
};
use towline_ssm::error::{ApiError, ErrorCode, Remedy};
use towline_ssm::operation::Operation;
use towline_store::PolicyTexts;

use super::call::{Call, Caller, Temporary};
use super::internal::OrInternal as _;
use super::root::Root;
use super::service::Api;

/// What policy is asked about.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    /// The names of ONE resource; the first is shown to people.
    pub(super) names: Vec<String>,
    /// Tags of the resource.
    pub(super) tags: BTreeMap<String, String>,
    /// Further condition keys and their values.
    pub(super) facts: Vec<(String, Vec<String>)>,
    /// Beginnings of condition keys that may have had values, which are on record no more.
    pub(super) unknown: &'static [&'static str],
}

impl Question {
    /// About a resource of one name.
    pub(super) fn about(name: impl Into<String>) -> Self {
        Self { names: vec![name.into()], ..Self::default() }
    }

    /// About no resource in particular.
    pub(super) fn anything() -> Self {
        Self::about("*")
    }

    /// With a further condition key.
    pub(super) fn with(
        mut self,
        key: impl Into<String>,
        values: impl IntoIterator<Item = String>,
    ) -> Self {
        self.facts.push((key.into(), values.into_iter().collect()));
        self
    }

    fn shown(&self) -> &str {
        self.names.first().map_or("*", String::as_str)
    }
}

impl Api {
    /// Goes on only if the caller may do this operation on that resource.
    ///
    /// # Errors
    /// `AccessDeniedException` with action, resource and principal; `ValidationException` for a
    /// request that cannot be judged.
    pub(super) async fn authorize(&self, call: &Call, question: &Question) -> Result<(), ApiError> {
        let set = self.policies_of(call).await?;
        let request = asked(call, self, call.operation.iam_action(), question);
        if let Some(fault) = request.fault() {
            // A limit is no missing right: it is told as what it is.
            call.asked(question.shown(), false);
            call.note("denied", fault.to_string());
            return Err(ApiError::validation(fault.to_string()));
        }
        let decision = evaluate(&set, &request);
        call.asked(question.shown(), decision.is_allowed());
        if decision.is_allowed() {
            return Ok(());
        }
        call.note("denied", decision.to_string());
        Err(self.refusal(call, question, &set, &request, decision.effect))
    }

    /// The same without consequences: for questions that only choose between two ways to go on.
    pub(super) async fn would_allow(
        &self,
        call: &Call,
        question: &Question,
    ) -> Result<bool, ApiError> {
        self.would_allow_action(call, call.operation.iam_action(), question).await
    }

    /// The same for an action that is no operation.
    pub(super) async fn would_allow_action(
        &self,
        call: &Call,
        action: &str,
        question: &Question,
    ) -> Result<bool, ApiError> {
        let set = self.policies_of(call).await?;
        let request = asked(call, self, action, question);
        Ok(request.fault().is_none() && evaluate(&set, &request).is_allowed())
    }

    /// All policies that count for a call: those of its principal, and what its credentials add and
    /// take.
    pub(super) async fn policies_of(&self, call: &Call) -> Result<Arc<PolicySet>, ApiError> {
        let stored = self.stored_policies(&call.caller.principal).await?;
        let Some(temporary) = &call.caller.temporary else { return Ok(stored) };
        if temporary.policy.is_none() && temporary.access.is_none() {
            return Ok(stored);
        }
        let mut set = (*stored).clone();
        if let Some(policy) = &temporary.policy {
            set.session = Some(vec![parsed("session policy", policy)?]);
        }
        if let Some((request, policy)) = &temporary.access {
            set.identity.push(parsed(request, policy)?);
        }
        Ok(Arc::new(set))
    }

    /// The stored policies of a user with those of her groups, or of a role, and the boundary.
    pub(super) async fn stored_policies(
        &self,
        principal: &str,
    ) -> Result<Arc<PolicySet>, ApiError> {
        let (cached, as_of) = self.policies.get(principal);
        if let Some(set) = cached {
            return Ok(set);
        }
        let texts = self.store().principals().policy_texts(principal).await;
        let set = Arc::new(parsed_set(&texts.or_internal("cannot read policies")?)?);
        self.policies.put(principal, Arc::clone(&set), as_of);
        Ok(set)
    }

    /// The same with consequences: a caller without the right to an action that is no operation is
    /// refused.
    pub(super) async fn authorize_action(
        &self,
        call: &Call,
        action: &str,
        question: &Question,
    ) -> Result<(), ApiError> {
        let set = self.policies_of(call).await?;
        let request = asked(call, self, action, question);
        let decision = evaluate(&set, &request);
        if request.fault().is_none() && decision.is_allowed() {
            return Ok(());
        }
        call.asked(question.shown(), false);
        call.note("denied", decision.to_string());
        Err(self.refusal(call, question, &set, &request, decision.effect))
    }

    fn refusal(
        &self,
        call: &Call,
        question: &Question,
        set: &PolicySet,
        request: &Request,
        outcome: Outcome,
    ) -> ApiError {
        let (action, principal, resource) =
            (request.action.as_str(), &call.caller.arn, question.shown());
        let mut message = format!(
            "User: {principal} is not authorized to perform: {action} on resource: {resource} "
        );
        message.push_str(match outcome {
            Outcome::ExplicitlyDenied => "with an explicit deny in a policy",
            Outcome::ImplicitlyDenied | Outcome::Allowed => {
                "because its policies together do not allow it"
            }
        });
        let way = second_factor_way(call, set, request);
        if let Some(way) = way {
            message.push_str(&format!("; {SECOND_FACTOR_WANTED}: {way}"));
        }
        if self.may_read_own_policies(call, set) {
            message.push_str(&missing(set, request, outcome, action, resource));
        }
        let remedy = way.map(|_| Remedy::SecondFactor);
        ApiError { remedy, ..ApiError::new(ErrorCode::AccessDeniedException, message) }
    }

    fn may_read_own_policies(&self, call: &Call, set: &PolicySet) -> bool {
        let own = Question::about(call.caller.arn.clone());
        evaluate(set, &asked(call, self, Operation::GetPrincipalPolicy.iam_action(), &own))
            .is_allowed()
    }
}

/// The set of a principal's policies.
pub(super) fn parsed_set(texts: &PolicyTexts) -> Result<PolicySet, ApiError> {
    let identity = texts.identity.iter().map(|(name, text)| parsed(name, text));
    let boundary = texts.boundary.as_deref().map(|text| parsed("permission boundary", text));
    Ok(PolicySet {
        identity: identity.collect::<Result<_, _>>()?,
        boundary: boundary.transpose()?,
        ..PolicySet::default()
    })
}

/// A stored policy. One that cannot be read may have held a Deny: nothing is allowed until it is
/// mended.
fn parsed(name: &str, document: &str) -> Result<NamedPolicy, ApiError> {
    let wrong = |error| {
        super::internal::internal(
            "a stored policy does not parse; its principal is refused",
            &error,
        )
    };
    Ok(NamedPolicy::new(name, Arc::new(Policy::parse(document).map_err(wrong)?)))
}

/// In words: the statement that denied, the ones that nearly allowed, or the one that would be
/// needed.
fn missing(
    set: &PolicySet,
    request: &Request,
    outcome: Outcome,
    action: &str,
    resource: &str,
) -> String {
    let explanation = explain(set, request);
    if outcome == Outcome::ExplicitlyDenied {
        return format!("; {} denies it", explanation.decision.why);
    }
    let near =
        explanation.statements.iter().filter(|s| s.action && s.resource && !s.applies()).take(3);
    let reports: Vec<String> =
        near.map(|s| s.to_string().split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    if reports.is_empty() {
        return format!(
            "; missing is a statement with Effect Allow, Action {action} and Resource {resource}"
        );
    }
    format!("; nearest: {}", reports.join(" "))
}

/// What a refusal says that has [`Remedy::SecondFactor`].
const SECOND_FACTOR_WANTED: &str = "a second factor that was proved just now would allow it";

/// How the caller proves a second factor, if the request would be allowed with one that was proved
/// just now.
fn second_factor_way(call: &Call, set: &PolicySet, request: &Request) -> Option<&'static str> {
    let temporary = call.caller.temporary.as_ref();
    let way = match call.caller.root() {
        Root::Vouched(_) => "sign in again with `towline login --fresh`, or in the console",
        Root::Key(_) if temporary.is_none_or(|temporary| temporary.access.is_none()) => {
            "see `towline mfa session`, or sign in to the console"
        }
        Root::Key(_) => return None,
    };
    let mut fresh = request.clone();
    fresh.context.replace("aws:MultiFactorAuthPresent", ["true"]);
    fresh.context.replace("aws:MultiFactorAuthAge", ["0"]);
    evaluate(set, &fresh).is_allowed().then_some(way)
}

/// Whether a second factor was proved, how long ago, and who says so.
fn set_second_factor(context: &mut Context, temporary: &Temporary, call: &Call) {
    let federated = temporary.federated.as_ref();
    let own = temporary.second_factor_at.map(|at| at.div_euclid(1000));
    let proved = own.is_some() || federated.is_some_and(|federated| federated.second_factor);
    context.set("aws:MultiFactorAuthPresent", [proved.to_string()]);
    if let Some(since) = own {
        let age = call.now.0.div_euclid(1000).saturating_sub(since);
        context.set("aws:MultiFactorAuthAge", [age.to_string()]);
    }
    let Some(federated) = federated else { return };
    context.set("aws:FederatedProvider", [federated.provider_arn.as_str()]);
    // A provider that does not say when the person proved it leaves the age unknown.
    if let (true, Some(since)) = (proved, federated.auth_time) {
        let age = call.now.0.div_euclid(1000).saturating_sub(since).max(0);
        context.set("aws:MultiFactorAuthAge", [age.to_string()]);
    }
}

/// The request as the policy language sees it.
pub(super) fn asked(call: &Call, api: &Api, action: &str, question: &Question) -> Request {
    asked_by(&call.caller, call, api, action, question)
}

/// The request if this one made it, in the circumstances of the call.
pub(super) fn asked_by(
    caller: &Caller,
    call: &Call,
    api: &Api,
    action: &str,
    question: &Question,
) -> Request {
    let mut context = Context::new();
    let now = call.now.to_datetime();
    if let Some(temporary) = &caller.temporary {
        context.set("aws:TokenIssueTime", [temporary.issued_at.whole_seconds().to_rfc3339()]);
        set_second_factor(&mut context, temporary, call);
        context.set("aws:SourceIdentity", temporary.source_identity.iter().map(String::as_str));
    }
    context.set("towline:Client", [call.client()]);
    context.set("aws:SourceIp", [call.source.to_string()]);
    context.set("aws:CurrentTime", [call.now.whole_seconds().to_rfc3339()]);
    context.set("aws:EpochTime", [now.unix_timestamp().to_string()]);
    context.set("aws:SecureTransport", ["true"]); // every listener speaks TLS
    context.set("aws:RequestedRegion", [api.realm().region.as_str()]);
    context.set("aws:ResourceAccount", [api.realm().account.as_str()]);
    if !call.user_agent.is_empty() {
        context.set("aws:UserAgent", [call.user_agent.as_str()]);
    }
    context.set_tags("aws:PrincipalTag", caller.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    context.set_resource_tags(question.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    for (key, values) in &question.facts {
        context.set(key, values.iter().map(String::as_str));
    }
    question.unknown.iter().for_each(|beginning| context.set_unknown(beginning));
    // A question about somebody else's session has another name in place of the caller's.
    context.set_default("aws:userid", [caller.user_id.as_str()]);
    // A question about an access request names it; else it is the one that the credentials are of.
    let access = caller.temporary.as_ref().and_then(|temporary| temporary.access.as_ref());
    context.set_default("ssm:AccessRequestId", access.map(|(request, _)| request.as_str()));
    context.fill_from_principal(&caller.arn);
    Request {
        principal: caller.arn.clone(),
        action: action.to_owned(),
        resources: question.names.clone(),
        context,
    }
}
