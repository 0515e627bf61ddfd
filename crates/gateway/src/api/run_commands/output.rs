//! GetCommandOutput: the whole output of a step, by the rights of who reads it.
//!
//! Data flow: the row -> policy on the command, with the tags of the device -> a file of this
//! machine, or else the object in the sink -> one piece.
//!
//! # Invariants
//! - Memory is one piece, whatever the output's size.
//! - No path and no key comes from the caller: both are made of the stored plan.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use towline_ssm::api::command::{GetCommandOutputRequest, GetCommandOutputResult, OutputStream};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_wire::lane::Lane;

use super::super::authz::Question;
use super::super::call::Call;
use super::super::internal::{OrInternal as _, internal};
use super::super::service::Api;
use super::listing::step_of;
use super::shown::{self, Sent};
use crate::limits::OUTPUT_PIECE;
use crate::plane::{OutputName, OutputPiece};
use crate::run_command::StepState;

impl Api {
    pub(in crate::api) async fn get_command_output(
        &self,
        call: &Call,
        request: GetCommandOutputRequest,
    ) -> Result<GetCommandOutputResult, ApiError> {
        let (command, device) = (&*request.command_id, &*request.instance_id);
        call.note("commandId", command);
        call.note("target", device);
        let (on_device, is_known) = self.about_device_on_record(device).await?;
        let about = Question { names: vec![self.realm().command_arn(command)], ..on_device };
        self.authorize(call, &about).await?;
        let found = self.store().run_commands().invocation(command, device).await;
        let found = found.or_internal("cannot read an invocation")?;
        let row = found.filter(|_| is_known).ok_or_else(|| {
            let message = "no such command was sent to this device";
            ApiError::new(ErrorCode::InvocationDoesNotExist, message)
        })?;
        let sent = self.sent(command).await?;
        let at = match &request.plugin_name {
            Some(name) => step_of(&sent, &[], Some(name))?,
            None => 0,
        };
        let steps: Vec<StepState> = shown::read(&row.steps)?;
        let ended = row.ended || steps.get(at).is_some_and(|state| state.ended.is_some());
        let lane = match request.stream {
            OutputStream::Stdout => Lane::Io,
            OutputStream::Stderr => Lane::Err,
        };
        let piece = self.piece(&sent, device, at, lane, request.offset).await?;
        // What ended with output has it somewhere: nothing at all is a loss, and not an empty file.
        let written = steps.get(at).map_or(0, |state| state.written[lane]);
        if piece.is_none() && ended && written > 0 {
            let message = "the output is no longer kept: it was removed from the sink";
            return Err(ApiError::new(ErrorCode::DoesNotExistException, message));
        }
        let OutputPiece { bytes, length } = piece.unwrap_or_default();
        let next = request.offset.saturating_add(bytes.len() as u64);
        let plugin_names: Vec<String> =
            sent.plan.steps.iter().map(|step| step.name.clone()).collect();
        Ok(GetCommandOutputResult {
            data: STANDARD.encode(&bytes),
            next_offset: (next < length && !bytes.is_empty()).then_some(next),
            length,
            finished: ended,
            plugin_name: plugin_names.get(at).cloned().unwrap_or_default(),
            plugin_names,
        })
    }

    async fn piece(
        &self,
        sent: &Sent,
        device: &str,
        at: usize,
        lane: Lane,
        offset: u64,
    ) -> Result<Option<OutputPiece>, ApiError> {
        let (Some(object), Some(step)) = (sent.object(device, at, lane), sent.plan.steps.get(at))
        else {
            return Ok(None);
        };
        let what = OutputName {
            command: sent.row.new.id.clone(),
            device: device.to_owned(),
            folder: step.folder.clone(),
            lane,
            object: object.clone(),
        };
        let failed = |error: &dyn std::fmt::Display| internal("cannot read output", error);
        let local = self.parts.commands.local_output(what, offset, OUTPUT_PIECE).await;
        if let Some(piece) = local.map_err(|error| failed(&error))? {
            return Ok(Some(piece));
        }
        let sink = &self.parts.evidence.sink;
        let Some(length) = sink.length(&object).await.map_err(|error| failed(&error))? else {
            return Ok(None);
        };
        let end = offset.saturating_add(OUTPUT_PIECE).min(length);
        if offset >= end {
            return Ok(Some(OutputPiece { bytes: Vec::new(), length }));
        }
        let bytes = sink.read(&object, offset..end).await.map_err(|error| failed(&error))?;
        Ok(Some(OutputPiece { bytes, length }))
    }
}
