//! The full account of a decision: for each statement what matched, and for each condition why it
//! failed.
//!
//! For people: `towline policy test`, and an operator who asks why. Slower than
//! [`crate::evaluate()`], and the decision in it is that function's, not a second opinion.
//!
//! # Invariants
//! - Every part of a statement is judged, also after one has failed.
//! - Size is bounded by the policies' and the request's limits; the text shows at most [`SHOWN`]
//!   values of a list.

use crate::condition::Condition;
use crate::document::Statement;
use crate::effect::Effect;
use crate::evaluate::{Asked, Decision, NamedPolicy, PolicySet, Scope, StatementRef, evaluate};
use crate::principal::Named;
use crate::request::{Context, Request};
use std::fmt;

/// Values of a list that the text shows.
pub const SHOWN: usize = 8;

/// A decision with everything that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision itself.
    pub decision: Decision,
    /// Every statement of every policy: identity, boundary, session, resource.
    pub statements: Vec<StatementReport>,
}

/// How one statement stands to the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementReport {
    /// Which one.
    pub statement: StatementRef,
    /// What it would do.
    pub effect: Effect,
    /// Whether it speaks of the caller; of everyone it is attached to, without a `Principal`.
    pub principal: bool,
    /// Whether its action element matches.
    pub action: bool,
    /// Whether its resource element matches.
    pub resource: bool,
    /// Its conditions in the order of the document.
    pub conditions: Vec<ConditionReport>,
}

impl StatementReport {
    /// Whether it applies: all of its parts match.
    #[must_use]
    pub fn applies(&self) -> bool {
        self.principal
            && self.action
            && self.resource
            && self.conditions.iter().all(|condition| condition.met)
    }
}

/// How one condition stands to the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionReport {
    /// The operator as the policy spells it.
    pub operator: String,
    /// The key as the policy spells it.
    pub key: String,
    /// The policy's values, at most [`SHOWN`].
    pub wanted: Vec<String>,
    /// The request's values, at most [`SHOWN`].
    pub given: Vec<String>,
    /// Variables in the wanted values for which the request has no single value.
    pub unresolved: Vec<String>,
    /// Whether it is met.
    pub met: bool,
}

/// Decides one request and says how each statement stands to it.
#[must_use]
pub fn explain(policies: &PolicySet, request: &Request) -> Explanation {
    let decision = evaluate(policies, request);
    let mut statements = Vec::new();
    if request.fault().is_none() {
        let asked = Asked::new(request);
        let mut report = |scope, policies: &[NamedPolicy]| {
            for named in policies {
                let all = named.policy.statements.iter().enumerate();
                statements.extend(
                    all.map(|(index, statement)| judge(&asked, scope, named, index, statement)),
                );
            }
        };
        report(Scope::Identity, &policies.identity);
        report(Scope::Boundary, policies.boundary.as_slice());
        report(Scope::Session, policies.session.as_deref().unwrap_or_default());
        report(Scope::Resource, &policies.resource);
    }
    Explanation { decision, statements }
}

fn judge(
    asked: &Asked<'_>,
    scope: Scope,
    named: &NamedPolicy,
    index: usize,
    statement: &Statement,
) -> StatementReport {
    let context = &asked.request.context;
    StatementReport {
        statement: StatementRef {
            scope,
            policy: named.name.clone(),
            index,
            sid: statement.sid.clone(),
        },
        effect: statement.effect,
        principal: asked.principal_matches(statement, scope) != Named::No,
        action: asked.action_matches(statement),
        resource: asked.resource_matches(statement),
        conditions: statement
            .conditions
            .iter()
            .map(|one| judge_condition(one, context, statement.effect))
            .collect(),
    }
}

fn judge_condition(condition: &Condition, context: &Context, effect: Effect) -> ConditionReport {
    let unresolved =
        condition.variables().into_iter().filter(|variable| variable.value(context).is_none());
    ConditionReport {
        operator: condition.operator_name().to_owned(),
        key: condition.key_name().to_owned(),
        wanted: condition.sources().take(SHOWN).map(str::to_owned).collect(),
        given: context.get(condition.key()).iter().take(SHOWN).cloned().collect(),
        unresolved: unresolved.take(SHOWN).map(|variable| variable.key.name().to_owned()).collect(),
        met: condition.is_met(context, effect),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.decision)?;
        self.statements.iter().try_for_each(|statement| write!(f, "{statement}"))
    }
}

impl fmt::Display for StatementReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.effect {
            Effect::Allow => "allows",
            Effect::Deny => "denies",
        };
        if self.applies() {
            return writeln!(f, "- {} {verb} it", self.statement);
        }
        writeln!(f, "- {} does not apply", self.statement)?;
        let parts =
            [(self.principal, "principal"), (self.action, "action"), (self.resource, "resource")];
        for (_, part) in parts.iter().filter(|(matches, _)| !matches) {
            writeln!(f, "    the {part} does not match")?;
        }
        self.conditions
            .iter()
            .filter(|condition| !condition.met)
            .try_for_each(|condition| write!(f, "{condition}"))
    }
}

impl fmt::Display for ConditionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operator, key, wanted, given, .. } = self;
        let verdict = if self.met { "is met" } else { "fails" };
        write!(f, "    {operator} of {key} with {wanted:?} {verdict}: ")?;
        match given.as_slice() {
            [] => f.write_str("the request has no such key")?,
            given => write!(f, "the request has {given:?}")?,
        }
        if !self.unresolved.is_empty() {
            write!(f, "; without a single value here: {:?}", self.unresolved)?;
        }
        writeln!(f)
    }
}
