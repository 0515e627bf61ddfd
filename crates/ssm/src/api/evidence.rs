//! What is on record: recordings (our own operation) and CloudTrail's `LookupEvents`.
//!
//! Data flow: as in [`super`]. Names and limits of `LookupEvents` are those of CloudTrail's model.
//!
//! # Not here
//! - The form of events: `towline_evidence::trail`; here they are text.

use serde::{Deserialize, Serialize};

use super::{Request, Violations};
use crate::clock::EpochSeconds;
use crate::ids::MAX_SESSION_ID;

/// Most events of one answer, of CloudTrail's model.
pub const MAX_EVENTS: i64 = 50;

/// Asks for a piece of a session's recording, or of the recording's index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetRecordingRequest {
    /// The session.
    pub session_id: String,
    /// Where the piece begins, bytes; 0 when absent.
    #[serde(default)]
    pub offset: u64,
    /// Most bytes; the gateway may give fewer. Absent: as many as one answer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

impl Request for GetRecordingRequest {
    fn check(&self, v: &mut Violations) {
        v.length("SessionId", &self.session_id, 1, MAX_SESSION_ID);
        v.require(self.length != Some(0), "Length", "be at least 1");
    }
}

/// A piece of a recording: asciicast v2, gzip. Of an index: a file that
/// `docs/decisions/0165-recordings-have-an-index.md` describes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetRecordingResponse {
    /// The piece, base64.
    pub data: String,
    /// Where the next one begins; absent when this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u64>,
    /// Bytes of the whole, as far as it has got; 0: there is no index, or none yet. An index that
    /// is made while it is read has room between its screens and its table.
    #[serde(default)]
    pub size: u64,
    /// Key of the recording, or of the index, in the sink.
    pub object: String,
    /// Whether the recording is finished; if not, it ends where the gateway has got to. Of an
    /// index: whether it will not grow.
    pub finished: bool,
    /// Of an index that is made while it is read: bytes of the recording that it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexed: Option<u64>,
    /// With the last piece: the name under which the next part of the recording is read, where
    /// another gateway went on with the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_part: Option<String>,
    /// With the last piece: gateways that do not say whether they have the next part. It may be
    /// missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent_gateways: Vec<String>,
}

/// Asks what the seals of a session's recording say of it. Asked again, it tells how far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VerifyRecordingRequest {
    /// The session.
    pub session_id: String,
}

impl Request for VerifyRecordingRequest {
    fn check(&self, v: &mut Violations) {
        v.length("SessionId", &self.session_id, 1, MAX_SESSION_ID);
    }
}

/// How far a verification is, or what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VerifyRecordingResponse {
    /// `Verifying`, `Whole`, `SoFar` (the session goes on) or `Faulty`.
    pub state: String,
    /// Packed bytes that were read.
    pub checked: u64,
    /// Packed bytes of the recording.
    pub size: u64,
    /// Records that are vouched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// Gap records among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaps: Option<u64>,
    /// The first fault, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Most programs and lines of one answer of a search.
pub const MAX_FOUND_COMMANDS: i64 = 100;

/// Searches what sessions executed, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SearchSessionCommandsRequest {
    /// Words; each stands somewhere in the arguments, the path or the typed line, whatever the
    /// letter case.
    pub query: String,
    /// On this device alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Stored at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<EpochSeconds>,
    /// Stored at this time or earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<EpochSeconds>,
    /// Most answers; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

impl Request for SearchSessionCommandsRequest {
    fn check(&self, v: &mut Violations) {
        v.length("Query", &self.query, 1, 256);
        v.optional_length("InstanceId", self.instance_id.as_ref(), 1, 64);
        v.range("MaxResults", self.max_results, 1, MAX_FOUND_COMMANDS);
    }
}

/// A program or a typed line that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FoundCommand {
    /// `Command` or `Line`.
    pub kind: String,
    /// The arguments, or the line.
    pub text: String,
    /// Path of what was executed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The session.
    pub session_id: String,
    /// The device.
    pub instance_id: String,
    /// When, by the device's word, ms since 1970.
    pub started_at: i64,
}

/// What a search found. Without an answer it may still have a token: it looks at a bounded number
/// of records at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SearchSessionCommandsResponse {
    /// Newest first.
    pub commands: Vec<FoundCommand>,
    /// How far back it looked; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched_to: Option<EpochSeconds>,
    /// Where to go on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// Most records of one answer.
pub const MAX_COMMANDS: i64 = 1000;

/// Asks for what a session executed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListSessionCommandsRequest {
    /// The session.
    pub session_id: String,
    /// Most records; 1000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

impl Request for ListSessionCommandsRequest {
    fn check(&self, v: &mut Violations) {
        v.length("SessionId", &self.session_id, 1, MAX_SESSION_ID);
        v.range("MaxResults", self.max_results, 1, MAX_COMMANDS);
    }
}

/// What the kernel executed in a process, whatever its arguments say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProgramFile {
    /// Its path, as the device's kernel says it.
    pub path: String,
    /// The file system, `MAJOR:MINOR`.
    pub device: String,
    /// The file's number there.
    pub inode: u64,
    /// `File`, `Deleted` (the file has no name any more) or `Memory` (it never had one).
    pub origin: String,
    /// It is not the file that the first argument names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub differs: bool,
}

impl ProgramFile {
    /// For people: the path, and what is unusual about it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.origin.as_str() {
            "Memory" => format!("[in memory: {}]", self.path),
            "Deleted" => format!("[deleted: {}]", self.path),
            _ => format!("[{}]", self.path),
        }
    }
}

/// Folders whose programs are called by name.
const FOLDERS: [&str; 6] =
    ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// Whether a program's first argument names the file at `path`: by its path, or by its name where
/// the file is in one of the system's folders. A login shell's `-` is passed over.
#[must_use]
pub fn names_file(first_argument: &str, path: &str) -> bool {
    let said = first_argument.strip_prefix('-').unwrap_or(first_argument);
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (said_folder, said_name) = said.rsplit_once('/').unwrap_or(("/bin", said));
    let usual = |folder: &str| FOLDERS.contains(&folder);
    said == path || (said_name == name && usual(folder) && usual(said_folder))
}

/// One record of a session's command log. Times are milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SessionCommand {
    /// `Begin` (what the device knows processes by), `Command`, `Line` (as it was typed), `Gap` or
    /// `End`.
    pub kind: String,
    /// Its place in the device's log.
    pub number: u64,
    /// Of a gap: so many records are missing; 0 when nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<u64>,
    /// When it began, by the device's word.
    pub started_at: i64,
    /// When it ended; absent while it goes on, or when nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// How long it lasted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// Process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_pid: Option<u32>,
    /// Effective user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u32>,
    /// Program and arguments; empty when the process ended before it could be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// What the kernel executed; absent when the device did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<ProgramFile>,
    /// The arguments were longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Working directory.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub directory: String,
    /// Exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// Signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// The process became another program, whose record follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
    /// Words: what is missing and why, a typed line, a count.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What a session executed, in the order of the device's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListSessionCommandsResponse {
    /// The records.
    pub commands: Vec<SessionCommand>,
    /// Where to go on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// One condition on events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LookupAttribute {
    /// `EventId`, `EventName`, `ReadOnly`, `Username`, `ResourceType`, `ResourceName`,
    /// `EventSource` or `AccessKeyId`.
    pub attribute_key: String,
    /// What it must be.
    pub attribute_value: String,
}

/// Looks events up, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LookupEventsRequest {
    /// Conditions; CloudTrail takes one, so do we.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookup_attributes: Vec<LookupAttribute>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<EpochSeconds>,
    /// Not after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<EpochSeconds>,
    /// Most events; 50 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// Attribute keys of the model.
const KEYS: &[&str] = &[
    "EventId",
    "EventName",
    "ReadOnly",
    "Username",
    "ResourceType",
    "ResourceName",
    "EventSource",
    "AccessKeyId",
];

impl Request for LookupEventsRequest {
    fn check(&self, v: &mut Violations) {
        v.range("MaxResults", self.max_results, 1, MAX_EVENTS);
        v.require(self.lookup_attributes.len() <= 1, "LookupAttributes", "have at most one member");
        for attribute in &self.lookup_attributes {
            let known = KEYS.contains(&attribute.attribute_key.as_str());
            v.require(known, "AttributeKey", "be one of CloudTrail's lookup attributes");
            v.length("AttributeValue", &attribute.attribute_value, 1, 2000);
        }
    }
}

/// A resource of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventResource {
    /// Its type, such as `AWS::SSM::ManagedInstance`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_type: String,
    /// Its ARN or name.
    pub resource_name: String,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// Its id.
    pub event_id: String,
    /// Operation or event.
    pub event_name: String,
    /// `true` or `false`.
    pub read_only: String,
    /// Access key as claimed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub access_key_id: String,
    /// When.
    pub event_time: EpochSeconds,
    /// Service.
    pub event_source: String,
    /// The name of the principal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// What it was about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<EventResource>,
    /// The whole event, JSON.
    pub cloud_trail_event: String,
}

/// Events, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LookupEventsResponse {
    /// The events.
    pub events: Vec<Event>,
    /// Where to go on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_argument_names_a_file_or_another_one() {
        for (said, path) in [
            ("ls", "/usr/bin/ls"),
            ("/bin/ls", "/usr/bin/ls"),
            ("-bash", "/bin/bash"),
            ("/opt/x/y", "/opt/x/y"),
        ] {
            assert!(names_file(said, path), "{said} {path}");
        }
        for (said, path) in [
            ("true", "/usr/bin/id"),
            ("true", "/tmp/true"),
            ("/bin/true", "/tmp/true"),
            ("./true", "/usr/bin/true"),
            ("ls -l", "/memfd:ls"),
            ("", "/usr/bin/id"),
        ] {
            assert!(!names_file(said, path), "{said} {path}");
        }
    }
}
