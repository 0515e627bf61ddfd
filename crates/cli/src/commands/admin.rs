//! `admin` and `whoami`: users, access keys, policies, device keys.
//!
//! # Invariants
//! - The secret of a new access key goes to standard output and nowhere else.

use serde::Serialize;
use towline_ssm::Operation;
use towline_ssm::api::admin::{
    AccessKeyMetadata, CreateAccessKeyResult, CreatePrincipalRequest, CreatePrincipalResult,
    DeleteAccessKeyRequest, GetPrincipalPolicyResult, ListAccessKeysResult,
    ListPrincipalPoliciesResult, PolicyRequest, Principal, PrincipalRequest,
    PutPrincipalPolicyRequest, UpdateAccessKeyRequest,
};
use towline_ssm::api::device::{DeregisterManagedInstanceRequest, DeviceRemoved};
use towline_ssm::api::device_keys::{
    DeviceKey, DeviceKeyStatus, DeviceRequest, ListDeviceKeysResult, RevokeDeviceKeyRequest,
};

use super::context::{Context, read_document, tags, tags_text, time_text};
use super::{identity, login_renewal, provider, webhook};
use crate::args::admin::{
    AdminCommand, DeviceCommand, KeyCommand, PolicyArgs, UserCommand, UserPolicyCommand,
};
use crate::args::identity::Of;
use crate::exit::Failure;
use crate::output::Cell;

/// `whoami`: the members that `aws sts get-caller-identity` prints, and the end of a sign-in.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    user_id: String,
    account: String,
    arn: String,
    /// Of a sign-in: its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    /// Of a sign-in: whether the provider vouched for a second factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    second_factor: Option<bool>,
}

/// `whoami`.
pub(super) async fn whoami(context: &mut Context) -> Result<(), Failure> {
    let caller = context.client.caller_identity().await?;
    let kept = login_renewal::used(context.client.settings(), &context.env)?;
    let identity = Identity {
        user_id: caller.user_id,
        account: caller.account,
        arn: caller.arn,
        second_factor: kept.as_ref().map(|kept| kept.second_factor.unwrap_or(false)),
        expiration: kept.map(|kept| kept.expiration),
    };
    context.output.answer(&identity, |_| {
        let mut text = format!("{}\n", identity.arn);
        if let Some(end) = &identity.expiration {
            let factor = if identity.second_factor == Some(true) { "yes" } else { "no" };
            text.push_str(&format!("signed in until {end}\nsecond factor: {factor}\n"));
        }
        text
    })
}

/// `admin`.
pub(super) async fn run(context: &mut Context, command: AdminCommand) -> Result<(), Failure> {
    match command {
        AdminCommand::User(command) => user(context, command).await,
        AdminCommand::Key(command) => key(context, command).await,
        AdminCommand::Policy(args) => policy(context, args).await,
        AdminCommand::Role(command) => identity::role(context, command).await,
        AdminCommand::Group(command) => identity::group(context, command).await,
        AdminCommand::Boundary(args) => identity::boundary(context, args).await,
        AdminCommand::Device(command) => device(context, command).await,
        AdminCommand::Provider(command) => provider::run(context, *command).await,
        AdminCommand::Webhook(command) => webhook::run(context, command).await,
    }
}

async fn user(context: &mut Context, command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Create { name, tag } => {
            let request = CreatePrincipalRequest {
                principal_name: name,
                tags: tags(tag),
                ..CreatePrincipalRequest::default()
            };
            let answer: CreatePrincipalResult =
                context.call(Operation::CreatePrincipal, &request).await?;
            context.output.answer(&answer, |_| format!("{}\n", answer.principal.arn))
        }
        UserCommand::Delete { name, end_sessions } => {
            identity::removed(context, name, Of::User, end_sessions).await
        }
        UserCommand::List => list_users(context).await,
    }
}

async fn list_users(context: &mut Context) -> Result<(), Failure> {
    let answer = identity::all(context, Of::User).await?;
    let row = |user: &Principal| -> Vec<Cell> {
        vec![
            user.principal_name.clone().into(),
            time_text(Some(user.created_date)).into(),
            tags_text(&user.tags).into(),
        ]
    };
    let rows: Vec<_> = answer.principals.iter().map(row).collect();
    context.output.answer(&answer, |output| output.table(&["USER", "CREATED", "TAGS"], &rows))
}

async fn key(context: &mut Context, command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Create { user } => {
            let request = PrincipalRequest { principal_name: user, ..PrincipalRequest::default() };
            let answer: CreateAccessKeyResult =
                context.call(Operation::CreateAccessKey, &request).await?;
            let key = &answer.access_key;
            let text = format!(
                "[{}]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
                key.principal_name, key.access_key_id, key.secret_access_key
            );
            context.output.answer(&answer, |_| text)
        }
        KeyCommand::List { user } => list_keys(context, user).await,
        KeyCommand::Enable { user, key } => switch_key(context, user, key, "Active", None).await,
        KeyCommand::Disable { user, key, end_sessions } => {
            switch_key(context, user, key, "Inactive", end_sessions.then_some(true)).await
        }
        KeyCommand::Delete { user, key, end_sessions } => {
            let request = DeleteAccessKeyRequest {
                principal_name: user,
                access_key_id: key,
                end_sessions: end_sessions.then_some(true),
            };
            context.removal(Operation::DeleteAccessKey, &request).await
        }
    }
}

async fn list_keys(context: &mut Context, user: String) -> Result<(), Failure> {
    let request = PrincipalRequest { principal_name: user, ..PrincipalRequest::default() };
    let answer: ListAccessKeysResult = context.call(Operation::ListAccessKeys, &request).await?;
    let row = |key: &AccessKeyMetadata| -> Vec<Cell> {
        vec![
            key.access_key_id.clone().into(),
            format!("{:?}", key.status).to_lowercase().into(),
            time_text(Some(key.created_date)).into(),
            time_text(key.last_used_date).into(),
        ]
    };
    let rows: Vec<_> = answer.access_keys.iter().map(row).collect();
    context
        .output
        .answer(&answer, |output| output.table(&["KEY", "STATUS", "CREATED", "LAST USED"], &rows))
}

async fn switch_key(
    context: &mut Context,
    user: String,
    key: String,
    status: &str,
    end_sessions: Option<bool>,
) -> Result<(), Failure> {
    let request = UpdateAccessKeyRequest {
        principal_name: user,
        access_key_id: key,
        status: status.to_owned(),
        end_sessions,
    };
    context.removal(Operation::UpdateAccessKey, &request).await
}

async fn policy(context: &mut Context, args: PolicyArgs) -> Result<(), Failure> {
    let principal_type = args.of.word();
    match args.command {
        UserPolicyCommand::Put { user, name, file, end_sessions } => {
            let policy_document = read_document(&file)?;
            let request = PutPrincipalPolicyRequest {
                principal_name: user,
                principal_type,
                policy_name: name,
                policy_document,
                end_sessions: end_sessions.then_some(true),
            };
            context.removal(Operation::PutPrincipalPolicy, &request).await
        }
        UserPolicyCommand::Get { user, name } => {
            let request = PolicyRequest {
                principal_name: user,
                principal_type,
                policy_name: name,
                end_sessions: None,
            };
            let answer: GetPrincipalPolicyResult =
                context.call(Operation::GetPrincipalPolicy, &request).await?;
            context.output.answer(&answer, |_| format!("{}\n", answer.policy_document.trim_end()))
        }
        UserPolicyCommand::List { user } => {
            let request = PrincipalRequest {
                principal_name: user,
                principal_type,
                ..PrincipalRequest::default()
            };
            let answer: ListPrincipalPoliciesResult =
                context.call(Operation::ListPrincipalPolicies, &request).await?;
            let lines =
                answer.policy_names.iter().map(|name| format!("{name}\n")).collect::<String>();
            context.output.answer(&answer, |_| lines)
        }
        UserPolicyCommand::Delete { user, name, end_sessions } => {
            let request = PolicyRequest {
                principal_name: user,
                principal_type,
                policy_name: name,
                end_sessions: end_sessions.then_some(true),
            };
            context.removal(Operation::DeletePrincipalPolicy, &request).await
        }
    }
}

async fn device(context: &mut Context, command: DeviceCommand) -> Result<(), Failure> {
    let (DeviceCommand::Approve { device }
    | DeviceCommand::Keys { device }
    | DeviceCommand::RotateKey { device }
    | DeviceCommand::RevokeKey { device, .. }
    | DeviceCommand::Deregister { device }) = &command;
    let instance_id = context.device(device).await?;
    match command {
        DeviceCommand::Approve { .. } => {
            context.done(Operation::ApproveDevice, &DeviceRequest { instance_id }).await
        }
        DeviceCommand::RotateKey { .. } => {
            context.done(Operation::RotateDeviceKey, &DeviceRequest { instance_id }).await
        }
        DeviceCommand::RevokeKey { fingerprint, .. } => {
            let request = RevokeDeviceKeyRequest { instance_id, key_fingerprint: fingerprint };
            removed(context, Operation::RevokeDeviceKey, &request).await
        }
        DeviceCommand::Deregister { .. } => {
            let request = DeregisterManagedInstanceRequest { instance_id };
            removed(context, Operation::DeregisterManagedInstance, &request).await
        }
        DeviceCommand::Keys { .. } => list_device_keys(context, instance_id).await,
    }
}

/// Calls an operation that removes a device or its key, and says what became of its sessions.
async fn removed(
    context: &mut Context,
    operation: Operation,
    request: &impl Serialize,
) -> Result<(), Failure> {
    let answer: DeviceRemoved = context.call(operation, request).await?;
    context.output.answer(&answer, |_| removed_words(&answer))
}

/// What became of a device, its keys and its sessions.
fn removed_words(answer: &DeviceRemoved) -> String {
    let mut text = String::new();
    match (answer.towline_keys_revoked, answer.towline_keys_left) {
        (Some(revoked), Some(0)) => {
            text += &format!("keys revoked: {revoked}; none is left: enroll the device again\n");
        }
        (Some(revoked), Some(left)) => {
            text += &format!("keys revoked: {revoked}; keys that still count: {left}\n");
        }
        _ => {}
    }
    let ended = answer.towline_sessions_ended.unwrap_or(0);
    text += &format!("sessions and commands ended: {ended}\n");
    if let Some(missed) = answer.towline_sessions_not_reached.filter(|missed| *missed > 0) {
        text += &format!(
            "sessions and commands not reached: {missed}; the device ends them when it connects \
             again, or after its grace time\n"
        );
    }
    text
}

async fn list_device_keys(context: &mut Context, instance_id: String) -> Result<(), Failure> {
    let answer: ListDeviceKeysResult =
        context.call(Operation::ListDeviceKeys, &DeviceRequest { instance_id }).await?;
    let row = |key: &DeviceKey| -> Vec<Cell> {
        let status = format!("{:?}", key.status).to_lowercase();
        vec![
            key.key_fingerprint.clone().into(),
            if key.status == DeviceKeyStatus::Active {
                Cell::Good(status)
            } else {
                Cell::Bad(status)
            },
            time_text(Some(key.created_date)).into(),
            time_text(key.ended_date).into(),
        ]
    };
    let rows: Vec<_> = answer.device_keys.iter().map(row).collect();
    context
        .output
        .answer(&answer, |output| output.table(&["FINGERPRINT", "STATUS", "SINCE", "UNTIL"], &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_revokes_keys_is_told_how_many_and_what_became_of_the_sessions() {
        let answer = DeviceRemoved {
            towline_keys_revoked: Some(2),
            towline_keys_left: Some(0),
            towline_sessions_ended: Some(0),
            towline_sessions_not_reached: Some(3),
        };
        let words = removed_words(&answer);
        for part in ["keys revoked: 2; none is left", "ended: 0\n", "not reached: 3;"] {
            assert!(words.contains(part), "{words}");
        }
        let one = DeviceRemoved { towline_keys_left: Some(1), ..answer };
        assert!(removed_words(&one).contains("keys that still count: 1"));
        assert_eq!(removed_words(&DeviceRemoved::default()), "sessions and commands ended: 0\n");
    }
}
