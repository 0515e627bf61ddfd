//! A policy and a request made of any parts, in two spellings that mean the same: the decisions are
//! equal, and what follows from the rules holds (a deny wins, a negation negates, a value is equal
//! to itself in each spelling).
//!
//! Run by the fuzzer (`fuzz_targets/canonical.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use std::sync::Arc;
use towline_policy::{Context, NamedPolicy, Outcome, Policy, PolicySet, Request, evaluate};

const OPERATORS: &[&str] = &[
    "StringEquals",
    "StringEqualsIgnoreCase",
    "StringLike",
    "NumericEquals",
    "NumericLessThanEquals",
    "DateEquals",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "ArnLike",
    "ArnEquals",
];
/// Operators that have a negation.
const NEGATED: &[(&str, &str)] = &[
    ("StringEquals", "StringNotEquals"),
    ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
    ("StringLike", "StringNotLike"),
    ("NumericEquals", "NumericNotEquals"),
    ("DateEquals", "DateNotEquals"),
    ("IpAddress", "NotIpAddress"),
    ("ArnLike", "ArnNotLike"),
];
const KEY: &str = "a:Key";

/// One run: a choice, an action, a resource, a value of the policy and one of the request.
pub(crate) fn run(input: (u8, String, String, String, String)) {
    let (choice, action, resource, pattern, value) = input;
    let operator = OPERATORS[usize::from(choice) % OPERATORS.len()];
    let request =
        Request::new("arn:aws:iam::123456789012:user/ann", &action, &resource, with(&value));
    let plain = document(&action, &resource, operator, &pattern, false);
    let listed = document(&action, &resource, operator, &pattern, true);
    let (Ok(plain), Ok(listed)) = (Policy::parse(&plain), Policy::parse(&listed)) else { return };
    let outcome = decide(&[&plain], &request);
    assert_eq!(outcome, decide(&[&listed], &request), "one value and a list of it");
    assert_eq!(outcome, decide(&[&plain, &plain], &request), "the same policy twice");
    let everything = Policy::parse(
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#,
    );
    if let Ok(deny) = everything {
        assert_eq!(decide(&[&plain, &deny], &request), Outcome::ExplicitlyDenied);
    }
    negation(operator, &pattern, &request);
    equality(operator, &pattern);
}

fn with(value: &str) -> Context {
    Context::new().with(KEY, [value])
}

/// The same statement: members in one order with single values, or in another with lists.
fn document(action: &str, resource: &str, operator: &str, pattern: &str, listed: bool) -> String {
    let quoted = |text: &str| serde_json::Value::String(text.to_owned()).to_string();
    let (action, resource, pattern) = (quoted(action), quoted(resource), quoted(pattern));
    if listed {
        format!(
            "{{\n \"Statement\": [ {{\"Resource\":[{resource}],\"Condition\":{{\"{operator}\":{{\"A:KEY\":[{pattern}]}}}},\
             \"Action\":[{action}],\"Effect\":\"Allow\"}} ],\n\"Version\":\"2012-10-17\"}}"
        )
    } else {
        format!(
            "{{\"Version\":\"2012-10-17\",\"Statement\":{{\"Effect\":\"Allow\",\"Action\":{action},\
             \"Resource\":{resource},\"Condition\":{{\"{operator}\":{{\"{KEY}\":{pattern}}}}}}}}}"
        )
    }
}

fn decide(policies: &[&Policy], request: &Request) -> Outcome {
    let named = |policy: &&Policy| NamedPolicy::new("fuzz", Arc::new((*policy).clone()));
    let identity = policies.iter().map(named).collect();
    evaluate(&PolicySet { identity, ..PolicySet::default() }, request).effect
}

/// A value that is of the operator's type meets it or its negation, never both.
fn negation(operator: &str, pattern: &str, request: &Request) {
    let Some((_, negated)) = NEGATED.iter().find(|(name, _)| *name == operator) else { return };
    let one = Policy::parse(&document("*", "*", operator, pattern, false));
    let other = Policy::parse(&document("*", "*", negated, pattern, false));
    let (Ok(one), Ok(other)) = (one, other) else { return };
    let allowed = |policy: &Policy| decide(&[policy], request) == Outcome::Allowed;
    assert!(!(allowed(&one) && allowed(&other)), "{operator} and {negated}");
}

/// What a policy takes as a value of its operator is met by the same text in a request.
fn equality(operator: &str, pattern: &str) {
    let literal = !pattern.contains(['*', '?', '$']) && !pattern.contains('/');
    let reflexive = !matches!(operator, "Bool" | "BinaryEquals" | "ArnLike" | "ArnEquals");
    let Ok(policy) = Policy::parse(&document("*", "*", operator, pattern, false)) else { return };
    let fits = pattern.len() <= towline_policy::limits::MAX_VALUE_BYTES;
    if literal && reflexive && fits {
        let request = Request::new("p", "a:b", "r", with(pattern));
        assert_eq!(decide(&[&policy], &request), Outcome::Allowed, "{operator} {pattern:?}");
    }
}
