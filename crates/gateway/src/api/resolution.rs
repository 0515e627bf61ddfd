//! Request resolution: the document with its parameters, and the account's preferences.
//!
//! Data flow: StartSession's `DocumentName` and `Parameters` -> a built-in document or the default
//! version of an own one -> what it does, as which user, for how long.
//!
//! # Invariants
//! - The `inputs` of the shell document hold for every session; an own document's `inputs` win,
//!   member by member.
//! - With run-as switched on, the user is the one of the principal's tag or of the preferences,
//!   never root, and nobody chooses another.
//!
//! # Not here
//! - Permission: [`super::sessions`]. The device's own word about users: the device.

use std::time::Duration;

use towline_ssm::api::session::{Parameters, StartSessionRequest};
use towline_ssm::command_document::Platform;
use towline_ssm::documents::content::{Content, Kind};
use towline_ssm::documents::own::{OwnDocument, Resolved};
use towline_ssm::documents::preferences::SessionPreferences;
use towline_ssm::documents::{self, RUN_SHELL, SessionPlan};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{Device, Document, SessionLimits, Version};

use super::call::Call;
use super::documents::{built_in_document, format_of, kind_of};
use super::internal::OrInternal as _;
use super::service::Api;

/// The principal's tag that says as which user its sessions run, as at AWS.
pub(super) const RUN_AS_TAG: &str = "SSMSessionRunAs";
/// The condition key for the user that a session is asked for.
pub(super) const RUN_AS_USER: &str = "towline:DocumentParameter/runAsUser";
/// The condition key for the whole command of a session or a step.
pub(super) const COMMAND_LINE: &str = "towline:CommandLine";
/// The condition key with which a policy asks for a check of the default document.
pub(super) const DOCUMENT_CHECK: &str = "ssm:SessionDocumentAccessCheck";
/// The user of elevated commands.
const ROOT: &str = "root";
/// The only user of sessions on Windows.
const WINDOWS_USER: &str = "ssm-user";

/// What a request for a session means; nothing of it is permitted yet. Its errors are told after
/// policy has said yes.
pub(super) struct Asked {
    /// What the session is to do.
    pub(super) wanted: Result<Resolved, ApiError>,
    /// Its user; `None` leaves it to the device.
    pub(super) run_as: Result<Option<String>, ApiError>,
    /// The system of the device, by which both were judged; `None`: as Linux.
    pub(super) platform: Option<Platform>,
    /// What policies judge.
    pub(super) facts: Vec<(String, Vec<String>)>,
    /// The default version of the session's document, if it was read.
    pub(super) document: Option<Document>,
}

/// A session that a request means, and what was read for it.
struct Wanted {
    resolved: Result<Resolved, ApiError>,
    document: Option<Document>,
}

/// What the store has of a document and of the preferences of all sessions.
pub(super) struct Stored {
    /// The default version of the shell document, if it was ever replaced.
    shell: Result<Option<Document>, ApiError>,
    /// The default version of the document, if it is no built-in one.
    own: Option<Result<Document, ApiError>>,
}

/// Reads a request for a session on a device.
pub(super) fn asked_session(
    call: &Call,
    document: &str,
    stored: Stored,
    request: &StartSessionRequest,
    device: Option<&Device>,
) -> Asked {
    let said = device.and_then(platform_of);
    let platform = said.unwrap_or(Platform::Linux);
    let Wanted { resolved: wanted, document } =
        wanted_session(document, stored, &request.parameters, platform);
    let run_as = wanted.as_ref().map_or(Ok(None), |wanted| run_as(call, wanted, platform));
    // On Windows the user is no choice but a right: policy judges it however it was named.
    let judged = match &run_as {
        Ok(Some(user)) if platform == Platform::Windows => Some(user.as_str()),
        _ => None,
    };
    let facts = session_facts(wanted.as_ref().ok(), &request.parameters, judged);
    Asked { wanted, run_as, platform: said, facts, document }
}

/// The session that a request means.
fn wanted_session(name: &str, stored: Stored, given: &Parameters, platform: Platform) -> Wanted {
    let shell = match stored.shell {
        Ok(shell) => shell,
        Err(error) => return Wanted { resolved: Err(error), document: None },
    };
    let account = preferences_of(shell.as_ref());
    let document = match stored.own {
        None => {
            let resolved = account.and_then(|preferences| {
                Ok(Resolved {
                    plan: documents::resolve(Some(name), given)?,
                    preferences,
                    elevated: false,
                    parameters: documents::effective(documents::find(name)?, given),
                })
            });
            let shell = || shell.or_else(|| built_in_document(name));
            return Wanted { resolved, document: (name == RUN_SHELL).then(shell).flatten() };
        }
        Some(Ok(document)) => document,
        Some(Err(error)) => return Wanted { resolved: account.and(Err(error)), document: None },
    };
    let resolved = account.and_then(|account| {
        let mut resolved = session_document(&document)?.resolve(given, platform)?;
        resolved.preferences = resolved.preferences.over(account);
        Ok(resolved)
    });
    Wanted { resolved, document: Some(document) }
}

impl Api {
    /// Reads what a session's document, and the preferences of all sessions, are.
    pub(super) async fn documents_of(&self, name: &str) -> Stored {
        if documents::find(name).is_ok() {
            return Stored { shell: self.shell_document().await, own: None };
        }
        let own = self.existing_document(name, &Version::Default);
        let (shell, own) = tokio::join!(self.shell_document(), own);
        Stored { shell, own: Some(own) }
    }

    /// The preferences of the account: what the shell document's default version says, if it was
    /// ever replaced.
    pub(super) async fn account_preferences(&self) -> Result<SessionPreferences, ApiError> {
        preferences_of(self.shell_document().await?.as_ref())
    }

    /// The default version of the shell document, if it was ever replaced.
    async fn shell_document(&self) -> Result<Option<Document>, ApiError> {
        let stored = self.store().documents().get(RUN_SHELL, &Version::Default).await;
        stored.or_internal("cannot read the preferences of sessions")
    }
}

/// The system that a device has said. None of one that has said nothing: it counts as Linux, and
/// amazon-ssm-agent starts no program by that.
fn platform_of(device: &Device) -> Option<Platform> {
    Platform::parse(device.report.said_system()?)
}

/// What the shell document says, if it was ever replaced.
fn preferences_of(shell: Option<&Document>) -> Result<SessionPreferences, ApiError> {
    match shell {
        Some(document) => Ok(session_document(document)?.preferences().clone()),
        None => Ok(SessionPreferences::default()),
    }
}

/// A stored document, as a session document.
fn session_document(document: &Document) -> Result<OwnDocument, ApiError> {
    if kind_of(document)? != Kind::Session {
        let message = format!(
            "{} is a document of type {}, not one of sessions",
            document.name, document.kind
        );
        return Err(ApiError::new(ErrorCode::InvalidDocument, message));
    }
    let format = format_of(Some(&document.text.format));
    OwnDocument::read(&Content::outline(Kind::Session, format, &document.text.content)?)
}

/// The condition keys for a document's parameters.
pub(super) fn parameter_facts(
    parameters: &Parameters,
) -> impl Iterator<Item = (String, Vec<String>)> {
    parameters
        .iter()
        .map(|(name, values)| (format!("towline:DocumentParameter/{name}"), values.clone()))
}

/// The condition keys of a session: its document's parameters, the whole command, and the host and
/// port that it connects to, under whatever names the document takes them: without a host it is the
/// device's own. `user`: where a policy is to judge it although no parameter names it. Of a request
/// that means no session, the parameters that were given.
fn session_facts(
    wanted: Option<&Resolved>,
    given: &Parameters,
    user: Option<&str>,
) -> Vec<(String, Vec<String>)> {
    let Some(wanted) = wanted else { return parameter_facts(given).collect() };
    let mut facts: Vec<_> = parameter_facts(&wanted.parameters).collect();
    if let Some(line) = documents::command_line(&wanted.plan) {
        facts.push((COMMAND_LINE.to_owned(), vec![line]));
    }
    if let Some(user) = user.filter(|_| wanted.plan.is_shown()) {
        let there = facts.iter().position(|(key, _)| key == RUN_AS_USER).unwrap_or(facts.len());
        if there == facts.len() {
            facts.push((RUN_AS_USER.to_owned(), Vec::new()));
        }
        let values = &mut facts[there].1;
        values.retain(|value| !value.is_empty() && value != user);
        values.push(user.to_owned());
    }
    let (host, port) = match &wanted.plan {
        SessionPlan::Port { host, port, .. } => (host.as_deref(), port),
        SessionPlan::Ssh { port } => (None, port),
        _ => return facts,
    };
    for (name, value) in
        [("host", host.unwrap_or("localhost").to_owned()), ("portNumber", port.to_string())]
    {
        facts.push((format!("towline:DocumentParameter/{name}"), vec![value]));
    }
    facts
}

/// The user that the principal's tag names.
///
/// # Errors
/// `AccessDeniedException` for an empty tag: nobody has that name, and it must not become the user
/// of the device's agent.
pub(super) fn tagged_user(call: &Call) -> Result<Option<String>, ApiError> {
    match call.caller.tag(RUN_AS_TAG) {
        Some(user) if user.is_empty() => Err(ApiError::new(
            ErrorCode::AccessDeniedException,
            format!("the principal's tag {RUN_AS_TAG} is empty: it must name a user of the device"),
        )),
        user => Ok(user.cloned()),
    }
}

/// The user of a session; `None` leaves it to the device.
fn run_as(call: &Call, wanted: &Resolved, platform: Platform) -> Result<Option<String>, ApiError> {
    let Resolved { plan, preferences, elevated, .. } = wanted;
    let asked = match plan {
        SessionPlan::Shell { run_as }
        | SessionPlan::Exec { run_as, .. }
        | SessionPlan::Copy { run_as, .. } => run_as.clone(),
        SessionPlan::InteractiveCommand { .. }
        | SessionPlan::NonInteractiveCommand { .. }
        | SessionPlan::Port { .. }
        | SessionPlan::Ssh { .. } => None,
    };
    if *elevated && platform == Platform::Windows {
        let message = "a command with runAsElevated would run as SYSTEM on Windows: leave \
                       runAsElevated out of properties.windows";
        return Err(ApiError::new(ErrorCode::InvalidDocument, message));
    }
    if *elevated {
        return Ok(Some(ROOT.to_owned()));
    }
    let of_principal = tagged_user(call)?;
    // Windows has no run-as: tag and preferences name users of other systems.
    if platform == Platform::Windows && asked.as_deref() == Some(WINDOWS_USER) {
        return Ok(asked);
    }
    if preferences.run_as != Some(true) {
        return Ok(asked.or(of_principal));
    }
    let denied = |why: String| {
        ApiError::new(ErrorCode::AccessDeniedException, format!("run-as is on: {why}"))
    };
    let Some(user) = of_principal.or_else(|| preferences.run_as_default_user.clone()) else {
        return Err(denied(format!(
            "neither the principal's tag {RUN_AS_TAG} nor runAsDefaultUser names a user"
        )));
    };
    if user == ROOT {
        return Err(denied(format!(
            "the principal's tag {RUN_AS_TAG} must name another user than root"
        )));
    }
    if asked.as_ref().is_some_and(|asked| *asked != user) {
        return Err(denied(format!(
            "sessions of this principal run as {user}, and as nobody else"
        )));
    }
    Ok(Some(user))
}

/// The gateway's limits, where the preferences say nothing else.
pub(super) fn with_preferences(
    limits: SessionLimits,
    preferences: &SessionPreferences,
) -> SessionLimits {
    let minutes = |minutes: u32| Duration::from_secs(u64::from(minutes) * 60);
    SessionLimits {
        idle: preferences.idle_minutes.map_or(limits.idle, minutes),
        max: preferences.max_minutes.map(minutes).or(limits.max),
    }
}
