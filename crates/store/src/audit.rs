//! The table of the audit trail: lines as written, in order, bounded by age and number.
//!
//! # Invariants
//! - Rows of strangers (requests and enrollments that proved nothing) have a bound of their own:
//!   they push out only each other.
//! - [`AuditTrail::prune`] removes no row that was not exported.

use crate::begun_requests::{self, RequestEnd};
use crate::engine::{self, Tx};
use crate::error::StoreError;
use crate::limits::REMOVED_AT_ONCE;
use crate::store::Store;
use towline_host::clock::UnixMillis;

/// A line about to be stored.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// When it happened.
    pub at: UnixMillis,
    /// ARN of the principal; empty when there is none.
    pub principal: String,
    /// The action, `service:Operation`, or the event's name.
    pub action: String,
    /// `Allowed`, `Refused`, or the error code.
    pub outcome: String,
    /// The whole line, JSON.
    pub line: String,
    /// Whether it is about somebody who proved nothing.
    pub stranger: bool,
}

/// What the table keeps at the most.
#[derive(Debug, Clone, Copy)]
pub struct TrailBounds {
    /// Number of the last exported row: none behind it is removed.
    pub exported: i64,
    /// Rows that happened before this go.
    pub before: UnixMillis,
    /// Most rows of those who proved who they are, and of devices.
    pub rows: i64,
    /// Most rows of strangers.
    pub of_strangers: i64,
}

/// Operations on the audit trail.
pub struct AuditTrail<'a> {
    store: &'a Store,
}

impl Store {
    /// The audit trail.
    #[must_use]
    pub const fn audit(&self) -> AuditTrail<'_> {
        AuditTrail { store: self }
    }
}

/// Adds lines.
pub(crate) async fn insert(tx: &mut Tx, rows: &[AuditRow]) -> Result<(), StoreError> {
    for row in rows {
        engine::query(
            "INSERT INTO audit (at, principal, action, outcome, line, stranger) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(row.at.0)
        .bind(&row.principal)
        .bind(&row.action)
        .bind(&row.outcome)
        .bind(&row.line)
        .bind(row.stranger)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

impl AuditTrail<'_> {
    /// Appends lines, and ends the requests that they are about, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn append(&self, rows: &[AuditRow], ends: &[RequestEnd]) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        insert(&mut tx, rows).await?;
        begun_requests::end(&mut tx, ends).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The same for lines of which nobody knows whether they are stored: those that are not. Each
    /// line must differ from all others.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn append_missing(
        &self,
        rows: &[AuditRow],
        ends: &[RequestEnd],
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        let mut missing = Vec::with_capacity(rows.len());
        for row in rows {
            let same = "SELECT COUNT(*) FROM audit WHERE at = ? AND line = ?";
            let stored: i64 = engine::query_scalar(same)
                .bind(row.at.0)
                .bind(&row.line)
                .fetch_one(&mut *tx)
                .await?;
            missing.extend((stored == 0).then(|| row.clone()));
        }
        insert(&mut tx, &missing).await?;
        begun_requests::end(&mut tx, ends).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Up to `limit` lines after line `after`, oldest first, each with its number.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(&self, after: i64, limit: i64) -> Result<Vec<(i64, String)>, StoreError> {
        Ok(engine::query_as("SELECT id, line FROM audit WHERE id > ? ORDER BY id LIMIT ?")
            .bind(after)
            .bind(limit)
            .fetch_all(&self.store.pool)
            .await?)
    }

    /// Up to `limit` lines from `from` on and before the place `before` (time and number), newest
    /// first: number, time, line. Read on the connections of searches.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn newest(
        &self,
        before: (UnixMillis, i64),
        from: UnixMillis,
        limit: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError> {
        Ok(engine::query_as(NEWEST)
            .bind(before.0.0)
            .bind(before.1)
            .bind(from.0)
            .bind(limit)
            .fetch_all(&self.store.search)
            .await?)
    }

    /// Number of the newest row; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn last(&self) -> Result<i64, StoreError> {
        Ok(engine::query_scalar("SELECT COALESCE(MAX(id), 0) FROM audit")
            .fetch_one(&self.store.pool)
            .await?)
    }

    /// Removes what is beyond the bounds and was exported. Returns the number of rows removed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune(&self, bounds: &TrailBounds) -> Result<u64, StoreError> {
        let old = "DELETE FROM audit WHERE id IN \
                   (SELECT id FROM audit WHERE at < ? AND id <= ? ORDER BY at, id LIMIT ?)";
        let mut removed = self.remove(old, bounds.before.0, bounds.exported).await?;
        for (nth, beyond, most) in [
            (NTH_KNOWN, BEYOND_KNOWN, bounds.rows),
            (NTH_STRANGER, BEYOND_STRANGER, bounds.of_strangers),
        ] {
            // Looked for without the writer's lock.
            let last: Option<i64> =
                engine::query_scalar(nth).bind(most).fetch_optional(&self.store.pool).await?;
            if let Some(last) = last {
                removed += self.remove(beyond, i64::MIN, last.min(bounds.exported)).await?;
            }
        }
        Ok(removed)
    }

    /// Removes all rows up to number `last`, exported or not.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove_to(&self, last: i64) -> Result<u64, StoreError> {
        let all = "DELETE FROM audit WHERE id IN \
                   (SELECT id FROM audit WHERE id >= ? AND id <= ? ORDER BY id LIMIT ?)";
        self.remove(all, i64::MIN, last).await
    }

    /// Removes in steps, so that no other writer waits for long.
    async fn remove(&self, sql: &'static str, key: i64, last: i64) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let done = engine::query(sql)
                .bind(key)
                .bind(last)
                .bind(REMOVED_AT_ONCE)
                .execute(&self.store.pool)
                .await?
                .rows_affected();
            removed += done;
            if done < REMOVED_AT_ONCE.unsigned_abs() {
                return Ok(removed);
            }
        }
    }
}

/// The index on time and number serves the condition and the order.
const NEWEST: &str = "SELECT id, at, line FROM audit WHERE (at, id) < (?, ?) AND at >= ? \
                      ORDER BY at DESC, id DESC LIMIT ?";

const NTH_KNOWN: &str =
    "SELECT id FROM audit WHERE stranger = FALSE ORDER BY id DESC LIMIT 1 OFFSET ?";
const NTH_STRANGER: &str =
    "SELECT id FROM audit WHERE stranger = TRUE ORDER BY id DESC LIMIT 1 OFFSET ?";
const BEYOND_KNOWN: &str = "DELETE FROM audit WHERE id IN (SELECT id FROM audit \
     WHERE stranger = FALSE AND id >= ? AND id <= ? ORDER BY id LIMIT ?)";
const BEYOND_STRANGER: &str = "DELETE FROM audit WHERE id IN (SELECT id FROM audit \
     WHERE stranger = TRUE AND id >= ? AND id <= ? ORDER BY id LIMIT ?)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{scratch, scratch_file};

    fn row(n: i64) -> AuditRow {
        AuditRow {
            at: UnixMillis(n),
            principal: String::new(),
            action: "ssm:StartSession".into(),
            outcome: "Allowed".into(),
            line: n.to_string(),
            stranger: false,
        }
    }

    async fn left(store: &Store) -> Vec<String> {
        store.audit().list(0, 100).await.unwrap().into_iter().map(|(_, line)| line).collect()
    }

    #[tokio::test]
    async fn the_trail_keeps_the_newest_lines_within_age_and_number() {
        let (store, _dir) = scratch().await;
        store.audit().append(&(1..=10).map(row).collect::<Vec<_>>(), &[]).await.unwrap();
        let bounds = TrailBounds { exported: 10, before: UnixMillis(3), rows: 5, of_strangers: 5 };
        assert_eq!(store.audit().prune(&bounds).await.unwrap(), 5);
        assert_eq!(left(&store).await, ["6", "7", "8", "9", "10"]);
        assert_eq!(store.audit().list(9, 100).await.unwrap(), [(10, "10".to_owned())]);
        assert_eq!(store.audit().last().await.unwrap(), 10);
        assert_eq!(store.audit().remove_to(7).await.unwrap(), 2);
        assert_eq!(left(&store).await, ["8", "9", "10"]);
    }

    #[tokio::test]
    async fn no_row_goes_before_it_was_exported() {
        let (store, _dir) = scratch().await;
        store.audit().append(&(1..=10).map(row).collect::<Vec<_>>(), &[]).await.unwrap();
        let bounds = TrailBounds { exported: 2, before: UnixMillis(9), rows: 1, of_strangers: 1 };
        assert_eq!(store.audit().prune(&bounds).await.unwrap(), 2);
        assert_eq!(left(&store).await.len(), 8);
    }

    #[tokio::test]
    async fn strangers_push_out_only_each_other() {
        let (store, _dir) = scratch().await;
        let mut rows = vec![row(1), row(2)];
        rows.extend((3..=5000).map(|n| AuditRow { stranger: true, ..row(n) }));
        store.audit().append(&rows, &[]).await.unwrap();
        let bounds =
            TrailBounds { exported: 5000, before: UnixMillis(0), rows: 10, of_strangers: 3 };
        assert_eq!(store.audit().prune(&bounds).await.unwrap(), 4995);
        assert_eq!(left(&store).await, ["1", "2", "4998", "4999", "5000"]);
    }

    #[tokio::test]
    async fn a_search_reads_in_the_order_of_time_without_sorting() {
        let (store, _dir) = scratch_file().await;
        // The clock was set back in between.
        let rows: Vec<_> = [1, 2, 9, 4, 4, 6].map(row).into();
        store.audit().append(&rows, &[]).await.unwrap();
        let found = store.audit().newest((UnixMillis(9), i64::MAX), UnixMillis(2), 4).await;
        let found: Vec<_> = found.unwrap().into_iter().map(|(id, at, _)| (at, id)).collect();
        assert_eq!(found, [(9, 3), (6, 6), (4, 5), (4, 4)]);
        let next = store.audit().newest((UnixMillis(4), 4), UnixMillis(2), 4).await.unwrap();
        assert_eq!(next, [(2, 2, "2".to_owned())]);
        let explain = format!("EXPLAIN QUERY PLAN {NEWEST}");
        let plan: Vec<(i64, i64, i64, String)> = engine::query_as(&explain)
            .bind(9)
            .bind(9)
            .bind(1)
            .bind(1)
            .fetch_all(&store.pool)
            .await
            .unwrap();
        assert!(plan[0].3.contains("audit_in_order"), "{plan:?}");
        assert!(!plan.iter().any(|step| step.3.contains("TEMP B-TREE")), "{plan:?}");
    }
}
