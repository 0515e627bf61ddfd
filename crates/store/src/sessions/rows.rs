//! Rows of the table of sessions: what is stored of one, and how it is read.
//!
//! # Not here
//! - What is done with the table: `table`.

use std::time::Duration;

use crate::engine::Row;
use towline_host::clock::UnixMillis;

/// A session's status, in AWS's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStatus {
    /// Decided; no client has attached.
    Connecting,
    /// A client is attached.
    Connected,
    /// No client is attached; the shell goes on.
    Disconnected,
    /// Ending.
    Terminating,
    /// Ended.
    Terminated,
    /// Never began.
    Failed,
}

impl SessionStatus {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Connecting,
        Self::Connected,
        Self::Disconnected,
        Self::Terminating,
        Self::Terminated,
        Self::Failed,
    ];

    /// Its name in the store and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::Connected => "Connected",
            Self::Disconnected => "Disconnected",
            Self::Terminating => "Terminating",
            Self::Terminated => "Terminated",
            Self::Failed => "Failed",
        }
    }

    /// The status with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// A session about to be opened.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// `<owner>-<17 characters>`.
    pub id: String,
    /// The device.
    pub device_id: String,
    /// ARN of the owner.
    pub principal_arn: String,
    /// Name of the owner.
    pub principal_name: String,
    /// Id of the owner: a user, or the role that was assumed. Empty: not known.
    pub principal_id: String,
    /// Id of the user whose access key is behind it. Empty: not known.
    pub person_id: String,
    /// The session document.
    pub document: String,
    /// The caller's reason; empty when not given.
    pub reason: String,
    /// User to run as; empty for the device's default.
    pub run_as: String,
    /// Address of the request.
    pub source_ip: String,
    /// Whether an approved access request permits it.
    pub just_in_time: bool,
    /// That request; empty: none, or not known.
    pub access_request: String,
    /// Session type in the data channel's handshake, for the time after a restart.
    pub session_type: String,
    /// Where its output is kept: an OutputUrl as JSON; empty when nowhere.
    pub output_url: String,
    /// Whether its input is recorded, as far as it is echoed.
    pub input_recorded: bool,
    /// Idle time after which it ends.
    pub idle: Duration,
    /// Age at which it ends.
    pub max: Option<Duration>,
    /// What policy judged it by when it was started, as JSON; empty: not known. Opaque here.
    pub start_facts: String,
}

/// A session as stored.
#[derive(Debug, Clone)]
pub struct Session {
    /// What it was opened with.
    pub new: NewSession,
    /// Its status.
    pub status: SessionStatus,
    /// Why it ended, or what happened last; for users.
    pub details: String,
    /// Why it ended, for programs; empty: not ended, or by an older version. Opaque here.
    pub end_code: String,
    /// When it was decided.
    pub started_at: UnixMillis,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
    /// What the data plane needs to resume the session after a restart. Opaque here.
    pub resume_state: Option<Vec<u8>>,
    /// Number of programs it executed, as far as its device reported; `None` without a report.
    pub commands: Option<i64>,
    /// Bytes of its recording, once that has ended.
    pub recording_bytes: Option<i64>,
    /// The node that carries it; empty where one gateway works alone.
    pub node: String,
    /// The part of its recording that is being written, or was the last one.
    pub recording_part: u32,
    /// Who has its seat in place of the owner; empty: the owner. Opaque here.
    pub seat: String,
}

/// Which sessions to list. `None` or empty: any.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Ended ones (History) or the others (Active).
    pub ended: bool,
    /// Ids.
    pub ids: Vec<String>,
    /// Devices.
    pub device_ids: Vec<String>,
    /// Owners' ARNs.
    pub owners: Vec<String>,
    /// Statuses.
    pub statuses: Vec<SessionStatus>,
    /// Documents.
    pub documents: Vec<String>,
    /// How the sentence of the end begins.
    pub end: Option<String>,
    /// Started at or after this.
    pub invoked_after: Option<UnixMillis>,
    /// Started at or before this.
    pub invoked_before: Option<UnixMillis>,
    /// Those that an approved request permits, or the others.
    pub just_in_time: Option<bool>,
}

pub(crate) const COLUMNS: &str = "SELECT id, device_id, principal_arn, principal_name, \
                                  principal_id, person_id, document, reason, run_as, source_ip, \
                                  access_type, \
     access_request, session_type, output_url, status, details, idle_ms, max_ms, started_at, \
     ended_at, resume_state, commands, \
     recording_bytes, input_recorded, node, recording_part, start_facts, seat, end_code \
     FROM sessions";

pub(crate) fn session(row: &Row) -> Result<Session, sqlx::Error> {
    let status: String = row.try_get("status")?;
    let millis = |n: i64| Duration::from_millis(u64::try_from(n).unwrap_or(0));
    Ok(Session {
        new: NewSession {
            id: row.try_get("id")?,
            device_id: row.try_get("device_id")?,
            principal_arn: row.try_get("principal_arn")?,
            principal_name: row.try_get("principal_name")?,
            principal_id: row.try_get("principal_id")?,
            person_id: row.try_get("person_id")?,
            document: row.try_get("document")?,
            reason: row.try_get("reason")?,
            run_as: row.try_get("run_as")?,
            source_ip: row.try_get("source_ip")?,
            just_in_time: row.try_get::<String, _>("access_type")? == JUST_IN_TIME,
            access_request: row.try_get("access_request")?,
            session_type: row.try_get("session_type")?,
            output_url: row.try_get("output_url")?,
            input_recorded: row.try_get("input_recorded")?,
            idle: millis(row.try_get("idle_ms")?),
            max: row.try_get::<Option<i64>, _>("max_ms")?.map(millis),
            start_facts: row.try_get("start_facts")?,
        },
        status: SessionStatus::parse(&status)
            .ok_or_else(|| sqlx::Error::Decode(format!("session status {status:?}").into()))?,
        details: row.try_get("details")?,
        end_code: row.try_get("end_code")?,
        started_at: UnixMillis(row.try_get("started_at")?),
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(UnixMillis),
        resume_state: row.try_get("resume_state")?,
        commands: row.try_get("commands")?,
        recording_bytes: row.try_get("recording_bytes")?,
        node: row.try_get("node")?,
        recording_part: u32::try_from(row.try_get::<i64, _>("recording_part")?).unwrap_or(1),
        seat: row.try_get("seat")?,
    })
}

/// `access_type` of a session that an approved request permits.
pub(super) const JUST_IN_TIME: &str = "JustInTime";

pub(super) fn as_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
