//! One statement: its elements, and which of them exclude or need each other.
//!
//! Source: IAM User Guide, "IAM JSON policy elements reference", the page of each element.
//!
//! # Invariants
//! - Exactly one of `Action` and `NotAction`, at most one of the other pairs.
//! - A statement without a `Resource` has a `Principal`: only trust policies do without.

use super::condition;
use super::error::{ParseError, Path, Rule};
use super::members::{Members, member, name, object, only, text, texts, wrong};
use crate::arn;
use crate::document::{Element, Statement, Version};
use crate::effect::Effect;
use crate::json::Json;
use crate::limits::MAX_PATTERN_BYTES;
use crate::pattern::{Pattern, Syntax};
use crate::principal::{Entry, Kind};

const STATEMENT: &[&str] = &[
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];
const STATEMENT_WORDS: &str =
    "Sid, Effect, Principal, NotPrincipal, Action, NotAction, Resource, NotResource, Condition";

pub(super) fn read(json: &Json, version: Version, at: &Path<'_>) -> Result<Statement, ParseError> {
    let members = object(json, at)?;
    only(members, STATEMENT, STATEMENT_WORDS, at)?;
    let variables = version == Version::V2012;
    let sid = member(members, "Sid").map(|json| name(json, &at.member("Sid"))).transpose()?;
    let effect = match member(members, "Effect") {
        None => return Err(ParseError::new(at, Rule::Missing("Effect"))),
        Some(json) => effect(json, &at.member("Effect"))?,
    };
    let principals = pair(members, ("Principal", "NotPrincipal"), at, principals)?;
    let actions = pair(members, ("Action", "NotAction"), at, |json, at| texts(json, at, action))?
        .ok_or_else(|| ParseError::new(at, Rule::Missing("Action")))?;
    let resource = |text: &str, at: &Path<'_>| {
        arn::resource(text, variables).map_err(|e| ParseError::new(at, e))
    };
    let resources =
        pair(members, ("Resource", "NotResource"), at, |json, at| texts(json, at, resource))?;
    if resources.is_none() && principals.is_none() {
        return Err(ParseError::new(at, Rule::Missing("Resource")));
    }
    let conditions = match member(members, "Condition") {
        None => Vec::new(),
        Some(json) => condition::read(json, variables, &at.member("Condition"))?,
    };
    Ok(Statement { sid: sid.map(Into::into), effect, principals, actions, resources, conditions })
}

fn effect(json: &Json, at: &Path<'_>) -> Result<Effect, ParseError> {
    match text(json, at)? {
        "Allow" => Ok(Effect::Allow),
        "Deny" => Ok(Effect::Deny),
        _ => Err(ParseError::new(at, Rule::UnknownEffect)),
    }
}

/// An element that has a `Not` form: neither, or one of the two.
fn pair<T>(
    members: &Members,
    (plain, negated): (&'static str, &'static str),
    at: &Path<'_>,
    read: impl Fn(&Json, &Path<'_>) -> Result<Vec<T>, ParseError>,
) -> Result<Option<Element<T>>, ParseError> {
    match (member(members, plain), member(members, negated)) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(ParseError::new(at, Rule::Both(plain, negated))),
        (Some(json), None) => {
            let entries = read(json, &at.member(plain))?;
            Ok(Some(Element { negated: false, entries }))
        }
        (None, Some(json)) => {
            let entries = read(json, &at.member(negated))?;
            Ok(Some(Element { negated: true, entries }))
        }
    }
}

/// Kept in small letters: actions have no case.
fn action(text: &str, at: &Path<'_>) -> Result<Pattern, ParseError> {
    let good = text == "*"
        || text.split_once(':').is_some_and(|(service, name)| {
            let in_service = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let in_name = |c: char| c.is_ascii_alphanumeric() || "-_*?".contains(c);
            let service_is_whole =
                !service.is_empty() && (service == "*" || service.chars().all(in_service));
            service_is_whole && !name.is_empty() && name.chars().all(in_name)
        });
    if !good || text.len() > MAX_PATTERN_BYTES {
        return Err(ParseError::new(at, Rule::Action));
    }
    let syntax = Syntax { wildcards: true, variables: false };
    Pattern::compile(&text.to_ascii_lowercase(), syntax).map_err(|e| ParseError::new(at, e))
}

fn principals(json: &Json, at: &Path<'_>) -> Result<Vec<Entry>, ParseError> {
    if let Json::String(text) = json {
        return match text.as_str() {
            "*" => Ok(vec![Entry::Everyone]),
            _ => Err(ParseError::new(at, Rule::PrincipalText)),
        };
    }
    if !matches!(json, Json::Object(_)) {
        return Err(wrong(json, "\"*\" or an object", at));
    }
    let mut entries = Vec::new();
    for (kind_name, json) in object(json, at)? {
        let at = at.member(kind_name);
        let kind =
            Kind::read(kind_name).ok_or_else(|| ParseError::new(&at, Rule::PrincipalKind))?;
        let read =
            |text: &str, at: &Path<'_>| Entry::read(kind, text).map_err(|e| ParseError::new(at, e));
        entries.extend(texts(json, &at, read)?);
    }
    if entries.is_empty() {
        return Err(ParseError::new(at, Rule::Empty));
    }
    Ok(entries)
}
