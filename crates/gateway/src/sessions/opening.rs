//! Opening a session: grant, open, answer.
//!
//! Way: a decided [`SessionStart`] -> launch bytes -> signed grant -> Open on the device's link ->
//! Opened or NotOpened, while the row is written and the recording begins -> a token for the
//! caller.
//!
//! # Invariants
//! - The row is in the store, and the recording on the disk, before the caller hears of success:
//!   the device works while our disk does. No byte flows before, since nobody has the token.
//! - Nothing is left behind by a failure: neither in the hub's map, nor on the link, nor an unended
//!   row.

use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::oneshot;
use tokio::time::Instant;
use towline_ssm::api::session::SessionManagerOutputUrl;
use towline_ssm::documents::SessionPlan;
use towline_wire::grant::{Grant, SignedGrant};
use towline_wire::message::{EndReason, Launch, Open, Size, Terminal, ToAgent, encode};

use super::meta::Meta;
use super::token::Token;
use super::{Hub, Session, lock, sentence, tunnel, watch};
use crate::devices::towline::Link;
use crate::plane::{SessionStart, SessionStarted, StartError};
use towline_archive::Destinations;
use towline_store::NewSession;

/// How long an agent may take to open a session. A cellular link at 3 s round trip and a slow disk
/// still make it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);
/// Life of a grant, ms: it is used at once or never.
const GRANT_LIFE_MS: u64 = 60_000;

pub(super) async fn open(hub: Arc<Hub>, start: SessionStart) -> Result<SessionStarted, StartError> {
    let link = hub
        .link(start.device.as_str())
        .filter(|link| !link.is_closed())
        .ok_or(StartError::NotConnected)?;
    let launch = launch_of(&start)?;
    let separate_err = launch.wants_err();
    let order = order(&hub, &link, &start, &launch)?;
    let (session, opened) = Session::opening(meta(&hub, &start), separate_err);
    {
        let mut sessions = lock(&hub.sessions);
        let most = hub.settings.most_sessions;
        if sessions.len() >= most {
            return Err(StartError::TooManySessions {
                limit: u32::try_from(most).unwrap_or(u32::MAX),
            });
        }
        sessions.insert(session.meta.name.clone(), Arc::clone(&session));
    }
    let (token, text) =
        Token::fresh(Instant::now()).ok_or_else(|| StartError::Internal("no randomness".into()))?;
    session.set_token(token);
    let destinations = match super::recording::choose_destinations(hub.recorder.as_ref(), &start) {
        Ok(destinations) => destinations,
        Err(error) => {
            lock(&hub.sessions).remove(&session.meta.name);
            return Err(error);
        }
    };
    link.bind(&session, order.io, order.err);
    session.link_up(&link, order.io, order.err);
    link.send(&ToAgent::Open(order));
    session.ask_for_echo(&link);
    tokio::spawn(watch::watch(Arc::clone(&hub), Arc::clone(&session)));

    match opened_stored_recorded(&hub, &session, &start, destinations, opened).await {
        Ok(()) => {
            session.own_up_to_lost_input(&link);
            Ok(SessionStarted { token: text })
        }
        Err(error) => {
            hub.end(
                &session,
                EndReason::NotOpened,
                &format!("{}: {error}", sentence(EndReason::NotOpened)),
            );
            hub.forget_failed(&session, &error).await;
            Err(error)
        }
    }
}

/// Waits for the device, the store and the recorder, which work at the same time.
async fn opened_stored_recorded(
    hub: &Hub,
    session: &Arc<Session>,
    start: &SessionStart,
    destinations: Destinations,
    opened: oneshot::Receiver<Result<(), StartError>>,
) -> Result<(), StartError> {
    let recorder = hub.recorder.as_ref().filter(|_| start.plan.is_shown());
    let output =
        recorder.map(|recorder| recorder.output_url(start.session.as_str(), &destinations));
    let row = row(start, output);
    // What a restarted gateway has to know of a tunnel.
    let state = tunnel::launch_of(&start.plan).and_then(|launch| encode(&launch).ok());
    let stored = async {
        hub.store.sessions().insert(&row, hub.clock.now()).await?;
        match &state {
            Some(state) => hub.store.sessions().set_resume_state(&row.id, state).await.map(drop),
            None => Ok(()),
        }
    };
    let on_taken = session.on_taken();
    let begun = async {
        super::recording::begin(hub.recorder.as_ref(), start, destinations, on_taken).await
    };
    let (stored, begun, opened) =
        tokio::join!(stored, begun, tokio::time::timeout(OPEN_TIMEOUT, opened));
    // The tape comes first: whatever else went wrong, it is ended with the session then.
    let begun = begun.map(|tape| tape.into_iter().for_each(|tape| session.record(tape)));
    stored.map_err(|error| {
        StartError::Internal(format!("the session could not be stored: {error}"))
    })?;
    match opened {
        Ok(Ok(answer)) => answer.and(begun),
        Ok(Err(_)) => Err(StartError::Internal("the session ended while it was opened".into())),
        Err(_) => Err(StartError::Timeout),
    }
}

impl Hub {
    /// A session that never came to be was ended by `not_opened` already, so `end` did nothing:
    /// clean up after it.
    async fn forget_failed(&self, session: &Arc<Session>, error: &StartError) {
        lock(&self.sessions).remove(&session.meta.name);
        let ended = self
            .store
            .sessions()
            .end(&session.meta.name, true, &error.to_string(), self.clock.now())
            .await;
        if let Err(error) = ended {
            tracing::error!(session = session.meta.name, %error, "the end of a session could not be stored");
        }
    }
}

/// The wire's form of what the document means.
fn launch_of(start: &SessionStart) -> Result<Launch, StartError> {
    match &start.plan {
        SessionPlan::Shell { .. } => Ok(match start.preferences.shell_profile.clone() {
            Some(profile) => Launch::ShellWithProfile { profile },
            None => Launch::Shell,
        }),
        SessionPlan::Exec { argv, .. } => Ok(Launch::Exec { argv: argv.clone() }),
        SessionPlan::InteractiveCommand { command } => {
            Ok(Launch::Interactive { command: command.clone() })
        }
        SessionPlan::NonInteractiveCommand { command, .. } => {
            Ok(Launch::Exec { argv: vec!["/bin/sh".into(), "-c".into(), command.clone()] })
        }
        SessionPlan::Copy { path, put, .. } => Ok(Launch::Copy { path: path.clone(), put: *put }),
        SessionPlan::Port { .. } | SessionPlan::Ssh { .. } => tunnel::launch_of(&start.plan)
            .ok_or_else(|| StartError::Internal("a tunnel leads nowhere".to_owned())),
    }
}

/// The order with its grant.
fn order(
    hub: &Hub,
    link: &Link,
    start: &SessionStart,
    launch: &Launch,
) -> Result<Open, StartError> {
    let whom = Whom {
        session: start.session.as_str(),
        principal: &start.principal_arn,
        document: &start.document,
        run_as: start.run_as.clone(),
    };
    let open = sign(hub, link, whom, launch)?;
    Ok(Open { terminal: launch.wants_terminal().then(|| terminal(start)), ..open })
}

/// For whom a grant is.
pub(super) struct Whom<'a> {
    pub(super) session: &'a str,
    pub(super) principal: &'a str,
    pub(super) document: &'a str,
    pub(super) run_as: Option<String>,
}

/// An order without a terminal, with its grant.
pub(super) fn sign(
    hub: &Hub,
    link: &Link,
    whom: Whom<'_>,
    launch: &Launch,
) -> Result<Open, StartError> {
    let internal = |what: &str| StartError::Internal(what.to_owned());
    let launch_bytes =
        encode(launch).map_err(|_| internal("the command is too long for the wire"))?;
    let mut nonce = [0; 16];
    SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| internal("the system gave no random bytes"))?;
    let mut launch_digest = [0; 32];
    launch_digest.copy_from_slice(digest(&SHA256, &launch_bytes).as_ref()); // SHA-256 has 32 bytes
    let issued_at = u64::try_from(hub.clock.now().0).unwrap_or(0);
    let grant = Grant {
        device: link.device.as_str().to_owned(),
        session: whom.session.to_owned(),
        principal: whom.principal.to_owned(),
        document: whom.document.to_owned(),
        launch: launch_digest,
        run_as: whom.run_as,
        boot: link.epoch.boot,
        nonce,
        issued_at,
        not_after: issued_at + GRANT_LIFE_MS,
    };
    let grant = SignedGrant::sign(&grant, |bytes| hub.authority.sign(bytes))
        .map_err(|_| internal("the grant is too long for the wire"))?;
    let (io, err) = link.new_streams();
    Ok(Open {
        session: whom.session.to_owned(),
        grant,
        launch: launch_bytes,
        terminal: None,
        io,
        err: launch.wants_err().then_some(err),
    })
}

/// The client's terminal, or the one that AWS clients have until they tell its size.
fn terminal(start: &SessionStart) -> Terminal {
    let told = start.terminal.as_ref();
    told.map_or_else(
        || Terminal { term: "xterm-256color".to_owned(), size: Size { rows: 24, cols: 80 } },
        |t| Terminal { term: t.term.clone(), size: Size { rows: t.rows, cols: t.cols } },
    )
}

fn meta(hub: &Hub, start: &SessionStart) -> Meta {
    Meta {
        name: start.session.as_str().to_owned(),
        device: start.device.as_str().to_owned(),
        owner: start.principal_arn.clone(),
        session_type: start.plan.session_type(),
        properties: start.plan.handshake_properties(),
        tunnel: match tunnel::launch_of(&start.plan) {
            Some(Launch::Tunnel(to)) => Some(to),
            _ => None,
        },
        separate_output: matches!(
            start.plan,
            SessionPlan::NonInteractiveCommand { separate_output: true, .. }
        ),
        idle: start.idle_timeout,
        end_at: start.max_duration.map(|max| Instant::now() + max),
        grace: hub.settings.grace,
        step: false,
        input: start.records_input(),
    }
}

fn row(start: &SessionStart, output: Option<SessionManagerOutputUrl>) -> NewSession {
    NewSession {
        id: start.session.as_str().to_owned(),
        device_id: start.device.as_str().to_owned(),
        principal_arn: start.principal_arn.clone(),
        principal_name: start.principal_name.clone(),
        document: start.document.clone(),
        reason: start.reason.clone().unwrap_or_default(),
        run_as: start.run_as.clone().unwrap_or_default(),
        source_ip: start.source_ip.to_string(),
        just_in_time: start.just_in_time,
        session_type: start.plan.session_type().to_owned(),
        input_recorded: start.records_input(),
        output_url: output
            .and_then(|output| serde_json::to_string(&output).ok())
            .unwrap_or_default(),
        idle: start.idle_timeout,
        max: start.max_duration,
    }
}
