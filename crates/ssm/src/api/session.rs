//! Sessions: start, resume, terminate, list.
//!
//! Data flow: as in [`super`]. Besides AWS's members, StartSession takes `TowlineTerminal`, so that
//! our own clients have the right terminal type and size from the first byte on.
//!
//! # Invariants
//! - Requests keep the limits of AWS's model; documents and their parameters are judged by
//!   `crate::documents`.
//! - [`StartSessionResponse`] shows no token in `Debug`.

use core::fmt;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Request, Violations};
use crate::clock::EpochSeconds;
pub use crate::documents::Parameters;
use crate::documents::TOWLINE_EXEC;
use crate::ids::MAX_SESSION_ID;

/// Asks for a session on a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartSessionRequest {
    /// The device.
    pub target: String,
    /// The session document; the account's shell document when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_name: Option<String>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the document asks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: Parameters,
    /// Our extension: the terminal at the operator's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_terminal: Option<TowlineTerminal>,
}

/// Terminal type and size for the open request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TowlineTerminal {
    /// Value for `TERM`, 1 to 64 of letters, digits and `- _ . +`.
    pub term: String,
    /// Height in character cells, 1 to 10,000.
    pub rows: u16,
    /// Width in character cells, 1 to 10,000.
    pub cols: u16,
}

/// Largest terminal side in cells. No real one comes near; full-screen programs allocate rows times
/// columns.
const MAX_TERMINAL_SIDE: u16 = 10_000;

impl Request for StartSessionRequest {
    fn check(&self, v: &mut Violations) {
        v.length("Target", &self.target, 1, 400);
        if let Some(name) = &self.document_name {
            v.length("DocumentName", name, 3, 128);
            let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b));
            v.require(good, "DocumentName", "consist of letters, digits and _-.:/");
        }
        if let Some(reason) = &self.reason {
            v.length("Reason", reason, 1, 256);
            v.shown("Reason", reason, false);
        }
        // An empty argument is a good argument: only our own document gets one.
        let min = usize::from(self.document_name.as_deref() != Some(TOWLINE_EXEC));
        v.distinct("Parameters", self.parameters.keys().map(String::as_str));
        for (name, values) in &self.parameters {
            v.length("Parameters key", name, 1, 255);
            values.iter().for_each(|value| v.length("Parameters value", value, min, 65_535));
        }
        if let Some(terminal) = &self.towline_terminal {
            terminal.check(v);
        }
    }
}

impl TowlineTerminal {
    fn check(&self, v: &mut Violations) {
        v.length("TowlineTerminal.Term", &self.term, 1, 64);
        let good = self.term.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b));
        v.require(good, "TowlineTerminal.Term", "consist of letters, digits and -_.+");
        let sides = 1..=MAX_TERMINAL_SIDE;
        v.require(sides.contains(&self.rows), "TowlineTerminal.Rows", "be 1 to 10000");
        v.require(sides.contains(&self.cols), "TowlineTerminal.Cols", "be 1 to 10000");
    }
}

/// How to reach the session.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartSessionResponse {
    /// The session.
    pub session_id: String,
    /// Opens the stream once; a secret, at most 300 characters.
    pub token_value: String,
    /// Websocket address of the stream.
    pub stream_url: String,
    /// Not of AWS: what is typed is recorded, as far as it is echoed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_input_recorded: Option<bool>,
    /// Not of AWS: why the session is not recorded, though recordings are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_not_recorded: Option<String>,
    /// Not of AWS: `vendor` when the device runs amazon-ssm-agent, which speaks version 1 of smux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_agent_kind: Option<String>,
    /// Not of AWS, of ResumeSession only: the session type of the stream's handshake. It says
    /// whether the session has a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_session_type: Option<String>,
    /// Not of AWS, of ResumeSession only: why the session is over, where there is no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_ended: Option<String>,
    /// The same for programs, see `EndReason::to_code` of the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_end_code: Option<String>,
    /// Not of AWS, of ResumeSession and JoinSession only: another client has the seat that
    /// `TowlineSeat` named, in words. There is no token then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_taken_over: Option<String>,
}

/// ResumeSession answers with the same members.
pub type ResumeSessionResponse = StartSessionResponse;

impl fmt::Debug for StartSessionResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartSessionResponse")
            .field("session_id", &self.session_id)
            .finish_non_exhaustive()
    }
}

/// Asks for a new token of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResumeSessionRequest {
    /// The session.
    pub session_id: String,
    /// Not of AWS: the seat that the client had, which the end of its token names ([`seat_of`]).
    /// Without it the client takes the seat, also from another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_seat: Option<String>,
}

impl Request for ResumeSessionRequest {
    fn check(&self, v: &mut Violations) {
        v.length("SessionId", &self.session_id, 1, MAX_SESSION_ID);
        check_seat(v, self.towline_seat.as_deref());
    }
}

/// The seat that a `TokenValue` is for; older gateways name none.
#[must_use]
pub fn seat_of(token: &str) -> Option<&str> {
    token.split_once('.').map(|(_, seat)| seat)
}

/// Longest name of a seat, characters.
const MAX_SEAT: usize = 32;

pub(super) fn check_seat(v: &mut Violations, seat: Option<&str>) {
    if let Some(seat) = seat {
        v.length("TowlineSeat", seat, 1, MAX_SEAT);
        let good = seat.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        v.require(good, "TowlineSeat", "consist of letters, digits, - and _");
    }
}

/// Ends a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminateSessionRequest {
    /// The session.
    pub session_id: String,
}

impl Request for TerminateSessionRequest {
    fn check(&self, v: &mut Violations) {
        v.length("SessionId", &self.session_id, 1, MAX_SESSION_ID);
    }
}

/// The session that was ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminateSessionResponse {
    /// The session.
    pub session_id: String,
    /// Not of AWS, which answers an unknown id with success as well: what there was to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_found: Option<Found>,
}

/// What a request to end a session has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// A live session; it is ended.
    Active,
    /// A session that had ended before.
    Ended,
    /// No session of this id.
    Nothing,
}

/// Asks for a list of sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeSessionsRequest {
    /// `Active` or `History`.
    pub state: String,
    /// Page size, 1 to 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
    /// All must match; 1 to 6 when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<SessionFilter>>,
}

/// One filter. AWS has its members in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFilter {
    /// One of [`SESSION_FILTER_KEYS`].
    pub key: String,
    /// 1 to 400 characters.
    pub value: String,
}

/// Values of `DescribeSessions`' `State`.
pub const SESSION_STATES: &[&str] = &["Active", "History"];
/// Keys that sessions can be filtered by. The last two are not AWS's: the document's name, and how
/// the sentence of the end begins.
pub const SESSION_FILTER_KEYS: &[&str] = &[
    "InvokedAfter",
    "InvokedBefore",
    "Target",
    "Owner",
    "Status",
    "SessionId",
    "AccessType",
    "TowlineDocument",
    "TowlineEnd",
];

impl Request for DescribeSessionsRequest {
    fn check(&self, v: &mut Violations) {
        v.one_of("State", &self.state, SESSION_STATES);
        v.range("MaxResults", self.max_results, 1, 200);
        let Some(filters) = &self.filters else { return };
        v.items("Filters", filters.len(), 1, 6);
        for filter in filters {
            v.one_of("Filters key", &filter.key, SESSION_FILTER_KEYS);
            v.length("Filters value", &filter.value, 1, 400);
        }
    }
}

/// A page of sessions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeSessionsResponse {
    /// The sessions, newest first.
    #[serde(default)]
    pub sessions: Vec<Session>,
    /// Where the next page goes on; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// The stage a session is in, as AWS names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionStatus {
    /// An operator is attached.
    Connected,
    /// Started, nobody attached yet.
    Connecting,
    /// Lives on without an operator or a link.
    Disconnected,
    /// Over.
    Terminated,
    /// Being ended.
    Terminating,
    /// Never became a session.
    Failed,
}

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Session {
    /// The session.
    pub session_id: String,
    /// The device.
    pub target: String,
    /// Its stage.
    pub status: SessionStatus,
    /// When it was asked for.
    pub start_date: EpochSeconds,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<EpochSeconds>,
    /// What runs in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_name: Option<String>,
    /// Not of AWS: it needs no client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_detached: Option<bool>,
    /// Not of AWS: the agent of its device, `towline` or `vendor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_agent_kind: Option<String>,
    /// ARN of who started it.
    pub owner: String,
    /// The reason given at its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it ended; 1 to 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Where its record is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_url: Option<SessionManagerOutputUrl>,
    /// Minutes, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_session_duration: Option<String>,
    /// `Standard` or `JustInTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_type: Option<String>,
    /// Not of AWS: programs that it executed, as far as its device was heard; absent where nothing
    /// was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_commands: Option<i64>,
    /// Not of AWS: bytes of its recording, of one that goes on as far as they are on the disk;
    /// absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_recording_bytes: Option<i64>,
    /// Not of AWS: what was typed is recorded, as far as it was echoed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_input_recorded: Option<bool>,
}

/// What the address of a stream ends with when the agent of its device is amazon-ssm-agent: a
/// plugin of the AWS CLI gets nothing else of the answer.
pub const VENDOR_STREAM: &str = "&agent=vendor";

/// Where the record of a session is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionManagerOutputUrl {
    /// In an object store.
    #[serde(rename = "S3OutputUrl", default, skip_serializing_if = "Option::is_none")]
    pub s3_output_url: Option<String>,
    /// In a log service.
    #[serde(rename = "CloudWatchOutputUrl", default, skip_serializing_if = "Option::is_none")]
    pub cloud_watch_output_url: Option<String>,
}
