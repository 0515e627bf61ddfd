//! Sessions: decided here, run by the data plane.
//!
//! Data flow of StartSession: document and parameters -> a plan -> policy, on the device and on the
//! document -> the data plane opens it on the device, and keeps its row in the store -> token and
//! URL for the client.
//!
//! # Invariants
//! - A caller who names a document needs a right to that document as well; without one named, only
//!   policies that ask for it by `ssm:SessionDocumentAccessCheck` have the default document
//!   checked.
//! - A session that was opened is its caller's only if what began the caller's credentials still
//!   stands then.
//! - An id that does not exist and one that is not the caller's are told apart only after policy
//!   has said yes.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_ssm::api::session::{
    DescribeSessionsRequest, DescribeSessionsResponse, Found, ResumeSessionRequest,
    ResumeSessionResponse, Session, SessionManagerOutputUrl, SessionStatus as ShownStatus,
    StartSessionRequest, StartSessionResponse, TerminateSessionRequest, TerminateSessionResponse,
    VENDOR_STREAM,
};
use towline_ssm::clock::EpochSeconds;
use towline_ssm::documents::own::Resolved;
use towline_ssm::documents::{DETACHED, RUN_SHELL, SessionPlan, TOWLINE_COPY};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::{DeviceId, SessionId};
use towline_ssm::operation::USE_RESERVED_SESSION;
use towline_store::{
    AgentKind, Device, DeviceStatus, SessionFilter, SessionLimits, SessionPage, SessionStatus,
};

use super::authz::Question;
use super::call::Call;
use super::internal::{OrInternal as _, internal, no_store};
use super::joining::token_or_taker;
use super::ownership::About;
use super::resolution::{Asked, DOCUMENT_CHECK, asked_session, with_preferences};
use super::service::Api;
use super::start_facts::StartFacts;
use crate::plane::{EndReason, LiveState, SessionStart, StartError, Terminal};

/// Page size when none is asked for, and the greatest, as in AWS's model.
const PAGE: i64 = 200;
/// Longest text of `Details`, of AWS's model.
const MAX_DETAILS: usize = 1024;

impl Api {
    pub(super) async fn start_session(
        &self,
        call: &Call,
        request: StartSessionRequest,
    ) -> Result<StartSessionResponse, ApiError> {
        call.note("target", &*request.target);
        let named = request.document_name.as_deref();
        let named = named.map(|name| self.realm().document_name(name)).transpose()?;
        let document = named.unwrap_or(RUN_SHELL).to_owned();
        call.note("documentName", &*document);
        if let Some(reason) = &request.reason {
            call.note("reason", reason);
        }
        // Read at once, for a database may be far. The document is resolved before policy is asked,
        // for its parameters are part of the question; told only after it.
        let (target, documents, limits) = tokio::join!(
            self.target(&request.target),
            self.documents_of(&document),
            self.session_limits()
        );
        let target = target?;
        let asked = asked_session(call, &document, documents, &request, target.device.as_ref());
        self.authorize_start(call, &target.about, named, &asked).await?;
        let Asked { wanted, run_as, platform, facts, .. } = asked;
        let Resolved { plan, preferences, .. } = wanted?;
        note_plan(call, &plan);
        let (device, agent) = usable(&request.target, target.device)?;
        let session = SessionId::from_random(
            &call.caller.name,
            entropy::random().or_internal("no session id")?,
        );
        call.note("sessionId", session.as_str());
        let may_use_reserve = plan.has_terminal()
            && self.would_allow_action(call, USE_RESERVED_SESSION, &target.about).await?;
        let limits = with_preferences(limits?, &preferences);
        let start = SessionStart {
            session,
            device,
            principal_arn: call.caller.arn.clone(),
            principal_name: call.caller.name.to_string(),
            principal_id: call.caller.principal_id.clone(),
            person: call.caller.person.clone(),
            document,
            plan,
            run_as: run_as?,
            platform,
            terminal: request.towline_terminal.map(|t| Terminal {
                term: t.term,
                rows: t.rows,
                cols: t.cols,
            }),
            reason: request.reason,
            facts: StartFacts::new(facts, &preferences).to_text()?,
            access_request: call.caller.access_request().map(str::to_owned),
            preferences,
            idle_timeout: limits.idle,
            max_duration: limits.max,
            source_ip: call.source,
            may_use_reserve,
        };
        self.open(call, start, agent).await
    }

    async fn session_limits(&self) -> Result<SessionLimits, ApiError> {
        self.store().settings().session_limits().await.or_internal("cannot read settings")
    }

    /// Opens the session that was decided.
    async fn open(
        &self,
        call: &Call,
        start: SessionStart,
        agent: AgentKind,
    ) -> Result<StartSessionResponse, ApiError> {
        call.note("agentKind", agent.as_str());
        let started = self.parts.sessions.start(start.clone()).await;
        let started = started.map_err(|error| start_error(&start.device, &error))?;
        self.owner_stands(call, &start.session).await?;
        Ok(StartSessionResponse {
            towline_input_recorded: start.records_input().then_some(true),
            stream_url: self.stream_url(call, &start.session)
                + if agent == AgentKind::Vendor { VENDOR_STREAM } else { "" },
            session_id: start.session.into(),
            token_value: started.token,
            towline_session_type: None,
            towline_ended: None,
            towline_end_code: None,
            towline_taken_over: None,
            towline_agent_kind: (agent == AgentKind::Vendor).then(|| agent.as_str().to_owned()),
            towline_not_recorded: started.not_recorded,
        })
    }

    /// A device may take its time to open a session: whose key was switched off meanwhile, or who
    /// was removed, has none. Who removed the rights did not find its row.
    async fn owner_stands(&self, call: &Call, id: &SessionId) -> Result<(), ApiError> {
        if self.still_stands(&call.caller).await? {
            return Ok(());
        }
        let sentence = "ended: rights of its owner were removed while it was opened";
        self.parts.sessions.terminate(id, sentence).await;
        self.store_end(id.as_str(), sentence, call.now).await?;
        let message = "your access key was switched off, or you were removed, meanwhile";
        Err(ApiError::new(ErrorCode::AccessDeniedException, message))
    }

    /// Stores that somebody has ended a session. False: it had ended before.
    pub(super) async fn store_end(
        &self,
        session: &str,
        sentence: &str,
        now: UnixMillis,
    ) -> Result<bool, ApiError> {
        let (sessions, code) = (self.store().sessions(), EndReason::Terminated.code());
        let ended = sessions.end(session, false, &code, sentence, now).await;
        ended.or_internal("cannot end a session")
    }

    /// On the device, and on the document where it is to be checked.
    async fn authorize_start(
        &self,
        call: &Call,
        device: &Question,
        named: Option<&str>,
        asked: &Asked,
    ) -> Result<(), ApiError> {
        let question = |checked: bool, mut about: Question| {
            about.facts.push((DOCUMENT_CHECK.to_owned(), vec![checked.to_string()]));
            about.facts.extend(asked.facts.iter().cloned());
            about
        };
        let unchecked = question(false, device.clone());
        if named.is_none() && self.would_allow(call, &unchecked).await? {
            return self.authorize(call, &unchecked).await;
        }
        self.authorize(call, &question(true, device.clone())).await?;
        let name = named.unwrap_or(RUN_SHELL);
        let about = self.about_read_document(name, asked.document.as_ref()).await?;
        self.authorize(call, &question(true, about)).await
    }

    pub(super) async fn resume_session(
        &self,
        call: &Call,
        request: ResumeSessionRequest,
    ) -> Result<ResumeSessionResponse, ApiError> {
        let session = self.authorize_session(call, &request.session_id, About::Life).await?;
        let Some(session) = session else {
            return Err(ApiError::new(
                ErrorCode::DoesNotExistException,
                "there is no such session",
            ));
        };
        let id: SessionId =
            session.new.id.parse().map_err(|error| internal("a stored session id", &error))?;
        // An empty token tells session-manager-plugin that the session is over. After an error it
        // asks again, without an end: so one that is over is no error. One that changes gateways
        // is, with a code that clients of AWS take for passing. Its row has an end within the grace
        // time, whether it arrives or not.
        let user = (!self.is_own(call, &session)).then(|| call.caller.sitter());
        let seat = request.towline_seat.as_deref();
        let resumed = self.parts.sessions.resume(&id, user, seat).await.here();
        if resumed.is_none() && session.ended_at.is_none() && self.parts.peers.is_some() {
            let text = "the session is on its way to another gateway: try again";
            return Err(ApiError::new(ErrorCode::InternalServerError, text));
        }
        let why: String = session.details.chars().take(MAX_DETAILS).collect();
        let is_over = resumed.is_none() && session.ended_at.is_some();
        let told = |text: String| Some(text).filter(|text| is_over && !text.is_empty());
        let (towline_ended, towline_end_code) = (told(why), told(session.end_code));
        let (token_value, towline_taken_over) = token_or_taker(call, resumed);
        Ok(ResumeSessionResponse {
            stream_url: self.stream_url(call, &id),
            session_id: id.into(),
            token_value,
            towline_ended,
            towline_end_code,
            towline_taken_over,
            towline_not_recorded: None,
            towline_input_recorded: session.new.input_recorded.then_some(true),
            towline_agent_kind: None,
            towline_session_type: Some(session.new.session_type)
                .filter(|session_type| !session_type.is_empty()),
        })
    }

    pub(super) async fn terminate_session(
        &self,
        call: &Call,
        request: TerminateSessionRequest,
    ) -> Result<TerminateSessionResponse, ApiError> {
        let session = self.authorize_session(call, &request.session_id, About::Life).await?;
        // AWS answers an unknown id with success, and clients in a hurry rely on it.
        let found = match &session {
            None => Found::Nothing,
            Some(session) if session.ended_at.is_some() => Found::Ended,
            Some(_) => Found::Active,
        };
        if let Some(session) = session.filter(|session| session.ended_at.is_none()) {
            let id: SessionId =
                session.new.id.parse().map_err(|error| internal("a stored session id", &error))?;
            let sentence = format!("terminated by {}", call.caller.arn);
            self.parts.sessions.terminate(&id, &sentence).await;
            // The data plane writes the same in its own time. Here it is waited for: who has
            // terminated a session must not find it active; and one that is not alive here has
            // nothing else than its row.
            self.store_end(id.as_str(), &sentence, call.now).await?;
        }
        Ok(TerminateSessionResponse { session_id: request.session_id, towline_found: Some(found) })
    }

    pub(super) async fn describe_sessions(
        &self,
        call: &Call,
        request: DescribeSessionsRequest,
    ) -> Result<DescribeSessionsResponse, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let cursor = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let after =
            cursor.split_once(' ').and_then(|(at, id)| Some((UnixMillis(at.parse().ok()?), id)));
        let size = request.max_results.unwrap_or(PAGE);
        let filter = filter(&request)?;
        let page = self.store().sessions().query(&filter, after, size).await;
        let SessionPage { sessions: rows, next } = page.or_internal("cannot list sessions")?;
        let token = |(at, id): (UnixMillis, String)| {
            self.pages.token(call.operation, &format!("{} {id}", at.0))
        };
        let next_token = next.map(token);
        let devices: Vec<String> = rows.iter().map(|row| row.new.device_id.clone()).collect();
        let kinds = self.store().devices().agent_kinds(&devices).await;
        let kinds = kinds.or_internal("cannot read devices")?;
        let mut sessions = Vec::with_capacity(rows.len());
        for row in rows {
            let kind = kinds.get(&row.new.device_id).map(|kind| kind.as_str().to_owned());
            let mut session = self.described_session(row).await;
            session.towline_agent_kind = kind;
            sessions.push(session);
        }
        Ok(DescribeSessionsResponse { sessions, next_token })
    }

    /// A session with its present state and the place of its recording.
    async fn described_session(&self, row: towline_store::Session) -> Session {
        let recorder = &self.parts.evidence.recorder;
        let ended = row.ended_at.is_some();
        let live = match SessionId::try_from(row.new.id.clone()) {
            Ok(id) if !ended => self.parts.sessions.live(&id).await.here(),
            Ok(_) | Err(_) => None,
        };
        let told: Option<SessionManagerOutputUrl> = serde_json::from_str(&row.new.output_url).ok();
        let never_recorded = row.new.session_type == "Port" || row.new.document == TOWLINE_COPY;
        let mut session = shown(row);
        if let Some(state) = live {
            session.status = stage(state);
        }
        if !ended {
            let so_far = recorder.bytes_so_far(&session.session_id);
            session.towline_recording_bytes = so_far.and_then(|bytes| i64::try_from(bytes).ok());
        }
        // Sessions from before this was kept: where a recording would be. Tunnels and copies have
        // none.
        let guess = || {
            if never_recorded {
                return None;
            }
            let s3_output_url = Some(recorder.url(&session.session_id)?);
            Some(SessionManagerOutputUrl { s3_output_url, cloud_watch_output_url: None })
        };
        session.output_url = if ended && !never_recorded { told.or_else(guess) } else { None };
        session
    }

    pub(super) fn stream_url(&self, call: &Call, session: &SessionId) -> String {
        let host = self.parts.stream_url_host.as_deref().unwrap_or(&call.host);
        format!("wss://{host}/v1/data-channel/{session}?role=publish_subscribe")
    }
}

/// A device that a session may be opened on.
fn usable(target: &str, device: Option<Device>) -> Result<(DeviceId, AgentKind), ApiError> {
    let not_connected =
        || ApiError::new(ErrorCode::TargetNotConnected, format!("{target} is not connected"));
    let id: DeviceId = target.parse().map_err(|_| not_connected())?;
    let device = device.ok_or_else(not_connected)?;
    let why = match device.status {
        DeviceStatus::Active => return Ok((id, device.agent_kind)),
        DeviceStatus::Quarantined => {
            "is quarantined: two devices have used its key; an administrator lifts it with \
             `towline admin device approve`"
        }
        DeviceStatus::Pending => {
            "waits for the approval of an administrator: `towline admin device approve`"
        }
        DeviceStatus::Revoked => "is revoked: it has to be enrolled again",
    };
    Err(ApiError::new(ErrorCode::TargetNotConnected, format!("{target} {why}")))
}

/// Notes where a tunnel leads, or which file is copied, for the audit trail.
fn note_plan(call: &Call, plan: &SessionPlan) {
    match plan {
        SessionPlan::Port { host, port, .. } => {
            let host = host.as_deref().unwrap_or("localhost");
            call.note("destination", format!("{host}:{port}"));
        }
        SessionPlan::Ssh { port } => call.note("destination", format!("localhost:{port}")),
        SessionPlan::Copy { path, put, follow, .. } => {
            call.note(if *put { "writes" } else { "reads" }, path);
            if *follow {
                call.note("followsLinks", "true");
            }
        }
        SessionPlan::Exec { detach: true, .. } => call.note("detached", "true"),
        _ => {}
    }
}

fn start_error(device: &DeviceId, error: &StartError) -> ApiError {
    let code = match error {
        StartError::NotConnected
        | StartError::Draining
        | StartError::Timeout
        | StartError::Unreachable { .. } => ErrorCode::TargetNotConnected,
        // The gateway's policies have allowed it: this is no missing right.
        StartError::Refused { .. } | StartError::AlreadyStarted { .. } => ErrorCode::TargetRefused,
        StartError::NotNow { .. } => ErrorCode::ThrottlingException,
        StartError::ProgramNotFound { .. } => ErrorCode::ProgramNotFound,
        StartError::ProgramNotExecutable { .. } => ErrorCode::ProgramNotExecutable,
        StartError::NotRecorded { .. } => ErrorCode::AccessDeniedException,
        StartError::Busy { .. }
        | StartError::TooManySessions { .. }
        | StartError::ShareTaken { .. }
        | StartError::TooManyGrants => ErrorCode::ServiceQuotaExceededException,
        StartError::NoStore(why) => return no_store("a session could not be opened", why),
        StartError::Internal(why) => return internal("a session could not be opened", why),
    };
    ApiError::new(code, format!("{device}: {error}"))
}

/// The store's filter.
fn filter(request: &DescribeSessionsRequest) -> Result<SessionFilter, ApiError> {
    let mut filter =
        SessionFilter { ended: request.state == "History", ..SessionFilter::default() };
    for one in request.filters.as_deref().unwrap_or_default() {
        match one.key.as_str() {
            "InvokedAfter" => filter.invoked_after = Some(instant(&one.value)?),
            "InvokedBefore" => filter.invoked_before = Some(instant(&one.value)?),
            "Target" => filter.device_ids.push(one.value.clone()),
            "Owner" => filter.owners.push(one.value.clone()),
            "TowlineDocument" => filter.documents.push(one.value.clone()),
            "TowlineEnd" => filter.end = Some(one.value.clone()),
            "SessionId" => filter.ids.push(one.value.clone()),
            "Status" => match SessionStatus::parse(&one.value) {
                Some(status) => filter.statuses.push(status),
                None => {
                    return Err(ApiError::validation(
                        "Status must be a status of sessions, such as Connected",
                    ));
                }
            },
            "AccessType" if one.value == "Standard" => filter.just_in_time = Some(false),
            "AccessType" if one.value == "JustInTime" => filter.just_in_time = Some(true),
            _ => {
                return Err(ApiError::new(
                    ErrorCode::InvalidFilterKey,
                    "this key or value is not one of sessions",
                ));
            }
        }
    }
    Ok(filter)
}

pub(super) fn instant(text: &str) -> Result<UnixMillis, ApiError> {
    let bad = |_| {
        ApiError::validation(
            "InvokedAfter and InvokedBefore must be times such as 2026-01-31T12:00:00Z",
        )
    };
    OffsetDateTime::parse(text, &Rfc3339).map(UnixMillis::from).map_err(bad)
}

/// What a live session is doing, in the words of AWS. The rows know of its beginning and its end
/// only.
const fn stage(live: LiveState) -> ShownStatus {
    match live {
        LiveState::Connecting => ShownStatus::Connecting,
        LiveState::Connected => ShownStatus::Connected,
        LiveState::Disconnected => ShownStatus::Disconnected,
        LiveState::Terminating => ShownStatus::Terminating,
    }
}

fn shown(row: towline_store::Session) -> Session {
    let just_in_time = row.new.just_in_time;
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let minutes = |max: Duration| max.as_secs().div_ceil(60).to_string();
    Session {
        towline_agent_kind: None, // the list knows it
        session_id: row.new.id,
        target: row.new.device_id,
        status: match row.status {
            SessionStatus::Connecting => ShownStatus::Connecting,
            SessionStatus::Connected => ShownStatus::Connected,
            SessionStatus::Disconnected => ShownStatus::Disconnected,
            SessionStatus::Terminating => ShownStatus::Terminating,
            SessionStatus::Terminated => ShownStatus::Terminated,
            SessionStatus::Failed => ShownStatus::Failed,
        },
        start_date: EpochSeconds::from_millis(row.started_at.0),
        end_date: row.ended_at.map(|at| EpochSeconds::from_millis(at.0)),
        towline_detached: (row.new.session_type == DETACHED).then_some(true),
        document_name: Some(row.new.document),
        owner: row.new.principal_arn,
        reason: text(row.new.reason),
        details: text(row.details.chars().take(MAX_DETAILS).collect()),
        output_url: None,
        max_session_duration: row.new.max.map(minutes),
        access_type: Some(if just_in_time { "JustInTime" } else { "Standard" }.to_owned()),
        towline_commands: row.commands,
        towline_recording_bytes: row.recording_bytes,
        towline_input_recorded: row.new.input_recorded.then_some(true),
    }
}
