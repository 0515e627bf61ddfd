//! The table of the audit trail: lines as written, in order. What it keeps:
//! [`crate::audit_pruning`].

use crate::begun_requests::{self, RequestEnd};
use crate::engine::{self, Tx};
use crate::error::StoreError;
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
    /// The room that it takes a place of.
    pub room: TrailRoom,
    /// Whose share of that room: the id of a person or a device; empty when it is nobody's.
    pub whose: String,
}

/// Rows make room within their own room only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrailRoom {
    /// What was done: sessions, and all else that changes something.
    Changes,
    /// What was read, and what was refused.
    Reads,
    /// What devices do by themselves.
    Devices,
    /// Requests and enrollments of somebody who proved nothing.
    Strangers,
}

impl TrailRoom {
    /// As the column holds it.
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Changes => 0,
            Self::Reads => 1,
            Self::Devices => 2,
            Self::Strangers => 3,
        }
    }
}

/// Operations on the audit trail.
pub struct AuditTrail<'a> {
    pub(crate) store: &'a Store,
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
            "INSERT INTO audit (at, principal, action, outcome, line, stranger, room, whose) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(row.at.0)
        .bind(&row.principal)
        .bind(&row.action)
        .bind(&row.outcome)
        .bind(&row.line)
        .bind(row.room == TrailRoom::Strangers) // for gateways before step 99
        .bind(row.room.code())
        .bind(&row.whose)
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
}

/// The index on time and number serves the condition and the order.
const NEWEST: &str = "SELECT id, at, line FROM audit WHERE (at, id) < (?, ?) AND at >= ? \
                      ORDER BY at DESC, id DESC LIMIT ?";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch_file;

    fn row(n: i64) -> AuditRow {
        AuditRow {
            at: UnixMillis(n),
            principal: String::new(),
            action: "ssm:StartSession".into(),
            outcome: "Allowed".into(),
            line: n.to_string(),
            room: TrailRoom::Changes,
            whose: String::new(),
        }
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
