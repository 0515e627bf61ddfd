//! The audit trail: one JSON object a line for every request and for what devices do, to stderr and
//! to the store.
//!
//! Data flow: [`AuditLog::write`] -> stderr (target `audit`) -> a bounded queue -> one transaction
//! for many lines -> the caller goes on. So an answer that a client has seen has its line on the
//! disk. Refusals go through [`Refusals`] first: beyond a budget they are counted, and one line has
//! the count.
//!
//! # Invariants
//! - A full queue makes requests wait; no line is dropped. Lines that the store does not take are
//!   owed: they are stored in their order, each once, when it takes lines again ([`Owed`]). Beyond
//!   a bound they are on stderr alone, and a line has their number.
//! - A request that changes something is stored before it does ([`AuditLog::begin`]), and ended in
//!   the transaction of its line. One without a line gets it when the gateway starts again: what
//!   became of it is not known.
//!
//! # Not here
//! - Sealing, files, sinks: the archive's. What is removed, and when: [`crate::exports`].

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};
use towline_host::clock::Clock;
use towline_store::{AuditRow, RequestEnd, SeenRequest, Store, StoreError};
use tracing::{info, warn};

use super::event::Event;
use super::owed::Owed;
use super::refusals::{Refusals, Who};
use crate::changes::{Changes, Topic};
use crate::limits;

/// What is to be kept, and who waits for it.
struct Waiting {
    row: Option<AuditRow>,
    end: Option<RequestEnd>,
    kept: oneshot::Sender<()>,
}

/// Writes events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditLog {
    queue: mpsc::Sender<Waiting>,
    store: Store,
    clock: Clock,
    refusals: Arc<Refusals>,
    grown: Arc<Notify>,
    changes: Changes,
}

impl AuditLog {
    /// A log over `store`; the task behind it ends when the last clone is gone.
    #[must_use]
    pub fn start(store: Store, clock: Clock) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(limits::AUDIT_QUEUE);
        let (refusals, grown) = (Arc::<Refusals>::default(), Arc::<Notify>::default());
        let keeper = Keeper {
            store: store.clone(),
            clock: clock.clone(),
            refusals: Arc::clone(&refusals),
            grown: Arc::clone(&grown),
            owed: Owed::default(),
            since_export: 0,
            since_prune: limits::AUDIT_PRUNE_EVERY, // at the first batch after a start
        };
        let task = tokio::spawn(keeper.run(waiting));
        (Self { queue, store, clock, refusals, grown, changes: Changes::default() }, task)
    }

    /// Writes an event; returns when it is in the store (or the store has failed, which is logged).
    pub async fn write(&self, event: Event) {
        let changed = changed_by(&event);
        self.kept(Some(event.row(self.clock.now())), None).await;
        self.changes.tell_all(changed);
    }

    /// Writes the event of something that is given out only when it is on record. A line that the
    /// store does not take is not owed: what it says does not happen.
    ///
    /// # Errors
    /// The store's.
    pub async fn write_first(&self, event: Event) -> Result<(), StoreError> {
        let changed = changed_by(&event);
        self.store.audit().append(&[event.row(self.clock.now())], &[]).await?;
        self.changes.tell_all(changed);
        Ok(())
    }

    /// Stores that a request begins to change something. Its end is for
    /// [`AuditLog::write_request`].
    ///
    /// A store that takes nothing stops no request: the line is owed afterwards, as all are then.
    pub async fn begin(&self, event: &Event, seen: Option<SeenRequest>) -> RequestEnd {
        let mut end = RequestEnd { id: event.request_id.clone(), seen };
        let unknown = event.unknown(self.clock.now());
        match self.store.begun_requests().begin(&end, &unknown).await {
            Ok(()) => end.seen = None, // it is stored: the end has nothing to add
            Err(error) => warn!(%error, "a request begins that the store does not know of"),
        }
        end
    }

    /// Writes the event of a request that `who` made, and ends it. A refusal beyond the budget of
    /// `who` is counted instead.
    pub async fn write_request(&self, who: &Who, event: Event, end: Option<RequestEnd>) {
        let now = self.clock.now();
        let (refused, changed) = (event.error.is_some(), changed_by(&event));
        let row = (!refused || self.refusals.count(who, &event, now)).then(|| {
            let row = event.row(now);
            match refused && who.is_stranger() {
                true => who.takes(row),
                false => row,
            }
        });
        if row.is_some() || end.is_some() {
            self.kept(row, end).await;
        }
        self.changes.tell_all(changed);
    }

    /// Writes an event that `who` can cause as often as they like; beyond their budget it is
    /// counted instead.
    pub async fn write_within(&self, who: &Who, event: Event) {
        let now = self.clock.now();
        if self.refusals.count(who, &event, now) {
            self.kept(Some(who.takes(event.row(now))), None).await;
        }
    }

    /// What has changed, for pages that show it.
    #[must_use]
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Waits until all that was written so far is in the store, counts included.
    pub async fn settle(&self) {
        for row in self.refusals.rows(self.clock.now(), true) {
            self.kept(Some(row), None).await;
        }
        self.kept(None, None).await;
    }

    /// Is notified when there are enough rows for a file.
    #[must_use]
    pub fn grown(&self) -> Arc<Notify> {
        Arc::clone(&self.grown)
    }

    async fn kept(&self, row: Option<AuditRow>, end: Option<RequestEnd>) {
        let (kept, done) = oneshot::channel();
        if self.queue.send(Waiting { row, end, kept }).await.is_ok() {
            let _ = done.await;
        }
    }
}

/// Writes the lines of requests that an earlier process of this gateway did not end.
///
/// # Errors
/// The store's.
pub(crate) async fn close_left(store: &Store) -> Result<(), StoreError> {
    for line in store.begun_requests().close_left().await? {
        info!(target: "audit", "{line}");
    }
    Ok(())
}

/// What a page shows otherwise after this event.
fn changed_by(event: &Event) -> &'static [Topic] {
    if event.error.is_some() { &[] } else { Topic::of_event(&event.name) }
}

/// The task that writes the table.
struct Keeper {
    store: Store,
    clock: Clock,
    refusals: Arc<Refusals>,
    grown: Arc<Notify>,
    owed: Owed,
    since_export: i64,
    since_prune: u32,
}

impl Keeper {
    async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        let mut batch: Vec<Waiting> = Vec::with_capacity(limits::AUDIT_BATCH);
        loop {
            let received = tokio::select! {
                received = waiting.recv_many(&mut batch, limits::AUDIT_BATCH) => Some(received),
                () = tokio::time::sleep(limits::FOLD_TICK) => None,
            };
            let mut rows = self.refusals.rows(self.clock.now(), received == Some(0));
            let mut ends = Vec::new();
            let mut callers = Vec::with_capacity(batch.len());
            for one in batch.drain(..) {
                rows.extend(one.row);
                ends.extend(one.end);
                callers.push(one.kept);
            }
            self.keep(rows, ends, received == Some(0)).await;
            for caller in callers {
                let _ = caller.send(()); // a caller whose client has gone no longer waits
            }
            if received == Some(0) {
                return;
            }
        }
    }

    async fn keep(&mut self, rows: Vec<AuditRow>, ends: Vec<RequestEnd>, last: bool) {
        let was_owed = self.owed.settle(&self.store, self.clock.now(), last).await;
        let added = u32::try_from(rows.len() + ends.len()).unwrap_or(u32::MAX);
        if added > 0 && self.owed.is_empty() {
            if let Err(error) = self.store.audit().append(&rows, &ends).await {
                self.owed.add(rows, ends, &error);
            }
        } else if added > 0 {
            self.owed.add_more(rows, ends);
        }
        let added = added.saturating_add(was_owed);
        self.since_prune = self.since_prune.saturating_add(added);
        if added > 0 && self.since_prune >= limits::AUDIT_PRUNE_EVERY {
            self.since_prune = 0;
            let now = self.clock.now().0.div_euclid(1000);
            if let Err(error) = self.store.seen_requests().prune(now).await {
                warn!(%error, "expired signatures could not be removed");
            }
        }
        self.since_export += i64::from(added);
        if self.since_export >= limits::EVENTS_IN_FILE {
            self.since_export = 0;
            self.grown.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use towline_host::clock::UnixMillis;
    use towline_store::testing::scratch;

    #[tokio::test]
    async fn an_event_is_in_the_store_when_write_returns() {
        let (store, _dir) = scratch().await;
        let (log, task) =
            AuditLog::start(store.clone(), Clock::manual(UnixMillis(1_700_000_000_000)));
        let event =
            Event { source: "ssm.amazonaws.com", name: "StartSession".into(), ..Event::default() };
        log.write(event).await;
        let lines = store.audit().list(0, 10).await.unwrap();
        let line: Value = serde_json::from_str(&lines[0].1).unwrap();
        assert_eq!(line["eventName"], "StartSession");
        assert_eq!(line["eventTime"], "2023-11-14T22:13:20Z");
        drop(log);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn what_must_be_on_record_first_is_refused_while_the_store_takes_no_lines() {
        let (store, _dir) = scratch().await;
        let (log, task) = AuditLog::start(store.clone(), Clock::system());
        let event = |name: &str| Event { name: name.into(), ..Event::default() };
        log.write_first(event("Kept")).await.unwrap();
        let lines = store.audit().list(0, 10).await.unwrap();
        assert!(lines.len() == 1 && lines[0].1.contains("Kept"), "{lines:?}");
        store.close().await;
        log.write_first(event("Lost")).await.unwrap_err();
        drop(log);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_signature_is_stored_when_its_request_begins_and_else_with_its_end() {
        let (store, _dir) = scratch().await;
        let (log, task) =
            AuditLog::start(store.clone(), Clock::manual(UnixMillis(1_700_000_000_000)));
        let seen = SeenRequest { signature: [1; 32], forget_at: i64::MAX };
        let event = Event { request_id: "r".into(), ..Event::default() };
        assert_eq!(log.begin(&event, Some(seen)).await.seen, None);
        assert!(store.seen_requests().contains(&[1; 32]).await.unwrap());
        store.close().await;
        assert_eq!(log.begin(&event, Some(seen)).await.seen, Some(seen));
        drop(log);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_flood_of_refusals_leaves_a_few_lines_and_a_count() {
        let (store, _dir) = scratch().await;
        let clock = Clock::manual(UnixMillis(1_700_000_000_000));
        let (log, task) = AuditLog::start(store.clone(), clock.clone());
        let who = Who::Stranger([192, 0, 2, 1].into());
        let event = Event {
            source: "ssm.amazonaws.com",
            name: "StartSession".into(),
            request_id: "r".into(),
            source_ip: "192.0.2.1".into(),
            error: Some(("InvalidSignatureException".into(), "wrong".into())),
            ..Event::default()
        };
        for n in 0..1000 {
            let seen = SeenRequest { signature: [1; 32], forget_at: i64::MAX };
            let end = RequestEnd { id: String::new(), seen: Some(seen) };
            log.write_request(&who, event.clone(), (n == 999).then_some(end)).await;
        }
        log.settle().await;
        let lines: Vec<Value> = store
            .audit()
            .list(0, 2000)
            .await
            .unwrap()
            .iter()
            .map(|(_, line)| serde_json::from_str(line).unwrap())
            .collect();
        assert!(lines.len() <= 10, "{} lines", lines.len());
        let count = lines.last().unwrap();
        assert_eq!(count["eventName"], "RefusalsCounted");
        assert_eq!(count["sourceIPAddress"], "192.0.2.1");
        let left_out: usize = count["facts"]["count"].as_str().unwrap().parse().unwrap();
        assert_eq!(left_out + lines.len() - 1, 1000);
        assert!(store.seen_requests().contains(&[1; 32]).await.unwrap());
        drop(log);
        task.await.unwrap();
    }
}
