//! Keys whose values nobody knows any more, such as the tags of a device that was removed long ago.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use towline_policy::{Context, NamedPolicy, Outcome, Policy, PolicySet, Request, evaluate};

const SESSION: &str = "arn:aws:ssm:xx-towline-1:000000000000:session/ann-1";
const EVERYTHING: &str = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

fn decide(texts: &[&str], unknown: bool) -> Outcome {
    let named =
        |text: &&str| NamedPolicy::new("p", Arc::new(Policy::parse(text).expect("a policy")));
    let policies =
        PolicySet { identity: texts.iter().map(named).collect(), ..PolicySet::default() };
    let mut context = Context::new().with("ssm:resourceTag/known", ["x"]);
    if unknown {
        context.set_unknown("ssm:resourceTag/");
    }
    evaluate(&policies, &Request::new("x", "towline:GetRecording", SESSION, context)).effect
}

fn rule(effect: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{condition}}}}}"#
    )
}

#[test]
fn a_condition_on_what_nobody_knows_permits_nothing_and_forbids() {
    for condition in [
        r#"{"StringEquals":{"ssm:resourceTag/Env":"prod"}}"#,
        r#"{"StringEquals":{"SSM:ResourceTag/Env":"prod"}}"#,
        r#"{"StringNotEquals":{"ssm:resourceTag/Env":"prod"}}"#,
        r#"{"StringLikeIfExists":{"ssm:resourceTag/Env":"p*"}}"#,
        r#"{"ForAllValues:StringEquals":{"ssm:resourceTag/Env":"prod"}}"#,
        r#"{"ForAnyValue:StringEquals":{"ssm:resourceTag/Env":"prod"}}"#,
        r#"{"Null":{"ssm:resourceTag/Env":"true"}}"#,
        r#"{"Null":{"ssm:resourceTag/Env":"false"}}"#,
        r#"{"StringEquals":{"ssm:resourceTag/known":"${ssm:resourceTag/Env}"}}"#,
    ] {
        let allowed = decide(&[&rule("Allow", condition)], true);
        assert_eq!(allowed, Outcome::ImplicitlyDenied, "{condition}");
        let denied = decide(&[EVERYTHING, &rule("Deny", condition)], true);
        assert_eq!(denied, Outcome::ExplicitlyDenied, "{condition}");
    }
}

#[test]
fn what_is_known_beside_it_counts_as_always() {
    let condition = r#"{"StringEquals":{"ssm:resourceTag/known":"x"}}"#;
    assert_eq!(decide(&[&rule("Allow", condition)], true), Outcome::Allowed);
    let condition = r#"{"StringEquals":{"ssm:resourceTag/known":"y"}}"#;
    assert_eq!(decide(&[EVERYTHING, &rule("Deny", condition)], true), Outcome::Allowed);
    assert_eq!(decide(&[EVERYTHING], true), Outcome::Allowed);
    let condition = r#"{"StringEquals":{"ssm:resourceTag/Env":"prod"}}"#;
    assert_eq!(decide(&[EVERYTHING, &rule("Deny", condition)], false), Outcome::Allowed);
}

#[test]
fn a_deny_for_a_name_that_holds_what_nobody_knows_forbids() {
    let deny = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*",
        "Resource":"arn:aws:ssm:*:*:session/${ssm:resourceTag/Env}*"}}"#;
    assert_eq!(decide(&[EVERYTHING, deny], true), Outcome::ExplicitlyDenied);
    assert_eq!(decide(&[EVERYTHING, deny], false), Outcome::Allowed);
}
