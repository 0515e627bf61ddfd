//! Sessions that change nodes, where several gateways work on one store.
//!
//! Data flow: a device arrives here -> the store gives its sessions to this node -> they wait for
//! the device to name them, as after a restart. A node that has lost a session lets go of it
//! without a word to the device: it is not over, it is elsewhere.
//!
//! # Invariants
//! - Reading what was lost and letting go of it, and taking a session over and keeping it, do not
//!   mix: one lock is held over each pair.
//! - A session that was let go of changes neither its row nor its device. Its client is hung up on,
//!   and finds its session where that is.

use std::sync::Arc;

use towline_archive::settings::Demand;
use towline_store::{Arrival, Connection, Session as Row, StoreError};

use super::hub::Hub;
use super::recording;
use super::session::Session;
use super::watch;

/// What the recording of a session says that went elsewhere.
const ELSEWHERE: &str = "the session goes on at another gateway";

impl Hub {
    /// A device arrives at this node: its sessions come with it. Names of the nodes that had them.
    ///
    /// # Errors
    /// The store's; then nothing has changed.
    pub async fn arrive(
        self: &Arc<Self>,
        device: &str,
        link: Connection,
        is_sure: bool,
    ) -> Result<(Arrival, Vec<String>), StoreError> {
        let _moving = self.moves.lock().await;
        let now = self.parts.clock.now();
        let arrival = self.store().presences().arrive(device, link, is_sure, now).await?;
        let mut from = Vec::new();
        if let Arrival::Here { sessions: rows, commands } = &arrival {
            from.extend(rows.iter().map(|row| row.node.clone()).filter(|node| !node.is_empty()));
            from.sort_unstable();
            from.dedup();
            self.adopt(rows).await?;
            if let (false, Some(steps)) = (commands.is_empty(), self.steps.get()) {
                steps.come(device, commands.clone()).await;
            }
        }
        Ok((arrival, from))
    }

    /// Keeps sessions that are this node's from now on.
    async fn adopt(self: &Arc<Self>, rows: &[Row]) -> Result<(), StoreError> {
        for row in rows {
            if self.session(&row.new.id).is_some() {
                continue; // it came back before this node had let go of it
            }
            self.take_up(row).await?;
            tracing::info!(
                session = row.new.id,
                device = row.new.device_id,
                from = row.node,
                "session taken over from another gateway"
            );
        }
        Ok(())
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
        let _moving = self.moves.lock().await;
        let judged = match self.store().nodes().judge().await {
            Ok(judged) => judged,
            Err(error) => {
                tracing::warn!(%error, "nobody is judged: the store does not answer");
                return;
            }
        };
        for dead in judged {
            tracing::warn!(
                node = dead.node,
                sessions = dead.sessions.len(),
                "a gateway is dead: its lease is over"
            );
            if let Err(error) = self.adopt(&dead.sessions).await {
                tracing::error!(
                    %error,
                    "sessions of a dead gateway wait for a restart of this one"
                );
            }
        }
    }

    /// A session of a row waits for its device and its client; or it ends, because its recording is
    /// demanded and cannot go on here.
    pub(super) async fn take_up(self: &Arc<Self>, row: &Row) -> Result<(), StoreError> {
        let session = Session::restored(self.meta_of_row(row));
        let recorder = &self.parts.recorder;
        match recording::go_on(self.store(), recorder, row, || session.on_taken()).await? {
            Ok(Some(tape)) => session.record(tape),
            Ok(None) => {}
            Err(why) if recorder.demand() == Demand::Demanded => {
                let why = format!("its recording is demanded and cannot go on here: {why}");
                let now = self.parts.clock.now();
                self.store().sessions().end(&row.new.id, false, &why, now).await?;
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
