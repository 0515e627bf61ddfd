//! A policy document after parsing: compiled, immutable, shared by all requests.
//!
//! # Invariants
//! - Comes only from [`Policy::parse`]; whatever exists is well formed.
//! - No list in it is empty.
//!
//! # Not here
//! - Whether a document may be stored for a given use: [`crate::storage`].

use crate::condition::Condition;
use crate::effect::Effect;
use crate::limits::MAX_STATEMENTS;
use crate::pattern::Pattern;
use crate::principal::Entry;
use std::sync::Arc;

const _: () = assert!(MAX_STATEMENTS < u32::MAX as usize);

/// The version of the policy language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// `2008-10-17`, also the default: no policy variables, `${` is plain text.
    #[default]
    V2008,
    /// `2012-10-17`.
    V2012,
}

/// A parsed policy document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(crate) version: Version,
    pub(crate) id: Option<Box<str>>,
    pub(crate) statements: Vec<Statement>,
    /// Characters of the text without white space: what the quotas count.
    pub(crate) chars: usize,
}

/// One statement of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sid: Option<Arc<str>>,
    pub(crate) effect: Effect,
    pub(crate) principals: Option<Element<Entry>>,
    pub(crate) actions: Element<Pattern>,
    pub(crate) resources: Option<Element<Pattern>>,
    pub(crate) conditions: Vec<Condition>,
}

/// A list and whether it is the `Not` form of its element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element<T> {
    pub(crate) negated: bool,
    pub(crate) entries: Vec<T>,
}

impl Policy {
    /// The version it declares.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its `Id`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// How many statements it has; at least one.
    #[must_use]
    pub fn statement_count(&self) -> usize {
        self.statements.len()
    }

    /// The characters that count against a quota: all but white space.
    #[must_use]
    pub fn counted_chars(&self) -> usize {
        self.chars
    }
}
