//! `commands`: the command log of a session, or of a command on one device.

use towline_ssm::Operation;
use towline_ssm::api::command::{ListCommandInvocationsRequest, ListCommandInvocationsResult};
use towline_ssm::api::evidence::{
    ListSessionCommandsRequest, ListSessionCommandsResponse, MAX_COMMANDS, SessionCommand,
};
use towline_ssm::clock::{EpochSeconds, format_iso8601};

use super::context::Context;
use crate::args::evidence::CommandsArgs;
use crate::exit::Failure;
use crate::limits::MAX_NAMED_INVOCATIONS;
use crate::output::Cell;

/// `commands`.
pub(super) async fn list(context: &mut Context, args: &CommandsArgs) -> Result<(), Failure> {
    let (mut commands, most) = (Vec::new(), args.limit as usize);
    for session_id in sessions(context, args).await? {
        let max_results = Some(MAX_COMMANDS.min(args.limit.max(1).into()));
        let request = ListSessionCommandsRequest { session_id, max_results, next_token: None };
        let left = most - commands.len();
        if left > 0 {
            commands.extend(context.list_most(request, left).await?);
        }
    }
    let answer = ListSessionCommandsResponse { commands, next_token: None };
    context.output.answer(&answer, |output| {
        let rows: Vec<Vec<Cell>> = answer.commands.iter().map(row).collect();
        output.table(
            &["TIME", "LASTED", "EXIT", "UID", "PID", "PARENT", "DIRECTORY", "COMMAND"],
            &rows,
        )
    })
}

/// The session that is meant, or those of a command's steps on one device.
async fn sessions(context: &mut Context, args: &CommandsArgs) -> Result<Vec<String>, Failure> {
    let id = &args.session;
    let is_command = id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if !is_command {
        return Ok(vec![id.clone()]);
    }
    let device = match &args.device {
        Some(device) => Some(context.device(device).await?),
        None => None,
    };
    let request = ListCommandInvocationsRequest {
        command_id: Some(id.clone()),
        instance_id: device,
        details: Some(true),
        ..Default::default()
    };
    let found: ListCommandInvocationsResult =
        context.call(Operation::ListCommandInvocations, &request).await?;
    match found.command_invocations.as_slice() {
        [] => Err(Failure::Usage(format!("command {id} was not sent to this device"))),
        [one] => {
            let device = one.instance_id.trim_start_matches("mi-");
            Ok((0..one.command_plugins.len())
                .map(|step| format!("cmd-{id}-{device}-{step}"))
                .collect())
        }
        several => {
            let all: Vec<&str> = several
                .iter()
                .take(MAX_NAMED_INVOCATIONS)
                .map(|one| one.instance_id.as_str())
                .collect();
            let more =
                if several.len() > all.len() || found.next_token.is_some() { ", …" } else { "" };
            Err(Failure::Usage(format!(
                "{id} was sent to several devices: choose one with --device: {}{more}",
                all.join(", ")
            )))
        }
    }
}

fn row(command: &SessionCommand) -> Vec<Cell> {
    let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
    vec![
        time(command.started_at).into(),
        command.duration.map(lasted).unwrap_or_default().into(),
        exit(command),
        number(command.user_id).into(),
        number(command.pid).into(),
        number(command.parent_pid).into(),
        command.directory.clone().into(),
        what(command),
    ]
}

fn time(millis: i64) -> String {
    let whole = format_iso8601(EpochSeconds::from_secs(millis.div_euclid(1000)).secs());
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), millis.rem_euclid(1000))
}

fn lasted(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

fn exit(command: &SessionCommand) -> Cell {
    match (command.exit_code, command.signal) {
        (Some(0), _) => Cell::Plain("0".to_owned()),
        (Some(code), _) => Cell::Bad(code.to_string()),
        (None, Some(signal)) => Cell::Bad(format!("signal {signal}")),
        (None, None) if command.replaced => Cell::Plain("exec".to_owned()),
        (None, None) => Cell::Plain(String::new()),
    }
}

fn what(command: &SessionCommand) -> Cell {
    let cut = if command.cut { " …" } else { "" };
    match command.kind.as_str() {
        "Command" => {
            let other = command.executable.as_ref().filter(|file| file.differs);
            let other = other.map(|file| format!(" {}", file.shown())).unwrap_or_default();
            if command.arguments.is_empty() {
                return Cell::Bad(format!("(ended before its arguments could be read){other}"));
            }
            Cell::Plain(format!("{}{cut}{other}", command.arguments.join(" ")))
        }
        "Line" => Cell::Plain(format!("typed: {}", command.detail)),
        "Begin" => Cell::Plain(format!("(logged by {})", command.detail)),
        "End" => Cell::Plain(format!("(log ended: {})", command.detail)),
        _ => Cell::Bad(match command.covers.unwrap_or(0) {
            0 => format!("(gap: {})", command.detail),
            covers => format!("(gap of {covers}: {})", command.detail),
        }),
    }
}
