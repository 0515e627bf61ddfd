//! The access matrix: every operation there is, by a caller without a key, with a wrong one, with a
//! right one without the right, and with the right.
//!
//! The list is made from `Operation::ALL`: a new operation is in this test on the day it is served.

use std::net::{IpAddr, Ipv4Addr};

use towline_ssm::operation::{Operation, ResourceKind, Service};
use towline_testkit::https::{Answer, Request};
use towline_testkit::lab::{Keys, Lab, Operator};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

/// A device that does not exist: what is asked about it is refused by policy before anybody looks
/// for it.
const NO_DEVICE: &str = "mi-00000000000000000";

/// A body that is well formed, so that a refusal means a missing right.
#[allow(clippy::too_many_lines)] // one arm for each operation
fn body(operation: Operation) -> &'static str {
    match operation {
        Operation::StartSession | Operation::GetConnectionStatus => {
            r#"{"Target":"mi-00000000000000000"}"#
        }
        Operation::ResumeSession
        | Operation::TerminateSession
        | Operation::GetRecordingIndex
        | Operation::VerifyRecording
        | Operation::GetRecording
        | Operation::WatchSession
        | Operation::JoinSession
        | Operation::ListSessionCommands => r#"{"SessionId":"somebody-0123456789abcdefg"}"#,
        Operation::SendSessionMessage => {
            r#"{"SessionId":"somebody-0123456789abcdefg","Message":"hello"}"#
        }
        Operation::SearchSessionCommands => r#"{"Query":"ls"}"#,
        Operation::DescribeSessions => r#"{"State":"Active"}"#,
        Operation::SendCommand => {
            r#"{"DocumentName":"AWS-RunShellScript","InstanceIds":["mi-00000000000000000"],"Parameters":{"commands":["true"]}}"#
        }
        Operation::GetCommandInvocation | Operation::GetCommandOutput => {
            r#"{"CommandId":"00000000-0000-4000-8000-000000000000","InstanceId":"mi-00000000000000000"}"#
        }
        Operation::CancelCommand => r#"{"CommandId":"00000000-0000-4000-8000-000000000000"}"#,
        Operation::CreateActivation => r#"{"IamRole":"towline"}"#,
        Operation::DeleteActivation => r#"{"ActivationId":"00000000-0000-4000-8000-000000000000"}"#,
        Operation::AddTagsToResource => {
            r#"{"ResourceType":"ManagedInstance","ResourceId":"mi-00000000000000000","Tags":[{"Key":"k","Value":"v"}]}"#
        }
        Operation::RemoveTagsFromResource => {
            r#"{"ResourceType":"ManagedInstance","ResourceId":"mi-00000000000000000","TagKeys":["k"]}"#
        }
        Operation::ListTagsForResource => {
            r#"{"ResourceType":"ManagedInstance","ResourceId":"mi-00000000000000000"}"#
        }
        Operation::DeregisterManagedInstance => r#"{"InstanceId":"mi-00000000000000000"}"#,
        Operation::RotateDeviceKey | Operation::ListDeviceKeys | Operation::ApproveDevice => {
            r#"{"InstanceId":"mi-00000000000000000"}"#
        }
        Operation::RenameDevice => r#"{"InstanceId":"mi-00000000000000000","Name":"other"}"#,
        Operation::RevokeDeviceKey => {
            r#"{"InstanceId":"mi-00000000000000000","KeyFingerprint":"0000000000000000000000000000000000000000000000000000000000000000"}"#
        }
        Operation::UpdateAccessKey => {
            r#"{"PrincipalName":"somebody","AccessKeyId":"AKIA0000000000000000","Status":"Inactive"}"#
        }
        Operation::DeleteAccessKey => {
            r#"{"PrincipalName":"somebody","AccessKeyId":"AKIA0000000000000000"}"#
        }
        Operation::PutPrincipalPolicy => {
            r#"{"PrincipalName":"somebody","PolicyName":"p","PolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[]}"}"#
        }
        Operation::GetPrincipalPolicy | Operation::DeletePrincipalPolicy => {
            r#"{"PrincipalName":"somebody","PolicyName":"p"}"#
        }
        Operation::CreatePrincipal
        | Operation::DeletePrincipal
        | Operation::CreateAccessKey
        | Operation::ListAccessKeys
        | Operation::ListPrincipalPolicies => r#"{"PrincipalName":"somebody"}"#,
        other => body_of_newer(other),
    }
}

/// The same for documents, roles and access for a time.
fn body_of_newer(operation: Operation) -> &'static str {
    match operation {
        Operation::GetSignInRequest => r#"{"UserCode":"BCDF-GHJK"}"#,
        Operation::DecideSignInRequest => r#"{"UserCode":"BCDF-GHJK","Decision":"Approve"}"#,
        Operation::CreateDocument => {
            r#"{"Name":"somebodys","Content":"{}","DocumentType":"Session"}"#
        }
        Operation::UpdateDocument => r#"{"Name":"somebodys","Content":"{}"}"#,
        Operation::UpdateDocumentDefaultVersion => r#"{"Name":"somebodys","DocumentVersion":"1"}"#,
        Operation::GetDocument
        | Operation::DescribeDocument
        | Operation::ListDocumentVersions
        | Operation::DeleteDocument => r#"{"Name":"somebodys"}"#,
        Operation::DescribeDocumentPermission => r#"{"Name":"somebodys","PermissionType":"Share"}"#,
        Operation::UpdateRole
        | Operation::GetPrincipalBoundary
        | Operation::DeletePrincipalBoundary => r#"{"PrincipalName":"somebody"}"#,
        Operation::AddGroupMember | Operation::RemoveGroupMember => {
            r#"{"GroupName":"some","PrincipalName":"somebody"}"#
        }
        Operation::PutPrincipalBoundary => {
            r#"{"PrincipalName":"somebody","PolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[]}"}"#
        }
        Operation::StartAccessRequest | Operation::BreakGlass => {
            r#"{"Reason":"a test","Targets":[{"Key":"InstanceIds","Values":["mi-00000000000000000"]}]}"#
        }
        Operation::GetAccessToken | Operation::ApproveAccessRequest => {
            r#"{"AccessRequestId":"oi-000000000000"}"#
        }
        Operation::ExplainAccess => {
            r#"{"Principal":"somebody","Action":"ssm:StartSession","Resource":"arn:aws:ssm:*:*:document/x"}"#
        }
        Operation::ListDeviceAccess => r#"{"InstanceId":"mi-00000000000000000"}"#,
        Operation::CreateSecondFactor | Operation::DeleteSecondFactor => {
            r#"{"PrincipalName":"somebody"}"#
        }
        Operation::EnableSecondFactor => r#"{"PrincipalName":"somebody","TokenCode":"123456"}"#,
        Operation::CreateWebhook => {
            r#"{"WebhookName":"some","Url":"https://hooks.example/secret"}"#
        }
        Operation::DeleteWebhook | Operation::ListDeadLetters | Operation::ResendDeadLetters => {
            r#"{"WebhookName":"some"}"#
        }
        Operation::CreateIdentityProvider => {
            r#"{"ProviderName":"some","Issuer":"https://id.example","Audiences":["a"]}"#
        }
        Operation::UpdateIdentityProvider => r#"{"ProviderName":"some","Audiences":["a"]}"#,
        Operation::GetIdentityProvider
        | Operation::DeleteIdentityProvider
        | Operation::ListFederatedPeople => r#"{"ProviderName":"some"}"#,
        Operation::UpdateIdentityProviderStatus => r#"{"ProviderName":"some","Status":"Disabled"}"#,
        Operation::UpdateFederatedPerson => {
            r#"{"ProviderName":"some","Subject":"ann","Status":"Blocked"}"#
        }
        _ => "{}",
    }
}

fn request(operation: Operation) -> Request {
    match operation.service() {
        Service::Sts if operation == Operation::AssumeRole => Request::form(
            "AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Fsomebody&RoleSessionName=somebody",
        ),
        Service::Sts => Request::form(operation.name()),
        Service::Ssm | Service::Towline | Service::CloudTrail => {
            Request::json(&operation.target().unwrap_or_default(), body(operation))
        }
    }
}

/// A source of its own for each case: a gateway turns sources away that fail too often, and that is
/// another test.
fn sources() -> impl Iterator<Item = IpAddr> {
    (0..u16::MAX).map(|n| IpAddr::V4(Ipv4Addr::new(127, 1, (n >> 8) as u8, (n & 255) as u8 | 1)))
}

/// The error code of an answer, in either protocol.
fn code(answer: &Answer) -> String {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(&answer.body) {
        let code = json["__type"].as_str().unwrap_or_default();
        return code.rsplit('#').next().unwrap_or_default().to_owned();
    }
    let between = answer.body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    between.map(|(code, _)| code.to_owned()).unwrap_or_default()
}

/// Asks for every operation in one way, and collects what was not answered as it should be.
fn every_operation(
    ask: impl Fn(Operation, IpAddr) -> Outcome<Answer>,
    right: impl Fn(Operation, &Answer) -> bool,
) -> Outcome {
    let mut wrong = Vec::new();
    for (operation, source) in Operation::ALL.iter().copied().zip(sources()) {
        let answer = ask(operation, source)
            .map_err(|e| Trouble::new(format!("{}: {e}", operation.name())))?;
        if !right(operation, &answer) {
            wrong.push(format!("{}: HTTP {} {}", operation.name(), answer.status, answer.body));
        }
    }
    ensure(wrong.is_empty(), || wrong.join("\n"))
}

#[test]
fn without_a_key_every_operation_is_refused() -> Outcome {
    let lab = Lab::start()?;
    every_operation(
        |operation, source| lab.admin().from_address(source).send_unsigned(&request(operation)),
        |_, answer| {
            matches!(answer.status, 400 | 403)
                && code(answer).starts_with("MissingAuthenticationToken")
        },
    )
}

#[test]
fn with_a_wrong_secret_every_operation_is_refused() -> Outcome {
    let lab = Lab::start()?;
    let wrong = Keys { id: lab.gateway.admin().id.clone(), secret: "x".repeat(40) };
    every_operation(
        |operation, source| {
            lab.operator(wrong.clone()).from_address(source).send(&request(operation))
        },
        |_, answer| {
            let code = code(answer);
            matches!(answer.status, 400 | 403)
                && (code == "InvalidSignatureException" || code == "SignatureDoesNotMatch")
        },
    )
}

#[test]
fn with_an_unknown_key_every_operation_is_refused() -> Outcome {
    let lab = Lab::start()?;
    let unknown = Keys { id: "AKIAQQQQQQQQQQQQQQQQ".into(), secret: "x".repeat(40) };
    every_operation(
        |operation, source| {
            lab.operator(unknown.clone()).from_address(source).send(&request(operation))
        },
        |_, answer| {
            let code = code(answer);
            matches!(answer.status, 400 | 403)
                && (code == "UnrecognizedClientException" || code == "InvalidClientTokenId")
        },
    )
}

#[test]
fn with_a_key_that_has_no_right_every_operation_is_refused_and_the_right_is_named() -> Outcome {
    let lab = Lab::start()?;
    let nobody = lab.user("nobody", None)?;
    every_operation(
        |operation, source| nobody.clone().from_address(source).send(&request(operation)),
        |operation, answer| {
            use Operation::{
                DecideSignInRequest, DeleteSignIn, GetSignIn, GetSignInRequest, ProveSecondFactor,
                RedeemSignInLink,
            };
            let by_cookie =
                [GetSignIn, DeleteSignIn, GetSignInRequest, DecideSignInRequest, ProveSecondFactor];
            if by_cookie.contains(&operation) || operation == RedeemSignInLink {
                // A browser's cookie is its right, or a link.
                return code(answer) == "ValidationException";
            }
            if operation == Operation::AssumeRoleWithWebIdentity {
                return code(answer) == "ValidationError"; // a provider's token is its right
            }
            if operation.resource_kind() == ResourceKind::None {
                return answer.status == 200;
            }
            code(answer).starts_with("AccessDenied") && answer.body.contains(operation.iam_action())
        },
    )
}

#[test]
fn a_right_for_one_operation_opens_that_one_alone() -> Outcome {
    let lab = Lab::start()?;
    let mut wrong = Vec::new();
    for (number, (operation, source)) in Operation::ALL.iter().copied().zip(sources()).enumerate() {
        let user = one_right(&lab, number, operation)?.from_address(source);
        let own = user.send(&request(operation))?;
        // A role that is not there is refused like one that does not trust the caller.
        if code(&own).starts_with("AccessDenied") && operation != Operation::AssumeRole {
            wrong.push(format!(
                "{} is refused in spite of its right: {}",
                operation.name(),
                own.body
            ));
        }
        let other = Operation::ALL[(number + 1) % Operation::ALL.len()];
        let answer = user.send(&request(other))?;
        if other.resource_kind() != ResourceKind::None
            && other.iam_action() != operation.iam_action()
            && !code(&answer).starts_with("AccessDenied")
        {
            wrong.push(format!("{} is opened by the right to {}", other.name(), operation.name()));
        }
    }
    ensure(wrong.is_empty(), || wrong.join("\n"))
}

fn one_right(lab: &Lab, number: usize, operation: Operation) -> Outcome<Operator> {
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": operation.iam_action(), "Resource": "*" }],
    });
    lab.user(&format!("one-{number}"), Some(&policy.to_string()))
}

#[test]
fn an_explicit_deny_wins_over_an_allow_of_everything() -> Outcome {
    let lab = Lab::start()?;
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": "ssm:CreateActivation", "Resource": "*" },
        ],
    });
    let user = lab.user("nearly-all", Some(&policy.to_string()))?;
    let denied = user.send(&request(Operation::CreateActivation))?;
    ensure(code(&denied).starts_with("AccessDenied"), || denied.body.clone())?;
    let allowed = user.send(&request(Operation::DescribeInstanceInformation))?;
    ensure(allowed.status == 200, || allowed.body.clone())
}

#[test]
fn a_policy_on_tags_opens_the_devices_with_these_tags_alone() -> Outcome {
    let lab = Lab::start()?;
    let tagged = |value: &str| towline_testkit::lab::DeviceSetup {
        tags: vec![("environment".into(), value.into())],
        ..towline_testkit::lab::DeviceSetup::default()
    };
    let (dev, prod) = (lab.device_with(&tagged("dev"))?, lab.device_with(&tagged("prod"))?);
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "ssm:StartSession", "Resource": "arn:aws:ec2:*:*:instance/*",
              "Condition": { "StringEquals": { "ssm:resourceTag/environment": "dev" } } },
            { "Effect": "Allow", "Action": "ssm:StartSession", "Resource": "arn:aws:ssm:*:*:document/*" },
        ],
    });
    let user = lab.user("tagged", Some(&policy.to_string()))?;
    let allowed = user.run(&["exec", dev.id(), "--", "echo", "in"])?;
    ensure(allowed.stdout == b"in\n", || format!("{allowed:?}"))?;
    let denied = user.run(&["exec", prod.id(), "--", "echo", "in"])?;
    ensure(!denied.status.success() && denied.stdout.is_empty(), || format!("{denied:?}"))
}

#[test]
fn every_request_leaves_an_audit_line_without_secrets() -> Outcome {
    let lab = Lab::start()?;
    let nobody = lab.user("nobody", None)?;
    nobody.send(&Request::json(
        "AmazonSSM.StartSession",
        &format!(r#"{{"Target":"{NO_DEVICE}"}}"#),
    ))?;
    lab.admin().send_unsigned(&request(Operation::CreateActivation))?;
    lab.admin().send(&request(Operation::GetCallerIdentity))?;
    towline_testkit::eventually(
        "the lines are written",
        std::time::Duration::from_secs(10),
        || {
            let logged = lab.gateway.logged();
            let has = |words: &[&str]| {
                logged.lines().any(|line| words.iter().all(|word| line.contains(word)))
            };
            (has(&["StartSession", "nobody", "AccessDenied"])
                && has(&["CreateActivation", "MissingAuthenticationToken"])
                && has(&["GetCallerIdentity", "admin"]))
            .then_some(())
        },
    )?;
    let logged = lab.gateway.logged();
    for keys in [lab.gateway.admin(), nobody.keys()] {
        ensure(!logged.contains(&keys.secret), || "a secret key stands in the log".into())?;
    }
    Ok(())
}
