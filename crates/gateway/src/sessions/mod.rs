//! The rendezvous: sessions by name, links by device, and what happens to the one when the other
//! comes or goes.
//!
//! Way: the API calls [`Hub`] through [`crate::seam::Sessions`]; agents' links report to it
//! (`devices`); data channels ask it for their session ([`Hub::session`]).
//!
//! # Invariants
//! - A session stands in the map from before its open is sent until its end; its row is written at
//!   both.
//! - What an agent reports about a session that is not in the map is answered with Close or Forget:
//!   the gateway's word on what is alive counts, and it survives restarts in the store.
//!
//! # Not here
//! - No HTTP, no SQL, no TLS types.

mod command_log;
mod devices;
mod lanes;
mod opening;
mod queue;
mod rotation;
mod scripts;
mod session;
#[cfg(test)]
mod tests;
mod token;
mod tunnel;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use towline_ssm::ids::{DeviceId, SessionId};
use towline_wire::message::{EndReason, ToAgent};

pub(crate) use queue::RECORDED_WINDOW;
pub use queue::{ClientQueue, ToChannel};
pub use scripts::{Order, StepSession};
pub use session::Session;

use crate::agents::Link;
use crate::audit::AuditLog;
use crate::authority::Authority;
use crate::clock::Clock;
use crate::evidence::Recorder;
use crate::seam::{self, LiveState, SessionStart, SessionStarted, StartError};
use crate::store::{SessionStatus, Store, StoreError};

/// Sessions alive at once in one gateway: each costs a few KiB, and a window of output while its
/// client is slow.
pub const MAX_SESSIONS: usize = 4096;

/// What the hub is told at its start.
#[derive(Debug, Clone, Copy)]
pub struct HubSettings {
    /// How long a session waits for a lost device or a lost client.
    pub grace: Duration,
    /// Sessions alive at once; one more is refused. [`MAX_SESSIONS`] but in tests.
    pub most_sessions: usize,
}

/// Hears of a device.
type Arrivals = Box<dyn Fn(&str) + Send + Sync>;

/// See the module.
pub struct Hub {
    store: Store,
    authority: Arc<Authority>,
    clock: Clock,
    settings: HubSettings,
    /// Records sessions, if they are to be recorded.
    recorder: Option<Arc<Recorder>>,
    /// Where device events are written down, once that is known.
    trail: OnceLock<AuditLog>,
    /// Records of devices on their way to the store.
    pub(crate) intake: command_log::Intake,
    links: Mutex<HashMap<String, Arc<Link>>>,
    /// Hears of each device whose link is there, once it is known what the device holds.
    arrivals: OnceLock<Arrivals>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

/// Agents that are asked back in the same second after a restart: each costs a TLS handshake (some
/// 1 ms of a core).
const COMING_BACK_A_SECOND: usize = 200;
/// Latest second at which an agent is asked back.
const LATEST_BACK: u32 = 60;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while a map is locked leaves the map whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// A hub that waits for the sessions which were alive when the gateway stopped.
    ///
    /// # Errors
    /// The store's.
    pub async fn restore(
        store: Store,
        authority: Arc<Authority>,
        clock: Clock,
        settings: HubSettings,
        recorder: Option<Arc<Recorder>>,
    ) -> Result<Arc<Self>, StoreError> {
        let hub = Arc::new(Self {
            store,
            authority,
            clock,
            settings,
            recorder,
            trail: OnceLock::new(),
            intake: command_log::Intake::default(),
            links: Mutex::default(),
            arrivals: OnceLock::new(),
            sessions: Mutex::default(),
        });
        let rows = hub
            .store
            .sessions()
            .list_active("", i64::try_from(MAX_SESSIONS).unwrap_or(i64::MAX))
            .await?;
        for row in rows {
            let session = Session::restored(hub.meta_of_row(&row));
            if let Some(tape) =
                hub.recorder.as_ref().and_then(|recorder| recorder.rejoin(&session.meta.name))
            {
                session.record(tape);
            }
            lock(&hub.sessions).insert(session.meta.name.clone(), Arc::clone(&session));
            tokio::spawn(watch::watch(Arc::clone(&hub), session));
        }
        if let Some(recorder) = &hub.recorder {
            recorder.end_what_is_left();
        }
        tokio::spawn(command_log::keep(Arc::clone(&hub)));
        Ok(hub)
    }

    fn meta_of_row(&self, row: &crate::store::Session) -> session::Meta {
        let age = u64::try_from(self.clock.now().0.saturating_sub(row.started_at.0)).unwrap_or(0);
        let left = row.new.max.map(|max| max.saturating_sub(Duration::from_millis(age)));
        let tunnel = tunnel::restored(row.resume_state.as_deref());
        let plan = tunnel.as_ref().map(tunnel::plan_of);
        session::Meta {
            name: row.new.id.clone(),
            device: row.new.device_id.clone(),
            owner: row.new.principal_arn.clone(),
            session_type: session_type_of(&row.new.session_type),
            properties: plan.map_or_else(Default::default, |plan| plan.handshake_properties()),
            tunnel,
            separate_output: false,
            idle: row.new.idle,
            end_at: left.map(|left| Instant::now() + left),
            grace: self.settings.grace,
            step: false,
            input: row.new.input_recorded,
        }
    }

    /// Device events go to this trail. The first call counts.
    pub fn audit_to(&self, trail: AuditLog) {
        let _ = self.trail.set(trail);
    }

    /// Writes down what a device did. Nobody waits for it.
    fn device_event(&self, name: &'static str, device: &str, facts: Vec<(&'static str, String)>) {
        let Some(trail) = self.trail.get().cloned() else { return };
        let mut all = vec![("deviceId", device.to_owned())];
        all.extend(facts);
        let event = crate::audit::Event {
            source: "towline",
            name: name.into(),
            facts: all,
            ..Default::default()
        };
        tokio::spawn(async move { trail.write(event).await });
    }

    /// The authority, whose key devices pin at their enrollment.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The session of this name, while it is alive.
    #[must_use]
    pub fn session(&self, name: &str) -> Option<Arc<Session>> {
        lock(&self.sessions).get(name).cloned()
    }

    /// The live link of a device.
    #[must_use]
    pub fn link(&self, device: &str) -> Option<Arc<Link>> {
        lock(&self.links).get(device).cloned()
    }

    /// How many links and how many sessions there are, for metrics.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (lock(&self.links).len(), lock(&self.sessions).len())
    }

    /// Writes down whether a client is attached, for those who list sessions by status. Nobody
    /// waits for it.
    pub fn mark(self: &Arc<Self>, session: &Arc<Session>) {
        let status = match session.live() {
            LiveState::Connecting => SessionStatus::Connecting,
            LiveState::Connected => SessionStatus::Connected,
            LiveState::Disconnected => SessionStatus::Disconnected,
            LiveState::Terminating => return,
        };
        let (hub, name) = (Arc::clone(self), session.meta.name.clone());
        tokio::spawn(async move {
            if let Err(error) = hub.store.sessions().mark(&name, status).await {
                tracing::warn!(session = name, %error, "the status of a session could not be stored");
            }
        });
    }

    /// Ends a session with a reason and its words; does nothing for one that is over.
    pub fn end(self: &Arc<Self>, session: &Arc<Session>, reason: EndReason, text: &str) {
        if !session.end(reason, text) {
            return;
        }
        lock(&self.sessions).remove(&session.meta.name);
        if session.meta.step {
            return; // its story stands among the commands
        }
        let totals = session.totals();
        let (hub, name, mut text) = (Arc::clone(self), session.meta.name.clone(), text.to_owned());
        let event = totals.as_ref().map(|totals| totals.event(&session.meta, &text));
        if let Some(totals) = totals {
            text = format!("{text}; {totals}");
        }
        let failed = matches!(reason, EndReason::NotOpened);
        tokio::spawn(async move {
            let now = hub.clock.now();
            if let Some(event) = event
                && let Err(error) = hub.store.audit().append(&[event.row(now)]).await
            {
                tracing::error!(session = name, %error, "the end of a tunnel is in the log alone");
            }
            if let Err(error) = hub.store.sessions().end(&name, failed, &text, now).await {
                tracing::error!(session = name, %error, "the end of a session could not be stored");
            }
        });
    }
}

/// The AWS dialect's name for what a session does, as stored; a shell's for a row of an older
/// version.
fn session_type_of(stored: &str) -> &'static str {
    let names = ["InteractiveCommands", "NonInteractiveCommands", "Port"];
    names.into_iter().find(|name| *name == stored).unwrap_or("Standard_Stream")
}

/// The sentence for a reason, for people and for the record.
#[must_use]
pub fn sentence(reason: EndReason) -> String {
    use towline_wire::message::ExitStatus;
    match reason {
        EndReason::Exited(ExitStatus::Code(0)) => "the program ended".to_owned(),
        EndReason::Exited(ExitStatus::Code(code)) => {
            format!("the program ended with exit code {code}")
        }
        EndReason::Exited(ExitStatus::Signal(signal)) => {
            format!("the program was killed by signal {signal}")
        }
        EndReason::Exited(ExitStatus::TimedOut) => "the program took longer than it may".to_owned(),
        EndReason::IdleTimeout => {
            "ended: nothing was typed or shown for the idle time-out".to_owned()
        }
        EndReason::MaxDuration => "ended: the session reached its maximum duration".to_owned(),
        EndReason::Terminated => "terminated".to_owned(),
        EndReason::ClosedByOperator => "closed by the operator".to_owned(),
        EndReason::OperatorGone => "ended: no client came back in time".to_owned(),
        EndReason::DeviceGone => {
            "ended: the device did not come back in time, or without the session".to_owned()
        }
        EndReason::NotOpened => "could not be opened".to_owned(),
        EndReason::DeviceRevoked => "ended: the device was removed".to_owned(),
        EndReason::Violation => "ended: one side broke the rules of the stream".to_owned(),
    }
}

/// The seam's handle: it knows its own `Arc`.
pub struct HubHandle(pub Arc<Hub>);

impl seam::Sessions for HubHandle {
    fn start(&self, start: SessionStart) -> BoxFuture<'_, Result<SessionStarted, StartError>> {
        Box::pin(opening::open(Arc::clone(&self.0), start))
    }

    fn resume(&self, id: &SessionId) -> Option<String> {
        let session = self.0.session(id.as_str())?;
        let (token, text) = token::Token::fresh(Instant::now())?;
        session.set_token(token);
        Some(text)
    }

    fn terminate(&self, id: &SessionId, reason: seam::EndReason) -> bool {
        let Some(session) = self.0.session(id.as_str()) else { return false };
        let end = match reason {
            seam::EndReason::DeviceRemoved => EndReason::DeviceRevoked,
            _ => EndReason::Terminated,
        };
        self.0.end(&session, end, &reason.sentence());
        true
    }

    fn is_connected(&self, device: &DeviceId) -> bool {
        self.0.link(device.as_str()).is_some_and(|link| !link.is_closed())
    }

    fn live(&self, id: &SessionId) -> Option<LiveState> {
        self.0.session(id.as_str()).map(|session| session.live())
    }

    fn going_away(&self) {
        let links: Vec<Arc<Link>> = lock(&self.0.links).values().cloned().collect();
        for (number, link) in links.iter().enumerate() {
            let more = u32::try_from(number / COMING_BACK_A_SECOND).unwrap_or(u32::MAX);
            let retry_after = more.saturating_add(1).min(LATEST_BACK);
            link.send(&ToAgent::GoAway { retry_after });
        }
    }

    fn rotate_key(&self, device: &DeviceId) -> BoxFuture<'_, Result<String, seam::RotateError>> {
        Box::pin(self.0.rotate_key(device.clone()))
    }

    fn drop_device(&self, device: &DeviceId, why: &str) {
        let sessions: Vec<_> = lock(&self.0.sessions)
            .values()
            .filter(|s| s.meta.device == device.as_str())
            .cloned()
            .collect();
        for session in sessions {
            self.0.end(&session, EndReason::DeviceRevoked, &sentence(EndReason::DeviceRevoked));
        }
        if let Some(link) = self.0.link(device.as_str()) {
            link.close(why);
        }
    }
}
