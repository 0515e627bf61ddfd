//! Why a document is no policy, and where in it.
//!
//! # Invariants
//! - Every error names the place as a JSON path
//!   (`$.Statement[0].Condition.StringLike["ssm:resourceTag/Env"]`) and the rule: all that the
//!   author of the document needs.

use crate::arn::ResourceError;
use crate::limits::{MAX_DOCUMENT_BYTES, MAX_NAME_BYTES, MAX_STATEMENTS};
use crate::pattern::PatternError;
use crate::principal::PrincipalError;
use std::fmt;

/// A place in the document and the rule that is broken there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {rule}")]
pub struct ParseError {
    path: String,
    rule: Rule,
}

impl ParseError {
    pub(crate) fn new(path: &Path<'_>, rule: impl Into<Rule>) -> Self {
        Self { path: path.to_string(), rule: rule.into() }
    }

    /// The place, as a JSON path from `$`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The broken rule, in words.
    #[must_use]
    pub fn rule(&self) -> String {
        self.rule.to_string()
    }
}

/// The rules of the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rule {
    #[error("not JSON: {0}")]
    NotJson(String),
    #[error("longer than {MAX_DOCUMENT_BYTES} bytes")]
    DocumentTooLong,
    #[error("more than {MAX_STATEMENTS} statements")]
    TooManyStatements,
    #[error("longer than {MAX_NAME_BYTES} bytes")]
    NameTooLong,
    #[error("this element appears twice")]
    Repeated,
    #[error("unknown element; allowed here: {allowed}")]
    UnknownElement { allowed: &'static str },
    #[error("must be {wanted}, is {found}")]
    WrongType { wanted: &'static str, found: &'static str },
    #[error("the element {0} is missing")]
    Missing(&'static str),
    #[error("use either {0} or {1}, not both")]
    Both(&'static str, &'static str),
    #[error("must not be empty")]
    Empty,
    #[error("the version must be \"2012-10-17\" or \"2008-10-17\"")]
    UnknownVersion,
    #[error("the effect must be \"Allow\" or \"Deny\" (case-sensitive)")]
    UnknownEffect,
    #[error("another statement has the same Sid")]
    SidNotUnique,
    #[error(
        "an action must be \"*\" or service:name; the name may have wildcards but no variables"
    )]
    Action,
    #[error("{0}")]
    Resource(#[from] ResourceError),
    #[error("{0}")]
    Pattern(#[from] PatternError),
    #[error("{0}")]
    Principal(#[from] PrincipalError),
    #[error("a principal map takes the keys AWS, Federated, Service and CanonicalUser")]
    PrincipalKind,
    #[error("a principal given as a string must be \"*\"")]
    PrincipalText,
    #[error("unknown condition operator{}", .0.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
    UnknownOperator(Option<String>),
    #[error("a condition key must have 1 to 1024 bytes, no wildcards and no variables")]
    ConditionKey,
    #[error("this operator takes {0}; only string and ARN operators take policy variables")]
    ConditionValue(&'static str),
}

/// A place in the document: a chain of steps on the stack, written out only for an error.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(crate) fn member(&'a self, name: &'a str) -> Path<'a> {
        Path::Member(self, name)
    }

    pub(crate) fn item(&'a self, index: usize) -> Path<'a> {
        Path::Item(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("$"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
            Self::Member(parent, name) => {
                let simple = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
                if simple { write!(f, "{parent}.{name}") } else { write!(f, "{parent}[{name:?}]") }
            }
        }
    }
}
