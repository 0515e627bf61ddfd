//! From text to [`Policy`]: strict, in one pass, with an error that names the place and the rule.
//!
//! Way: text -> [`crate::json`] -> this module (the document), [`statement`], [`condition`] ->
//! compiled patterns. Source: IAM User Guide, "Grammar of the IAM JSON policy language".
//!
//! # Invariants
//! - What is not in the grammar is refused, not skipped: an element that the author misspelt must
//!   not be lost.
//! - Never panics, whatever the text; memory is bounded by [`crate::limits`].
//!
//! # Not here
//! - Rules that depend on the use of a document (may it have a `Principal`, is every condition key
//!   known, does it fit the quota): [`crate::storage`].

mod condition;
mod error;
mod statement;

pub use error::ParseError;

use crate::document::{Policy, Version};
use crate::json::Json;
use crate::limits::{MAX_DOCUMENT_BYTES, MAX_NAME_BYTES, MAX_STATEMENTS};
use error::{Path, Rule};
use std::collections::HashSet;

impl Policy {
    /// Reads one policy document.
    ///
    /// # Errors
    /// The first place that breaks a rule of the grammar, or a text beyond
    /// [`crate::limits::MAX_DOCUMENT_BYTES`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let at = Path::Root;
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err(ParseError::new(&at, Rule::DocumentTooLong));
        }
        let json = Json::read(text)
            .map_err(|error| ParseError::new(&at, Rule::NotJson(error.to_string())))?;
        let chars = text.chars().filter(|c| !c.is_whitespace()).count();
        document(&json, chars)
    }
}

const DOCUMENT: &[&str] = &["Version", "Id", "Statement"];

/// Reads a document that is already JSON; `chars` is its size for the quotas.
pub(crate) fn document(json: &Json, chars: usize) -> Result<Policy, ParseError> {
    let at = Path::Root;
    let members = object(json, &at)?;
    only(members, DOCUMENT, "Version, Id, Statement", &at)?;
    let version = match member(members, "Version") {
        None => Version::default(),
        Some(json) => version(json, &at.member("Version"))?,
    };
    let id = member(members, "Id").map(|json| name(json, &at.member("Id"))).transpose()?;
    let at_statements = at.member("Statement");
    let statements = match member(members, "Statement") {
        None => return Err(ParseError::new(&at, Rule::Missing("Statement"))),
        Some(one @ Json::Object(_)) => vec![statement::read(one, version, &at_statements)?],
        Some(Json::Array(items)) => {
            if items.len() > MAX_STATEMENTS {
                return Err(ParseError::new(&at_statements, Rule::TooManyStatements));
            }
            let read = |(index, item)| statement::read(item, version, &at_statements.item(index));
            items.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?
        }
        Some(other) => {
            return Err(wrong(other, "an object or an array of objects", &at_statements));
        }
    };
    if statements.is_empty() {
        return Err(ParseError::new(&at_statements, Rule::Empty));
    }
    let mut sids = HashSet::new();
    for (index, statement) in statements.iter().enumerate() {
        if let Some(sid) = &statement.sid
            && !sids.insert(sid)
        {
            let place = at_statements.item(index);
            return Err(ParseError::new(&place.member("Sid"), Rule::SidNotUnique));
        }
    }
    Ok(Policy { version, id: id.map(Into::into), statements, chars })
}

fn version(json: &Json, at: &Path<'_>) -> Result<Version, ParseError> {
    match text(json, at)? {
        "2008-10-17" => Ok(Version::V2008),
        "2012-10-17" => Ok(Version::V2012),
        _ => Err(ParseError::new(at, Rule::UnknownVersion)),
    }
}

/// A `Sid` or `Id`.
fn name<'j>(json: &'j Json, at: &Path<'_>) -> Result<&'j str, ParseError> {
    let name = text(json, at)?;
    if name.len() > MAX_NAME_BYTES { Err(ParseError::new(at, Rule::NameTooLong)) } else { Ok(name) }
}

type Members = [(String, Json)];

/// The members of an object, each there once.
fn object<'j>(json: &'j Json, at: &Path<'_>) -> Result<&'j Members, ParseError> {
    let Json::Object(members) = json else { return Err(wrong(json, "an object", at)) };
    let mut seen = HashSet::new();
    match members.iter().find(|(name, _)| !seen.insert(name.as_str())) {
        Some((name, _)) => Err(ParseError::new(&at.member(name), Rule::Repeated)),
        None => Ok(members),
    }
}

/// Refuses members that are not in the list.
fn only(
    members: &Members,
    names: &[&str],
    allowed: &'static str,
    at: &Path<'_>,
) -> Result<(), ParseError> {
    match members.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        Some((name, _)) => Err(ParseError::new(&at.member(name), Rule::UnknownElement { allowed })),
        None => Ok(()),
    }
}

fn member<'j>(members: &'j Members, wanted: &str) -> Option<&'j Json> {
    members.iter().find(|(name, _)| name == wanted).map(|(_, json)| json)
}

fn text<'j>(json: &'j Json, at: &Path<'_>) -> Result<&'j str, ParseError> {
    match json {
        Json::String(text) => Ok(text),
        other => Err(wrong(other, "a string", at)),
    }
}

/// One string or a list of at least one; each entry is read with its own place.
fn texts<T>(
    json: &Json,
    at: &Path<'_>,
    read: impl Fn(&str, &Path<'_>) -> Result<T, ParseError>,
) -> Result<Vec<T>, ParseError> {
    match json {
        Json::String(one) => Ok(vec![read(one, at)?]),
        Json::Array(items) if items.is_empty() => Err(ParseError::new(at, Rule::Empty)),
        Json::Array(items) => {
            let one = |(index, item)| {
                let place = at.item(index);
                read(text(item, &place)?, &place)
            };
            items.iter().enumerate().map(one).collect()
        }
        other => Err(wrong(other, "a string or an array of strings", at)),
    }
}

fn wrong(json: &Json, wanted: &'static str, at: &Path<'_>) -> ParseError {
    ParseError::new(at, Rule::WrongType { wanted, found: json.kind() })
}
