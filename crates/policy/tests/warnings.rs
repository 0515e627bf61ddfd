//! What a document written for AWS may hold, and which of its parts do nothing here.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use towline_policy::{Policy, Use, Vocabulary};

const HERE: Vocabulary<'static> = Vocabulary {
    actions: &[
        "ssm:StartSession",
        "ssm:TerminateSession",
        "ssm:DescribeSessions",
        "sts:AssumeRole",
    ],
    resources: &[
        "arn:aws:ssm:*:*:managed-instance/mi-*",
        "arn:aws:ec2:*:*:instance/mi-*",
        "arn:aws:ssm:*:*:session/*",
        "arn:aws:ssm:*:*:document/*",
    ],
    single_parameters: &["command", "host", "path", "runAsUser"],
    without_account: &["document/AWS-"],
    evasive_parameters: &[("path", "deny ~/ as well"), ("runAsUser", "deny Null as well")],
    own_keys: &[],
};

/// The warnings of a document that may be stored.
#[track_caller]
fn warnings(statements: &str) -> Vec<String> {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let policy = Policy::parse(&text).expect(&text);
    assert_eq!(policy.validate_for_storage(Use::Managed, &[]), Ok(()), "{text}");
    policy.warnings(&HERE).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check(statements: &str, wanted: &[&str]) {
    let found = warnings(statements);
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.contains(wanted), "{found} without {wanted}");
    }
}

#[test]
fn an_empty_sid_may_stand_in_several_statements() {
    check(
        r#"{"Sid":"","Effect":"Allow","Action":"ssm:StartSession","Resource":"*"},
           {"Sid":"","Effect":"Allow","Action":"ssm:TerminateSession",
            "Resource":"arn:aws:ssm:*:*:session/${aws:username}-*"}"#,
        &[],
    );
    let twice = r#"{"Statement":[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},
                                 {"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    assert!(Policy::parse(twice).is_err());
}

#[test]
fn statements_about_other_services_stay_with_their_keys_and_are_named() {
    check(
        r#"{"Effect":"Allow","Action":["ssm:StartSession","ssm:DescribeSessions"],"Resource":"*"},
           {"Effect":"Allow","Action":"iam:PassRole","Resource":"*",
            "Condition":{"StringEquals":{"iam:PassedToService":"ssm.amazonaws.com"}}},
           {"Effect":"Allow","Action":"kms:Decrypt","Resource":"*",
            "Condition":{"StringLike":{"kms:ViaService":"s3.*.amazonaws.com"}}}"#,
        &["$.Statement[1].Action: no action", "$.Statement[2].Action: no action"],
    );
}

#[test]
fn a_key_of_another_service_beside_our_actions_is_named() {
    check(
        r#"{"Effect":"Allow","Action":["ssm:StartSession","s3:ListBucket"],"Resource":"*",
            "Condition":{"StringLike":{"s3:prefix":"home/*"}}}"#,
        &[r#"Condition.StringLike["s3:prefix"]: no request here has this condition key"#],
    );
}

#[test]
fn a_deny_that_protects_nothing_is_named() {
    let allow = r#"{"Effect":"Allow","Action":"ssm:*","Resource":"*"}"#;
    let with = |deny: &str| format!("{allow},{{\"Effect\":\"Deny\",{deny}}}");
    check(
        &with(r#""Action":"ssm:StartSesion","Resource":"*""#),
        &[r#"$.Statement[1].Action[0]: "ssm:startsesion" matches no action"#],
    );
    check(
        &with(r#""Action":["ssm:Start*","ssm:Stop*"],"Resource":"*""#),
        &[r#"$.Statement[1].Action[1]"#],
    );
    check(
        &with(r#""Action":"ssm:StartSession","Resource":"arn:aws:ssm:*:*:managed-instance/i-*""#),
        &[
            r#"$.Statement[1].Resource[0]: "arn:aws:ssm:*:*:managed-instance/i-*" matches no resource"#,
        ],
    );
    for matches in [
        "arn:aws:ssm:eu-central-1:123456789012:managed-instance/mi-0123456789abcdef0",
        "arn:aws:ssm:*:*:*/mi-0*",
        "arn:aws:*",
        "arn:aws:ssm:*:*:session/${aws:username}-*",
        "arn:aws:ec2:*:*:instance/?i-*",
    ] {
        check(&with(&format!(r#""Action":"ssm:*","Resource":"{matches}""#)), &[]);
    }
    for matches_nothing in ["arn:aws:s3:::bucket/*", "arn:aws-cn:ssm:*:*:session/*"] {
        let deny = with(&format!(r#""Action":"ssm:*","Resource":"{matches_nothing}""#));
        check(&deny, &["matches no resource"]);
    }
}

#[test]
fn an_allow_with_a_misspelt_action_of_ours_is_named() {
    check(
        r#"{"Effect":"Allow","Action":["ssm:StartSession","ssm:DescribeSesions","s3:GetObject"],
            "Resource":"*"}"#,
        &[r#"$.Statement[0].Action[1]: "ssm:describesesions" matches no action"#],
    );
}

#[test]
fn plain_operators_on_lists_of_parameters_are_explained() {
    let on = |effect: &str, operator: &str, parameter: &str| {
        format!(
            r#"{{"Effect":"{effect}","Action":"ssm:*","Resource":"*","Condition":
                {{"{operator}":{{"towline:DocumentParameter/{parameter}":"x"}}}}}}"#
        )
    };
    check(&on("Allow", "StringEquals", "commands"), &["towline:CommandLine"]);
    check(&on("Deny", "StringNotEquals", "commands"), &["ForAllValues:"]);
    check(&on("Deny", "StringEquals", "commands"), &[]);
    check(&on("Allow", "StringNotEquals", "commands"), &[]);
    check(&on("Allow", "StringEquals", "Command"), &[]);
    check(&on("Allow", "ForAllValues:StringEquals", "commands"), &[]);
    check(&on("Allow", "Null", "commands").replace("\"x\"", "\"false\""), &[]);
}

#[test]
fn a_deny_of_a_document_of_aws_with_an_account_protects_nothing() {
    let deny = |arn: &str| {
        format!(r#"{{"Effect":"Deny","Action":"ssm:StartSession","Resource":"{arn}"}}"#)
    };
    for arn in [
        "arn:aws:ssm:eu-1:000000000000:document/AWS-StartSSHSession",
        "arn:aws:ssm:*:000000000000:document/AWS-*",
    ] {
        check(&deny(arn), &["belongs to no account"]);
    }
    for arn in [
        "arn:aws:ssm:eu-1::document/AWS-StartSSHSession",
        "arn:aws:ssm:*:*:document/AWS-*",
        "arn:aws:ssm:eu-1:000000000000:document/Mine",
    ] {
        check(&deny(arn), &[]);
    }
}

#[test]
fn a_deny_that_another_form_of_the_parameter_passes_is_named() {
    let with = |effect: &str, parameter: &str, value: &str| {
        format!(
            r#"{{"Effect":"{effect}","Action":"ssm:StartSession","Resource":"*","Condition":
            {{"StringLike":{{"towline:DocumentParameter/{parameter}":"{value}"}}}}}}"#
        )
    };
    check(&with("Deny", "path", "/root/*"), &["deny ~/ as well"]);
    check(&with("Deny", "runasuser", "root"), &["deny Null as well"]);
    for good in [with("Deny", "path", "*/.ssh/*"), with("Allow", "path", "/var/log/*")] {
        check(&good, &[]);
    }
}
