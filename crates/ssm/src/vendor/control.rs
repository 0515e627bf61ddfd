//! The control channel: how it is opened, and the payloads of its messages.
//!
//! Data flow: `POST` -> [`channel_opened`] (XML, status 201) -> websocket -> [`OpenControlChannel`]
//! as text -> messages of `crate::message` with the payloads below.
//!
//! # Invariants
//! - Content travels as JSON in a JSON text, in both directions, as the agent has it.

use core::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::message::payload::OPEN_SCHEMA_VERSION;

/// The answer to the `POST` before a websocket of an agent: control channel or data channel. The
/// token must hold no character that XML gives a meaning, as base64 does not.
#[must_use]
pub fn channel_opened(token: &str) -> String {
    format!(
        "<ChannelOpened><MessageSchemaVersion>{OPEN_SCHEMA_VERSION}</MessageSchemaVersion>\
         <TokenValue>{token}</TokenValue></ChannelOpened>"
    )
}

/// The text frame that opens a control channel.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OpenControlChannel {
    /// Of the `POST` before.
    pub token_value: String,
    /// Four dotted numbers.
    #[serde(default)]
    pub agent_version: String,
    /// `linux`, `windows` or `macos`.
    #[serde(default)]
    pub platform_type: String,
}

impl fmt::Debug for OpenControlChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenControlChannel")
            .field("agent_version", &self.agent_version)
            .field("platform_type", &self.platform_type)
            .finish_non_exhaustive()
    }
}

/// Payload of `interactive_shell`; `content` is [`super::session_content()`].
#[must_use]
pub fn interactive_shell(session: &str, content: &Value) -> Vec<u8> {
    let payload = json!({
        "Content": content.to_string(),
        "TaskId": session,
        "Topic": "interactive_shell",
        "SchemaVersion": 1,
    });
    payload.to_string().into_bytes()
}

/// Payload of `agent_task_complete`: a session is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskComplete {
    /// The session.
    pub task_id: String,
    /// `Success`, `Failed` and others.
    pub final_task_status: String,
    /// Words for the user.
    pub output: String,
}

/// Payload of `agent_task_acknowledge`. Without it the agent says three times that it is over.
#[must_use]
pub fn task_acknowledge(message_id: &str, session: &str) -> Vec<u8> {
    let payload = json!({
        "SchemaVersion": 1,
        "MessageId": message_id,
        "TaskId": session,
        "Topic": "agent_task_acknowledge",
    });
    payload.to_string().into_bytes()
}

/// Payload of `agent_job`.
#[must_use]
fn agent_job(job: &str, topic: &str, content: &Value) -> Vec<u8> {
    let payload = json!({
        "Content": content.to_string(),
        "JobId": job,
        "Topic": topic,
        "SchemaVersion": 1,
    });
    payload.to_string().into_bytes()
}

/// The name of a command's job on a device. The agent refuses a second job of a name.
#[must_use]
pub fn job_id(command: &str, device: &str) -> String {
    format!("aws.ssm.{command}.{device}")
}

/// Payload of `agent_job` that runs a document.
#[must_use]
pub fn send_command(command: &str, device: &str, name: &str, document: &Value) -> Vec<u8> {
    let content = json!({
        "Parameters": {},
        "DocumentContent": document,
        "CommandId": command,
        "DocumentName": name,
        "OutputS3BucketName": "",
        "OutputS3KeyPrefix": "",
        "CloudWatchLogGroupName": "",
        "CloudWatchOutputEnabled": "false",
    });
    agent_job(&job_id(command, device), &format!("aws.ssm.sendCommand.{command}"), &content)
}

/// Payload of `agent_job` that stops a command. `cancel`: a fresh id for the stop itself.
#[must_use]
pub fn cancel_command(cancel: &str, command: &str, device: &str) -> Vec<u8> {
    let content = json!({ "CancelMessageId": job_id(command, device) });
    agent_job(&job_id(cancel, device), &format!("aws.ssm.cancelCommand.{cancel}"), &content)
}

/// Payload of `agent_job_ack`: whether the agent takes a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobAck {
    /// The job.
    pub job_id: String,
    /// `200`, or a number of five digits.
    pub status_code: String,
    /// In words.
    pub error_message: String,
}

/// What the agent says to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobVerdict {
    /// It runs.
    Taken,
    /// The agent has had a job of this name: it runs, or has run.
    Known,
    /// Not now: the agent stops, or its queue is full.
    Busy,
    /// It will not run.
    Refused,
}

impl JobAck {
    /// What that means.
    #[must_use]
    pub fn verdict(&self) -> JobVerdict {
        match self.status_code.as_str() {
            "200" => JobVerdict::Taken,
            "51405" => JobVerdict::Known,
            "51401" | "51402" => JobVerdict::Busy,
            _ => JobVerdict::Refused,
        }
    }
}

/// Payload of `agent_job_reply`: how a job stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobReply {
    /// The job.
    pub job_id: String,
    /// JSON of a [`JobContent`].
    pub content: String,
}

impl JobReply {
    /// What is in it.
    #[must_use]
    pub fn parsed(&self) -> Option<JobContent> {
        serde_json::from_str(&self.content).ok()
    }
}

/// What a reply says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobContent {
    /// `InProgress`, `Success`, `Failed`, `Cancelled`, `TimedOut`.
    pub document_status: String,
    /// Each step by its name.
    pub runtime_status: std::collections::BTreeMap<String, StepStatus>,
}

/// How one step stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepStatus {
    /// As of the document.
    pub status: String,
    /// Exit code.
    pub code: i64,
    /// The beginning of what it printed.
    pub standard_output: String,
    /// The same of standard error.
    pub standard_error: String,
}

/// Payload of `agent_job_reply_ack`. Without it the agent keeps the reply and sends it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReplyAck<'a> {
    /// The job.
    pub job_id: &'a str,
    /// Id of the reply's message.
    pub acknowledged_message_id: &'a str,
}
