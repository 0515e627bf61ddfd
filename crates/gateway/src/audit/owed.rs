//! Audit lines that the store did not take, until it does.
//!
//! Data flow: a transaction that failed -> its lines and ends of requests, here -> [`Owed::settle`]
//! with each later batch, and each [`limits::FOLD_TICK`] without one -> the store.
//!
//! # Invariants
//! - Lines keep their order: while some are owed, all later ones are owed, too.
//! - A transaction whose answer was lost may have been done: a line that is stored already is not
//!   stored again (each has an id of its own).
//! - At most [`limits::AUDIT_OWED`] lines. Beyond, a line is on stderr alone and counted; when the
//!   store takes lines again, `AuditLinesMissing` has the number.

use std::collections::VecDeque;

use tokio::time::Instant;
use towline_host::clock::UnixMillis;
use towline_store::{AuditRow, RequestEnd, Store, StoreError};
use tracing::{error, info};

use super::event::Event;
use crate::limits;

/// What is owed to the store.
#[derive(Default)]
pub(super) struct Owed {
    rows: VecDeque<AuditRow>,
    ends: Vec<RequestEnd>,
    /// Lines that had no room here.
    missing: u64,
    /// When the store is tried again.
    again: Option<Instant>,
}

impl Owed {
    /// Whether the store has everything.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.ends.is_empty() && self.missing == 0
    }

    /// Keeps what a transaction did not store.
    pub(super) fn add(&mut self, rows: Vec<AuditRow>, ends: Vec<RequestEnd>, why: &StoreError) {
        error!(error = %why, "the store takes no audit lines: they are kept until it does");
        self.again = Some(Instant::now() + limits::AUDIT_AGAIN);
        self.add_more(rows, ends);
    }

    /// Keeps what comes behind it.
    pub(super) fn add_more(&mut self, rows: Vec<AuditRow>, ends: Vec<RequestEnd>) {
        for row in rows {
            if self.rows.len() < limits::AUDIT_OWED {
                self.rows.push_back(row);
            } else {
                self.missing += 1;
            }
        }
        let room = limits::AUDIT_OWED.saturating_sub(self.ends.len());
        self.ends.extend(ends.into_iter().take(room));
    }

    /// Stores what is owed, as far as the store takes it; how many lines that were. `last`: there
    /// is no later chance.
    pub(super) async fn settle(&mut self, store: &Store, now: UnixMillis, last: bool) -> u32 {
        let mut done = 0;
        if self.is_empty() || (!last && self.again.is_some_and(|again| Instant::now() < again)) {
            return done;
        }
        while !self.is_empty() {
            if self.rows.is_empty() && self.missing > 0 {
                self.rows.push_back(missing(std::mem::take(&mut self.missing), now));
            }
            let number = self.rows.len().min(limits::AUDIT_BATCH);
            let rows: Vec<AuditRow> = self.rows.iter().take(number).cloned().collect();
            if let Err(error) = store.audit().append_missing(&rows, &self.ends).await {
                self.again = Some(Instant::now() + limits::AUDIT_AGAIN);
                if last {
                    error!(%error, lines = self.rows.len(), "audit lines are on stderr only");
                }
                return done;
            }
            self.rows.drain(..number);
            self.ends.clear();
            done += u32::try_from(number).unwrap_or(u32::MAX);
        }
        self.again = None;
        info!(lines = done, "the store has the audit lines that it had not taken");
        done
    }
}

/// Says how many lines are on stderr alone.
fn missing(count: u64, now: UnixMillis) -> AuditRow {
    let facts = vec![("count", count.to_string())];
    Event { source: "towline", name: "AuditLinesMissing".to_owned(), facts, ..Event::default() }
        .row(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_store::testing::scratch;

    fn row(number: usize) -> AuditRow {
        let name = format!("event {number}");
        Event { source: "towline", name, ..Event::default() }
            .row(UnixMillis(i64::try_from(number).unwrap()))
    }

    fn failed() -> StoreError {
        StoreError::Row("the store is away".to_owned())
    }

    async fn lines(store: &Store) -> Vec<String> {
        let all = store.audit().list(0, 10_000).await.unwrap();
        all.into_iter().map(|(_, line)| line).collect()
    }

    #[tokio::test]
    async fn what_was_owed_is_stored_once_in_its_order_also_when_only_the_answer_was_lost() {
        let (store, _dir) = scratch().await;
        let rows: Vec<AuditRow> = (0..300).map(row).collect();
        // The first two were stored, and the answer was lost.
        store.audit().append(&rows[..2], &[]).await.unwrap();
        let mut owed = Owed::default();
        owed.add(rows[..200].to_vec(), Vec::new(), &failed());
        owed.add_more(rows[200..].to_vec(), Vec::new());
        assert_eq!(owed.settle(&store, UnixMillis(9), false).await, 0, "it is not time yet");
        assert_eq!(owed.settle(&store, UnixMillis(9), true).await, 300);
        let expected: Vec<String> = rows.into_iter().map(|row| row.line).collect();
        assert_eq!(lines(&store).await, expected);
        assert!(owed.is_empty());
    }

    #[tokio::test]
    async fn lines_beyond_the_bound_are_counted_in_a_line() {
        let (store, _dir) = scratch().await;
        let mut owed = Owed::default();
        owed.add((0..limits::AUDIT_OWED + 7).map(row).collect(), Vec::new(), &failed());
        owed.settle(&store, UnixMillis(9), true).await;
        let lines = lines(&store).await;
        assert_eq!(lines.len(), limits::AUDIT_OWED + 1);
        let last: serde_json::Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        assert_eq!(last["eventName"], "AuditLinesMissing");
        assert_eq!(last["facts"]["count"], "7");
    }
}
