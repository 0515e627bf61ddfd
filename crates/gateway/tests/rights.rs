//! Rights that end, and rules that hold: what goes on of who lost rights, and what policy is asked.
#![allow(clippy::unwrap_used)] // also outside of the test functions: all of this is a test

mod plane_of_notes;
mod still_api;
mod world;

use std::time::Duration;

use serde_json::{Value, json};
use towline_host::clock::UnixMillis;
use towline_ssm::operation::Operation;
use towline_store::{IdentityProvider, NewSession, TrailBounds, TrailRooms};

use still_api::NOW;
use world::{ACCOUNT, DEVICE, EVERYTHING, Key, TRUST, World, deny, policy};

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_leaves_the_seats_in_sessions_of_others() {
    let world = World::new().await;
    for (name, end, counted) in [("jox", true, "EndedSessions"), ("joy", false, "LiveSessions")] {
        world.user(name, &[]).await;
        let id = world.id_of(name).await;
        world.plane.sits(&id);
        let request = json!({ "PrincipalName": name, "EndSessions": end });
        let answer = world.done(Operation::DeletePrincipal, &world.admin, request).await;
        assert_eq!(answer[counted], 1, "{answer}");
        assert_eq!(world.plane.sitters(), if end { vec![] } else { vec![id] });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_leaves_no_command_that_runs_unless_it_is_told() {
    let world = World::new().await;
    for (name, end) in [("ann", false), ("bob", true)] {
        world.user(name, &[]).await;
        world.open_command(name, &world.id_of(name).await).await;
        let request = json!({ "PrincipalName": name, "EndSessions": end });
        let answer = world.done(Operation::DeletePrincipal, &world.admin, request).await;
        let told = if end { Value::Null } else { json!(1) };
        assert_eq!(answer["TowlineOpenCommands"], told, "{answer}");
    }
    assert_eq!(world.plane.cancelled(), ["bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_person_leaves_seats_and_commands() {
    let world = World::new().await;
    let provider = IdentityProvider {
        name: "corp".into(),
        unique_id: String::new(),
        issuer: "https://corp.example".into(),
        settings: "{}".into(),
        secret: None,
        created_at: NOW,
        changed_at: NOW,
        is_disabled: false,
        holds_since: towline_host::clock::UnixMillis(0),
        own_redirect: true,
    };
    let provider = world.store.identity_providers().create(&provider).await.unwrap();
    let person = world.store.identity_providers().let_in(&provider, "eve", "eve", NOW).await;
    let person = person.unwrap().id;
    world.plane.sits(&person);
    world.open_command("c", &person).await;
    let request = |end: bool| {
        let (name, who) = ("corp", "eve");
        json!({ "ProviderName": name, "Subject": who, "Status": "Blocked", "EndSessions": end })
    };
    let block = Operation::UpdateFederatedPerson;
    let answer = world.done(block, &world.admin, request(false)).await;
    assert_eq!((&answer["LiveSessions"], &answer["TowlineOpenCommands"]), (&json!(1), &json!(1)));
    let answer = world.done(block, &world.admin, request(true)).await;
    assert_eq!(answer["EndedSessions"], 1, "{answer}");
    assert_eq!((world.plane.sitters(), world.plane.cancelled()), (vec![], vec!["c".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_is_judged_by_what_the_session_was_started_with() {
    let world = World::new().await;
    let line = deny("ssm:StartSession", r#"{"StringLike":{"towline:CommandLine":"*secret*"}}"#);
    let parameter =
        r#"{"StringEquals":{"towline:DocumentParameter/command":"cat secret"}}"#.to_owned();
    let parameter = deny("ssm:StartSession", &parameter);
    let bob = world.user("bob", &[EVERYTHING, &line]).await;
    let eve = world.user("eve", &[EVERYTHING, &parameter]).await;
    let start = |command: &str| {
        json!({
            "Target": DEVICE,
            "DocumentName": "AWS-StartInteractiveCommand",
            "Parameters": { "command": [command] },
        })
    };
    let started = async |command| {
        let answer = world.done(Operation::StartSession, &world.admin, start(command)).await;
        json!({ "SessionId": answer["SessionId"] })
    };
    let (secret, open) = (started("cat secret").await, started("cat notes").await);
    for key in [&bob, &eve] {
        world.denied(Operation::StartSession, key, start("cat secret")).await;
        world.denied(Operation::JoinSession, key, secret.clone()).await;
        world.done(Operation::JoinSession, key, open.clone()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_as_of_the_sessions_own_document_holds_for_who_joins() {
    let world = World::new().await;
    let content = json!({
        "schemaVersion": "1.0",
        "sessionType": "Standard_Stream",
        "inputs": { "runAsEnabled": true },
    });
    let document = json!({
        "Name": "Own-Shell", "DocumentType": "Session", "Content": content.to_string(),
    });
    world.done(Operation::CreateDocument, &world.admin, document).await;
    let tag = |user: &str| vec![("SSMSessionRunAs".to_owned(), user.to_owned())];
    let mut keys = Vec::new();
    for (name, user) in [("owner", "op"), ("same", "op"), ("other", "web")] {
        keys.push(world.user(name, &[EVERYTHING]).await);
        let tags = world.store.tags();
        let kind = towline_store::TagKind::Principal;
        let none = std::collections::BTreeMap::new();
        tags.change(kind, name, &none, (&[], &tag(user))).await.unwrap();
    }
    let request = json!({ "Target": DEVICE, "DocumentName": "Own-Shell" });
    let started = world.done(Operation::StartSession, &keys[0], request).await;
    let join = json!({ "SessionId": started["SessionId"] });
    world.done(Operation::JoinSession, &keys[1], join.clone()).await;
    world.denied(Operation::JoinSession, &keys[2], join).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_an_older_gateway_is_joined_by_nobody() {
    let world = World::new().await;
    let bob = world.user("bob", &[EVERYTHING]).await;
    let request = json!({ "Target": DEVICE });
    world.plane.forget_facts();
    let started = world.done(Operation::StartSession, &world.admin, request).await;
    let join = json!({ "SessionId": started["SessionId"] });
    world.denied(Operation::JoinSession, &bob, join).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_about_a_session_say_which_agent_its_device_runs() {
    let world = World::new().await;
    let rule = deny("*", r#"{"StringEquals":{"towline:AgentKind":"towline"}}"#);
    let bob = world.user("bob", &[EVERYTHING, &rule]).await;
    let request = json!({ "Target": DEVICE });
    let started = world.done(Operation::StartSession, &world.admin, request).await;
    let id = &started["SessionId"];
    for operation in [Operation::WatchSession, Operation::JoinSession] {
        world.denied(operation, &bob, json!({ "SessionId": id })).await;
    }
    let message = json!({ "SessionId": id, "Message": "hello" });
    world.denied(Operation::SendSessionMessage, &bob, message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_ends_with_the_key_that_let_it_in() {
    let world = World::new().await;
    let bob = world.user("bob", &[EVERYTHING]).await;
    let started = json!({ "Target": DEVICE });
    let started = world.done(Operation::StartSession, &world.admin, started).await;
    let watch = json!({ "SessionId": started["SessionId"] });
    world.done(Operation::WatchSession, &bob, watch).await;
    let key = json!({ "PrincipalName": "bob", "AccessKeyId": bob.id, "Status": "Inactive" });
    world.done(Operation::UpdateAccessKey, &world.admin, key).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), world.plane.viewer_ends()).await;
    assert!(ended.unwrap().contains("right"), "the viewer is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deny_for_a_devices_tags_holds_for_its_commands_after_it_was_removed() {
    let world = World::new().await;
    let rule = deny("*", r#"{"StringEquals":{"ssm:resourceTag/Env":"prod"}}"#);
    let bob = world.user("bob", &[EVERYTHING, &rule]).await;
    let ann = world.user("ann", &[EVERYTHING]).await;
    let send = json!({
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [DEVICE],
        "Parameters": { "commands": ["cat secret"] },
    });
    let sent = world.done(Operation::SendCommand, &ann, send).await;
    let id = sent["Command"]["CommandId"].as_str().unwrap();
    let read = json!({ "CommandId": id, "InstanceId": DEVICE });
    let log = format!("cmd-{id}-{}-0", &DEVICE[3..]);
    let log = json!({ "SessionId": log });
    for removed in [false, true] {
        if removed {
            let device = json!({ "InstanceId": DEVICE });
            world.done(Operation::DeregisterManagedInstance, &world.admin, device).await;
        }
        for operation in [Operation::GetCommandInvocation, Operation::GetCommandOutput] {
            world.denied(operation, &bob, read.clone()).await;
            world.done(operation, &ann, read.clone()).await;
        }
        world.denied(Operation::ListSessionCommands, &bob, log.clone()).await;
        world.done(Operation::ListSessionCommands, &ann, log.clone()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deny_for_a_devices_tags_holds_for_what_is_on_record_of_its_sessions() {
    let world = World::new().await;
    let rule = deny("*", r#"{"StringEquals":{"ssm:resourceTag/Env":"prod"}}"#);
    let bob = world.user("bob", &[EVERYTHING, &rule]).await;
    let request = json!({ "Target": DEVICE });
    let started = world.done(Operation::StartSession, &world.admin, request).await;
    let session = json!({ "SessionId": started["SessionId"] });
    for removed in [false, true] {
        if removed {
            let device = json!({ "InstanceId": DEVICE });
            world.done(Operation::DeregisterManagedInstance, &world.admin, device).await;
        }
        for operation in [
            Operation::GetRecording,
            Operation::GetRecordingIndex,
            Operation::VerifyRecording,
            Operation::ListSessionCommands,
        ] {
            world.denied(operation, &bob, session.clone()).await;
            let answer = world.ask(operation, &world.admin, session.clone()).await;
            assert_ne!(answer["__type"], "AccessDeniedException", "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deny_for_tags_keeps_its_user_from_recordings_of_devices_that_nobody_remembers() {
    let world = World::new().await;
    let rule = deny("*", r#"{"StringEquals":{"ssm:resourceTag/Env":"prod"}}"#);
    let bob = world.user("bob", &[EVERYTHING, &rule]).await;
    world.user("ann", &[]).await;
    let ann = world.id_of("ann").await;
    let row = NewSession {
        id: "ann-0123456789abcdef0".into(),
        device_id: "mi-00000000000000099".into(),
        principal_arn: "arn:aws:iam::000000000000:user/ann".into(),
        principal_name: "ann".into(),
        principal_id: ann.clone(),
        person_id: ann,
        document: "SSM-SessionManagerRunShell".into(),
        reason: String::new(),
        run_as: String::new(),
        source_ip: String::new(),
        just_in_time: false,
        access_request: String::new(),
        session_type: "Standard_Stream".into(),
        output_url: String::new(),
        input_recorded: false,
        idle: Duration::from_secs(60),
        max: Some(Duration::from_secs(60)),
        start_facts: String::new(),
    };
    world.store.sessions().insert(&row, NOW).await.unwrap();
    let session = json!({ "SessionId": row.id });
    for operation in
        [Operation::GetRecording, Operation::GetRecordingIndex, Operation::VerifyRecording]
    {
        world.denied(operation, &bob, session.clone()).await;
        let answer = world.ask(operation, &world.admin, session.clone()).await;
        assert_ne!(answer["__type"], "AccessDeniedException", "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_of_one_user_push_no_event_of_others_out_of_the_trail() {
    let world = World::new().await;
    let eve = world.user("eve", &[EVERYTHING]).await;
    let ann = world.user("ann", &[EVERYTHING]).await;
    world.done(Operation::DescribeInstanceInformation, &ann, json!({})).await;
    world.done(Operation::StartSession, &ann, json!({ "Target": DEVICE })).await;
    for n in 0..100 {
        world.done(Operation::DescribeInstanceInformation, &eve, json!({})).await;
        let user = json!({ "PrincipalName": format!("u{n}") });
        world.done(Operation::CreatePrincipal, &eve, user).await;
    }
    let rooms = TrailRooms { changes: 20, reads: 20, devices: 20, strangers: 20 };
    let bounds = TrailBounds { exported: i64::MAX, before: UnixMillis(0), rooms };
    world.store.audit().prune(&bounds).await.unwrap();
    let lines = world.store.audit().list(0, 1000).await.unwrap();
    let of = |user: &str, name: &str| {
        let user = format!(":user/{user}\"");
        lines.iter().filter(|(_, line)| line.contains(&user) && line.contains(name)).count()
    };
    assert_eq!(of("ann", "StartSession"), 1, "{lines:?}");
    assert_eq!(of("ann", "DescribeInstanceInformation"), 1, "{lines:?}");
    assert!(of("eve", "CreatePrincipal") >= 10, "{lines:?}");
    assert!(lines.len() <= 40, "{}", lines.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_requests_tags_are_judged_wherever_a_request_has_tags() {
    let world = World::new().await;
    let rule = deny("*", r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"Team"}}"#);
    let bob = world.user("bob", &[EVERYTHING, &rule]).await;
    let tags = json!([{ "Key": "Team", "Value": "a" }]);
    let others = json!([{ "Key": "Site", "Value": "a" }]);
    let targets = json!([{ "Key": "InstanceIds", "Values": [DEVICE] }]);
    let content = r#"{"schemaVersion":"1.0","sessionType":"Standard_Stream"}"#;
    for (operation, mut body) in [
        (Operation::CreatePrincipal, json!({ "PrincipalName": "x" })),
        (Operation::StartAccessRequest, json!({ "Reason": "r", "Targets": targets })),
        (Operation::CreateActivation, json!({ "IamRole": "x" })),
        (
            Operation::CreateDocument,
            json!({ "Name": "Own", "DocumentType": "Session", "Content": content }),
        ),
        (
            Operation::AddTagsToResource,
            json!({ "ResourceType": "ManagedInstance", "ResourceId": DEVICE }),
        ),
    ] {
        body["Tags"] = tags.clone();
        world.denied(operation, &bob, body.clone()).await;
        body["Tags"] = others.clone();
        world.done(operation, &bob, body).await;
    }
    let brought = json!({ "IamRole": "x", "Tags": others, "TowlineDeviceTagKeys": ["Team"] });
    world.denied(Operation::CreateActivation, &bob, brought).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_access_in_a_role_give_further_ones_that_work() {
    let world = World::new().await;
    let role = json!({
        "PrincipalName": "ops",
        "PrincipalType": "Role",
        "TrustPolicyDocument": policy(&[TRUST]),
    });
    world.done(Operation::CreatePrincipal, &world.admin, role).await;
    let policy = json!({
        "PrincipalName": "ops", "PrincipalType": "Role", "PolicyName": "p",
        "PolicyDocument": policy(&[EVERYTHING]),
    });
    world.done(Operation::PutPrincipalPolicy, &world.admin, policy).await;
    let assume = json!({
        "RoleArn": format!("arn:aws:iam::{ACCOUNT}:role/ops"), "RoleSessionName": "it",
    });
    let assumed = Key::of(&world.done(Operation::AssumeRole, &world.admin, assume).await);
    let targets = json!([{ "Key": "InstanceIds", "Values": [DEVICE] }]);
    let broken = json!({ "Reason": "r", "Targets": targets });
    let broken = world.done(Operation::BreakGlass, &assumed, broken).await;
    let (request, first) = (&broken["AccessRequestId"], Key::of(&broken["Credentials"]));
    let again = json!({ "AccessRequestId": request });
    let again = world.done(Operation::GetAccessToken, &first, again).await;
    let second = Key::of(&again["Credentials"]);
    for key in [&first, &second] {
        let who = world.done(Operation::GetCallerIdentity, key, json!({})).await;
        let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/ops/it");
        assert_eq!(who["Arn"], arn, "{who}");
    }
}

/// The one-time code of this moment.
fn code(secret: &str, seconds: i64) -> String {
    let digits = secret.bytes().map(|byte| match byte {
        b'A'..=b'Z' => byte - b'A',
        _ => byte - b'2' + 26,
    });
    let (mut bits, mut held, mut bytes) = (0_u32, 0_u32, Vec::new());
    for digit in digits {
        (bits, held) = ((bits << 5) | u32::from(digit), held + 5);
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).unwrap());
        }
    }
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = ring::hmac::sign(&key, &(seconds / 30).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[tag.len() - 1] & 15);
    let four: [u8; 4] = tag[at..at + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_code_counts_whatever_the_credentials_say_of_an_earlier_one() {
    let world = World::new().await;
    let ann = world.user("ann", &[EVERYTHING]).await;
    let factor = json!({ "PrincipalName": "ann" });
    let factor = world.done(Operation::CreateSecondFactor, &ann, factor).await;
    let (secret, serial) = (factor["Secret"].as_str().unwrap(), &factor["SerialNumber"]);
    let next = || {
        world.clock.advance(Duration::from_secs(60));
        code(secret, world.clock.now().0 / 1000)
    };
    let enable = json!({ "PrincipalName": "ann", "TokenCode": next() });
    world.done(Operation::EnableSecondFactor, &ann, enable).await;
    let trust = r#"{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole",
        "Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},
                     "NumericLessThan":{"aws:MultiFactorAuthAge":"10"}}}"#;
    let role = json!({
        "PrincipalName": "ops", "PrincipalType": "Role", "TrustPolicyDocument": policy(&[trust]),
    });
    world.done(Operation::CreatePrincipal, &world.admin, role).await;
    let without = Key::of(&world.done(Operation::GetSessionToken, &ann, json!({})).await);
    let proof = json!({ "SerialNumber": serial, "TokenCode": next() });
    let with = Key::of(&world.done(Operation::GetSessionToken, &ann, proof).await);
    for key in [&ann, &without, &with] {
        let mut assume = json!({
            "RoleArn": format!("arn:aws:iam::{ACCOUNT}:role/ops"), "RoleSessionName": "it",
        });
        world.clock.advance(Duration::from_secs(60));
        world.denied(Operation::AssumeRole, key, assume.clone()).await;
        (assume["SerialNumber"], assume["TokenCode"]) = (serial.clone(), json!(next()));
        world.done(Operation::AssumeRole, key, assume).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_one_role_of_a_provider_leaves_its_seats_and_commands_alone() {
    let world = World::with(true).await;
    let mut ids = Vec::new();
    for name in ["kept", "lost"] {
        let request = json!({ "PrincipalName": name, "PrincipalType": "Role",
                              "TrustPolicyDocument": policy(&[TRUST]) });
        world.done(Operation::CreatePrincipal, &world.admin, request).await;
        let role = world.store.roles().get(&format!("role/{name}")).await.unwrap().unwrap();
        ids.push(role.unique_id);
    }
    let settings = |groups: &[(&str, &str)]| {
        let one = |(group, role): &(&str, &str)| json!({ "Group": group, "Role": role });
        json!({ "ProviderName": "corp", "Issuer": "https://corp.example", "ClientId": "towline",
                "GroupRoles": groups.iter().map(one).collect::<Vec<_>>() })
    };
    let both = settings(&[("dev", "kept"), ("ops", "lost")]);
    world.done(Operation::CreateIdentityProvider, &world.admin, both).await;
    let providers = world.store.identity_providers();
    let provider = providers.get("corp").await.unwrap().unwrap().unique_id;
    let eve = providers.let_in(&provider, "eve", "eve", NOW).await.unwrap().id;
    for (name, role) in [("kept", &ids[0]), ("lost", &ids[1])] {
        world.plane.sits_in(&eve, role);
        let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/eve");
        world.open_command_by(name, &eve, &arn).await;
    }
    world.plane.sits_in("somebody else", &ids[1]);
    let update = Operation::UpdateIdentityProvider;
    let answer = world.done(update, &world.admin, settings(&[("dev", "kept")])).await;
    let counted = ["EndedSessions", "LiveSessions", "TowlineOpenCommands"];
    assert_eq!(counted.map(|name| &answer[name]), [1, 1, 1], "{answer}");
    assert_eq!(world.plane.sitters(), [eve, "somebody else".to_owned()]);
    assert_eq!(world.plane.cancelled(), ["lost"]);
}

/// Each request for access needs two people.
async fn two_must_approve(world: &World) {
    let content = json!({ "schemaVersion": "1.0", "accessDurationHours": 1,
                          "approvalLevels": [{ "minRequiredApprovals": 2 }] });
    let document = json!({ "Name": "Two", "DocumentType": "ManualApprovalPolicy",
                           "Content": content.to_string() });
    world.done(Operation::CreateDocument, &world.admin, document).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_falls_with_the_right_the_key_and_the_role_by_which_it_was_given() {
    let world = World::new().await;
    two_must_approve(&world).await;
    let ann = world.user("ann", &[EVERYTHING]).await;
    let bob = world.user("bob", &[EVERYTHING]).await;
    let approve = Operation::ApproveAccessRequest;
    for (number, name) in ["right", "key", "stays"].into_iter().enumerate() {
        let eve = world.user(name, &[EVERYTHING]).await;
        let device = json!([{ "Key": "tag:Env", "Values": [format!("{number}")] }]);
        let ask = json!({ "Reason": "a pump leaks", "Targets": device });
        let asked = world.done(Operation::StartAccessRequest, &ann, ask).await;
        let request = json!({ "AccessRequestId": asked["AccessRequestId"] });
        world.done(approve, &eve, request.clone()).await;
        match name {
            "right" => {
                let named = json!({ "PrincipalName": name, "PolicyName": "p" });
                world.done(Operation::DeletePrincipalPolicy, &world.admin, named).await;
            }
            "key" => {
                let off = json!({ "PrincipalName": name, "AccessKeyId": eve.id,
                                  "Status": "Inactive" });
                world.done(Operation::UpdateAccessKey, &world.admin, off).await;
            }
            _ => {}
        }
        let counts = name == "stays";
        let answer = world.done(approve, &bob, request).await;
        let status = if counts { "Approved" } else { "Pending" };
        assert_eq!(answer["AccessRequestStatus"], status, "{name}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_a_key_that_was_disabled_stay_over_when_it_is_enabled_again() {
    let world = World::new().await;
    let ann = world.user("ann", &[EVERYTHING]).await;
    let list = Operation::ListAccessRequests;
    let session = async || Key::of(&world.done(Operation::GetSessionToken, &ann, json!({})).await);
    let before = session().await;
    world.done(list, &before, json!({})).await;
    for status in ["Inactive", "Active"] {
        world.clock.advance(Duration::from_secs(1));
        let key = json!({ "PrincipalName": "ann", "AccessKeyId": ann.id, "Status": status });
        world.done(Operation::UpdateAccessKey, &world.admin, key).await;
        let answer = world.ask(list, &before, json!({})).await;
        assert_eq!(answer["__type"], "UnrecognizedClientException", "{status}: {answer}");
    }
    world.clock.advance(Duration::from_secs(1));
    world.done(list, &session().await, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_counts_once_by_whatever_keys_and_roles_she_approves() {
    let world = World::new().await;
    two_must_approve(&world).await;
    let role = json!({ "PrincipalName": "approver", "PrincipalType": "Role",
                       "TrustPolicyDocument": policy(&[TRUST]) });
    world.done(Operation::CreatePrincipal, &world.admin, role).await;
    let may = json!({ "PrincipalName": "approver", "PrincipalType": "Role", "PolicyName": "p",
                      "PolicyDocument": policy(&[EVERYTHING]) });
    world.done(Operation::PutPrincipalPolicy, &world.admin, may).await;
    let (ann, eve) =
        (world.user("ann", &[EVERYTHING]).await, world.user("eve", &[EVERYTHING]).await);
    let ask = json!({ "Reason": "a pump leaks",
                      "Targets": [{ "Key": "tag:Env", "Values": ["prod"] }] });
    let asked = world.done(Operation::StartAccessRequest, &ann, ask).await;
    let request = json!({ "AccessRequestId": asked["AccessRequestId"] });
    let approve =
        async |key: &Key| world.ask(Operation::ApproveAccessRequest, key, request.clone()).await;
    let as_role = async |key: &Key| {
        let assume = json!({ "RoleArn": format!("arn:aws:iam::{ACCOUNT}:role/approver"),
                             "RoleSessionName": "shift" });
        Key::of(&world.done(Operation::AssumeRole, key, assume).await)
    };
    let second =
        world.done(Operation::CreateAccessKey, &world.admin, json!({ "PrincipalName": "eve" }));
    let second = second.await["AccessKey"].clone();
    let text = |name: &str| second[name].as_str().unwrap().to_owned();
    let second = Key { id: text("AccessKeyId"), secret: text("SecretAccessKey"), token: None };
    assert_eq!(approve(&eve).await["AccessRequestStatus"], "Pending");
    for again in [second.clone(), as_role(&eve).await, as_role(&second).await] {
        let refused = approve(&again).await;
        assert!(refused["message"].as_str().unwrap().contains("approved this"), "{refused}");
    }
    // The key goes, and the approval that it gave with it: the next one takes its place.
    let gone = json!({ "PrincipalName": "eve", "AccessKeyId": eve.id });
    world.done(Operation::DeleteAccessKey, &world.admin, gone).await;
    assert_eq!(approve(&as_role(&second).await).await["AccessRequestStatus"], "Pending");
    let refused = approve(&second).await;
    assert!(refused["message"].as_str().unwrap().contains("approved this"), "{refused}");
    assert_eq!(approve(&world.admin).await["AccessRequestStatus"], "Approved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_owner_lost_the_key_while_it_was_opened_does_not_go_on() {
    let world = World::new().await;
    let start = json!({ "Target": DEVICE });
    let ann = world.user("ann", &[EVERYTHING]).await;
    world.done(Operation::StartSession, &ann, start.clone()).await;
    world.plane.switches_off_while_it_opens("ann", &ann.id);
    world.denied(Operation::StartSession, &ann, start).await;
    let sessions = world.done(Operation::DescribeSessions, &world.admin, active()).await;
    assert_eq!(sessions["Sessions"].as_array().unwrap().len(), 1, "{sessions}");
    assert_eq!(world.plane.terminated().len(), 1);
}

fn active() -> Value {
    json!({ "State": "Active" })
}
