//! A hub at its start: the sessions that were alive when the gateway stopped wait for their devices
//! and clients.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use towline_evidence::layout::part_of;
use towline_store::StoreError;

use super::hub::{Hub, HubParts, HubSettings};
use super::meta::{Meta, session_type_of};
use super::tunnel;
use crate::limits::MAX_SESSIONS;

impl Hub {
    /// A hub that waits for the sessions which were alive when the gateway stopped.
    ///
    /// # Errors
    /// The store's.
    pub async fn restore(parts: HubParts, settings: HubSettings) -> Result<Arc<Self>, StoreError> {
        let hub = Arc::new(Self::new(parts, settings));
        let most = i64::try_from(MAX_SESSIONS).unwrap_or(i64::MAX);
        let rows = hub.store().sessions().list_active("", most).await?;
        hub.tell_unreadable();
        let restored = rows.len();
        for row in rows {
            hub.take_up(&row).await?;
        }
        let mut go_on = HashSet::new();
        for name in hub.parts.recorder.leftovers() {
            let (session, part) = part_of(&name);
            let row = match hub.store().sessions().get(session).await {
                Err(error) if error.is_unreadable() => {
                    go_on.insert(name);
                    continue;
                }
                row => row?,
            };
            if row.is_some_and(|row| row.ended_at.is_none() || row.recording_part > part) {
                go_on.insert(name);
            }
        }
        hub.parts.recorder.finish_leftovers(&go_on);
        if restored > 0 {
            tracing::info!(sessions = restored, "sessions wait for their devices");
        }
        Ok(hub)
    }

    pub(super) fn meta_of_row(&self, row: &towline_store::Session) -> Meta {
        let now = self.parts.clock.now().0;
        let age = u64::try_from(now.saturating_sub(row.started_at.0)).unwrap_or(0);
        let left = row.new.max.map(|max| max.saturating_sub(Duration::from_millis(age)));
        let tunnel = tunnel::restored(row.resume_state.as_deref());
        let plan = tunnel.as_ref().map(tunnel::plan_of);
        Meta {
            name: row.new.id.clone(),
            device: row.new.device_id.clone(),
            owner: row.new.principal_arn.clone(),
            share_of: Some(&row.new.person_id)
                .filter(|id| !id.is_empty())
                .unwrap_or(&row.new.principal_arn)
                .clone(),
            session_type: session_type_of(&row.new.session_type),
            properties: plan.map_or_else(Default::default, |plan| plan.handshake_properties()),
            tunnel,
            separate_output: false,
            prefixes: Default::default(),
            idle: row.new.idle,
            end_at: left.map(|left| Instant::now() + left),
            grace: self.settings.grace,
            step: false,
            input: row.new.input_recorded,
        }
    }
}
