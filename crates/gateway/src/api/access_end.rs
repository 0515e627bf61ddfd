//! The end of granted access: users of the sessions that it permits are told in time, and the
//! sessions end with it where the gateway is set so.
//!
//! Data flow: once a second, sessions with their requests from the store -> what each user was told
//! last -> the data plane.
//!
//! # Invariants
//! - Each lead is told once for each end: access that is extended is told anew.
//! - Access that is revoked ends sessions only when the revocation says so ([`super::removal`]).

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use towline_host::clock::UnixMillis;
use towline_ssm::ids::SessionId;
use towline_store::UnderAccess;

use super::service::Api;
use crate::audit::Event;
use crate::limits::{ACCESS_END_EVERY, ACCESS_END_LEADS, MAX_SESSIONS};
use crate::plane::AccessEnd;

/// What users do not read, but records have: why a session ended.
const ENDED: &str = "ended: the access that was granted for it has ended";

/// What the user of a session was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    ends_at: UnixMillis,
    /// Leads that were reached; one more when access has ended.
    leads: usize,
}

/// Looks after the sessions that granted access permits, while there is an API.
pub(super) async fn keep(api: Weak<Api>) {
    let mut told = HashMap::new();
    loop {
        tokio::time::sleep(ACCESS_END_EVERY).await;
        let Some(api) = api.upgrade() else { return };
        api.look_at_access(&mut told).await;
    }
}

impl Api {
    async fn look_at_access(&self, told: &mut HashMap<String, Told>) {
        let most = i64::try_from(MAX_SESSIONS).unwrap_or(i64::MAX);
        let rows = match self.store().sessions().under_access(most).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "sessions under granted access cannot be read");
                return;
            }
        };
        told.retain(|session, _| rows.iter().any(|row| row.session == *session));
        let now = self.parts.clock.now();
        for row in rows {
            let left = if row.approved { left(row.ends_at, now) } else { Duration::ZERO };
            if left.is_zero() && row.approved && self.parts.access_ends_sessions {
                self.end_with_access(&row, now).await;
                continue;
            }
            let next = Told { ends_at: row.ends_at, leads: leads(left) };
            if is_told(told.insert(row.session.clone(), next), next) {
                self.tell_access_end(row, left).await;
            }
        }
    }

    async fn tell_access_end(&self, row: UnderAccess, left: Duration) {
        let Ok(id) = row.session.parse::<SessionId>() else { return };
        let ends_session = row.approved && self.parts.access_ends_sessions;
        let end = AccessEnd { request: row.request, left, ends_session };
        self.parts.sessions.access_ends(&id, end).await;
    }

    async fn end_with_access(&self, row: &UnderAccess, now: UnixMillis) {
        let Ok(id) = row.session.parse::<SessionId>() else { return };
        self.parts.sessions.terminate(&id, ENDED).await;
        let _ = self.store_end(id.as_str(), ENDED, now).await; // a failure was logged
        self.parts.metrics.sessions_ended_with_access.add(1);
        let event = Event {
            source: "towline",
            name: "SessionEndedWithAccess".into(),
            facts: vec![
                ("sessionId", row.session.clone()),
                ("accessRequestId", row.request.clone()),
            ],
            ..Event::default()
        };
        self.parts.audit.write(event).await;
    }
}

fn left(ends_at: UnixMillis, now: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(ends_at.0.saturating_sub(now.0)).unwrap_or(0))
}

/// How many leads are reached.
fn leads(left: Duration) -> usize {
    if left.is_zero() {
        return ACCESS_END_LEADS.len() + 1;
    }
    ACCESS_END_LEADS.iter().filter(|lead| left <= **lead).count()
}

/// Whether there is something to tell: a further lead, or another end after one was told.
fn is_told(before: Option<Told>, now: Told) -> bool {
    match before {
        None => now.leads > 0,
        Some(before) => {
            now.leads > before.leads || (before.leads > 0 && now.ends_at != before.ends_at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    /// The times, in minutes before the first end, at which something is told, with that end moved
    /// at one of them.
    fn told_at(moved_at: i64, by: i64) -> Vec<i64> {
        let (mut before, mut told) = (None, Vec::new());
        for minute in (-10..=30).rev() {
            let ends_at = UnixMillis(if minute <= moved_at { by * MINUTE } else { 0 });
            let now = UnixMillis(-minute * MINUTE);
            let next = Told { ends_at, leads: leads(left(ends_at, now)) };
            if is_told(before, next) {
                told.push(minute);
            }
            before = Some(next);
        }
        told
    }

    #[test]
    fn each_lead_and_the_end_are_told_once() {
        assert_eq!(told_at(-99, 0), [15, 5, 1, 0]);
    }

    #[test]
    fn an_end_that_moves_is_told_at_once_and_its_leads_anew() {
        // The end moves by five minutes when twelve are left: 17 are left then.
        assert_eq!(told_at(12, 5), [15, 12, 10, 0, -4, -5]);
    }

    #[test]
    fn a_session_that_begins_late_is_told_at_once() {
        let next = Told { ends_at: UnixMillis(0), leads: leads(Duration::from_secs(240)) };
        assert!(is_told(None, next) && next.leads == 2);
        assert!(!is_told(Some(next), next));
    }
}
