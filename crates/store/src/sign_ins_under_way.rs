//! What is kept between the requests of sign-ins through providers: answers that were taken, and
//! credentials that wait for their program. Any gateway of several takes the next request.
//!
//! # Invariants
//! - Bounded: a full table refuses new sign-ins and forgets nothing that still counts.
//! - An answer is taken once, and so are credentials. A wrong challenge costs them.
//! - A guess of a stranger is looked up and writes nothing.
//!
//! # Not here
//! - The seal of credentials, and which codes there are: the gateway's.

use towline_host::clock::UnixMillis;

use crate::engine;
use crate::error::StoreError;
use crate::limits::MAX_SIGN_INS_UNDER_WAY;
use crate::store::Store;

/// Something that is used once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInUnderWay {
    /// Digest of the secret that names it.
    pub digest: String,
    /// The challenge of the program that takes it; empty when nobody does.
    pub challenge: String,
    /// What it gets, sealed.
    pub sealed: Option<Vec<u8>>,
    /// When it ends.
    pub ends_at: UnixMillis,
}

/// Operations on sign-ins that are under way.
pub struct SignInsUnderWay<'a> {
    store: &'a Store,
}

impl Store {
    /// Sign-ins through providers that are under way.
    #[must_use]
    pub const fn sign_ins_under_way(&self) -> SignInsUnderWay<'_> {
        SignInsUnderWay { store: self }
    }
}

impl SignInsUnderWay<'_> {
    /// Keeps one. `false`: there is one with this digest.
    ///
    /// # Errors
    /// [`StoreError::Full`].
    pub async fn keep(&self, new: &SignInUnderWay, now: UnixMillis) -> Result<bool, StoreError> {
        let mut tx = self.store.writing().await?;
        engine::query("DELETE FROM sign_ins_under_way WHERE ends_at <= ?")
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
        let all: i64 = engine::query_scalar("SELECT COUNT(*) FROM sign_ins_under_way")
            .fetch_one(&mut *tx)
            .await?;
        let known: i64 =
            engine::query_scalar("SELECT COUNT(*) FROM sign_ins_under_way WHERE digest = ?")
                .bind(&new.digest)
                .fetch_one(&mut *tx)
                .await?;
        if known > 0 {
            return Ok(false);
        }
        if all >= MAX_SIGN_INS_UNDER_WAY {
            return Err(StoreError::Full {
                what: "sign-ins under way",
                limit: MAX_SIGN_INS_UNDER_WAY,
            });
        }
        engine::query(
            "INSERT INTO sign_ins_under_way (digest, challenge, sealed, ends_at) \
             VALUES (?, ?, ?, ?)",
        )
        .bind(&new.digest)
        .bind(&new.challenge)
        .bind(&new.sealed)
        .bind(new.ends_at.0)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("sign-in under way"))?;
        tx.commit().await?;
        Ok(true)
    }

    /// Forgets what was kept under this digest.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(&self, digest: &str) -> Result<(), StoreError> {
        engine::query("DELETE FROM sign_ins_under_way WHERE digest = ?")
            .bind(digest)
            .execute(&self.store.pool)
            .await?;
        Ok(())
    }

    /// Takes what waits under this digest.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn take(
        &self,
        digest: &str,
        challenge: &str,
        now: UnixMillis,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT challenge, sealed FROM sign_ins_under_way \
                   WHERE digest = ? AND ends_at > ? AND sealed IS NOT NULL";
        let found =
            engine::query(sql).bind(digest).bind(now.0).fetch_optional(&self.store.pool).await?;
        let Some(row) = found else { return Ok(None) };
        let (wanted, sealed): (String, Vec<u8>) =
            (row.try_get("challenge")?, row.try_get("sealed")?);
        let taken = engine::query("DELETE FROM sign_ins_under_way WHERE digest = ?")
            .bind(digest)
            .execute(&self.store.pool)
            .await?;
        Ok((taken.rows_affected() > 0 && wanted == challenge).then_some(sealed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const LATE: UnixMillis = UnixMillis(NOW.0 + 60_000);

    fn waiting(digest: &str) -> SignInUnderWay {
        SignInUnderWay {
            digest: digest.into(),
            challenge: "right".into(),
            sealed: Some(b"sealed".to_vec()),
            ends_at: LATE,
        }
    }

    #[tokio::test]
    async fn what_waits_is_taken_once_and_a_wrong_challenge_or_time_ends_it() {
        let (store, _dir) = scratch().await;
        let under_way = store.sign_ins_under_way();
        for digest in ["once", "wrong", "late"] {
            assert!(under_way.keep(&waiting(digest), NOW).await.unwrap());
        }
        let take = async |digest, challenge, now| under_way.take(digest, challenge, now).await;
        assert_eq!(take("once", "right", NOW).await.unwrap(), Some(b"sealed".to_vec()));
        assert_eq!(take("once", "right", NOW).await.unwrap(), None);
        assert_eq!(take("wrong", "other", NOW).await.unwrap(), None);
        assert_eq!(take("wrong", "right", NOW).await.unwrap(), None);
        assert_eq!(take("late", "right", LATE).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_answer_is_noted_once_and_taken_by_nobody() {
        let (store, _dir) = scratch().await;
        let under_way = store.sign_ins_under_way();
        let note =
            SignInUnderWay { challenge: String::new(), sealed: None, ..waiting("an answer") };
        assert!(under_way.keep(&note, NOW).await.unwrap());
        assert_eq!(under_way.take("an answer", "", NOW).await.unwrap(), None);
        assert!(!under_way.keep(&note, NOW).await.unwrap());
        assert!(under_way.keep(&note, LATE).await.unwrap(), "its attempt is over by then");
        under_way.remove("an answer").await.unwrap();
        assert!(under_way.keep(&note, NOW).await.unwrap(), "it was forgotten");
    }

    #[tokio::test]
    async fn there_are_so_many_and_those_that_ended_make_room() {
        let (store, _dir) = scratch().await;
        let under_way = store.sign_ins_under_way();
        let mut tx = store.writing().await.unwrap();
        for number in 0..MAX_SIGN_INS_UNDER_WAY {
            let insert = "INSERT INTO sign_ins_under_way VALUES (?, '', NULL, ?)";
            let insert = engine::query(insert).bind(number.to_string()).bind(LATE.0);
            insert.execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
        let full = under_way.keep(&waiting("new"), NOW).await;
        assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
        assert!(under_way.keep(&waiting("new"), LATE).await.unwrap());
    }
}
