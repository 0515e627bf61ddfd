//! The table of the audit trail: lines as written, in order, bounded by age and number.

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

impl AuditTrail<'_> {
    /// Appends lines in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn append(&self, rows: &[AuditRow]) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        for row in rows {
            sqlx::query(
                "INSERT INTO audit (at, principal, action, outcome, line) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(row.at.0)
            .bind(&row.principal)
            .bind(&row.action)
            .bind(&row.outcome)
            .bind(&row.line)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Up to `limit` lines after line `after`, oldest first, each with its number.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(&self, after: i64, limit: i64) -> Result<Vec<(i64, String)>, StoreError> {
        Ok(sqlx::query_as("SELECT id, line FROM audit WHERE id > ? ORDER BY id LIMIT ?")
            .bind(after)
            .bind(limit)
            .fetch_all(&self.store.pool)
            .await?)
    }

    /// Up to `limit` lines before line `before`, newest first, with times in `from..to`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn newest(
        &self,
        before: i64,
        from: UnixMillis,
        to: UnixMillis,
        limit: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT id, at, line FROM audit WHERE id < ? AND at >= ? AND at < ? ORDER BY id DESC LIMIT ?",
        )
        .bind(before)
        .bind(from.0)
        .bind(to.0)
        .bind(limit)
        .fetch_all(&self.store.pool)
        .await?)
    }

    /// Removes lines older than `before`, and the oldest beyond `max_rows`. Returns the number
    /// removed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune(&self, before: UnixMillis, max_rows: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "DELETE FROM audit WHERE at < ? OR id <= (SELECT COALESCE(MAX(id), 0) FROM audit) - ?",
        )
        .bind(before.0)
        .bind(max_rows)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    #[tokio::test]
    async fn the_trail_keeps_the_newest_lines_within_age_and_number() {
        let (store, _dir) = scratch().await;
        let row = |n: i64| AuditRow {
            at: UnixMillis(n),
            principal: String::new(),
            action: "ssm:StartSession".into(),
            outcome: "Allowed".into(),
            line: n.to_string(),
        };
        store.audit().append(&(1..=10).map(row).collect::<Vec<_>>()).await.unwrap();
        assert_eq!(store.audit().prune(UnixMillis(3), 5).await.unwrap(), 5);
        let lines: Vec<String> =
            store.audit().list(0, 100).await.unwrap().into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, ["6", "7", "8", "9", "10"]);
        assert_eq!(store.audit().list(9, 100).await.unwrap(), [(10, "10".to_owned())]);
    }
}
