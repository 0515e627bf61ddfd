//! Conditions on the parameters of a document: all of their values are run, so all of them count.
//!
//! Source: decision 0100. Each row is asked in an `Allow` and in a `Deny` statement.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use towline_policy::{Context, NamedPolicy, Outcome, Policy, PolicySet, Request, evaluate};

const COMMANDS: &str = "towline:DocumentParameter/commands";
const HOST: &str = "towline:DocumentParameter/host";

fn named(text: &str) -> NamedPolicy {
    NamedPolicy::new("p", Arc::new(Policy::parse(text).expect(text)))
}

fn statement(effect: &str, operator: &str, key: &str, wanted: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"*","Resource":"*",
            "Condition":{{"{operator}":{{"{key}":{wanted}}}}}}}}}"#
    )
}

fn context(key: &str, given: Option<&[&str]>) -> Context {
    let mut context = Context::new();
    if let Some(given) = given {
        context.set(key, given.iter().copied());
    }
    context
}

/// Whether the Allow allows, and whether the Deny denies.
fn met(operator: &str, key: &str, wanted: &str, given: Option<&[&str]>) -> (bool, bool) {
    let everything = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let decide = |texts: &[&str]| {
        let identity = texts.iter().map(|text| named(text)).collect();
        let policies = PolicySet { identity, ..PolicySet::default() };
        let request = Request::new("x", "ssm:SendCommand", "r", context(key, given));
        evaluate(&policies, &request).effect
    };
    let allow = decide(&[&statement("Allow", operator, key, wanted)]);
    let deny = decide(&[everything, &statement("Deny", operator, key, wanted)]);
    (allow == Outcome::Allowed, deny == Outcome::ExplicitlyDenied)
}

#[track_caller]
fn commands(operator: &str, wanted: &str, given: Option<&[&str]>, allow: bool, deny: bool) {
    let found = met(operator, COMMANDS, wanted, given);
    assert_eq!(found, (allow, deny), "(Allow, Deny) of {operator} {wanted} with {given:?}");
}

#[test]
fn a_positive_operator_allows_when_all_values_pass_and_denies_when_one_does() {
    let uptime = r#""uptime""#;
    commands("StringEquals", uptime, Some(&["uptime"]), true, true);
    commands("StringEquals", uptime, Some(&["uptime", "uptime"]), true, true);
    commands("StringEquals", uptime, Some(&["uptime", "touch /x"]), false, true);
    commands("StringEquals", uptime, Some(&["touch /x", "uptime"]), false, true);
    commands("StringEquals", uptime, Some(&["touch /x"]), false, false);
    commands("StringEquals", r#"["uptime","id"]"#, Some(&["id", "uptime"]), true, true);
    commands("StringLike", r#""up*""#, Some(&["uptime", "id"]), false, true);
    commands("StringEqualsIgnoreCase", r#""UPTIME""#, Some(&["uptime", "id"]), false, true);
    commands("StringEqualsIfExists", uptime, Some(&["uptime", "id"]), false, true);
}

#[test]
fn a_negated_operator_allows_when_all_values_differ_and_denies_when_one_does() {
    let reboot = r#""reboot""#;
    commands("StringNotEquals", reboot, Some(&["uptime"]), true, true);
    commands("StringNotEquals", reboot, Some(&["uptime", "reboot"]), false, true);
    commands("StringNotEquals", reboot, Some(&["reboot"]), false, false);
    commands("StringNotLike", r#""re*""#, Some(&["uptime", "reboot"]), false, true);
    commands("StringNotLike", r#""re*""#, Some(&["reboot", "reset"]), false, false);
}

#[test]
fn without_a_value_an_allow_is_not_met() {
    for none in [None, Some(&[][..])] {
        commands("StringEquals", r#""uptime""#, none, false, false);
        commands("StringNotEquals", r#""reboot""#, none, false, true);
        commands("StringEqualsIfExists", r#""uptime""#, none, true, true);
        commands("Null", r#""true""#, none, true, true);
    }
}

#[test]
fn set_operators_stay_what_they_are() {
    let uptime = r#""uptime""#;
    commands("ForAnyValue:StringEquals", uptime, Some(&["uptime", "id"]), true, true);
    commands("ForAllValues:StringEquals", uptime, Some(&["uptime", "id"]), false, false);
    commands("ForAllValues:StringEquals", uptime, None, true, true);
    commands("ForAnyValue:StringEquals", uptime, None, false, false);
}

#[test]
fn keys_that_devices_may_bring_are_permitted_together() {
    const KEYS: &str = "towline:DeviceTagKeys";
    for (operator, wanted, given, expected) in [
        ("StringEquals", r#""site""#, Some(&["site"][..]), (true, true)),
        ("StringEquals", r#""site""#, Some(&["site", "environment"][..]), (false, true)),
        ("StringNotEquals", r#""environment""#, Some(&["site", "environment"][..]), (false, true)),
        // Most activations permit none: that is no reason to refuse them.
        ("StringNotEquals", r#""environment""#, None, (true, true)),
        ("ForAnyValue:StringEquals", r#""site""#, Some(&["site", "environment"][..]), (true, true)),
    ] {
        assert_eq!(met(operator, KEYS, wanted, given), expected, "{operator} {wanted} {given:?}");
    }
}

#[test]
fn other_keys_of_several_values_are_compared_as_before() {
    let keys = |operator, given: &[&str]| met(operator, "aws:TagKeys", r#""a""#, Some(given));
    assert_eq!(keys("StringEquals", &["a", "b"]), (true, true));
    assert_eq!(keys("StringNotEquals", &["a", "b"]), (false, false));
}

#[track_caller]
fn host(operator: &str, wanted: &str, given: &str, allow: bool, deny: bool) {
    let found = met(operator, HOST, &format!("{wanted:?}"), Some(&[given]));
    assert_eq!(found, (allow, deny), "(Allow, Deny) of {operator} {wanted} with {given}");
}

#[test]
fn an_allow_for_a_pattern_of_addresses_matches_no_name() {
    host("StringLike", "10.*", "10.0.0.7", true, true);
    host("StringLike", "10.*", "10.example.com", false, true);
    host("StringLike", "1*", "1.pool.ntp.org", false, true);
    host("StringLike", "?92.168.*", "192.168.example.com", false, true);
    host("StringLike", "*.example.com", "10.example.com", true, true);
    host("StringLike", "*", "10.example.com", true, true);
    host("StringLike", "db*", "db1", true, true);
    host("StringNotLike", "10.*", "10.example.com", false, true);
    host("StringNotLike", "10.*", "10.0.0.7", false, false);
    host("StringNotLike", "10.*", "db1", true, true);
}

#[test]
fn a_path_says_nothing_about_followed_links_unless_the_statement_speaks_of_them() {
    let decide = |effect: &str, conditions: &str, follow: &str| {
        let everything = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        let text = format!(
            r#"{{"Statement":{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{conditions}}}}}"#
        );
        let mut identity = vec![named(&text)];
        if effect == "Deny" {
            identity.push(named(everything));
        }
        let mut context = Context::new();
        context.set("towline:DocumentParameter/path", ["/var/log/x"]);
        context.set("towline:DocumentParameter/follow", [follow]);
        let request = Request::new("x", "ssm:StartSession", "r", context);
        evaluate(&PolicySet { identity, ..PolicySet::default() }, &request).effect
            == Outcome::Allowed
    };
    let path = |pattern: &str| {
        format!(r#"{{"StringLike":{{"towline:DocumentParameter/path":"{pattern}"}}}}"#)
    };
    let both = r#"{"StringLike":{"towline:DocumentParameter/path":"/var/log/*",
        "towline:documentparameter/Follow":["true","false"]}}"#;
    for (effect, conditions, follow, allowed) in [
        ("Allow", path("/var/log/*"), "false", true),
        ("Allow", path("/var/log/*"), "true", false),
        ("Allow", both.to_owned(), "true", true),
        ("Allow", "{}".to_owned(), "true", true),
        ("Deny", path("/etc/*"), "false", true),
        ("Deny", path("/etc/*"), "true", false),
        ("Deny", path("/var/log/*"), "false", false),
        ("Deny", both.to_owned(), "true", false),
    ] {
        assert_eq!(
            decide(effect, &conditions, follow),
            allowed,
            "{effect} {conditions} with follow {follow}"
        );
    }
}
