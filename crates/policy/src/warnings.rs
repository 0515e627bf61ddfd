//! What a valid document says that has no effect here, or another one than its reader expects.
//!
//! A document that was written for AWS speaks of services that do not exist here. It is stored as
//! it is; [`Policy::warnings`] names the parts that do nothing.
//!
//! # Invariants
//! - A warning changes nothing: no decision depends on one.
//! - At most [`MOST`] warnings for a document.
//!
//! # Not here
//! - What this gateway serves: the caller knows, see [`Vocabulary`].

use crate::condition::Condition;
use crate::document::{Element, Policy, Statement};
use crate::effect::Effect;
use crate::known_keys::is_known;
use crate::limits::MAX_WARNINGS as MOST;
use crate::pattern::{Pattern, Syntax};
use std::fmt;

/// What exists at the gateway that a document is for.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary<'a> {
    /// Every action, such as `ssm:StartSession`.
    pub actions: &'a [&'a str],
    /// The forms of all ARNs, with `*` for what differs, such as
    /// `arn:aws:ssm:*:*:managed-instance/mi-*`.
    pub resources: &'a [&'a str],
    /// Parameters of documents that have one value.
    pub single_parameters: &'a [&'a str],
    /// Fronts of names of resources that belong to no account, such as `document/AWS-`.
    pub without_account: &'a [&'a str],
    /// Parameters that a Deny of values does not reach in every form, and what else to deny.
    pub evasive_parameters: &'a [(&'a str, &'a str)],
    /// Condition keys beyond AWS's, as for [`Policy::validate_for_storage`].
    pub own_keys: &'a [&'a str],
}

/// A place in a document, and why it does not do what it seems to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The place, as a JSON path from `$`.
    pub path: String,
    /// The reason.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

impl Policy {
    /// The parts of the document that have no effect at this gateway, or a surprising one.
    #[must_use]
    pub fn warnings(&self, vocabulary: &Vocabulary<'_>) -> Vec<Warning> {
        let mut reader = Reader { vocabulary, resources: Vec::new(), found: Vec::new() };
        let syntax = Syntax { wildcards: true, variables: false };
        let forms = vocabulary.resources.iter();
        reader.resources = forms.filter_map(|form| Pattern::compile(form, syntax).ok()).collect();
        for (index, statement) in self.statements.iter().enumerate() {
            reader.statement(statement, &format!("$.Statement[{index}]"));
        }
        reader.found.truncate(MOST);
        reader.found
    }
}

struct Reader<'v> {
    vocabulary: &'v Vocabulary<'v>,
    resources: Vec<Pattern>,
    found: Vec<Warning>,
}

impl Reader<'_> {
    fn warn(&mut self, path: impl Into<String>, text: impl Into<String>) {
        if self.found.len() < MOST {
            self.found.push(Warning { path: path.into(), text: text.into() });
        }
    }

    fn statement(&mut self, statement: &Statement, path: &str) {
        let does_something = self.actions(statement, path);
        if !does_something && statement.effect == Effect::Allow {
            return;
        }
        self.resources(statement, path);
        for condition in &statement.conditions {
            let at = format!(
                "{path}.Condition.{}[{:?}]",
                condition.operator_name(),
                condition.key_name()
            );
            self.condition(condition, statement.effect, &at);
        }
    }

    /// Whether any action of the statement exists here.
    fn actions(&mut self, statement: &Statement, path: &str) -> bool {
        let Element { negated, entries } = &statement.actions;
        if *negated {
            return true;
        }
        let exists: Vec<bool> = entries.iter().map(|entry| self.has_action(entry)).collect();
        let some = exists.contains(&true);
        if !some && statement.effect == Effect::Allow {
            self.warn(
                format!("{path}.Action"),
                "no action of this gateway matches: the statement allows nothing here",
            );
            return false;
        }
        for (index, entry) in entries.iter().enumerate().filter(|(index, _)| !exists[*index]) {
            let what = format!("{:?} matches no action of this gateway", entry.source());
            let at = format!("{path}.Action[{index}]");
            match statement.effect {
                Effect::Deny => self.warn(at, format!("{what}: the Deny protects nothing by it")),
                // Next to actions that exist, an unknown one of their service is a typing mistake.
                Effect::Allow if self.is_own_service(entry.source()) => self.warn(at, what),
                Effect::Allow => {}
            }
        }
        some
    }

    fn has_action(&self, pattern: &Pattern) -> bool {
        let nothing = crate::request::Context::new();
        let mut actions = self.vocabulary.actions.iter();
        actions.any(|action| pattern.covers(&action.to_ascii_lowercase(), &nothing))
    }

    fn is_own_service(&self, action: &str) -> bool {
        let service = action.split(':').next();
        self.vocabulary.actions.iter().any(|own| own.split(':').next() == service)
    }

    fn resources(&mut self, statement: &Statement, path: &str) {
        let Some(Element { negated: false, entries }) = &statement.resources else { return };
        let exists: Vec<bool> = entries
            .iter()
            .map(|entry| self.resources.iter().any(|form| entry.can_meet(form)))
            .collect();
        if statement.effect == Effect::Allow {
            if !exists.contains(&true) {
                self.warn(
                    format!("{path}.Resource"),
                    "no resource of this gateway matches: the statement allows nothing here",
                );
            }
            return;
        }
        for (index, entry) in entries.iter().enumerate() {
            if let Some(front) = self.belongs_to_no_account(entry.source()) {
                let text = format!(
                    "{:?} matches nothing: a resource {front}* belongs to no account, leave the \
                     account empty",
                    entry.source()
                );
                self.warn(format!("{path}.Resource[{index}]"), text);
            }
        }
        for (index, entry) in entries.iter().enumerate().filter(|(index, _)| !exists[*index]) {
            let text = format!(
                "{:?} matches no resource of this gateway: the Deny protects nothing by it",
                entry.source()
            );
            self.warn(format!("{path}.Resource[{index}]"), text);
        }
    }

    /// The front of a name that an ARN gives an account although no such resource has one.
    fn belongs_to_no_account(&self, arn: &str) -> Option<&str> {
        let mut parts = arn.splitn(6, ':').skip(4);
        let (account, resource) = (parts.next()?, parts.next()?);
        let has_account = account.contains(|c: char| c.is_ascii_digit());
        let mut fronts = self.vocabulary.without_account.iter().copied();
        fronts.find(|front| has_account && resource.starts_with(front))
    }

    /// A Deny of values of a parameter that can be left out, or written in another form.
    fn evasive(&mut self, condition: &Condition, effect: Effect, at: &str) {
        let key = crate::fold(condition.key_name());
        let Some(name) = key.strip_prefix("towline:documentparameter/") else { return };
        let reaches_all = condition.sources().any(|value| value.starts_with(['*', '~']));
        if effect == Effect::Allow || condition.is_negated() || reaches_all {
            return;
        }
        let all = self.vocabulary.evasive_parameters.iter();
        if let Some((_, why)) = all.copied().find(|(known, _)| crate::fold(known) == name) {
            self.warn(at, why);
        }
    }

    fn condition(&mut self, condition: &Condition, effect: Effect, at: &str) {
        if !is_known(condition.key().name(), self.vocabulary.own_keys) {
            self.warn(at, "no request here has this condition key");
        }
        self.evasive(condition, effect, at);
        let Some(parameter) = condition.plain_parameter() else { return };
        let single = self.vocabulary.single_parameters.iter();
        if single.map(|name| crate::fold(name)).any(|name| name == parameter) {
            return;
        }
        match (effect, condition.is_negated()) {
            (Effect::Allow, false) => self.warn(
                at,
                "every value of the parameter must match, in any order and number; compare \
                 towline:CommandLine to allow one whole command",
            ),
            (Effect::Deny, true) => self.warn(
                at,
                "the Deny applies as soon as one value of the parameter differs; write \
                 ForAllValues: to deny only when all of them do",
            ),
            (Effect::Allow, true) | (Effect::Deny, false) => {}
        }
    }
}
