//! The members of JSON objects, as all elements of a document need them.

use super::error::{ParseError, Path, Rule};
use crate::json::Json;
use crate::limits::MAX_NAME_BYTES;
use std::collections::HashSet;

pub(super) type Members = [(String, Json)];

/// A `Sid` or `Id`.
pub(super) fn name<'j>(json: &'j Json, at: &Path<'_>) -> Result<&'j str, ParseError> {
    let name = text(json, at)?;
    if name.len() > MAX_NAME_BYTES { Err(ParseError::new(at, Rule::NameTooLong)) } else { Ok(name) }
}

/// The members of an object, each there once.
pub(super) fn object<'j>(json: &'j Json, at: &Path<'_>) -> Result<&'j Members, ParseError> {
    let Json::Object(members) = json else { return Err(wrong(json, "an object", at)) };
    let mut seen = HashSet::new();
    match members.iter().find(|(name, _)| !seen.insert(name.as_str())) {
        Some((name, _)) => Err(ParseError::new(&at.member(name), Rule::Repeated)),
        None => Ok(members),
    }
}

/// Refuses members that are not in the list.
pub(super) fn only(
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

pub(super) fn member<'j>(members: &'j Members, wanted: &str) -> Option<&'j Json> {
    members.iter().find(|(name, _)| name == wanted).map(|(_, json)| json)
}

pub(super) fn text<'j>(json: &'j Json, at: &Path<'_>) -> Result<&'j str, ParseError> {
    match json {
        Json::String(text) => Ok(text),
        other => Err(wrong(other, "a string", at)),
    }
}

/// One string or a list of at least one; each entry is read with its own place.
pub(super) fn texts<T>(
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

pub(super) fn wrong(json: &Json, wanted: &'static str, at: &Path<'_>) -> ParseError {
    ParseError::new(at, Rule::WrongType { wanted, found: json.kind() })
}
