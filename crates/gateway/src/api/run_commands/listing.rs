//! ListCommands, ListCommandInvocations, GetCommandInvocation.
//!
//! # Invariants
//! - Who may not read a device's output by GetCommandInvocation does not get it in a list either:
//!   `Output` of the plugins is empty there.

use std::collections::HashMap;

use towline_host::clock::UnixMillis;
use towline_ssm::api::command::{
    CommandFilter as Condition, FILTER_KEYS, GetCommandInvocationRequest,
    GetCommandInvocationResult, ListCommandInvocationsRequest, ListCommandInvocationsResult,
    ListCommandsRequest, ListCommandsResult, MAX_STDERR, MAX_STDOUT,
};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::DeviceId;
use towline_ssm::operation::Operation;
use towline_store::{CommandFilter, InvocationRow};
use towline_wire::lane::{Lane, Lanes};

use super::super::authz::Question;
use super::super::call::Call;
use super::super::internal::OrInternal as _;
use super::super::paging::page;
use super::super::service::Api;
use super::super::sessions::instant;
use super::shown::{self, Sent, elapsed, text};
use crate::run_command::StepState;

/// The action that shows output.
const READ_OUTPUT: &str = "ssm:GetCommandInvocation";
/// Page size when none is asked for, and the greatest, as in AWS's model.
const PAGE: i64 = 50;
/// Bytes of each stream that a plugin's output needs.
const PLUGIN_HEADS: Lanes<u64> = Lanes::new(10_000, 10_000);

impl Api {
    pub(in crate::api) async fn list_commands(
        &self,
        call: &Call,
        request: ListCommandsRequest,
    ) -> Result<ListCommandsResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let filter = filter(&request, call.operation)?;
        let cursor = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let after =
            cursor.split_once(' ').and_then(|(at, id)| Some((UnixMillis(at.parse().ok()?), id)));
        let size = request.max_results.unwrap_or(PAGE);
        let rows = self
            .store()
            .run_commands()
            .list(&filter, after, size + 1)
            .await
            .or_internal("cannot list commands")?;
        let at =
            |row: &towline_store::SentCommand| format!("{} {}", row.new.requested_at.0, row.new.id);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let (rows, next_token) = page(rows, size, &self.pages, call.operation, at);
        let commands = rows.into_iter().map(shown::command).collect::<Result<_, _>>()?;
        Ok(ListCommandsResult { commands, next_token })
    }

    pub(in crate::api) async fn list_command_invocations(
        &self,
        call: &Call,
        request: ListCommandInvocationsRequest,
    ) -> Result<ListCommandInvocationsResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let filter = filter(&request, call.operation)?;
        let cursor = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let mut parts = cursor.splitn(3, ' ');
        let after = match (parts.next().and_then(|at| at.parse().ok()), parts.next(), parts.next())
        {
            (Some(at), Some(id), Some(device)) => Some((UnixMillis(at), id, device)),
            _ => None,
        };
        let size = request.max_results.unwrap_or(PAGE);
        let listed = self.store().run_commands().list_invocations(&filter, after, size + 1).await;
        let rows = listed.or_internal("cannot list invocations")?;
        let at =
            |row: &InvocationRow| format!("{} {} {}", row.requested_at.0, row.command, row.device);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let (rows, next_token) = page(rows, size, &self.pages, call.operation, at);
        let mut sent: HashMap<String, Sent> = HashMap::new();
        let mut readable: HashMap<String, bool> = HashMap::new();
        let mut invocations = Vec::with_capacity(rows.len());
        for row in rows {
            if !sent.contains_key(&row.command) {
                sent.insert(row.command.clone(), self.sent(&row.command).await?);
            }
            let Some(sent) = sent.get(&row.command) else { continue };
            let device = self
                .store()
                .devices()
                .get(&row.device)
                .await
                .or_internal("cannot read a device")?;
            let steps: Vec<StepState> = shown::read(&row.steps)?;
            let urls = |at: usize, state: &StepState| {
                sent.urls(&*self.parts.commands, &row.device, at, state)
            };
            let first = steps.iter().position(|state| !state.skipped).unwrap_or(0);
            let first = steps.get(first).map(|state| urls(first, state)).unwrap_or_default();
            let mut one =
                sent.invocation(&row, device.map(|device| device.name).unwrap_or_default(), first);
            if request.details == Some(true) {
                let may_read = self.may_read(call, &row.device, &mut readable).await?;
                for (at, state) in steps.iter().enumerate() {
                    let heads = match may_read {
                        true => Some(self.heads(sent, &row, at, state, PLUGIN_HEADS).await?),
                        false => None,
                    };
                    let heads = heads.as_ref().map(|heads| Lanes::new(&*heads.io, &*heads.err));
                    one.command_plugins.push(sent.plugin(at, state, heads, urls(at, state)));
                }
            }
            invocations.push(one);
        }
        Ok(ListCommandInvocationsResult { command_invocations: invocations, next_token })
    }

    /// Whether the caller may read what commands put out on a device. `known`: of devices that were
    /// asked for already.
    async fn may_read(
        &self,
        call: &Call,
        device: &str,
        known: &mut HashMap<String, bool>,
    ) -> Result<bool, ApiError> {
        if let Some(known) = known.get(device) {
            return Ok(*known);
        }
        let about = self.about_device(device).await?;
        let may = self.would_allow_action(call, READ_OUTPUT, &about).await?;
        known.insert(device.to_owned(), may);
        Ok(may)
    }

    pub(super) async fn sent(&self, id: &str) -> Result<Sent, ApiError> {
        let row = self.store().run_commands().get(id).await.or_internal("cannot read a command")?;
        let gone =
            || ApiError::new(ErrorCode::InvocationDoesNotExist, "the command is no longer kept");
        Sent::new(row.ok_or_else(gone)?)
    }

    /// The beginnings of a step's output: of a file while it runs, of the store when it has ended.
    async fn heads(
        &self,
        sent: &Sent,
        row: &InvocationRow,
        at: usize,
        state: &StepState,
        most: Lanes<u64>,
    ) -> Result<Lanes<Vec<u8>>, ApiError> {
        if state.started.is_none() {
            return Ok(Default::default());
        }
        if state.ended.is_none() {
            let folder = sent.plan.steps.get(at).map_or("", |step| step.folder.as_str());
            return Ok(self
                .parts
                .commands
                .running_output(&row.command, &row.device, folder, most)
                .await);
        }
        let step = i64::try_from(at).unwrap_or(0);
        let heads = self.store().run_commands().heads(&row.command, &row.device, step).await;
        let heads = heads.or_internal("cannot read output")?.unwrap_or_default();
        Ok(Lanes::new(heads.stdout, heads.stderr))
    }

    pub(in crate::api) async fn get_command_invocation(
        &self,
        call: &Call,
        request: GetCommandInvocationRequest,
    ) -> Result<GetCommandInvocationResult, ApiError> {
        call.note("commandId", &*request.command_id);
        let (about, is_known) = self.about_device_on_record(&request.instance_id).await?;
        self.authorize(call, &about).await?;
        let found =
            self.store().run_commands().invocation(&request.command_id, &request.instance_id).await;
        let found = found.or_internal("cannot read an invocation")?;
        let row = found.filter(|_| is_known).ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvocationDoesNotExist,
                "no such command was sent to this device",
            )
        })?;
        let sent = self.sent(&row.command).await?;
        let steps: Vec<StepState> = shown::read(&row.steps)?;
        let at = step_of(&sent, &steps, request.plugin_name.as_deref())?;
        let state = steps.get(at).cloned().unwrap_or_default();
        let most = Lanes::new(4 * MAX_STDOUT as u64, 4 * MAX_STDERR as u64);
        let heads = self.heads(&sent, &row, at, &state, most).await?;
        let Lanes { io: standard_output_url, err: standard_error_url } =
            sent.urls(&*self.parts.commands, &row.device, at, &state);
        let only = steps.iter().filter(|state| !state.skipped).count() == 1 && !state.skipped;
        let own = text(&heads.io, state.written[Lane::Io], MAX_STDOUT);
        let errors = text(&heads.err, state.written[Lane::Err], MAX_STDERR);
        let (stdout, stderr) = shown::streams(&state, own, &errors);
        Ok(GetCommandInvocationResult {
            command_id: row.command,
            instance_id: row.device,
            comment: sent.row.new.comment.clone(),
            document_name: sent.row.new.document.clone(),
            document_version: sent.version(),
            plugin_name: sent.plan.steps.get(at).map(|step| step.name.clone()).unwrap_or_default(),
            response_code: state.code,
            execution_start_date_time: shown::instant(state.started),
            execution_elapsed_time: elapsed(&state),
            execution_end_date_time: shown::instant(state.ended),
            // The only step stands for the whole; of several each for itself.
            status: if only { shown::status(&row.status) } else { state.status },
            status_details: if only { row.details } else { state.details.clone() },
            standard_output_content: stdout,
            standard_output_url,
            standard_error_content: stderr,
            standard_error_url,
            cloud_watch_output_config: sent.logs(),
            towline_reason: state
                .reason
                .or_else(|| Some(row.reason).filter(|reason| !reason.is_empty())),
        })
    }
}

/// The step that is meant: without a name the only one that the device runs.
pub(super) fn step_of(
    sent: &Sent,
    steps: &[StepState],
    name: Option<&str>,
) -> Result<usize, ApiError> {
    let names =
        || sent.plan.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(", ");
    let at = match name {
        // Documents that were stored earlier may have names that differ in letter case only.
        Some(name) => {
            let steps = &sent.plan.steps;
            let own = steps.iter().position(|step| step.name == name);
            own.or_else(|| steps.iter().position(|step| step.name.eq_ignore_ascii_case(name)))
        }
        None => {
            let run = |at: &usize| steps.get(*at).is_some_and(|state| !state.skipped);
            let mut all = (0..sent.plan.steps.len()).filter(run);
            all.next().filter(|_| all.next().is_none())
        }
    };
    at.ok_or_else(|| {
        ApiError::new(
            ErrorCode::InvalidPluginName,
            format!("PluginName must be one of {}", names()),
        )
    })
}

/// The store's filter.
fn filter(request: &ListCommandsRequest, operation: Operation) -> Result<CommandFilter, ApiError> {
    if let Some(id) = request.instance_id.as_ref().filter(|id| id.parse::<DeviceId>().is_err()) {
        let shown: String = id.chars().take(64).collect();
        return Err(ApiError::new(
            ErrorCode::InvalidInstanceId,
            format!("{shown} is no id of a device"),
        ));
    }
    let mut filter = CommandFilter {
        command: request.command_id.clone(),
        device: request.instance_id.clone(),
        ..CommandFilter::default()
    };
    for Condition { key, value } in request.filters.as_deref().unwrap_or_default() {
        match (key.as_str(), value.as_str()) {
            ("InvokedAfter", value) => filter.invoked_after = Some(instant(value)?),
            ("InvokedBefore", value) => filter.invoked_before = Some(instant(value)?),
            ("Status", value) => filter.statuses.push(value.to_owned()),
            ("DocumentName", value) => filter.documents.push(value.to_owned()),
            ("ExecutionStage", stage) if operation == Operation::ListCommands => {
                filter.ended = Some(match stage {
                    "Executing" => false,
                    "Complete" => true,
                    _ => {
                        return Err(ApiError::validation(
                            "ExecutionStage must be Executing or Complete",
                        ));
                    }
                });
            }
            _ => {
                let message = format!(
                    "filter keys are {}; ExecutionStage is for commands only",
                    FILTER_KEYS.join(", ")
                );
                return Err(ApiError::new(ErrorCode::InvalidFilterKey, message));
            }
        }
    }
    Ok(filter)
}
