//! Commands and invocations as they are listed, looked at and cancelled.

use serde::{Deserialize, Serialize};

use super::send::{CloudWatchOutputConfig, Command, CommandStatus};
use crate::api::{Request, Violations};
use crate::clock::EpochSeconds;
use crate::ids::DeviceId;

/// A filter of commands or invocations; its member names are small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandFilter {
    /// One of [`FILTER_KEYS`](super::FILTER_KEYS).
    pub key: String,
    /// 1 to 128 characters.
    pub value: String,
}

/// Asks for a list of commands, or of invocations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListCommandsRequest {
    /// Only this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// Only for this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Page size, 1 to 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
    /// 1 to 5 conditions, all of which must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<CommandFilter>>,
    /// Whether invocations come with their plugins; only ListCommandInvocations knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<bool>,
}

/// ListCommandInvocations takes the same, and `Details`.
pub type ListCommandInvocationsRequest = ListCommandsRequest;

impl Request for ListCommandsRequest {
    fn check(&self, v: &mut Violations) {
        v.optional_length("CommandId", self.command_id.as_ref(), 36, 36);
        v.range("MaxResults", self.max_results, 1, 50);
        if let Some(filters) = &self.filters {
            v.items("Filters", filters.len(), 1, 5);
            filters.iter().for_each(|filter| v.length("Filters value", &filter.value, 1, 128));
        }
    }
}

/// A page of commands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListCommandsResult {
    /// Newest first.
    #[serde(default)]
    pub commands: Vec<Command>,
    /// Where the next page goes on; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// One step of a document on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CommandPlugin {
    /// Name of the step.
    pub name: String,
    /// Where it stands.
    pub status: CommandStatus,
    /// The same with more words.
    #[serde(default)]
    pub status_details: String,
    /// Exit code; -1 while there is none.
    pub response_code: i64,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_start_date_time: Option<EpochSeconds>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_finish_date_time: Option<EpochSeconds>,
    /// The beginning of its output, both streams.
    #[serde(default)]
    pub output: String,
    /// Where all of standard output is.
    #[serde(default)]
    pub standard_output_url: String,
    /// Where all of standard error is.
    #[serde(default)]
    pub standard_error_url: String,
    /// Region of the bucket.
    #[serde(rename = "OutputS3Region", default, skip_serializing_if = "Option::is_none")]
    pub output_s3_region: Option<String>,
    /// Bucket for the output.
    #[serde(rename = "OutputS3BucketName", default)]
    pub output_s3_bucket_name: String,
    /// What the keys of its objects begin with.
    #[serde(rename = "OutputS3KeyPrefix", default)]
    pub output_s3_key_prefix: String,
    /// Why it ended so, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_reason: Option<String>,
    /// The caller may not read the output: it is empty here, whatever it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub towline_output_withheld: bool,
}

/// A command on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CommandInvocation {
    /// The command.
    pub command_id: String,
    /// The device.
    pub instance_id: String,
    /// Its name for people.
    #[serde(default)]
    pub instance_name: String,
    /// For people.
    #[serde(default)]
    pub comment: String,
    /// The document.
    pub document_name: String,
    /// The version of it that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_version: Option<String>,
    /// When it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_date_time: Option<EpochSeconds>,
    /// Where it stands.
    pub status: CommandStatus,
    /// The same with more words.
    #[serde(default)]
    pub status_details: String,
    /// Always empty here.
    #[serde(default)]
    pub trace_output: String,
    /// Where all of standard output is.
    #[serde(default)]
    pub standard_output_url: String,
    /// Where all of standard error is.
    #[serde(default)]
    pub standard_error_url: String,
    /// Its steps; only with `Details`.
    #[serde(default)]
    pub command_plugins: Vec<CommandPlugin>,
    /// Always empty here.
    #[serde(default)]
    pub service_role: String,
    /// Output for CloudWatch Logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_watch_output_config: Option<CloudWatchOutputConfig>,
    /// Why it ended so, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_reason: Option<String>,
}

/// A page of invocations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListCommandInvocationsResult {
    /// Newest first.
    #[serde(default)]
    pub command_invocations: Vec<CommandInvocation>,
    /// Where the next page goes on; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// Asks for one command on one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetCommandInvocationRequest {
    /// The command.
    pub command_id: String,
    /// The device.
    pub instance_id: String,
    /// The step; needed where a document has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_name: Option<String>,
}

impl Request for GetCommandInvocationRequest {
    fn check(&self, v: &mut Violations) {
        v.length("CommandId", &self.command_id, 36, 36);
        let good = self.instance_id.parse::<DeviceId>();
        v.require(good.is_ok(), "InstanceId", "be `mi-` and 17 lower-case hex digits");
        v.optional_length("PluginName", self.plugin_name.as_ref(), 4, 500);
    }
}

/// One step of a command on one device, with its output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetCommandInvocationResult {
    /// The command.
    pub command_id: String,
    /// The device.
    pub instance_id: String,
    /// For people.
    #[serde(default)]
    pub comment: String,
    /// The document.
    pub document_name: String,
    /// The version of it that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_version: Option<String>,
    /// The step.
    pub plugin_name: String,
    /// Exit code; -1 while there is none.
    pub response_code: i64,
    /// When it began, ISO 8601; empty before.
    #[serde(default)]
    pub execution_start_date_time: String,
    /// How long it took, ISO 8601; empty before its end.
    #[serde(default)]
    pub execution_elapsed_time: String,
    /// When it ended, ISO 8601; empty before.
    #[serde(default)]
    pub execution_end_date_time: String,
    /// Where it stands.
    pub status: CommandStatus,
    /// The same with more words.
    #[serde(default)]
    pub status_details: String,
    /// The beginning of standard output, at most [`MAX_STDOUT`](super::MAX_STDOUT) characters.
    #[serde(default)]
    pub standard_output_content: String,
    /// Where all of it is.
    #[serde(default)]
    pub standard_output_url: String,
    /// The beginning of standard error, at most [`MAX_STDERR`](super::MAX_STDERR) characters.
    #[serde(default)]
    pub standard_error_content: String,
    /// Where all of it is.
    #[serde(default)]
    pub standard_error_url: String,
    /// Output for CloudWatch Logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_watch_output_config: Option<CloudWatchOutputConfig>,
    /// Why it ended so, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_reason: Option<String>,
}

/// Asks to stop a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CancelCommandRequest {
    /// The command.
    pub command_id: String,
    /// Only on these devices; on all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_ids: Option<Vec<String>>,
}

impl Request for CancelCommandRequest {
    fn check(&self, v: &mut Violations) {
        v.length("CommandId", &self.command_id, 36, 36);
        v.items("InstanceIds", self.instance_ids.as_deref().unwrap_or_default().len(), 0, 50);
    }
}
