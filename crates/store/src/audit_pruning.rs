//! What the table of the audit trail keeps: by age, and by number in rooms that are divided.
//!
//! # Invariants
//! - [`AuditTrail::prune`] removes no row that was not exported.
//! - A room ([`TrailRoom`]) loses its own rows only: however much is read or refused, no session
//!   and no change goes for it. Strangers push out only each other.
//! - In a room, nobody loses a row while another person or device keeps more than she does.
//!
//! # Not here
//! - Which row is in which room: the gateway's events.

use towline_host::clock::UnixMillis;

use crate::audit::{AuditTrail, TrailRoom};
use crate::engine;
use crate::error::StoreError;
use crate::limits::REMOVED_AT_ONCE;
use crate::shares::share;

/// What the table keeps at the most.
#[derive(Debug, Clone, Copy)]
pub struct TrailBounds {
    /// Number of the last exported row: none behind it is removed.
    pub exported: i64,
    /// Rows that happened before this go.
    pub before: UnixMillis,
    /// Most rows of each room.
    pub rooms: TrailRooms,
}

/// Most rows of each room.
#[derive(Debug, Clone, Copy)]
pub struct TrailRooms {
    /// Of [`TrailRoom::Changes`].
    pub changes: i64,
    /// Of [`TrailRoom::Reads`].
    pub reads: i64,
    /// Of [`TrailRoom::Devices`].
    pub devices: i64,
    /// Of [`TrailRoom::Strangers`].
    pub strangers: i64,
}

impl AuditTrail<'_> {
    /// Removes what is beyond the bounds and was exported. Returns the number of rows removed. A
    /// room is made to fit when a 64th is too much, so that shares are seldom counted.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune(&self, bounds: &TrailBounds) -> Result<u64, StoreError> {
        let old = "DELETE FROM audit WHERE id IN \
                   (SELECT id FROM audit WHERE at < ? AND id <= ? ORDER BY at, id LIMIT ?)";
        let mut removed = self.remove(old, bounds.before.0, bounds.exported).await?;
        let TrailRooms { changes, reads, devices, strangers } = bounds.rooms;
        for (room, most) in [
            (TrailRoom::Changes, changes),
            (TrailRoom::Reads, reads),
            (TrailRoom::Devices, devices),
            (TrailRoom::Strangers, strangers),
        ] {
            if self.has_more(room, most.saturating_add(most / 64)).await? {
                removed += self.make_fit(room, most, bounds.exported).await?;
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

    async fn has_more(&self, room: TrailRoom, most: i64) -> Result<bool, StoreError> {
        let found: Option<i64> =
            engine::query_scalar("SELECT id FROM audit WHERE room = ? LIMIT 1 OFFSET ?")
                .bind(room.code())
                .bind(most)
                .fetch_optional(&self.store.pool)
                .await?;
        Ok(found.is_some())
    }

    /// Makes those with the most rows lose their oldest ones, of those up to number `exported`.
    async fn make_fit(&self, room: TrailRoom, most: i64, exported: i64) -> Result<u64, StoreError> {
        let rows: Vec<(String, i64)> =
            engine::query_as("SELECT whose, COUNT(*) FROM audit WHERE room = ? GROUP BY whose")
                .bind(room.code())
                .fetch_all(&self.store.pool)
                .await?;
        let share = share(rows.iter().map(|(_, rows)| *rows).collect(), most);
        let mut removed = 0;
        for (whose, rows) in rows.into_iter().filter(|(_, rows)| *rows > share) {
            removed += self.trim((room, &whose), rows - share, exported).await?;
        }
        Ok(removed)
    }

    /// Removes this many of the oldest rows of a share, in steps, so that no other writer waits for
    /// long.
    async fn trim(
        &self,
        (room, whose): (TrailRoom, &str),
        mut rows: i64,
        exported: i64,
    ) -> Result<u64, StoreError> {
        let mut removed = 0;
        while rows > 0 {
            let step = rows.min(REMOVED_AT_ONCE);
            let done = engine::query(
                "DELETE FROM audit WHERE id IN (SELECT id FROM audit \
                 WHERE room = ? AND whose = ? AND id <= ? ORDER BY id LIMIT ?)",
            )
            .bind(room.code())
            .bind(whose)
            .bind(exported)
            .bind(step)
            .execute(&self.store.pool)
            .await?
            .rows_affected();
            removed += done;
            rows -= step;
            if done < step.unsigned_abs() {
                break;
            }
        }
        Ok(removed)
    }

    /// Removes in steps, as above.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AuditRow;
    use crate::store::Store;
    use crate::testing::scratch;

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

    fn of(room: TrailRoom, whose: &str, n: i64) -> AuditRow {
        AuditRow { room, whose: whose.to_owned(), ..row(n) }
    }

    fn bounds(exported: i64, before: i64, most: i64) -> TrailBounds {
        let rooms = TrailRooms { changes: most, reads: most, devices: most, strangers: most };
        TrailBounds { exported, before: UnixMillis(before), rooms }
    }

    async fn left(store: &Store) -> Vec<String> {
        store.audit().list(0, 100).await.unwrap().into_iter().map(|(_, line)| line).collect()
    }

    #[tokio::test]
    async fn the_trail_keeps_the_newest_lines_within_age_and_number() {
        let (store, _dir) = scratch().await;
        store.audit().append(&(1..=10).map(row).collect::<Vec<_>>(), &[]).await.unwrap();
        assert_eq!(store.audit().prune(&bounds(10, 3, 5)).await.unwrap(), 5);
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
        assert_eq!(store.audit().prune(&bounds(2, 9, 1)).await.unwrap(), 2);
        assert_eq!(left(&store).await.len(), 8);
    }

    #[tokio::test]
    async fn strangers_push_out_only_each_other() {
        let (store, _dir) = scratch().await;
        let mut rows = vec![row(1), row(2)];
        rows.extend((3..=5000).map(|n| of(TrailRoom::Strangers, "", n)));
        store.audit().append(&rows, &[]).await.unwrap();
        assert_eq!(store.audit().prune(&bounds(5000, 0, 3)).await.unwrap(), 4995);
        assert_eq!(left(&store).await, ["1", "2", "4998", "4999", "5000"]);
    }

    #[tokio::test]
    async fn what_somebody_reads_or_does_pushes_out_nothing_of_others_and_no_change_of_hers() {
        let (store, _dir) = scratch().await;
        let mut rows = vec![
            of(TrailRoom::Changes, "eve", 1),
            of(TrailRoom::Changes, "ann", 2),
            of(TrailRoom::Reads, "ann", 3),
            of(TrailRoom::Devices, "mi-1", 4),
        ];
        rows.extend((5..=3000).map(|n| of(TrailRoom::Reads, "eve", n)));
        store.audit().append(&rows, &[]).await.unwrap();
        assert_eq!(store.audit().prune(&bounds(3000, 0, 3)).await.unwrap(), 2994);
        assert_eq!(left(&store).await, ["1", "2", "3", "4", "2999", "3000"]);
        // Calls that anybody may make, and that change something: her own share of that room.
        let rows: Vec<_> = (3001..=3100).map(|n| of(TrailRoom::Changes, "eve", n)).collect();
        store.audit().append(&rows, &[]).await.unwrap();
        assert_eq!(store.audit().prune(&bounds(3100, 0, 3)).await.unwrap(), 99);
        assert_eq!(left(&store).await, ["2", "3", "4", "2999", "3000", "3099", "3100"]);
    }

    #[tokio::test]
    async fn a_room_is_counted_when_a_64th_is_too_much() {
        let (store, _dir) = scratch().await;
        store.audit().append(&(1..=65).map(row).collect::<Vec<_>>(), &[]).await.unwrap();
        assert_eq!(store.audit().prune(&bounds(66, 0, 64)).await.unwrap(), 0);
        store.audit().append(&[row(66)], &[]).await.unwrap();
        assert_eq!(store.audit().prune(&bounds(66, 0, 64)).await.unwrap(), 2);
    }
}
