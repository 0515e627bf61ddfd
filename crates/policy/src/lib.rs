//! The IAM policy language: parse, evaluate, explain. Pure: no I/O, no clock, no state.
//!
//! Way of a document: text -> [`Policy::parse`] -> [`Policy::validate_for_storage`] -> the
//! gateway's store. Way of a request: [`Request`] and [`PolicySet`] -> [`evaluate`] ->
//! [`Decision`], with [`explain`] for people.
//!
//! Map: `json` (a tree that keeps repeated keys) -> `parse` (grammar) -> `document` (compiled) made
//! of `pattern`, `arn`, `principal`, `condition` over `operator` and `values`; `evaluate` and
//! `explain` read it; `storage` over `known_keys` says what may be stored; `batch` answers JSON
//! lines; `limits` bounds it all.
//!
//! # Invariants
//! - Deny by default, and an explicit deny wins.
//! - Unknown operators and elements do not parse; unknown condition keys are not stored.
//! - Time and memory are bounded by [`limits`], whatever the policy and the request.
//!
//! # Not here
//! - Who has which policy, and the values of the request's context: the gateway.
#![forbid(unsafe_code)]

mod arn;
pub mod batch;
mod condition;
mod document;
mod effect;
mod evaluate;
mod explain;
mod json;
mod known_keys;
pub mod limits;
mod operator;
mod parse;
mod pattern;
mod principal;
mod request;
mod storage;
mod values;

pub use document::{Policy, Version};
pub use effect::Effect;
pub use evaluate::{
    Decision, NamedPolicy, Outcome, PolicySet, Scope, StatementRef, Why, evaluate, evaluate_trust,
};
pub use explain::{ConditionReport, Explanation, SHOWN, StatementReport, explain};
pub use parse::ParseError;
pub use request::{Context, Request, device_aliases};
pub use storage::{StorageError, Use};
