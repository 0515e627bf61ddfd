//! Who has the seat of a session in place of its owner.
//!
//! # Invariants
//! - The gateway that carries a session says who has its seat, until the session has ended.
//!
//! # Not here
//! - What the text means: the gateway's.

use super::table::SessionStore;
use crate::engine;
use crate::error::StoreError;

impl SessionStore<'_> {
    /// Stores who has the seat of a live session of this node; empty: its owner. `false`: it has
    /// ended, or another node carries it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set_seat(&self, id: &str, seat: &str) -> Result<bool, StoreError> {
        let done = engine::query(
            "UPDATE sessions SET seat = ? WHERE id = ? AND node = ? AND ended_at IS NULL",
        )
        .bind(seat)
        .bind(id)
        .bind(&*self.store.node)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}

#[cfg(test)]
mod tests {
    use towline_host::clock::UnixMillis;

    use crate::sessions::tests::new;
    use crate::testing::scratch;

    #[tokio::test]
    async fn a_seat_stands_in_the_row_of_its_session_until_that_has_ended() {
        let (store, _dir) = scratch().await;
        let sessions = store.sessions();
        sessions.insert(&new("s", "mi-1"), UnixMillis(1)).await.unwrap();
        assert_eq!(sessions.get("s").await.unwrap().unwrap().seat, "");
        for seat in ["bob", ""] {
            assert!(sessions.set_seat("s", seat).await.unwrap());
            assert_eq!(sessions.get("s").await.unwrap().unwrap().seat, seat);
        }
        assert!(sessions.end("s", false, "", "over", UnixMillis(2)).await.unwrap());
        assert!(!sessions.set_seat("s", "bob").await.unwrap());
    }
}
