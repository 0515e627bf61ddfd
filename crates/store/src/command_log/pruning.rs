//! What the command log keeps: by age, by number, and by device.
//!
//! # Invariants
//! - [`CommandLog::prune`] removes no row that was not exported.
//! - A device that logs much loses its own oldest rows: the room is divided so that no device loses
//!   a row while another keeps more than it.

use towline_host::clock::UnixMillis;

use super::log::CommandLog;
use crate::engine;
use crate::error::StoreError;
use crate::limits::REMOVED_AT_ONCE;
use crate::shares::share;

/// What the table keeps at the most.
#[derive(Debug, Clone, Copy)]
pub struct CommandBounds {
    /// Number of the last exported row: none behind it is removed.
    pub exported: i64,
    /// Rows that were stored before this go.
    pub before: UnixMillis,
    /// Most rows.
    pub rows: i64,
}

/// Rows of one device that are too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// The device.
    pub device: String,
    /// How many of its oldest rows are to go.
    pub rows: i64,
}

impl CommandLog<'_> {
    /// Removes what is beyond the bounds and was exported. Returns the number of rows removed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune(&self, bounds: &CommandBounds) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            // Rows are numbered in the order in which they were stored.
            let done = engine::query(
                "DELETE FROM command_log WHERE stored_at < ? AND id IN \
                 (SELECT id FROM command_log WHERE id <= ? ORDER BY id LIMIT ?)",
            )
            .bind(bounds.before.0)
            .bind(bounds.exported)
            .bind(REMOVED_AT_ONCE)
            .execute(&self.store.pool)
            .await?
            .rows_affected();
            removed += done;
            if done < REMOVED_AT_ONCE.unsigned_abs() {
                break;
            }
        }
        for excess in self.excess(bounds.rows).await? {
            removed += self.trim(&excess, bounds.exported).await?;
        }
        engine::query("DELETE FROM log_heads WHERE closed AND heard_at < ?")
            .bind(bounds.before.0)
            .execute(&self.store.pool)
            .await?;
        Ok(removed)
    }

    /// Which devices have more than their share of `most` rows.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn excess(&self, most: i64) -> Result<Vec<Excess>, StoreError> {
        let rows: i64 = engine::query_scalar("SELECT COUNT(*) FROM command_log")
            .fetch_one(&self.store.pool)
            .await?;
        if rows <= most {
            return Ok(Vec::new());
        }
        let of_devices: Vec<(String, i64)> =
            engine::query_as("SELECT device_id, COUNT(*) FROM command_log GROUP BY device_id")
                .fetch_all(&self.store.pool)
                .await?;
        let share = share(of_devices.iter().map(|(_, rows)| *rows).collect(), most);
        let beyond = of_devices.into_iter().filter(|(_, rows)| *rows > share);
        Ok(beyond.map(|(device, rows)| Excess { device, rows: rows - share }).collect())
    }

    /// Removes the oldest rows of a device, of those up to number `last`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn trim(&self, excess: &Excess, last: i64) -> Result<u64, StoreError> {
        let (mut left, mut removed) = (excess.rows, 0);
        while left > 0 {
            let step = left.min(REMOVED_AT_ONCE);
            let done = engine::query(
                "DELETE FROM command_log WHERE id IN (SELECT id FROM command_log \
                 WHERE device_id = ? AND id <= ? ORDER BY id LIMIT ?)",
            )
            .bind(&excess.device)
            .bind(last)
            .bind(step)
            .execute(&self.store.pool)
            .await?
            .rows_affected();
            removed += done;
            left -= step;
            if done < step.unsigned_abs() {
                break;
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_log::{CommandBatch, CommandRow};
    use crate::store::Store;
    use crate::testing::scratch;

    async fn fill(store: &Store, device: &str, rows: u64, now: i64) {
        let row = |number| CommandRow { number, covers: 1, kind: "line", ..CommandRow::default() };
        let rows: Vec<_> = (0..rows).map(row).collect();
        let next = rows.len() as u64;
        let batch = CommandBatch { device: device.into(), boot: [7; 16], next, rows };
        store.command_log().append(&[batch], UnixMillis(now)).await.unwrap();
    }

    async fn left(store: &Store) -> Vec<(String, i64)> {
        engine::query_as(
            "SELECT device_id, COUNT(*) FROM command_log GROUP BY device_id ORDER BY device_id",
        )
        .fetch_all(&store.pool)
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn a_device_that_logs_much_pushes_out_its_own_rows_only() {
        let (store, _dir) = scratch().await;
        fill(&store, "quiet", 5, 10).await;
        fill(&store, "loud", 3000, 10).await;
        fill(&store, "middle", 40, 10).await;
        let log = store.command_log();
        let all = CommandBounds { exported: i64::MAX, before: UnixMillis(0), rows: 100 };
        let not_exported = CommandBounds { exported: 5, ..all };
        assert_eq!(log.prune(&not_exported).await.unwrap(), 0);
        assert_eq!(log.prune(&all).await.unwrap(), 2945);
        let want = [("loud".into(), 55), ("middle".into(), 40), ("quiet".into(), 5)];
        assert_eq!(left(&store).await, want);
        let old = CommandBounds { before: UnixMillis(11), ..all };
        assert_eq!(log.prune(&old).await.unwrap(), 100);
    }
}
