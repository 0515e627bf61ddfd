//! SendCommand and CancelCommand: checked, judged by policy on each device, stored.

use std::collections::BTreeSet;

use towline_host::entropy;
use towline_ssm::api::Empty;
use towline_ssm::api::command::{
    CancelCommandRequest, DEFAULT_TIMEOUT, SendCommandRequest, SendCommandResult,
};
use towline_ssm::api::session::Parameters;
use towline_ssm::command_document::{CommandDocument, Plan};
use towline_ssm::documents::content::{Content, Kind};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::NewCommand;

use crate::api::authz::Question;
use crate::api::call::Call;
use crate::api::documents::{format_of, kind_of, version_of};
use crate::api::internal::{OrInternal as _, internal};
use crate::api::resolution::{COMMAND_LINE, parameter_facts, tagged_user};
use crate::api::service::Api;
use crate::run_command::{Place, times};

/// How many devices at once when the caller says nothing, as at AWS.
const CONCURRENCY: &str = "50";

/// A document that may be sent.
struct Found {
    document: CommandDocument,
    version: String,
}

/// Condition keys and their values.
pub(super) type Facts = Vec<(String, Vec<String>)>;

impl Api {
    pub(in crate::api) async fn send_command(
        &self,
        call: &Call,
        request: SendCommandRequest,
    ) -> Result<SendCommandResult, ApiError> {
        let name = self.realm().document_name(&request.document_name)?;
        call.note("documentName", name);
        let found = self.command_document(name, &request).await;
        // A missing right is told first, whatever else is wrong.
        let facts = command_facts(name, &request.parameters, found.as_ref().ok());
        let mut document = self.about_document(name).await?;
        document.facts.extend(facts.clone());
        self.authorize(call, &document).await?;
        let found = found?;
        let plan = found.document.bind(name, &request.parameters)?;
        let place = self.place(name, &request)?;
        refuse_what_is_not_served(&request)?;
        let named = request.instance_ids.as_ref().is_some_and(|ids| !ids.is_empty());
        let devices = self.devices_meant(call, &request, &facts).await?;
        let suited = self.suited(devices, &plan, named).await?;
        let new = self.new_command(call, name, &request, &found, &plan, &place)?;
        call.note("commandId", &*new.id);
        call.note("targetCount", suited.devices.len().to_string());
        self.store()
            .run_commands()
            .insert(&new, &suited.devices, |device| suited.steps(device))
            .await
            .or_internal("cannot store a command")?;
        self.parts.commands.sent(&new.id).await;
        if !self.still_stands(&call.caller).await? {
            // Removed between the judgement and the row: nobody else has seen this command.
            self.parts.commands.cancel(&new.id, None).await;
            let message = "your access key was switched off, or you were removed, meanwhile";
            return Err(ApiError::new(ErrorCode::AccessDeniedException, message));
        }
        let row =
            self.store().run_commands().get(&new.id).await.or_internal("cannot read a command")?;
        let row =
            row.ok_or_else(|| internal("a command that was stored just now", &"it is gone"))?;
        Ok(SendCommandResult { command: super::shown::command(row)? })
    }

    /// The document that is asked for.
    async fn command_document(
        &self,
        name: &str,
        request: &SendCommandRequest,
    ) -> Result<Found, ApiError> {
        let stored = self
            .existing_document(name, &version_of(request.document_version.as_deref(), None))
            .await?;
        let refused = |why: String| ApiError::new(ErrorCode::InvalidDocument, why);
        if kind_of(&stored)? != Kind::Command {
            return Err(refused(format!(
                "{name} is a document of type {}, not one of commands",
                stored.kind
            )));
        }
        let content = Content::outline(
            Kind::Command,
            format_of(Some(&stored.text.format)),
            &stored.text.content,
        )?;
        // The reader of CreateDocument as well; a text may have been stored before its present
        // rules.
        let document = CommandDocument::parse(&serde_json::Value::Object(content.tree))
            .map_err(|error| refused(format!("{name} cannot be run here: {}", error.message)))?;
        match (&request.document_hash, request.document_hash_type.as_deref()) {
            (None, _) => {}
            (Some(hash), None | Some("Sha256")) if hash.eq_ignore_ascii_case(&stored.text.hash) => {
            }
            (Some(_), Some("Sha1")) => {
                return Err(ApiError::validation("DocumentHashType must be Sha256 here"));
            }
            (Some(_), _) => {
                let message = format!("{name} does not have the digest DocumentHash");
                return Err(ApiError::new(ErrorCode::InvalidDocumentVersion, message));
            }
        }
        Ok(Found { document, version: stored.version.to_string() })
    }

    /// Where output goes.
    fn place(&self, document: &str, request: &SendCommandRequest) -> Result<Place, ApiError> {
        let refused = |why| ApiError::new(ErrorCode::InvalidOutputFolder, why);
        let prefix = match &request.output_s3_bucket_name {
            Some(bucket) => {
                self.parts.commands.accepts_bucket(bucket).map_err(refused)?;
                request.output_s3_key_prefix.clone().unwrap_or_default()
            }
            None => self.parts.commands.outputs_prefix(),
        };
        let logs = request.cloud_watch_output_config.as_ref();
        let enabled = logs.and_then(|logs| logs.cloud_watch_output_enabled);
        if enabled == Some(true) {
            self.parts.commands.accepts_logs().map_err(refused)?;
        }
        let group = logs.and_then(|logs| logs.cloud_watch_log_group_name.clone());
        Ok(Place {
            prefix,
            bucket: request.output_s3_bucket_name.clone(),
            key_prefix: request.output_s3_key_prefix.clone(),
            region: request.output_s3_region.clone(),
            // Without a name, as at AWS: of the document.
            log_group: group
                .or_else(|| enabled.filter(|on| *on).map(|_| format!("/aws/ssm/{document}"))),
            log_enabled: enabled,
        })
    }

    fn new_command(
        &self,
        call: &Call,
        name: &str,
        request: &SendCommandRequest,
        found: &Found,
        plan: &Plan,
        place: &Place,
    ) -> Result<NewCommand, ApiError> {
        let json = |what: &str, value: serde_json::Result<String>| {
            value.map_err(|error| internal(what, &error))
        };
        let timeout_s = request.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT);
        let (deliver_by, expires_at) = times(call.now, u64::try_from(timeout_s).unwrap_or(0), plan);
        Ok(NewCommand {
            id: entropy::uuid().or_internal("no command id")?,
            document: name.to_owned(),
            document_version: found.version.clone(),
            comment: request.comment.clone().unwrap_or_default(),
            parameters: json("parameters", serde_json::to_string(&request.parameters))?,
            instance_ids: json(
                "ids",
                serde_json::to_string(&request.instance_ids.clone().unwrap_or_default()),
            )?,
            targets: json(
                "targets",
                serde_json::to_string(&request.targets.clone().unwrap_or_default()),
            )?,
            principal_arn: call.caller.arn.clone(),
            person_id: call.caller.person.id.clone(),
            run_as: tagged_user(call)?.unwrap_or_default(),
            max_concurrency: request
                .max_concurrency
                .clone()
                .unwrap_or_else(|| CONCURRENCY.to_owned()),
            max_errors: request.max_errors.clone().unwrap_or_else(|| "0".to_owned()),
            plan: json("a plan", serde_json::to_string(plan))?,
            output: json("a place", serde_json::to_string(place))?,
            timeout_s,
            requested_at: call.now,
            deliver_by,
            expires_at,
        })
    }

    pub(in crate::api) async fn cancel_command(
        &self,
        call: &Call,
        request: CancelCommandRequest,
    ) -> Result<Empty, ApiError> {
        call.note("commandId", &*request.command_id);
        self.authorize(call, &Question::anything()).await?;
        let unknown = || ApiError::new(ErrorCode::InvalidCommandId, "there is no such command");
        let commands = self.store().run_commands();
        commands
            .get(&request.command_id)
            .await
            .or_internal("cannot read a command")?
            .ok_or_else(unknown)?;
        let ids = request.instance_ids.filter(|ids| !ids.is_empty());
        if let Some(ids) = &ids {
            if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
                return Err(ApiError::new(
                    ErrorCode::DuplicateInstanceId,
                    "InstanceIds names a device twice",
                ));
            }
            for id in ids {
                let sent = commands
                    .invocation(&request.command_id, id)
                    .await
                    .or_internal("cannot read a command")?;
                if sent.is_none() {
                    let message = format!(
                        "the command was not sent to {}",
                        id.chars().take(64).collect::<String>()
                    );
                    return Err(ApiError::new(ErrorCode::InvalidInstanceId, message));
                }
            }
        }
        self.parts.commands.cancel(&request.command_id, ids).await;
        Ok(Empty {})
    }
}

/// The condition keys of a command: its document's parameters, and the whole script of each step.
fn command_facts(name: &str, given: &Parameters, found: Option<&Found>) -> Facts {
    let Some(Found { document, .. }) = found else { return parameter_facts(given).collect() };
    let mut facts: Facts = parameter_facts(&document.effective(given)).collect();
    // Parameters that do not fit are refused once policy has said yes: they make no command.
    if let Ok(plan) = document.bind(name, given) {
        facts.push((COMMAND_LINE.to_owned(), plan.command_lines().map(str::to_owned).collect()));
    }
    facts
}

fn refuse_what_is_not_served(request: &SendCommandRequest) -> Result<(), ApiError> {
    let notifies = request.notification_config.as_ref().is_some_and(|config| {
        config["NotificationArn"].as_str().is_some_and(|arn| !arn.is_empty())
    });
    if notifies {
        let message = "this gateway sends no notifications: leave NotificationConfig out";
        return Err(ApiError::new(ErrorCode::InvalidNotificationConfig, message));
    }
    if request.alarm_configuration.is_some() {
        return Err(ApiError::validation(
            "AlarmConfiguration must be left out: there are no alarms here",
        ));
    }
    Ok(())
}
