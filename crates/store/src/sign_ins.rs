//! Sign-ins of browsers: made with an access key, used by a cookie that names the row.
//!
//! # Invariants
//! - A sign-in ends with its access key: the row goes with the key's row.
//! - At most [`limits::MAX_SIGN_INS_OF_KEY`] sign-ins of one access key are kept. A new one removes
//!   the oldest. Rows that are past their end leave with the next sign-in of anybody.
//!
//! # Not here
//! - The cookie and its seal, the idle time: the gateway's.

use sqlx::Row;
use towline_host::clock::UnixMillis;

use crate::error::StoreError;
use crate::limits;
use crate::store::Store;

/// A sign-in as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Random; the cookie holds it sealed.
    pub id: String,
    /// The access key that made it.
    pub access_key: String,
    /// Where it was made from.
    pub source_ip: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When a request of the user last came; as of [`SignIns::used`], not to the second.
    pub used_at: UnixMillis,
    /// The end, whatever is done with it.
    pub expires_at: UnixMillis,
}

/// Operations on sign-ins.
pub struct SignIns<'a> {
    store: &'a Store,
}

impl Store {
    /// Sign-ins of browsers.
    #[must_use]
    pub const fn sign_ins(&self) -> SignIns<'_> {
        SignIns { store: self }
    }
}

impl SignIns<'_> {
    /// Stores a new sign-in.
    ///
    /// # Errors
    /// [`StoreError::Exists`] for an id that was given before; [`StoreError::Database`].
    pub async fn create(&self, new: &SignIn) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        sqlx::query("DELETE FROM sign_ins WHERE expires_at <= ?")
            .bind(new.created_at.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "DELETE FROM sign_ins WHERE id IN (SELECT id FROM sign_ins WHERE access_key = ? \
             ORDER BY created_at DESC, id LIMIT ? OFFSET ?)",
        )
        .bind(&new.access_key)
        .bind(i64::MAX)
        .bind(limits::MAX_SIGN_INS_OF_KEY - 1)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO sign_ins (id, access_key, source_ip, created_at, used_at, expires_at) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.id)
        .bind(&new.access_key)
        .bind(&new.source_ip)
        .bind(new.created_at.0)
        .bind(new.used_at.0)
        .bind(new.expires_at.0)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("sign-in"))?;
        tx.commit().await?;
        Ok(())
    }

    /// The sign-in of this id, also when it is past its end.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, id: &str) -> Result<Option<SignIn>, StoreError> {
        let row = sqlx::query(
            "SELECT id, access_key, source_ip, created_at, used_at, expires_at \
             FROM sign_ins WHERE id = ?",
        )
        .bind(id)
        .fetch_optional(&self.store.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SignIn {
            id: row.try_get("id")?,
            access_key: row.try_get("access_key")?,
            source_ip: row.try_get("source_ip")?,
            created_at: UnixMillis(row.try_get("created_at")?),
            used_at: UnixMillis(row.try_get("used_at")?),
            expires_at: UnixMillis(row.try_get("expires_at")?),
        }))
    }

    /// Notes that its user did something.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn used(&self, id: &str, now: UnixMillis) -> Result<(), StoreError> {
        sqlx::query("UPDATE sign_ins SET used_at = ? WHERE id = ?")
            .bind(now.0)
            .bind(id)
            .execute(&self.store.pool)
            .await?;
        Ok(())
    }

    /// Voids a sign-in. `false`: there was none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM sign_ins WHERE id = ?")
            .bind(id)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    async fn with_a_key() -> (Store, tempfile::TempDir) {
        let (store, dir) = scratch().await;
        store.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
        store.principals().add_key("ann", "AKIA", b"sealed", UnixMillis(1)).await.unwrap();
        (store, dir)
    }

    fn sign_in(id: &str, at: i64, until: i64) -> SignIn {
        SignIn {
            id: id.into(),
            access_key: "AKIA".into(),
            source_ip: "192.0.2.1".into(),
            created_at: UnixMillis(at),
            used_at: UnixMillis(at),
            expires_at: UnixMillis(until),
        }
    }

    #[tokio::test]
    async fn a_sign_in_is_used_and_voided_and_goes_with_its_key() {
        let (store, _dir) = with_a_key().await;
        let sign_ins = store.sign_ins();
        for id in ["a", "b"] {
            sign_ins.create(&sign_in(id, 10, 100)).await.unwrap();
        }
        sign_ins.used("a", UnixMillis(50)).await.unwrap();
        let stored = sign_ins.get("a").await.unwrap().unwrap();
        assert_eq!(stored, SignIn { used_at: UnixMillis(50), ..sign_in("a", 10, 100) });
        assert!(sign_ins.remove("a").await.unwrap());
        assert!(!sign_ins.remove("a").await.unwrap());
        assert_eq!(sign_ins.get("a").await.unwrap(), None);
        let mut change = store.change().await.unwrap();
        assert!(change.delete_key("ann", "AKIA").await.unwrap());
        change.commit().await.unwrap();
        assert_eq!(sign_ins.get("b").await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_oldest_and_the_ended_make_room_for_a_new_one() {
        let (store, _dir) = with_a_key().await;
        let sign_ins = store.sign_ins();
        sign_ins.create(&sign_in("ended", 1, 5)).await.unwrap();
        for at in 0..=limits::MAX_SIGN_INS_OF_KEY {
            sign_ins.create(&sign_in(&format!("s{at}"), 10 + at, 9_000)).await.unwrap();
        }
        for (id, there) in [("ended", false), ("s0", false), ("s1", true)] {
            assert_eq!(sign_ins.get(id).await.unwrap().is_some(), there, "{id}");
        }
    }
}
