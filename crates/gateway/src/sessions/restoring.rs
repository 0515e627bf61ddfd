//! A hub at its start: the sessions that were alive when the gateway stopped wait for their devices
//! and clients.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::hub::{Hub, HubSettings, MAX_SESSIONS, lock};
use super::meta::Meta;
use super::sentences::session_type_of;
use super::{Session, tunnel, watch};
use crate::authority::Authority;
use towline_archive::Recorder;
use towline_host::clock::Clock;
use towline_store::{Store, StoreError};

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
            intake: crate::devices::towline::Intake::default(),
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
            let resume =
                |recorder: &Arc<Recorder>| recorder.resume(&session.meta.name, session.on_taken());
            if let Some(tape) = hub.recorder.as_ref().and_then(resume) {
                session.record(tape);
            }
            lock(&hub.sessions).insert(session.meta.name.clone(), Arc::clone(&session));
            tokio::spawn(watch::watch(Arc::clone(&hub), session));
        }
        if let Some(recorder) = &hub.recorder {
            recorder.finish_leftovers();
        }
        tokio::spawn(crate::devices::towline::keep_command_log(Arc::clone(&hub)));
        Ok(hub)
    }

    fn meta_of_row(&self, row: &towline_store::Session) -> Meta {
        let age = u64::try_from(self.clock.now().0.saturating_sub(row.started_at.0)).unwrap_or(0);
        let left = row.new.max.map(|max| max.saturating_sub(Duration::from_millis(age)));
        let tunnel = tunnel::restored(row.resume_state.as_deref());
        let plan = tunnel.as_ref().map(tunnel::plan_of);
        Meta {
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
}
