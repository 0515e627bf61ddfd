//! Keys that differ in letter case only are one key, and none of their values wins in silence.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use towline_policy::batch::evaluate_line;
use towline_policy::{
    Context, Fault, NamedPolicy, Outcome, Policy, PolicySet, Request, Why, evaluate,
};

fn decide(condition: &str, context: Context) -> (Outcome, Why) {
    let text = format!(
        r#"{{"Statement":{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}}}"#
    );
    let policy = NamedPolicy::new("p", Arc::new(Policy::parse(&text).expect(&text)));
    let policies = PolicySet { identity: vec![policy], ..PolicySet::default() };
    let decision = evaluate(&policies, &Request::new("x", "ssm:StartSession", "r", context));
    (decision.effect, decision.why)
}

const DEV: &str = r#"{"StringEquals":{"ssm:resourceTag/Environment":"dev"}}"#;
const PROD: &str = r#"{"StringEquals":{"ssm:resourceTag/Environment":"prod"}}"#;

#[test]
fn a_tag_is_found_under_any_spelling_of_its_key() {
    for spelling in ["Environment", "environment", "ENVIRONMENT"] {
        let mut context = Context::new();
        context.set_resource_tags([(spelling, "dev")]);
        assert_eq!(decide(DEV, context).0, Outcome::Allowed, "{spelling}");
    }
}

#[test]
fn two_tags_that_differ_in_letter_case_allow_nothing() {
    let both = [("Environment", "prod"), ("environment", "dev")];
    for tags in [both, [both[1], both[0]]] {
        for condition in [DEV, PROD, "{}"] {
            let mut context = Context::new();
            context.set_resource_tags(tags);
            let (effect, why) = decide(condition, context);
            assert_eq!(effect, Outcome::ImplicitlyDenied, "{condition} {tags:?}");
            assert!(matches!(&why, Why::Fault(Fault::Contradictory(_))), "{why}");
        }
    }
}

#[test]
fn a_key_that_is_set_twice_with_other_values_makes_the_request_contradictory() {
    let twice =
        Context::new().with("aws:RequestTag/Env", ["prod"]).with("aws:requesttag/env", ["dev"]);
    let (effect, why) = decide("{}", twice);
    assert_eq!(effect, Outcome::ImplicitlyDenied);
    assert!(why.to_string().contains("aws:requesttag/env"), "{why}");

    let same = Context::new().with("aws:userid", ["a"]).with("AWS:UserId", ["a"]);
    assert_eq!(decide("{}", same).0, Outcome::Allowed, "the same twice says nothing new");
    let absent = Context::new().with("aws:userid", [""; 0]).with("aws:userid", ["a"]);
    assert_eq!(decide("{}", absent).0, Outcome::Allowed, "no value is no key");
}

#[test]
fn other_letters_than_ascii_fold_too() {
    let mut context = Context::new();
    context.set_tags("ssm:resourceTag", [("STRASSE", "dev")]);
    let condition = r#"{"StringEquals":{"ssm:resourceTag/Straße":"dev"}}"#;
    assert_eq!(decide(condition, context).0, Outcome::Allowed);
}

#[test]
fn a_line_with_two_spellings_of_a_key_is_not_understood() {
    let line = r#"{"policies":[],"request":{"principal":"p","action":"a:b","resource":"r",
        "context":{"ssm:resourceTag/Env":"dev","ssm:ResourceTag/env":"prod"}}}"#;
    let error = evaluate_line(&line.replace('\n', " ")).expect_err("two spellings");
    assert!(error.to_string().contains("letter case"), "{error}");
}
