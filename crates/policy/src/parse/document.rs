//! The document itself: version, id, statements.

use super::error::{ParseError, Path, Rule};
use super::members::{member, name, object, only, text, wrong};
use super::statement;
use crate::document::{Policy, Version};
use crate::json::Json;
use crate::limits::{MAX_DOCUMENT_BYTES, MAX_STATEMENTS};
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
        read(&json, chars)
    }
}

const DOCUMENT: &[&str] = &["Version", "Id", "Statement"];

/// Reads a document that is already JSON; `chars` is its size for the quotas.
pub(crate) fn read(json: &Json, chars: usize) -> Result<Policy, ParseError> {
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
        // An empty Sid is no Sid.
        if let Some(sid) = statement.sid.as_ref().filter(|sid| !sid.is_empty())
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
