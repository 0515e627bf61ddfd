//! From text to `Policy`: strict, in one pass, with an error that names the place and the rule.
//!
//! Data flow: text -> [`crate::json`] -> `document`, [`statement`], [`condition`] -> compiled
//! patterns. Source: IAM User Guide, "Grammar of the IAM JSON policy language".
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
mod document;
mod error;
mod members;
mod statement;

pub(crate) use document::read as document;
pub use error::ParseError;
