//! The decision: may this request go on, and because of which statement.
//!
//! Order, by the IAM User Guide, "Policy evaluation logic" (within one account): an explicit deny
//! anywhere; a resource policy that names the caller; the permission boundary; the session policy;
//! the identity policies; and if nothing has allowed, no.
//!
//! # Invariants
//! - Deny by default: an oversized or contradictory request, an empty set of policies, a missing
//!   value end in a denial.
//! - No allocation per statement; only policy variables allocate, bounded by
//!   [`crate::limits::MAX_EXPANDED_BYTES`].
//!
//! # Not here
//! - Which policies a principal has, and telling the caller: the gateway. The full account of a
//!   decision: [`crate::explain()`].

use crate::document::{Element, Policy, Statement};
use crate::effect::Effect;
use crate::pattern::{Pattern, Unresolved};
use crate::principal::{Entry, Named};
use crate::request::{Caller, Fault, Request};
use std::fmt;
use std::sync::Arc;

/// A policy under the name by which people know it.
#[derive(Debug, Clone)]
pub struct NamedPolicy {
    /// Shown in decisions.
    pub name: Arc<str>,
    /// The document.
    pub policy: Arc<Policy>,
}

impl NamedPolicy {
    /// Puts name and document together.
    #[must_use]
    pub fn new(name: &str, policy: Arc<Policy>) -> Self {
        Self { name: name.into(), policy }
    }
}

/// All policies that concern one request.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    /// Of the user, her groups or her role: together they grant.
    pub identity: Vec<NamedPolicy>,
    /// The most that identity policies can grant; `None` limits nothing.
    pub boundary: Option<NamedPolicy>,
    /// Given when the session's credentials were made; `None` limits nothing, an empty list
    /// everything.
    pub session: Option<Vec<NamedPolicy>>,
    /// Of the resource.
    pub resource: Vec<NamedPolicy>,
}

/// The answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something allows it and nothing denies it.
    Allowed,
    /// A `Deny` statement matches.
    ExplicitlyDenied,
    /// Nothing that would have to allow it does.
    ImplicitlyDenied,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "Allowed",
            Self::ExplicitlyDenied => "ExplicitlyDenied",
            Self::ImplicitlyDenied => "ImplicitlyDenied",
        })
    }
}

/// In which capacity a policy was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Of the user, her groups or her role.
    Identity,
    /// The permission boundary.
    Boundary,
    /// The session policy.
    Session,
    /// The resource's policy, a role's trust policy among them.
    Resource,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity policy",
            Self::Boundary => "permission boundary",
            Self::Session => "session policy",
            Self::Resource => "resource policy",
        })
    }
}

/// One statement, as a person finds it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRef {
    /// The capacity of its policy.
    pub scope: Scope,
    /// The name of its policy.
    pub policy: Arc<str>,
    /// Its place in the document, from 0.
    pub index: usize,
    /// Its `Sid`.
    pub sid: Option<Arc<str>>,
}

impl fmt::Display for StatementRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}", self.index)?;
        if let Some(sid) = &self.sid {
            write!(f, " ({sid})")?;
        }
        write!(f, " of the {} {}", self.scope, self.policy)
    }
}

/// What the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// This statement allows or denies.
    Statement(StatementRef),
    /// No statement in this capacity allows.
    NothingAllows(Scope),
    /// The request cannot be judged; no policy was read.
    Fault(Fault),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Statement(statement) => write!(f, "{statement}"),
            Self::NothingAllows(scope) => write!(f, "no statement of any {scope} allows it"),
            Self::Fault(fault) => write!(f, "{fault}"),
        }
    }
}

/// The answer and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub effect: Outcome,
    /// The reason.
    pub why: Why,
}

impl Decision {
    /// Whether the request may go on.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.effect == Outcome::Allowed
    }

    fn allowed(by: StatementRef) -> Self {
        Self { effect: Outcome::Allowed, why: Why::Statement(by) }
    }

    fn denied(by: StatementRef) -> Self {
        Self { effect: Outcome::ExplicitlyDenied, why: Why::Statement(by) }
    }

    fn nothing_allows(scope: Scope) -> Self {
        Self { effect: Outcome::ImplicitlyDenied, why: Why::NothingAllows(scope) }
    }

    fn faulty(fault: Fault) -> Self {
        Self { effect: Outcome::ImplicitlyDenied, why: Why::Fault(fault) }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.effect, self.why)
    }
}

/// Decides one request.
#[must_use]
pub fn evaluate(policies: &PolicySet, request: &Request) -> Decision {
    if let Some(fault) = request.fault() {
        return Decision::faulty(fault);
    }
    let asked = Asked::new(request);
    let identity = asked.ask(&policies.identity, Scope::Identity);
    let boundary =
        policies.boundary.as_ref().map(|one| asked.ask(std::slice::from_ref(one), Scope::Boundary));
    let session = policies.session.as_ref().map(|all| asked.ask(all, Scope::Session));
    let resource = asked.ask(&policies.resource, Scope::Resource);
    let limits = [boundary, session];
    let denies =
        std::iter::once(&identity).chain(limits.iter().flatten()).chain(std::iter::once(&resource));
    if let Some(deny) = denies.filter_map(|found| found.deny.as_ref()).next() {
        return Decision::denied(deny.clone());
    }
    if let Some((Named::Direct, by)) = resource.allow {
        return Decision::allowed(by);
    }
    for (limit, scope) in limits.iter().zip([Scope::Boundary, Scope::Session]) {
        if limit.as_ref().is_some_and(|found| found.allow.is_none()) {
            return Decision::nothing_allows(scope);
        }
    }
    match (identity.allow, resource.allow) {
        (Some((_, by)), _) | (None, Some((Named::Role, by))) => Decision::allowed(by),
        _ => Decision::nothing_allows(Scope::Identity),
    }
}

/// Decides whether a role's trust policy lets the caller assume it: the policy itself must allow.
///
/// `true` beside the decision says that it names the caller's account only, so that the caller's
/// identity policies have to allow `sts:AssumeRole` on the role as well (ask [`evaluate`]).
#[must_use]
pub fn evaluate_trust(trust: &NamedPolicy, request: &Request) -> (Decision, bool) {
    if let Some(fault) = request.fault() {
        return (Decision::faulty(fault), false);
    }
    let found = Asked::new(request).ask(std::slice::from_ref(trust), Scope::Resource);
    match (found.deny, found.allow) {
        (Some(deny), _) => (Decision::denied(deny), false),
        (None, Some((named, by))) => (Decision::allowed(by), named == Named::Account),
        (None, None) => (Decision::nothing_allows(Scope::Resource), false),
    }
}

/// What the policies of one capacity say.
struct Found {
    deny: Option<StatementRef>,
    allow: Option<(Named, StatementRef)>,
}

/// A request with what all statements need of it, computed once.
pub(crate) struct Asked<'r> {
    pub(crate) request: &'r Request,
    action: String,
    caller: Caller<'r>,
}

impl<'r> Asked<'r> {
    pub(crate) fn new(request: &'r Request) -> Self {
        let caller = Caller::read(&request.principal);
        Self { request, action: request.action.to_ascii_lowercase(), caller }
    }

    /// The first deny, and the strongest allow, of some policies.
    fn ask(&self, policies: &[NamedPolicy], scope: Scope) -> Found {
        let mut found = Found { deny: None, allow: None };
        for named in policies {
            for (index, statement) in named.policy.statements.iter().enumerate() {
                let enough = found.allow.as_ref().is_some_and(|(named, _)| *named == Named::Direct);
                if statement.effect == Effect::Allow && enough {
                    continue;
                }
                let Some(level) = self.matches(statement, scope) else { continue };
                let reference = || StatementRef {
                    scope,
                    policy: named.name.clone(),
                    index,
                    sid: statement.sid.clone(),
                };
                if statement.effect == Effect::Deny {
                    found.deny = Some(reference());
                    return found;
                }
                if found.allow.as_ref().is_none_or(|(before, _)| *before < level) {
                    found.allow = Some((level, reference()));
                }
            }
        }
        found
    }

    /// Whether the statement speaks of this request, and how directly of its caller.
    fn matches(&self, statement: &Statement, scope: Scope) -> Option<Named> {
        if !self.action_matches(statement) || !self.resource_matches(statement) {
            return None;
        }
        let level = self.principal_matches(statement, scope);
        let context = &self.request.context;
        let met = level != Named::No
            && statement
                .conditions
                .iter()
                .all(|condition| condition.is_met(context, statement.effect));
        met.then_some(level)
    }

    pub(crate) fn action_matches(&self, statement: &Statement) -> bool {
        let Element { negated, entries } = &statement.actions;
        entries.iter().any(|pattern| pattern.covers(&self.action, &self.request.context))
            != *negated
    }

    /// An identity policy applies to the identity it is attached to. A resource policy without a
    /// principal applies to nobody.
    pub(crate) fn principal_matches(&self, statement: &Statement, scope: Scope) -> Named {
        match (&statement.principals, scope) {
            (None, Scope::Resource) => Named::No,
            (None, _) => Named::Direct,
            (Some(Element { negated: false, entries }), _) => {
                let grants = statement.effect == Effect::Allow;
                let names = |entry: &Entry| match grants {
                    true => entry.grants(&self.caller),
                    false => entry.names(&self.caller),
                };
                entries.iter().map(names).max().unwrap_or(Named::No)
            }
            (Some(Element { negated: true, entries }), _) => {
                if entries.iter().any(|entry| entry.spares(&self.caller)) {
                    Named::No
                } else {
                    Named::Direct
                }
            }
        }
    }

    /// A statement without resources is a trust policy's: it speaks of the role it belongs to.
    pub(crate) fn resource_matches(&self, statement: &Statement) -> bool {
        let Some(Element { negated, entries }) = &statement.resources else { return true };
        let mut unresolved = false;
        let found = entries.iter().any(|pattern| {
            self.names_resource(pattern).unwrap_or_else(|_| {
                unresolved = true;
                false
            })
        });
        match (found, negated) {
            (true, false) => true,
            // The name may hold a value that nobody knows, such as a tag of a removed device.
            (false, false) => {
                unresolved && statement.effect == Effect::Deny && self.request.context.has_unknown()
            }
            (true, true) => false,
            // "Everything but" an unknown name: see the rule of crate::condition.
            (false, true) => !unresolved || statement.effect == Effect::Deny,
        }
    }

    fn names_resource<'p>(&self, pattern: &'p Pattern) -> Result<bool, Unresolved<'p>> {
        let context = &self.request.context;
        pattern.is_resolved(context)?;
        Ok(self.request.resources.iter().any(|name| pattern.covers(name, context)))
    }
}
