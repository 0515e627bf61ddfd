//! `admin role`, `admin group` and `admin boundary`.

use towline_ssm::Operation;
use towline_ssm::api::admin::{
    BoundaryRequest, CreatePrincipalRequest, CreatePrincipalResult, GetBoundaryResult,
    GroupMemberRequest, ListPrincipalsRequest, ListPrincipalsResult, Principal, PrincipalRequest,
    PutBoundaryRequest, UpdateRoleRequest,
};

use super::context::{Context, read_document, tags, tags_text, time_text};
use crate::args::identity::{BoundaryArgs, BoundaryCommand, GroupCommand, Of, RoleCommand};
use crate::exit::Failure;
use crate::output::Cell;

/// The trust policy of a role that nobody assumes: the groups of an identity provider give it.
const NOBODY: &str = r#"{"Version":"2012-10-17","Statement":[
  {"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}]}"#;

/// `admin role`.
pub(super) async fn role(context: &mut Context, command: RoleCommand) -> Result<(), Failure> {
    match command {
        RoleCommand::Create { name, trust, max_session, tag } => {
            let trust = trust.as_deref().map(read_document).transpose()?;
            let request = CreatePrincipalRequest {
                principal_name: name,
                principal_type: Of::Role.word(),
                trust_policy_document: Some(trust.unwrap_or_else(|| NOBODY.to_owned())),
                max_session_duration: max_session,
                tags: tags(tag),
            };
            made(context, &request).await
        }
        RoleCommand::Update { name, trust, max_session, end_sessions } => {
            let request = UpdateRoleRequest {
                principal_name: name,
                trust_policy_document: trust.as_deref().map(read_document).transpose()?,
                max_session_duration: max_session,
                end_sessions: end_sessions.then_some(true),
            };
            context.removal(Operation::UpdateRole, &request).await
        }
        RoleCommand::Delete { name, end_sessions } => {
            removed(context, name, Of::Role, end_sessions).await
        }
        RoleCommand::List => {
            let answer = all(context, Of::Role).await?;
            let row = |role: &Principal| -> Vec<Cell> {
                vec![
                    role.principal_name.clone().into(),
                    role.max_session_duration.map(|seconds| format!("{seconds} s")).into(),
                    time_text(Some(role.created_date)).into(),
                    tags_text(&role.tags).into(),
                ]
            };
            let rows: Vec<_> = answer.principals.iter().map(row).collect();
            context.output.answer(&answer, |output| {
                output.table(&["ROLE", "LONGEST", "CREATED", "TAGS"], &rows)
            })
        }
    }
}

/// `admin group`.
pub(super) async fn group(context: &mut Context, command: GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::Create { name } => {
            let principal_type = Of::Group.word();
            let request = CreatePrincipalRequest {
                principal_name: name,
                principal_type,
                ..CreatePrincipalRequest::default()
            };
            made(context, &request).await
        }
        GroupCommand::Add { group, user } => {
            let request =
                GroupMemberRequest { group_name: group, principal_name: user, end_sessions: None };
            context.done(Operation::AddGroupMember, &request).await
        }
        GroupCommand::Remove { group, user, end_sessions } => {
            let request = GroupMemberRequest {
                group_name: group,
                principal_name: user,
                end_sessions: end_sessions.then_some(true),
            };
            context.removal(Operation::RemoveGroupMember, &request).await
        }
        GroupCommand::Delete { name, end_sessions } => {
            removed(context, name, Of::Group, end_sessions).await
        }
        GroupCommand::List => {
            let answer = all(context, Of::Group).await?;
            let row = |group: &Principal| -> Vec<Cell> {
                vec![group.principal_name.clone().into(), group.members.join(",").into()]
            };
            let rows: Vec<_> = answer.principals.iter().map(row).collect();
            context.output.answer(&answer, |output| output.table(&["GROUP", "MEMBERS"], &rows))
        }
    }
}

/// `admin boundary`.
pub(super) async fn boundary(context: &mut Context, args: BoundaryArgs) -> Result<(), Failure> {
    let principal_type = args.of.word();
    match args.command {
        BoundaryCommand::Put { name, file, end_sessions } => {
            let policy_document = read_document(&file)?;
            let request = PutBoundaryRequest {
                principal_name: name,
                principal_type,
                policy_document,
                end_sessions: end_sessions.then_some(true),
            };
            context.removal(Operation::PutPrincipalBoundary, &request).await
        }
        BoundaryCommand::Get { name } => {
            let request = BoundaryRequest { principal_name: name, principal_type };
            let answer: GetBoundaryResult =
                context.call(Operation::GetPrincipalBoundary, &request).await?;
            context.output.answer(&answer, |_| format!("{}\n", answer.policy_document.trim_end()))
        }
        BoundaryCommand::Delete { name } => {
            let request = BoundaryRequest { principal_name: name, principal_type };
            context.done(Operation::DeletePrincipalBoundary, &request).await
        }
    }
}

async fn made(context: &mut Context, request: &CreatePrincipalRequest) -> Result<(), Failure> {
    let answer: CreatePrincipalResult = context.call(Operation::CreatePrincipal, request).await?;
    context.output.answer(&answer, |_| format!("{}\n", answer.principal.arn))
}

/// Deletes a principal.
pub(super) async fn removed(
    context: &mut Context,
    name: String,
    of: Of,
    end_sessions: bool,
) -> Result<(), Failure> {
    let request = PrincipalRequest {
        principal_name: name,
        principal_type: of.word(),
        end_sessions: end_sessions.then_some(true),
    };
    context.removal(Operation::DeletePrincipal, &request).await
}

/// All of a kind.
pub(super) async fn all(context: &mut Context, of: Of) -> Result<ListPrincipalsResult, Failure> {
    let request =
        ListPrincipalsRequest { principal_type: of.word(), ..ListPrincipalsRequest::default() };
    Ok(ListPrincipalsResult { principals: context.list(request).await?, next_token: None })
}
