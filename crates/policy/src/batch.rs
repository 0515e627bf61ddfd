//! Policy tests without a gateway: one JSON object in, one word out.
//!
//! A line is
//! `{"policies":[...],"boundary":{...}|null,"request":{"principal":ARN,"action":...,"resource":ARN,
//! "context":{key: value or list}}}`. Optional beside `boundary`: `session`, a session policy, and
//! `resource`, the resource's policy. A context value is a string, a Boolean, a number, or a list
//! of them.
//!
//! # Invariants
//! - The request is judged as it is written: the resource has the one name given, and only what
//!   follows from the principal's ARN is added to the context (`aws:username` and its like, see
//!   [`Context::fill_from_principal`]).
//! - A line that is not understood is an error, never a word: a test must not pass by a typing
//!   mistake.
//!
//! # Not here
//! - Reading files and printing: the command line.

use crate::document::Policy;
use crate::evaluate::{NamedPolicy, Outcome, PolicySet, evaluate};
use crate::fold::first_clash;
use crate::json::Json;
use crate::limits::MAX_BATCH_LINE_BYTES;
use crate::parse::{ParseError, document};
use crate::request::{Context, Request};
use std::sync::Arc;

/// The answer to a line; prints as `Allowed`, `ExplicitlyDenied` or `ImplicitlyDenied`.
pub type Word = Outcome;

/// Why a line has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Split it.
    #[error("the line is longer than {MAX_BATCH_LINE_BYTES} bytes")]
    TooLong,
    /// Write one JSON object a line.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// A policy breaks the grammar.
    #[error("{which}: {error}")]
    Policy {
        /// Which one.
        which: String,
        /// Where and how.
        error: ParseError,
    },
    /// A part of the line is not of the form of this module's header.
    #[error("{at}: {problem}")]
    Form {
        /// The part.
        at: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

fn form(at: impl Into<String>, problem: &'static str) -> BatchError {
    BatchError::Form { at: at.into(), problem }
}

/// One line, read: what [`evaluate`] and [`crate::explain()`] take.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its policies.
    pub policies: PolicySet,
    /// Its request.
    pub request: Request,
}

/// Answers one line.
///
/// # Errors
/// A line that is not of the form, see [`BatchError`].
pub fn evaluate_line(line: &str) -> Result<Word, BatchError> {
    read_line(line).map(|line| evaluate(&line.policies, &line.request).effect)
}

/// Reads one line.
///
/// # Errors
/// A line that is not of the form, see [`BatchError`].
pub fn read_line(line: &str) -> Result<Line, BatchError> {
    if line.len() > MAX_BATCH_LINE_BYTES {
        return Err(BatchError::TooLong);
    }
    let json = Json::read(line).map_err(|error| BatchError::NotJson(error.to_string()))?;
    let mut policies = PolicySet::default();
    let mut request = None;
    let mut any_policies = false;
    for (name, json) in object(&json, "the line")? {
        match (name.as_str(), json) {
            ("policies", Json::Array(list)) => {
                any_policies = true;
                let named = |(index, json)| policy(json, &format!("policies[{index}]"));
                policies.identity = list.iter().enumerate().map(named).collect::<Result<_, _>>()?;
            }
            ("boundary" | "session" | "resource", Json::Null) => {}
            ("boundary", json) => policies.boundary = Some(policy(json, "boundary")?),
            ("session", json) => policies.session = Some(vec![policy(json, "session")?]),
            ("resource", json) => policies.resource = vec![policy(json, "resource")?],
            ("request", json) => request = Some(read_request(json)?),
            ("policies", _) => return Err(form("policies", "must be an array of policies")),
            _ => return Err(form(name.clone(), "unknown member of the line")),
        }
    }
    if !any_policies {
        return Err(form("policies", "is missing"));
    }
    let request = request.ok_or_else(|| form("request", "is missing"))?;
    Ok(Line { policies, request })
}

fn policy(json: &Json, which: &str) -> Result<NamedPolicy, BatchError> {
    // The size of the document alone is not known here; the line's limit bounds it.
    let parsed =
        document(json, 0).map_err(|error| BatchError::Policy { which: which.to_owned(), error })?;
    let names_principal = parsed.statements.iter().any(|statement| statement.principals.is_some());
    if names_principal && which != "resource" {
        return Err(form(which, "only a resource's policy has a Principal"));
    }
    Ok(NamedPolicy::new(which, Arc::<Policy>::new(parsed)))
}

fn read_request(json: &Json) -> Result<Request, BatchError> {
    let (mut principal, mut action, mut resource) = (None, None, None);
    let mut context = Context::new();
    for (name, json) in object(json, "request")? {
        match (name.as_str(), json) {
            ("principal", Json::String(text)) => principal = Some(text),
            ("action", Json::String(text)) => action = Some(text),
            ("resource", Json::String(text)) => resource = Some(text),
            ("context", Json::Null) => {}
            ("context", json) => {
                let members = object(json, "request.context")?;
                if let Some((_, key)) = first_clash(members.iter().map(|(key, _)| key.as_str())) {
                    let problem = "appears twice; letter case makes no difference in a key";
                    return Err(form(format!("request.context[{key:?}]"), problem));
                }
                for (key, values) in members {
                    context.set(key, context_values(key, values)?);
                }
            }
            ("principal" | "action" | "resource", _) => {
                return Err(form(format!("request.{name}"), "must be a string"));
            }
            _ => return Err(form(format!("request.{name}"), "unknown member of a request")),
        }
    }
    match (principal, action, resource) {
        (Some(principal), Some(action), Some(resource)) => {
            Ok(Request::new(principal, action, resource, context))
        }
        (None, _, _) => Err(form("request.principal", "is missing")),
        (_, None, _) => Err(form("request.action", "is missing")),
        (_, _, None) => Err(form("request.resource", "is missing")),
    }
}

fn context_values(key: &str, json: &Json) -> Result<Vec<String>, BatchError> {
    let one = |json: &Json| match json {
        Json::String(text) | Json::Number(text) => Ok(text.clone()),
        Json::Bool(truth) => Ok(truth.to_string()),
        _ => Err(form(
            format!("request.context[{key:?}]"),
            "must be a string, a Boolean, a number or a list of them",
        )),
    };
    match json {
        Json::Array(items) => items.iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

fn object<'j>(json: &'j Json, at: &str) -> Result<&'j [(String, Json)], BatchError> {
    let Json::Object(members) = json else { return Err(form(at, "must be an object")) };
    let mut seen = std::collections::HashSet::new();
    match members.iter().find(|(name, _)| !seen.insert(name)) {
        Some((name, _)) => Err(form(format!("{at}: {name}"), "stands here twice")),
        None => Ok(members),
    }
}
