//! The state of the gateway itself, for who may see it (`towline:GetHealth`): what readiness,
//! counters, the store and the archive know.
//!
//! # Invariants
//! - Nothing is asked of devices or of the sink: an answer does not wait for either.
//! - Whole tables are counted within the bound for searches.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use towline_archive::Backlog;
use towline_ssm::api::health::{
    CertificateHealth, Counted, DiskHealth, GetHealthRequest, GetHealthResult, NodeHealth,
    SinkHealth,
};
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::ApiError;

use super::authz::Question;
use super::call::Call;
use super::internal::{OrInternal as _, internal};
use super::service::Api;
use crate::log_queue;

/// Failed attempts after which a receiver that is away is a complaint.
const MANY_ATTEMPTS: i64 = 3;

impl Api {
    pub(super) async fn get_health(
        &self,
        call: &Call,
        _: GetHealthRequest,
    ) -> Result<GetHealthResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let _turn = self.searches.turn(call).await?;
        let (census, wrong) = (self.store().census(), "cannot count rows");
        let devices = self.store().devices().count_by_status().await.or_internal(wrong)?;
        let agent_versions = census.agent_versions().await.or_internal(wrong)?;
        let sessions = census.open_sessions().await.or_internal(wrong)?;
        let invocations = census.open_invocations().await.or_internal(wrong)?;
        let evidence = Arc::clone(&self.parts.evidence);
        let counted = tokio::task::spawn_blocking(move || (evidence.backlog(), evidence.room()));
        let (backlog, room) = counted
            .await
            .map_err(|error| internal("cannot look at the archive's folder", &error))?;
        let fault = self.parts.ready.fault().await;
        let certificate = self.parts.ready.certificate();
        let disk = DiskHealth {
            free_bytes: room.free,
            floor_bytes: room.floor,
            recording_paused: self.parts.evidence.recorder.paused(),
        };
        let mut complaints = certificate.complaints(call.now);
        let unsaid = fault.clone().filter(|why| !complaints.contains(why));
        complaints.extend(unsaid);
        complaints.extend(disk.recording_paused.iter().map(|why| paused(why)));
        complaints.extend(told(&backlog, log_queue::lost()));
        complaints.extend(self.undelivered().await?);
        complaints.extend(self.shared_redirects().await?);
        let unreadable = self.store().sessions().unreadable().await.or_internal(wrong)?;
        complaints.extend(of_another_version(&unreadable));
        Ok(GetHealthResult {
            ready: fault.is_none(),
            complaints,
            nodes: vec![self.node()],
            devices: counts(devices),
            agent_versions: counts(agent_versions),
            sessions: counts(sessions),
            invocations: counts(invocations),
            certificate: CertificateHealth {
                not_before: EpochSeconds::from_millis(certificate.not_before.0),
                not_after: EpochSeconds::from_millis(certificate.not_after.0),
            },
            disk,
            sink: sink(&backlog),
            counters: self.counters(),
        })
    }

    /// Receivers that do not get their notifications.
    async fn undelivered(&self) -> Result<Vec<String>, ApiError> {
        let (store, wrong) = (self.store().notifications(), "cannot count notifications");
        let mut all = Vec::new();
        for webhook in store.webhooks().await.or_internal(wrong)? {
            let (_, dead) = store.counts(&webhook.unique_id).await.or_internal(wrong)?;
            if dead > 0 {
                let name = webhook.name;
                all.push(format!(
                    "webhook {name} did not take {dead} notifications: see `towline admin webhook \
                     dead {name}`"
                ));
            }
            let first = store.first(&webhook.unique_id).await.or_internal(wrong)?;
            if let Some(first) = first.filter(|first| first.attempts >= MANY_ATTEMPTS) {
                let error = first.error;
                all.push(format!("webhook {} takes no notifications: {error}", webhook.host));
            }
        }
        Ok(all)
    }

    fn node(&self) -> NodeHealth {
        NodeHealth {
            name: self.parts.evidence.node().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_date: EpochSeconds::from_millis(self.started.0),
            links: u64::try_from(self.parts.metrics.agents.get()).unwrap_or(0),
        }
    }

    fn counters(&self) -> Vec<Counted> {
        let own = [("towline_log_lines_lost_total", log_queue::lost())];
        let all = self.parts.metrics.counters().into_iter().map(|(name, _, count)| (name, count));
        all.chain(own).map(|(name, count)| Counted { name: name.to_owned(), count }).collect()
    }
}

fn counts(groups: Vec<(String, i64)>) -> Vec<Counted> {
    let count = |number| u64::try_from(number).unwrap_or(0);
    groups.into_iter().map(|(name, number)| Counted { name, count: count(number) }).collect()
}

fn sink(backlog: &Backlog) -> SinkHealth {
    let seconds = |at: std::time::SystemTime| {
        at.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok())
    };
    SinkHealth {
        waiting_files: backlog.files,
        waiting_bytes: backlog.bytes,
        oldest_date: backlog.oldest.and_then(seconds).map(EpochSeconds::from_secs),
        quarantined_files: backlog.quarantined,
        more: backlog.more,
    }
}

fn paused(why: &str) -> String {
    format!("recording is paused: {why}")
}

/// Sessions that this version cannot read.
fn of_another_version(sessions: &[String]) -> Option<String> {
    let first = sessions.first()?;
    let number = sessions.len();
    Some(format!(
        "another version has written sessions that cannot be read ({number}, {first} among them): \
         they go on when their devices come to a gateway of that version"
    ))
}

/// What an administrator should see to besides certificate, store and disk.
fn told(backlog: &Backlog, lost: u64) -> Vec<String> {
    let mut all = Vec::new();
    if backlog.quarantined > 0 {
        let number = backlog.quarantined;
        all.push(format!("the sink refused {number} files repeatedly: they are in `quarantine`"));
    }
    if lost > 0 {
        all.push(format!("standard error did not take {lost} lines of the log"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarantine_and_lost_lines_are_complained_about() {
        assert!(told(&Backlog::default(), 0).is_empty());
        let backlog = Backlog { quarantined: 2, ..Backlog::default() };
        let all = told(&backlog, 3);
        assert!(of_another_version(&[]).is_none());
        let other = of_another_version(&["ann-1".to_owned()]).unwrap();
        assert!(other.contains("(1, ann-1 among them)"), "{other}");
        assert!(all[0].contains("refused 2 files") && all[1].contains("3 lines"), "{all:?}");
    }
}
