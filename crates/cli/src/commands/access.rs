//! `access`, and the `policy` commands that the gateway answers.
//!
//! # Invariants
//! - Credentials go to standard output and nowhere else.

use towline_ssm::Operation;
use towline_ssm::api::access::{
    AccessCredentials, AccessRequest, AccessRequestStatus, ApprovalLevel,
    ApproveAccessRequestRequest, ApproveAccessRequestResult, BreakGlassRequest, BreakGlassResult,
    GetAccessTokenRequest, GetAccessTokenResponse, ListAccessRequestsRequest,
    ListAccessRequestsResult, StartAccessRequestRequest, StartAccessRequestResponse, Target,
};
use towline_ssm::api::admin::RightsRemoved;
use towline_ssm::api::explain::{
    DeviceAccess, ExplainAccessRequest, ExplainAccessResult, ListDeviceAccessRequest,
    ListDeviceAccessResult,
};

use super::context::{Context, removed_text, time_text};
use crate::args::identity::AccessCommand;
use crate::args::policy::TestArgs;
use crate::exit::{self, Failure};
use crate::output::Cell;

/// `access`.
pub(super) async fn run(context: &mut Context, command: AccessCommand) -> Result<(), Failure> {
    match command {
        AccessCommand::Request { device, reason } => request(context, device, reason).await,
        AccessCommand::List => list(context).await,
        AccessCommand::Approve { request, minutes } => {
            decide(context, request, "Approve", minutes, None).await
        }
        AccessCommand::Reject { request } => decide(context, request, "Reject", None, None).await,
        AccessCommand::Revoke { request, end_sessions } => {
            decide(context, request, "Revoke", None, end_sessions.then_some(true)).await
        }
        AccessCommand::Extend { request, minutes } => {
            decide(context, request, "Extend", Some(minutes), None).await
        }
        AccessCommand::BreakGlass { device, reason, minutes } => {
            break_glass(context, device, reason, minutes).await
        }
        AccessCommand::Token { request, wait } => token(context, request, wait).await,
    }
}

async fn targets_of(context: &mut Context, devices: Vec<String>) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    let mut ids = Vec::new();
    for device in devices {
        match device.strip_prefix("tag:").and_then(|tag| tag.split_once('=')) {
            Some((key, value)) => {
                targets.push(Target { key: format!("tag:{key}"), values: vec![value.to_owned()] })
            }
            None => ids.push(context.device(&device).await?),
        }
    }
    if !ids.is_empty() {
        targets.push(Target { key: "InstanceIds".to_owned(), values: ids });
    }
    Ok(targets)
}

async fn request(
    context: &mut Context,
    devices: Vec<String>,
    reason: String,
) -> Result<(), Failure> {
    let targets = targets_of(context, devices).await?;
    let request = StartAccessRequestRequest { reason, targets, tags: Vec::new() };
    let answer: StartAccessRequestResponse =
        context.call(Operation::StartAccessRequest, &request).await?;
    context.output.answer(&answer, |_| format!("{}\n", answer.access_request_id))
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let access_requests = context.list(ListAccessRequestsRequest::default()).await?;
    let answer = ListAccessRequestsResult { access_requests, next_token: None };
    let row = |request: &AccessRequest| -> Vec<Cell> {
        let status = request.status.as_str().to_lowercase();
        let targets = request
            .targets
            .iter()
            .map(|target| format!("{}={}", target.key, target.values.join("|")));
        vec![
            request.access_request_id.clone().into(),
            request.requester.rsplit('/').next().unwrap_or_default().into(),
            if request.status == AccessRequestStatus::Approved {
                Cell::Good(status)
            } else {
                status.into()
            },
            approvals(request).into(),
            time_text(Some(request.expires_date)).into(),
            targets.collect::<Vec<_>>().join(" ").into(),
            request.reason.clone().into(),
        ]
    };
    let rows: Vec<_> = answer.access_requests.iter().map(row).collect();
    let titles = ["REQUEST", "REQUESTER", "STATUS", "APPROVALS", "EXPIRES", "TARGETS", "REASON"];
    context.output.answer(&answer, |output| output.table(&titles, &rows))
}

/// Approvals that are there and that are needed, level by level: `2/3 0/1`.
fn approvals(request: &AccessRequest) -> String {
    match request.kind.as_str() {
        "Auto" => return "automatic".to_owned(),
        "BreakGlass" => return "emergency".to_owned(),
        _ => {}
    }
    let level = |level: &ApprovalLevel| {
        format!("{}/{}", level.approved_by.len(), level.min_required_approvals)
    };
    request.levels.iter().map(level).collect::<Vec<_>>().join(" ")
}

async fn decide(
    context: &mut Context,
    id: String,
    decision: &str,
    minutes: Option<i64>,
    end_sessions: Option<bool>,
) -> Result<(), Failure> {
    let request = ApproveAccessRequestRequest {
        access_request_id: id,
        decision: Some(decision.to_owned()),
        minutes,
        end_sessions,
    };
    let answer: ApproveAccessRequestResult =
        context.call(Operation::ApproveAccessRequest, &request).await?;
    context.output.answer(&answer, |_| {
        if answer.access_request_status == AccessRequestStatus::Pending {
            return "approved; more approvals are needed (towline access list)\n".to_owned();
        }
        if answer.more_approvals_needed {
            return "agreed to; more persons must extend it before access holds longer\n"
                .to_owned();
        }
        removed_text(&RightsRemoved {
            live_sessions: answer.live_sessions,
            ended_sessions: answer.ended_sessions,
            towline_open_commands: 0,
        })
    })
}

async fn break_glass(
    context: &mut Context,
    devices: Vec<String>,
    reason: String,
    minutes: i64,
) -> Result<(), Failure> {
    let targets = targets_of(context, devices).await?;
    let request = BreakGlassRequest { reason, targets, minutes: Some(minutes) };
    let answer: BreakGlassResult = context.call(Operation::BreakGlass, &request).await?;
    let text = exports(&answer.credentials);
    context.output.answer(&answer, |_| text)
}

/// Seconds that one question waits for a decision.
const WAIT_SECONDS: i64 = 20;

async fn token(context: &mut Context, request: String, wait: bool) -> Result<(), Failure> {
    let request = GetAccessTokenRequest {
        access_request_id: request,
        towline_wait_seconds: wait.then_some(WAIT_SECONDS),
    };
    let answer = loop {
        let answer: GetAccessTokenResponse =
            context.call(Operation::GetAccessToken, &request).await?;
        if !wait || answer.access_request_status != AccessRequestStatus::Pending {
            break answer;
        }
    };
    let Some(credentials) = &answer.credentials else {
        let status = answer.access_request_status.as_str().to_lowercase();
        return Err(Failure::Usage(format!("no credentials: the request is {status}")));
    };
    let text = exports(credentials);
    context.output.answer(&answer, |_| text)
}

/// Lines that set the environment of a shell.
pub(super) fn exports(credentials: &AccessCredentials) -> String {
    format!(
        "export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\nexport \
         AWS_SESSION_TOKEN={}\n",
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token
    )
}

/// `policy test` without policies of its own: the gateway's stored ones. Returns the exit code.
pub(super) async fn test(context: &mut Context, args: TestArgs) -> Result<u8, Failure> {
    let mut request = ExplainAccessRequest {
        principal: args.principal.unwrap_or_default(),
        action: args.action.unwrap_or_default(),
        resource: args.resource.unwrap_or_default(),
        ..ExplainAccessRequest::default()
    };
    for (key, value) in args.context {
        request.context.entry(key).or_default().push(value);
    }
    let answer: ExplainAccessResult = context.call(Operation::ExplainAccess, &request).await?;
    let text = || {
        let mut text = format!("{}: {}\n", answer.decision, answer.reason);
        for statement in &answer.statements {
            text.push_str(statement.trim_end());
            text.push('\n');
        }
        text
    };
    context.output.answer(&answer, |_| text())?;
    Ok(if answer.decision == "Allowed" { 0 } else { exit::DENIED })
}

/// `policy who`.
pub(super) async fn who(context: &mut Context, device: &str) -> Result<(), Failure> {
    let instance_id = context.device(device).await?;
    let request = ListDeviceAccessRequest { instance_id };
    let answer: ListDeviceAccessResult =
        context.call(Operation::ListDeviceAccess, &request).await?;
    let row = |access: &DeviceAccess| -> Vec<Cell> {
        vec![
            access.principal.rsplit(':').next().unwrap_or_default().into(),
            access.actions.join(" ").into(),
            access.conditional.join(" ").into(),
            access.documents.join(" ").into(),
            access.through.join(", ").into(),
        ]
    };
    let rows: Vec<_> = answer.access.iter().map(row).collect();
    let titles = ["PRINCIPAL", "ACTIONS", "CONDITIONAL", "DOCUMENTS", "THROUGH"];
    context.output.answer(&answer, |output| output.table(&titles, &rows))
}
