//! The interface that the gateway builds on: aliases of a device, tags in the context, reasons,
//! trust, storing.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use towline_policy::{
    Context, Fault, NamedPolicy, Outcome, Policy, PolicySet, Request, Scope, StorageError, Use,
    Why, device_aliases, evaluate, evaluate_trust, explain, limits,
};

const ENVIRONMENT_DEV: &str = include_str!("fixtures/environment-dev.json");
const ACCOUNT: &str = "123456789012";
const DEVICE: &str = "mi-0123456789abcdef0";

fn named(name: &str, text: &str) -> NamedPolicy {
    NamedPolicy::new(name, Arc::new(Policy::parse(text).expect(text)))
}

fn identity(text: &str) -> PolicySet {
    PolicySet { identity: vec![named("test", text)], ..PolicySet::default() }
}

/// A request of alice's about the device, with the device's tags.
fn about_device(action: &str, tags: &[(&str, &str)]) -> Request {
    let mut context = Context::new();
    context.set_resource_tags(tags.iter().copied());
    let mut request = Request::new("arn:aws:iam::123456789012:user/alice", action, "", context);
    request.resources = device_aliases("eu-central-1", ACCOUNT, DEVICE);
    request
}

fn outcome(policies: &PolicySet, request: &Request) -> Outcome {
    evaluate(policies, request).effect
}

#[test]
fn environment_dev_lets_alice_into_devices_of_dev_only() {
    let policies = identity(ENVIRONMENT_DEV);
    assert_eq!(
        outcome(&policies, &about_device("ssm:StartSession", &[("Environment", "dev")])),
        Outcome::Allowed
    );
    assert_eq!(
        outcome(&policies, &about_device("ssm:StartSession", &[("Environment", "prod")])),
        Outcome::ImplicitlyDenied
    );
    assert_eq!(
        outcome(&policies, &about_device("ssm:StartSession", &[])),
        Outcome::ImplicitlyDenied
    );
}

#[test]
fn environment_dev_may_be_stored() {
    let policy = Policy::parse(ENVIRONMENT_DEV).expect("the fixture");
    assert_eq!(policy.validate_for_storage(Use::Managed, &[]), Ok(()));
}

#[test]
fn a_device_is_met_under_either_of_its_names() {
    for name in ["arn:aws:ssm:*:*:managed-instance/*", "arn:aws:ec2:*:*:instance/mi-*"] {
        let allow =
            format!(r#"{{"Statement":{{"Effect":"Allow","Action":"ssm:*","Resource":"{name}"}}}}"#);
        assert_eq!(
            outcome(&identity(&allow), &about_device("ssm:StartSession", &[])),
            Outcome::Allowed,
            "{name}"
        );
    }
}

#[test]
fn an_exception_of_either_name_excepts_the_device() {
    for name in ["arn:aws:ssm:*:*:managed-instance/*", "arn:aws:ec2:*:*:instance/mi-*"] {
        let allow = format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"ssm:*","NotResource":"{name}"}}}}"#
        );
        let said = outcome(&identity(&allow), &about_device("ssm:StartSession", &[]));
        assert_eq!(said, Outcome::ImplicitlyDenied, "{name}");
    }
}

#[test]
fn tags_are_read_under_either_key() {
    for key in ["ssm:resourceTag/Site", "aws:ResourceTag/Site"] {
        let allow = format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"StringEquals":{{"{key}":"ulm"}}}}}}}}"#
        );
        let request = about_device("ssm:StartSession", &[("Site", "ulm")]);
        assert_eq!(outcome(&identity(&allow), &request), Outcome::Allowed, "{key}");
    }
}

#[test]
fn two_tags_that_differ_in_case_are_no_value_for_a_variable() {
    let allow = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*",
        "Resource":"arn:aws:s3:::x/${ssm:resourceTag/Site}"}}"#;
    let mut request = about_device("s3:GetObject", &[("Site", "ulm"), ("site", "bonn")]);
    request.resources = vec!["arn:aws:s3:::x/ulm".into()];
    assert_eq!(outcome(&identity(allow), &request), Outcome::ImplicitlyDenied);
}

#[test]
fn a_decision_names_the_policy_and_the_statement() {
    let decision = evaluate(
        &identity(ENVIRONMENT_DEV),
        &about_device("ssm:StartSession", &[("Environment", "dev")]),
    );
    let Why::Statement(statement) = &decision.why else { panic!("{decision}") };
    assert_eq!((statement.index, statement.sid.as_deref()), (0, Some("SessionManagerConnect")));
    assert_eq!(
        decision.to_string(),
        "Allowed: statement 0 (SessionManagerConnect) of the identity policy test"
    );
}

#[test]
fn a_denial_by_default_names_who_would_have_to_allow() {
    let mut policies = identity(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#);
    policies.boundary =
        Some(named("edge", r#"{"Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*"}}"#));
    let decision = evaluate(&policies, &about_device("ssm:StartSession", &[]));
    assert_eq!(decision.why, Why::NothingAllows(Scope::Boundary));
}

#[test]
fn an_explanation_says_which_condition_failed_and_with_what() {
    let account = explain(
        &identity(ENVIRONMENT_DEV),
        &about_device("ssm:StartSession", &[("Environment", "prod")]),
    );
    let connect = &account.statements[0];
    assert!(connect.action && connect.resource && !connect.applies());
    let condition = &connect.conditions[0];
    assert_eq!(
        (condition.operator.as_str(), condition.key.as_str()),
        ("StringLike", "ssm:resourceTag/Environment")
    );
    assert_eq!(
        (condition.given.as_slice(), condition.met),
        (["prod".to_owned()].as_slice(), false)
    );
    let text = account.to_string();
    assert!(
        text.contains(r#"StringLike of ssm:resourceTag/Environment with ["dev"] fails: the request has ["prod"]"#),
        "{text}"
    );
    assert!(
        text.contains(
            "statement 1 (SessionManagerAccess) of the identity policy test does not apply"
        ),
        "{text}"
    );
}

#[test]
fn an_explanation_names_the_variable_that_has_no_value() {
    let allow = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*",
        "Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}}}"#;
    let account = explain(&identity(allow), &about_device("ssm:StartSession", &[("team", "blue")]));
    assert_eq!(account.statements[0].conditions[0].unresolved, ["aws:principaltag/team"]);
}

#[test]
fn a_session_without_policies_is_not_a_session_of_no_rights_unless_it_says_so() {
    let mut policies = identity(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#);
    let request = about_device("ssm:StartSession", &[]);
    assert_eq!(outcome(&policies, &request), Outcome::Allowed);
    policies.session = Some(Vec::new());
    assert_eq!(outcome(&policies, &request), Outcome::ImplicitlyDenied);
}

#[test]
fn a_trust_policy_must_allow_by_itself_and_an_account_only_delegates() {
    let trust = |principal: &str| {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}}}"#
        );
        let policy = named("trust", &text);
        assert_eq!(policy.policy.validate_for_storage(Use::Trust, &[]), Ok(()));
        let alice = "arn:aws:iam::123456789012:user/alice";
        let request = Request::new(
            alice,
            "sts:AssumeRole",
            "arn:aws:iam::123456789012:role/ops",
            Context::new(),
        );
        let (decision, needs_identity) = evaluate_trust(&policy, &request);
        (decision.effect, needs_identity)
    };
    assert_eq!(trust("arn:aws:iam::123456789012:user/alice"), (Outcome::Allowed, false));
    assert_eq!(trust("arn:aws:iam::123456789012:root"), (Outcome::Allowed, true));
    assert_eq!(trust("arn:aws:iam::123456789012:user/bob"), (Outcome::ImplicitlyDenied, false));
}

#[test]
fn an_oversized_request_is_denied_unread() {
    let policies = identity(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#);
    let long = "x".repeat(limits::MAX_VALUE_BYTES + 1);
    let mut request = about_device("ssm:StartSession", &[]);
    request.context.set("aws:UserAgent", [long]);
    let decision = evaluate(&policies, &request);
    assert_eq!(
        (decision.effect, decision.why),
        (Outcome::ImplicitlyDenied, Why::Fault(Fault::Oversized))
    );
    let mut request = about_device("ssm:StartSession", &[]);
    request.resources.push("x".repeat(limits::MAX_ARN_BYTES + 1));
    assert_eq!(evaluate(&policies, &request).why, Why::Fault(Fault::Oversized));
}

/// Stores one statement for a use and tells the error's text.
#[track_caller]
fn stored(purpose: Use, statement: &str, wanted: &str) {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
    let policy = Policy::parse(&text).expect(&text);
    let said = policy
        .validate_for_storage(purpose, &["towline:command"])
        .map_err(|error| error.to_string());
    match said {
        Ok(()) => assert_eq!(wanted, "", "{text} was stored"),
        Err(said) => assert!(!wanted.is_empty() && said.contains(wanted), "{text}: {said}"),
    }
}

#[test]
fn unknown_condition_keys_are_not_stored() {
    let with = |condition: &str| {
        format!(r#"{{"Effect":"Allow","Action":"ssm:*","Resource":"*","Condition":{condition}}}"#)
    };
    stored(Use::Managed, &with(r#"{"StringEquals":{"SSM:ResourceTag/Env":"dev"}}"#), "");
    stored(Use::Managed, &with(r#"{"StringEquals":{"towline:Command":"uptime"}}"#), "");
    stored(
        Use::Managed,
        &with(r#"{"StringEquals":{"ssm:resorceTag/Env":"dev"}}"#),
        r#"$.Statement[0].Condition.StringEquals["ssm:resorceTag/Env"]"#,
    );
    stored(Use::Managed, &with(r#"{"StringEquals":{"aws:username":"${aws:user}"}}"#), "aws:user");
    stored(Use::Managed, &with(r#"{"ArnLike":{"aws:PrincipalArn":"${aws:arn}"}}"#), "aws:arn");
    stored(
        Use::Managed,
        &with(r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam:*"}}"#),
        "not an ARN of six parts",
    );
    stored(
        Use::Managed,
        r#"{"Effect":"Allow","Action":"*","Resource":["*","arn:aws:s3:::x/${aws:user}"]}"#,
        "$.Statement[0].Resource[1]",
    );
}

#[test]
fn each_use_has_its_own_elements() {
    let plain = r#"{"Effect":"Allow","Action":"ssm:*","Resource":"*"}"#;
    let trust = r#"{"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*"}"#;
    let both = r#"{"Effect":"Allow","Action":"ssm:*","Resource":"*","Principal":"*"}"#;
    stored(Use::UserInline, plain, "");
    stored(Use::Trust, trust, "");
    stored(Use::Resource, both, "");
    stored(Use::Managed, both, "names no principal");
    stored(Use::Trust, plain, "must name a Principal");
    stored(Use::Trust, both, "names no resource");
    stored(Use::Resource, trust, "Resource is missing");
    stored(
        Use::Trust,
        r#"{"Effect":"Allow","Action":"sts:AssumeRole","NotPrincipal":{"AWS":"123456789012"}}"#,
        "Deny only",
    );
    stored(
        Use::Managed,
        r#"{"Sid":"a b","Effect":"Allow","Action":"ssm:*","Resource":"*"}"#,
        "letters and digits",
    );
    stored(
        Use::Resource,
        r#"{"Sid":"a b","Effect":"Allow","Action":"ssm:*","Resource":"*","Principal":"*"}"#,
        "",
    );
}

#[test]
fn a_document_is_stored_up_to_the_last_character_of_its_quota() {
    let of = |chars: usize| {
        let action = |chars: usize| format!(r#","a:{}""#, "b".repeat(chars - r#","a:""#.len()));
        let (head, tail) =
            (r#"{"Statement":{"Effect":"Allow","Resource":"*","Action":["a:b""#, "]}}\n\t ");
        let mut actions = String::new();
        let mut missing = chars - head.len() - tail.trim_end().len();
        while missing > 2_000 {
            actions.push_str(&action(1_000));
            missing -= 1_000;
        }
        Policy::parse(&format!("{head}{actions}{}{tail}", action(missing))).expect("parses")
    };
    for purpose in
        [Use::Managed, Use::UserInline, Use::Session, Use::Trust, Use::GroupInline, Use::RoleInline]
    {
        let full = of(purpose.quota());
        assert_eq!(full.counted_chars(), purpose.quota());
        let said = full.validate_for_storage(purpose, &[]);
        assert!(!matches!(said, Err(StorageError::TooLong { .. })), "{purpose:?}");
        let over = of(purpose.quota() + 1).validate_for_storage(purpose, &[]);
        assert_eq!(
            over,
            Err(StorageError::TooLong { chars: purpose.quota() + 1, quota: purpose.quota() })
        );
    }
}
