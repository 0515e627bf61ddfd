//! The IAM policy language: parse, evaluate, explain. Pure: no I/O, no clock, no state.
//!
//! Way of a document: text -> [`Policy::parse`] -> [`Policy::validate_for_storage`] -> the
//! gateway's store. Way of a request: [`Request`] and [`PolicySet`] -> [`evaluate()`] ->
//! [`Decision`], with [`explain()`] for people.
//!
//! ```
//! use std::sync::Arc;
//! use towline_policy::{Context, NamedPolicy, Outcome, Policy, PolicySet, Request, evaluate};
//!
//! let document = r#"{
//!     "Version": "2012-10-17",
//!     "Statement": {
//!         "Effect": "Allow",
//!         "Action": "ssm:StartSession",
//!         "Resource": "*",
//!         "Condition": { "StringEquals": { "ssm:resourceTag/env": "dev" } }
//!     }
//! }"#;
//! let policy = NamedPolicy::new("developers", Arc::new(Policy::parse(document)?));
//! let policies = PolicySet { identity: vec![policy], ..PolicySet::default() };
//!
//! let request = |environment: &str| {
//!     let mut context = Context::new();
//!     context.set_resource_tags([("env", environment)]);
//!     let device = "arn:aws:ssm:eu-central-1:123456789012:managed-instance/mi-0123456789abcdef0";
//!     Request::new("arn:aws:iam::123456789012:user/ann", "ssm:StartSession", device, context)
//! };
//! assert_eq!(evaluate(&policies, &request("dev")).effect, Outcome::Allowed);
//! assert_eq!(evaluate(&policies, &request("prod")).effect, Outcome::ImplicitlyDenied);
//! # Ok::<(), towline_policy::ParseError>(())
//! ```
//!
//! Map: `json` (a tree that keeps repeated keys) -> `parse` (grammar) -> `document` (compiled) made
//! of `pattern`, `arn`, `principal`, `condition` over `operator` and `values`; `evaluate` and
//! `explain` read it; `storage` over `known_keys` says what may be stored; `batch` answers JSON
//! lines; `fold` is the
//! one rule for letter case; `limits` bounds it all.
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
mod fold;
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
mod warnings;

pub use document::{Policy, Version};
pub use effect::Effect;
pub use evaluate::{
    Decision, NamedPolicy, Outcome, PolicySet, Scope, StatementRef, Why, evaluate, evaluate_trust,
};
pub use explain::{ConditionReport, Explanation, SHOWN, StatementReport, explain};
pub use fold::{first_clash, fold};
pub use parse::ParseError;
pub use request::{Context, Fault, Request, device_aliases};
pub use storage::{StorageError, Use};
pub use warnings::{Vocabulary, Warning};
