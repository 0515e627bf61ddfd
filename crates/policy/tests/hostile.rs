//! Hostile and random input: wildcards against a slow reference, text that is no policy, patterns
//! made to be expensive.
//!
//! # Invariants shown
//! - Matching agrees with the definition of `*` and `?` for every pattern and text.
//! - Parsing and evaluating never panic; every error names a place.
//! - Cost grows with the product of pattern and text at most, never with the number of ways to
//!   split the text.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;
use std::sync::Arc;
use towline_policy::batch::{evaluate_line, read_line};
use towline_policy::{
    Context, NamedPolicy, Outcome, Policy, PolicySet, Request, evaluate, explain, limits,
};

/// The definition: a star is nothing, or one character and a star.
fn reference(pattern: &[char], text: &[char]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some('*'), Some(_)) => reference(&pattern[1..], text) || reference(pattern, &text[1..]),
        (Some('*'), None) => reference(&pattern[1..], text),
        (Some('?'), Some(_)) => reference(&pattern[1..], &text[1..]),
        (Some(p), Some(t)) if p == t => reference(&pattern[1..], &text[1..]),
        _ => false,
    }
}

/// The same for a `Resource`: before the fifth colon only a star that ends its segment crosses
/// colons.
fn reference_resource(pattern: &[char], colons: usize, text: &[char]) -> bool {
    let inside = colons < 5 && pattern.get(1).is_some_and(|next| *next != ':');
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some('*'), text_first) => {
            let rest = reference_resource(&pattern[1..], colons, text);
            rest || text_first.is_some_and(|c| !inside || *c != ':')
                && reference_resource(pattern, colons, &text[1..])
        }
        (Some('?'), Some(c)) => {
            (colons >= 5 || *c != ':') && reference_resource(&pattern[1..], colons, &text[1..])
        }
        (Some(p), Some(t)) if p == t => {
            reference_resource(&pattern[1..], colons + usize::from(*p == ':'), &text[1..])
        }
        _ => false,
    }
}

fn one(statement: &str) -> PolicySet {
    let policy = Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#))
        .expect(statement);
    PolicySet { identity: vec![NamedPolicy::new("p", Arc::new(policy))], ..PolicySet::default() }
}

fn like(pattern: &str, text: &str) -> bool {
    let pattern = serde_json::to_string(pattern).expect("a string");
    let policies = one(&format!(
        r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"StringLike":{{"a:b":{pattern}}}}}}}"#
    ));
    evaluate(&policies, &Request::new("x", "a:b", "r", Context::new().with("a:b", [text])))
        .is_allowed()
}

fn names(pattern: &str, text: &str) -> bool {
    let policies = one(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"{pattern}"}}"#));
    evaluate(&policies, &Request::new("x", "a:b", text, Context::new())).is_allowed()
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// JSON that is often nearly a policy: the words of the language in any arrangement.
fn nearly_a_policy() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "Version",
        "2012-10-17",
        "Statement",
        "Effect",
        "Allow",
        "Deny",
        "Action",
        "NotAction",
        "Resource",
        "Condition",
        "StringLike",
        "ForAllValues:StringEquals",
        "Null",
        "DateLessThan",
        "IpAddress",
        "ArnLike",
        "Principal",
        "AWS",
        "*",
        "ssm:*",
        "arn:aws:ssm:*:*:session/${aws:username}-*",
        "aws:username",
        "10.0.0.0/8",
        "true",
        "${",
        "${a, 'b'}",
    ]);
    let text = prop_oneof![word.clone().prop_map(str::to_owned), ".{0,8}"]
        .prop_map(serde_json::Value::from);
    let leaf = prop_oneof![
        4 => text,
        1 => any::<bool>().prop_map(serde_json::Value::from),
        1 => any::<i64>().prop_map(serde_json::Value::from),
        1 => Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let word = word.clone();
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((word, inner), 0..6).prop_map(|members| {
                let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                serde_json::Value::Object(members.collect())
            }),
        ]
    })
    .prop_map(|json| json.to_string())
}

/// A statement whose parts are right in themselves, so that most documents parse and are evaluated.
fn statement() -> impl Strategy<Value = String> {
    let effect = prop::sample::select(vec!["Allow", "Deny"]);
    let action = prop::sample::select(vec!["*", "ssm:*", "ssm:Start*", "ec2:?*"]);
    let resource = prop::sample::select(vec![
        "*",
        "arn:aws:ssm:*:*:session/${aws:username}-*",
        "arn:aws:s*:x?:*:*y*",
    ]);
    let operator = prop::sample::select(vec![
        "StringLike",
        "ForAnyValue:StringNotEquals",
        "ArnNotLikeIfExists",
        "StringEquals",
    ]);
    let key = prop::sample::select(vec!["aws:username", "aws:TagKeys", "aws:PrincipalArn"]);
    let value = prop::sample::select(vec![
        "*",
        "${aws:username}",
        "${aws:TagKeys, 'x'}",
        "a*b?",
        "arn:*:*:*:*:${aws:username}",
    ]);
    (effect, any::<bool>(), action, any::<bool>(), resource, operator, key, value).prop_map(
        |(effect, not_action, action, not_resource, resource, operator, key, value)| {
            let not = |yes: bool| if yes { "Not" } else { "" };
            format!(
                r#"{{"Effect":"{effect}","{}Action":"{action}","{}Resource":"{resource}","Condition":{{"{operator}":{{"{key}":"{value}"}}}}}}"#,
                not(not_action),
                not(not_resource)
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wildcards_match_what_their_definition_says(pattern in "[ab*?é]{0,9}", text in "[abé]{0,9}") {
        prop_assert_eq!(like(&pattern, &text), reference(&chars(&pattern), &chars(&text)));
    }

    #[test]
    fn wildcards_of_resources_keep_to_their_segment(rest in "[a:*?]{0,10}", text in "[a:]{0,10}") {
        let (pattern, text) = (format!("arn:{rest}*"), format!("arn:{text}"));
        let wanted = reference_resource(&chars(&pattern), 0, &chars(&text));
        prop_assert_eq!(names(&pattern, &text), wanted, "{} and {}", pattern, text);
    }

    #[test]
    fn any_text_is_parsed_or_refused_with_a_place(text in ".{0,200}") {
        if let Err(error) = Policy::parse(&text) {
            prop_assert!(error.path().starts_with('$'));
        }
        prop_assert!(evaluate_line(&text).is_err());
    }

    #[test]
    fn anything_like_a_policy_is_parsed_or_refused_with_a_place(text in nearly_a_policy()) {
        match Policy::parse(&text) {
            Ok(policy) => prop_assert!(policy.statement_count() > 0),
            Err(error) => prop_assert!(error.path().starts_with('$') && !error.rule().is_empty()),
        }
    }

    #[test]
    fn a_decision_and_its_explanation_agree(
        statements in prop::collection::vec(statement(), 1..6),
        action in prop::sample::select(vec!["ssm:StartSession", "ec2:X"]),
        resource in prop::sample::select(vec!["*", "arn:aws:ssm:r:1:session/alice-1", "arn:aws:s3:xx:1:zyz"]),
        tags in prop::collection::vec("[ab]{1,2}", 0..3),
        user in prop::option::of("alice|a\\*b"),
    ) {
        let policies = one(&format!("[{}]", statements.join(",")));
        let mut context = Context::new().with("aws:TagKeys", tags);
        if let Some(user) = user { context.set("aws:username", [user]); }
        let account = explain(&policies, &Request::new("arn:aws:sts::123456789012:assumed-role/r/s", action, resource, context));
        let applies = |effect| account.statements.iter().any(|one| one.effect == effect && one.applies());
        let wanted = if applies(towline_policy::Effect::Deny) {
            Outcome::ExplicitlyDenied
        } else if applies(towline_policy::Effect::Allow) {
            Outcome::Allowed
        } else {
            Outcome::ImplicitlyDenied
        };
        prop_assert_eq!(account.decision.effect, wanted);
    }
}

#[test]
fn nested_wildcards_do_not_explode() {
    // Exponential matching would not end; the bound is the product, a few million steps.
    let text = "a".repeat(limits::MAX_VALUE_BYTES);
    for unit in ["*a", "*?", "*a?", "?*", "**a", "*?a"] {
        let pattern = format!("{}b", unit.repeat(limits::MAX_PATTERN_BYTES / unit.len() - 1));
        assert!(!like(&pattern, &text), "{unit}");
    }
}

#[test]
fn nested_wildcards_of_a_resource_do_not_explode() {
    let text = format!("arn:{}", "a".repeat(limits::MAX_ARN_BYTES - 4));
    for unit in ["*a", "*?", "?*a"] {
        let pattern = format!("arn:{}b*", unit.repeat(500 / unit.len()));
        assert!(!names(&pattern, &text), "{unit}");
    }
}

#[test]
fn variables_cannot_make_a_pattern_longer_than_its_bound() {
    let pattern = "${aws:username}".repeat(limits::MAX_PATTERN_BYTES / 15 - 1);
    let policies = one(&format!(
        r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"StringLike":{{"a:b":["{pattern}","*{pattern}"]}}}}}}"#
    ));
    let long = "u".repeat(limits::MAX_VALUE_BYTES);
    let context = Context::new().with("a:b", [long.as_str()]).with("aws:username", [long.as_str()]);
    assert_eq!(
        evaluate(&policies, &Request::new("x", "a:b", "r", context)).effect,
        Outcome::ImplicitlyDenied
    );
}

#[test]
fn documents_beyond_the_limits_are_refused() {
    let statement = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
    let many = vec![statement; limits::MAX_STATEMENTS + 1].join(",");
    let error = Policy::parse(&format!(r#"{{"Statement":[{many}]}}"#)).expect_err("too many");
    assert_eq!(error.path(), "$.Statement");
    let long =
        format!(r#"{{"Statement":[{statement}]}}{}"#, " ".repeat(limits::MAX_DOCUMENT_BYTES));
    assert!(Policy::parse(&long).expect_err("too long").rule().contains("bytes"));
}

#[test]
fn a_line_of_a_batch_that_is_not_understood_is_an_error_not_a_word() {
    let request = r#""request":{"principal":"p","action":"a:b","resource":"r","context":{}}"#;
    let wrong = [
        ("", "not JSON"),
        ("[]", "must be an object"),
        (r#"{"policies":[]}"#, "request: is missing"),
        (&format!("{{{request}}}"), "policies: is missing"),
        (&format!(r#"{{"policies":{{}},{request}}}"#), "must be an array"),
        (
            &format!(r#"{{"policies":[{{}}],{request}}}"#),
            "policies[0]: $: the element Statement is missing",
        ),
        (&format!(r#"{{"policies":[],"boundry":null,{request}}}"#), "boundry: unknown member"),
        (&format!(r#"{{"policies":[],"policies":[],{request}}}"#), "twice"),
        (
            &format!(r#"{{"policies":[],{}}}"#, request.replace("action", "actions")),
            "request.actions: unknown",
        ),
        (
            &format!(r#"{{"policies":[],{}}}"#, request.replace("{}", r#"{"a:b":{}}"#)),
            "must be a string, a Boolean",
        ),
        (
            &format!(r#"{{"policies":[],{}}}"#, request.replace(r#""p""#, "1")),
            "request.principal: must be a string",
        ),
        (
            &format!(
                r#"{{"policies":[{{"Statement":{{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}}}}],{request}}}"#
            ),
            "only a resource's policy",
        ),
    ];
    for (line, wanted) in wrong {
        let said = read_line(line).map(|_| ()).expect_err(line).to_string();
        assert!(said.contains(wanted), "{line}: {said}");
    }
    assert_eq!(
        evaluate_line(&format!(r#"{{"policies":[],"boundary":null,{request}}}"#)),
        Ok(Outcome::ImplicitlyDenied)
    );
}
