//! Opening a session: prepared, ordered, answered.
//!
//! Data flow: a decided [`SessionStart`] -> [`Prepared`] (everything that is computed from it,
//! once) -> an order to the device -> the device's answer, while the row is written and the
//! recording begins -> a token for the caller.
//!
//! # Invariants
//! - The row is in the store, and the recording on the disk, before the caller hears of success:
//!   the device works while our disk does. No byte flows before, since nobody has the token.
//! - What can fail without the device is done before the session is in the hub's map.
//! - A failure leaves nothing behind: neither in the hub's map, nor on the device's connection, nor
//!   an unended row.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;
use towline_archive::Destinations;
use towline_ssm::documents::SessionPlan;
use towline_store::{NewSession, StoreError};
use towline_wire::message::Destination;
use tracing::Instrument as _;

use super::device::Device;
use super::hub::Hub;
use super::meta::Meta;
use super::order::{Order, Work};
use super::recording::Begun;
use super::session::Session;
use super::token::Token;
use super::{tunnel, watch};
use crate::limits::{OPEN_TIMEOUT, SETTLE_PATIENCE};
use crate::plane::{EndReason, SessionStart, SessionStarted, StartError};

/// Opens a session on its device.
pub(super) async fn open(hub: Arc<Hub>, start: SessionStart) -> Result<SessionStarted, StartError> {
    let span = tracing::info_span!("session", id = start.session.as_str());
    open_with(hub, start, Token::first(Instant::now())).instrument(span).await
}

/// Opens a session; `token`: `None` when the system has no randomness.
pub(super) async fn open_with(
    hub: Arc<Hub>,
    start: SessionStart,
    token: Option<(Token, String)>,
) -> Result<SessionStarted, StartError> {
    if hub.is_draining() {
        return Err(StartError::Draining);
    }
    let device = hub
        .device(start.device.as_str())
        .filter(|device| !device.is_closed())
        .ok_or(StartError::NotConnected)?;
    if !device.settles(SETTLE_PATIENCE).await {
        return Err(StartError::NotConnected);
    }
    let (token, text) =
        token.ok_or_else(|| StartError::Internal("the system gave no random bytes".to_owned()))?;
    hub.check_share(&*device, &start)?;
    let prepared = Prepared::new(&hub, start)?;
    let (session, opened) = Session::opening(prepared.meta(&hub));
    session.set_token(token);
    hub.add_bounded(&session).map_err(|most| StartError::TooManySessions {
        limit: u32::try_from(most).unwrap_or(u32::MAX),
    })?;
    if let Err(error) = prepared.ordered(&hub, &device, &session).await {
        hub.forget_failed(&session, &error).await;
        return Err(error);
    }
    session.ask_for_echo();
    tokio::spawn(watch::watch(Arc::clone(&hub), Arc::clone(&session)));
    match prepared.opened_stored_recorded(&hub, &device, &session, opened).await {
        Ok(not_recorded) => {
            session.record_lost_input();
            let meta = &session.meta;
            tracing::info!(device = meta.device, owner = meta.owner, "session opened");
            Ok(SessionStarted { token: text, not_recorded })
        }
        Err(error) => {
            tracing::info!(device = session.meta.device, %error, "session not opened");
            let reason = EndReason::NotOpened;
            hub.end(&session, reason, &format!("{}: {error}", reason.sentence()));
            hub.forget_failed(&session, &error).await;
            Err(error)
        }
    }
}

/// One start, and everything that is computed from it.
struct Prepared {
    start: SessionStart,
    /// Where it leads, when it is a tunnel.
    tunnel: Option<Destination>,
    /// Where its recording goes.
    destinations: Destinations,
    /// What the store keeps of it.
    row: NewSession,
}

impl Prepared {
    /// Computes everything; the only failure is a recording that is demanded and not possible.
    fn new(hub: &Hub, start: SessionStart) -> Result<Self, StartError> {
        let recorder = &hub.parts.recorder;
        let destinations = super::recording::choose_destinations(recorder, &start)?;
        let is_shown = start.plan.is_shown();
        let output = is_shown.then(|| recorder.output_url(start.session.as_str(), &destinations));
        let row = NewSession {
            id: start.session.as_str().to_owned(),
            device_id: start.device.as_str().to_owned(),
            principal_arn: start.principal_arn.clone(),
            principal_name: start.principal_name.clone(),
            principal_id: start.principal_id.clone(),
            person_id: start.person.id.clone(),
            document: start.document.clone(),
            reason: start.reason.clone().unwrap_or_default(),
            run_as: start.run_as.clone().unwrap_or_default(),
            source_ip: start.source_ip.to_string(),
            just_in_time: start.access_request.is_some(),
            access_request: start.access_request.clone().unwrap_or_default(),
            session_type: start.plan.session_type().to_owned(),
            input_recorded: start.records_input(),
            output_url: output
                .and_then(|output| serde_json::to_string(&output).ok())
                .unwrap_or_default(),
            idle: start.idle_timeout,
            max: start.max_duration,
            start_facts: start.facts.clone(),
        };
        Ok(Self { tunnel: tunnel::destination_of(&start.plan), start, destinations, row })
    }

    /// What never changes about the session.
    fn meta(&self, hub: &Hub) -> Meta {
        let start = &self.start;
        Meta {
            name: start.session.as_str().to_owned(),
            device: start.device.as_str().to_owned(),
            owner: start.principal_arn.clone(),
            share_of: start.share_of().to_owned(),
            session_type: start.plan.session_type(),
            properties: start.plan.handshake_properties(),
            tunnel: self.tunnel.clone(),
            separate_output: matches!(
                start.plan,
                SessionPlan::NonInteractiveCommand { separate_output: true, .. }
            ),
            prefixes: match &start.plan {
                SessionPlan::NonInteractiveCommand { stdout_prefix, stderr_prefix, .. } => {
                    [stdout_prefix.clone(), stderr_prefix.clone()]
                }
                _ => Default::default(),
            },
            idle: start.idle_timeout,
            end_at: start.max_duration.map(|max| Instant::now() + max),
            grace: hub.settings.grace,
            step: false,
            input: self.row.input_recorded,
        }
    }

    /// The order to the device.
    fn order(&self) -> Order<'_> {
        let start = &self.start;
        Order {
            session: start.session.as_str(),
            principal: &start.principal_arn,
            share_of: start.share_of(),
            document: &start.document,
            run_as: start.run_as.as_deref(),
            platform: start.platform,
            reserved: false,
            work: Work::Session {
                plan: &start.plan,
                tunnel: self.tunnel.as_ref(),
                preferences: &start.preferences,
                terminal: start.terminal.as_ref(),
            },
        }
    }

    /// Sends the order. Among several nodes the row comes first: a node that has lost its lease
    /// opens nothing, and the device's next node knows the session.
    async fn ordered(
        &self,
        hub: &Arc<Hub>,
        device: &Arc<dyn Device>,
        session: &Arc<Session>,
    ) -> Result<(), StartError> {
        if hub.store().node().is_some() {
            self.stored(hub).await.map_err(not_stored)?;
        }
        hub.open_on(device, &self.order(), session)
    }

    /// Writes the row, and what a restarted gateway has to know of a tunnel.
    async fn stored(&self, hub: &Hub) -> Result<(), StoreError> {
        let sessions = hub.store().sessions();
        sessions.insert(&self.row, hub.parts.clock.now()).await?;
        match self.tunnel.as_ref().and_then(tunnel::stored) {
            Some(state) => sessions.set_resume_state(&self.row.id, &state).await.map(drop),
            None => Ok(()),
        }
    }

    /// Waits for the device, the store and the recorder, which work at the same time. Answers why a
    /// wanted recording did not begin.
    async fn opened_stored_recorded(
        &self,
        hub: &Arc<Hub>,
        device: &Arc<dyn Device>,
        session: &Arc<Session>,
        opened: oneshot::Receiver<Result<(), StartError>>,
    ) -> Result<Option<String>, StartError> {
        let Self { start, destinations, .. } = self;
        let opened = hub.answer(device, session, start, self.order(), opened);
        let stored = async {
            match hub.store().node() {
                Some(_) => Ok(()), // it was, before the order
                None => self.stored(hub).await,
            }
        };
        let begun = super::recording::begin(
            &hub.parts.recorder,
            start,
            destinations.clone(),
            session.on_taken(),
        );
        let (stored, begun, opened) =
            tokio::join!(stored, begun, tokio::time::timeout(OPEN_TIMEOUT, opened));
        // The tape comes first: whatever else went wrong, it is ended with the session then.
        let begun = begun.map(|begun| match begun {
            Begun::Recorded(tape) => {
                session.record(tape);
                None
            }
            Begun::NotWanted => None,
            Begun::Failed(why) => {
                session.set_notice(format!("This session is not recorded: {why}"));
                Some(why)
            }
        });
        stored.map_err(not_stored)?;
        match opened {
            Ok(answer) => answer.and(begun),
            Err(_) => Err(StartError::Timeout),
        }
    }
}

#[allow(clippy::needless_pass_by_value)] // what `map_err` gives
fn not_stored(error: StoreError) -> StartError {
    match error.is_passing() {
        true => StartError::NoStore(error.to_string()),
        false => StartError::Internal(format!("the session could not be stored: {error}")),
    }
}

impl Hub {
    /// Orders a session that is in the map on its device.
    ///
    /// # Errors
    /// The order could not be sent: the session is no longer in the map.
    pub(super) fn open_on(
        &self,
        device: &Arc<dyn Device>,
        order: &Order<'_>,
        session: &Arc<Session>,
    ) -> Result<(), StartError> {
        if let Err(error) = Arc::clone(device).open(order, session) {
            self.remove(session);
            return Err(error);
        }
        // A connection that has ended may have lost its sessions before this one was on it.
        if device.is_closed() && session.device_lost(device.connection()) {
            session.not_opened(StartError::NotConnected);
        }
        Ok(())
    }

    /// A session that never came to be was ended by `not_opened` already, so `end` did nothing:
    /// cleans up after it.
    async fn forget_failed(self: &Arc<Self>, session: &Arc<Session>, error: &StartError) {
        self.start_failed(session, error.to_string()).await;
    }
}
