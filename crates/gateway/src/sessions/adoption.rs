//! Sessions that change nodes, where several gateways work on one store.
//!
//! Data flow: a device arrives here -> the store gives its sessions to this node -> they wait for
//! the device to name them, as after a restart. A node that has lost a session lets go of it
//! without a word to the device: it is not over, it is elsewhere.
//!
//! # Invariants
//! - Reading what was lost and letting go of it, and taking a session over and keeping it, do not
//!   mix: one lock is held over each pair.
//! - A session that is over here is not kept again while its end is on the way to the store.
//! - A session that was let go of changes neither its row nor its device. Its client is hung up on,
//!   and finds its session where that is.
//! - A session that this version cannot read holds up no other one, and is not ended.
//! - What the store has given to this node is kept here, also when its answer was lost or the store
//!   failed right after it: such a device is asked for anew when it comes again ([`Unsure`]), and
//!   sessions whose device does not come are found by two looks.

use std::sync::Arc;

use tokio::time::sleep;
use towline_archive::settings::Demand;
use towline_store::{Arrival, Connection, Known, Session as Row, StoreError};

use super::hub::Hub;
use super::recording;
use super::seats;
use super::session::Session;
use super::unsure::Unsure;
use super::watch;
use crate::limits::{ADOPT_AGAIN, MAX_SESSIONS};
use crate::plane::EndReason;

/// What the recording of a session says that went elsewhere.
const ELSEWHERE: &str = "the session goes on at another gateway";

impl Hub {
    /// A device arrives at this node: its sessions come with it. Names of the nodes that had them.
    ///
    /// # Errors
    /// The store's; then what has changed is told when the device comes again.
    pub async fn arrive(
        self: &Arc<Self>,
        device: &str,
        link: Connection,
        is_sure: bool,
    ) -> Result<(Arrival, Vec<String>), StoreError> {
        let mut unsure = self.moves.lock().await;
        let answer_was_lost = unsure.has(device) || unsure.looks();
        let known = Known { other_is_dead: is_sure, answer_was_lost };
        let arrived = self.arrive_known(device, link, known).await;
        match &arrived {
            Ok((Arrival::Here { .. }, _)) => unsure.arrived(device, true),
            Ok(_) => {} // it is elsewhere: what was lost is as unsure as before
            Err(_) => unsure.arrived(device, false),
        }
        arrived
    }

    async fn arrive_known(
        self: &Arc<Self>,
        device: &str,
        link: Connection,
        known: Known,
    ) -> Result<(Arrival, Vec<String>), StoreError> {
        let now = self.parts.clock.now();
        let arrival = self.store().presences().arrive(device, link, known, now).await?;
        self.tell_unreadable();
        let mut from = Vec::new();
        if let Arrival::Here { sessions: rows, commands } = &arrival {
            let own = self.store().node().unwrap_or_default();
            let others = rows.iter().map(|row| &row.node).filter(|node| *node != own);
            from.extend(others.filter(|node| !node.is_empty()).cloned());
            from.sort_unstable();
            from.dedup();
            self.adopt(rows).await?;
            if let (false, Some(steps)) = (commands.is_empty(), self.steps.get()) {
                steps.come(device, commands.clone()).await;
            }
        }
        Ok((arrival, from))
    }

    /// Keeps sessions that are this node's from now on. One that the store fails for holds up no
    /// other one.
    async fn adopt(self: &Arc<Self>, rows: &[Row]) -> Result<(), StoreError> {
        let mut failed = Ok(());
        for row in rows {
            if self.session(&row.new.id).is_some() {
                continue; // it came back before this node had let go of it
            }
            if self.endings.has(&row.new.id) {
                continue; // it is over, and the store does not know yet
            }
            let (session, device, from) = (&row.new.id, &row.new.device_id, &row.node);
            match self.take_up_patiently(row).await {
                Ok(()) => {
                    tracing::info!(session, device, from, "session taken over from another gateway")
                }
                Err(error) => {
                    tracing::error!(session, device, %error, "a session is not taken over yet");
                    failed = Err(error);
                }
            }
        }
        failed
    }

    async fn take_up_patiently(self: &Arc<Self>, row: &Row) -> Result<(), StoreError> {
        for pause in ADOPT_AGAIN {
            match self.take_up(row).await {
                Err(error) if error.is_passing() => tracing::debug!(%error, "taken up again"),
                done => return done,
            }
            sleep(pause).await;
        }
        self.take_up(row).await
    }

    /// Keeps the sessions that are this node's in the store and not here.
    async fn adopt_missing(self: &Arc<Self>, unsure: &mut Unsure) -> Result<(), StoreError> {
        if !unsure.looks() {
            return Ok(());
        }
        let most = i64::try_from(MAX_SESSIONS).unwrap_or(i64::MAX);
        let mut rows = self.store().sessions().list_active("", most).await?;
        self.tell_unreadable();
        rows.retain(|row| self.session(&row.new.id).is_none() && !self.endings.has(&row.new.id));
        let adopted = self.adopt(&unsure.found(rows)).await;
        if adopted.is_err() {
            unsure.look();
        }
        adopted
    }

    /// Lets go of the sessions that this node has lost and that no device carries here.
    pub async fn release_lost(&self) {
        let waiting = self.all_sessions().into_iter().filter(|session| !session.is_carried());
        self.release(waiting.collect()).await;
    }

    /// The same for the sessions of one device, carried or not.
    pub async fn release_lost_of(&self, device: &str) {
        self.release(self.sessions_of(device)).await;
    }

    async fn release(&self, sessions: Vec<Arc<Session>>) {
        let _moving = self.moves.lock().await;
        let ids: Vec<String> = sessions
            .iter()
            .filter(|session| !session.meta.step && !session.is_opening())
            .map(|session| session.meta.name.clone())
            .collect();
        let lost = match self.store().presences().lost_sessions(&ids).await {
            Ok(lost) => lost,
            Err(error) => {
                tracing::warn!(%error, "it is not known which sessions are elsewhere");
                return;
            }
        };
        for session in sessions.iter().filter(|session| lost.contains(&session.meta.name)) {
            if session.let_go(ELSEWHERE) {
                self.remove(session);
                tracing::info!(session = session.meta.name, "session let go of: {ELSEWHERE}");
            }
        }
    }

    /// Declares nodes dead whose lease is over, and keeps their sessions.
    pub async fn take_over_from_the_dead(self: &Arc<Self>) {
        if self.is_draining() {
            return; // another node does
        }
        let mut unsure = self.moves.lock().await;
        if let Err(error) = self.adopt_missing(&mut unsure).await {
            tracing::warn!(%error, "sessions that are this gateway's are looked for again");
        }
        let judged = match self.store().nodes().judge().await {
            Ok(judged) => judged,
            Err(error) => {
                tracing::warn!(%error, "nobody is judged: the store does not answer");
                unsure.look(); // or its answer was lost
                return;
            }
        };
        self.tell_unreadable();
        for dead in judged {
            for line in &dead.lines {
                tracing::info!(target: "audit", "{line}");
            }
            tracing::warn!(
                node = dead.node,
                sessions = dead.sessions.len(),
                "a gateway is dead: its lease is over"
            );
            if let Err(error) = self.adopt(&dead.sessions).await {
                tracing::warn!(%error, "sessions of a dead gateway are taken over later");
                unsure.look();
            }
        }
    }

    /// Says which sessions this version cannot read. They stay as they are, on the device, too: a
    /// gateway that can read them takes them when the device comes to it.
    pub(super) fn tell_unreadable(&self) {
        for (session, why) in self.store().sessions().newly_unreadable() {
            tracing::error!(session, why, "a session is left out: another version has written it");
        }
    }

    /// A session of a row waits for its device and its client; or it ends, because its recording is
    /// demanded and cannot go on here.
    pub(super) async fn take_up(self: &Arc<Self>, row: &Row) -> Result<(), StoreError> {
        let session = Session::restored(self.meta_of_row(row));
        seats::restore(&session, row);
        let recorder = &self.parts.recorder;
        match recording::go_on(self.store(), recorder, row, || session.on_taken()).await? {
            Ok(Some(tape)) => session.record(tape),
            Ok(None) => {}
            Err(why) if recorder.demand() == Demand::Demanded => {
                let why = format!("its recording is demanded and cannot go on here: {why}");
                let now = self.parts.clock.now();
                let code = EndReason::Terminated.code();
                self.store().sessions().end(&row.new.id, false, &code, &why, now).await?;
                return Ok(());
            }
            Err(why) => {
                tracing::error!(session = row.new.id, why, "a recording does not go on here");
                session.set_notice(format!("This session is not recorded any more: {why}"));
            }
        }
        self.add(&session);
        tokio::spawn(watch::watch(Arc::clone(self), session));
        Ok(())
    }
}
