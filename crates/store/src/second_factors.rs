//! Second factors of users with access keys.
//!
//! # Invariants
//! - A code is taken once: its time step must be later than that of the last one.
//! - After [`limits::SECOND_FACTOR_FAILURES`] wrong codes in a row no code of the user is taken for
//!   [`limits::SECOND_FACTOR_PAUSE`], not even a right one.
//! - A factor goes with its user.
//!
//! # Not here
//! - Secrets and codes: the gateway's.

use towline_host::clock::UnixMillis;

use crate::engine::{self, Row};
use crate::error::StoreError;
use crate::identity::{IdKind, new_id};
use crate::limits;
use crate::principals::Principal;
use crate::store::Store;

/// A factor as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// Its id; a factor that is made again gets a new one.
    pub unique_id: String,
    /// Its secret, sealed.
    pub sealed: Vec<u8>,
    /// Whether its user has shown a code of it.
    pub is_enabled: bool,
}

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeOutcome {
    /// It was right, and is used up.
    Taken,
    /// It was wrong, or was used before.
    Wrong,
    /// Too many wrong ones came before.
    Blocked,
}

/// Operations on second factors.
pub struct SecondFactors<'a> {
    store: &'a Store,
}

impl Store {
    /// Second factors.
    #[must_use]
    pub const fn second_factors(&self) -> SecondFactors<'_> {
        SecondFactors { store: self }
    }
}

impl SecondFactors<'_> {
    /// Stores a new factor of a user, not enabled; one that was never enabled is replaced.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the user has an enabled one; [`StoreError::Missing`] when that
    /// user was removed, also when another one has the name now.
    pub async fn create(
        &self,
        principal: &Principal,
        sealed: &[u8],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        engine::query("DELETE FROM second_factors WHERE principal = ? AND enabled = 0")
            .bind(&principal.name)
            .execute(&mut *tx)
            .await?;
        let made = engine::query(
            "INSERT INTO second_factors (principal, unique_id, sealed, enabled, last_step, \
             failures, \
             blocked_until, created_at) SELECT name, ?, ?, 0, 0, 0, 0, ? FROM principals \
             WHERE unique_id = ?",
        )
        .bind(new_id(IdKind::SecondFactor)?)
        .bind(sealed)
        .bind(now.0)
        .bind(&principal.unique_id)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("second factor"))?;
        if made.rows_affected() == 0 {
            return Err(StoreError::Missing("principal"));
        }
        tx.commit().await?;
        Ok(())
    }

    /// The factor of a user.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, principal: &str) -> Result<Option<SecondFactor>, StoreError> {
        let row = engine::query(
            "SELECT unique_id, sealed, enabled FROM second_factors WHERE principal = ?",
        )
        .bind(principal)
        .fetch_optional(&self.store.pool)
        .await?;
        let read = |row: &Row| -> Result<SecondFactor, sqlx::Error> {
            Ok(SecondFactor {
                unique_id: row.try_get("unique_id")?,
                sealed: row.try_get("sealed")?,
                is_enabled: row.try_get::<i64, _>("enabled")? != 0,
            })
        };
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Counts a code. `step`: the time step of which it is right, if of any. A code that is taken
    /// enables the factor when `enables`.
    ///
    /// # Errors
    /// [`StoreError::Database`]; [`StoreError::Missing`] without that factor.
    pub async fn count(
        &self,
        unique_id: &str,
        step: Option<i64>,
        enables: bool,
        now: UnixMillis,
    ) -> Result<CodeOutcome, StoreError> {
        let mut tx = self.store.writing().await?;
        let row: Option<(i64, i64, i64)> = engine::query_as(
            "SELECT last_step, failures, blocked_until FROM second_factors WHERE unique_id = ?",
        )
        .bind(unique_id)
        .fetch_optional(&mut *tx)
        .await?;
        let (last_step, failures, blocked_until) =
            row.ok_or(StoreError::Missing("second factor"))?;
        // A clock that was set back must not keep a user out for longer.
        if blocked_until > now.0 && blocked_until <= now.plus(limits::SECOND_FACTOR_PAUSE).0 {
            return Ok(CodeOutcome::Blocked);
        }
        // The same for the step of the last code that was taken.
        let last_step =
            if last_step > step_of(now.plus(limits::SECOND_FACTOR_PAUSE)) { 0 } else { last_step };
        let taken = step.filter(|step| *step > last_step);
        let failures = if taken.is_some() { 0 } else { failures + 1 };
        let blocks = failures >= limits::SECOND_FACTOR_FAILURES;
        let until = if blocks { now.plus(limits::SECOND_FACTOR_PAUSE).0 } else { 0 };
        engine::query(
            "UPDATE second_factors SET last_step = ?, failures = ?, blocked_until = ?, \
             enabled = CASE WHEN ? = 1 THEN 1 ELSE enabled END WHERE unique_id = ?",
        )
        .bind(taken.unwrap_or(last_step))
        .bind(if blocks { 0 } else { failures })
        .bind(until)
        .bind(i64::from(enables && taken.is_some()))
        .bind(unique_id)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(if taken.is_some() { CodeOutcome::Taken } else { CodeOutcome::Wrong })
    }

    /// Removes the factor with this id. `false`: it was removed before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(&self, unique_id: &str) -> Result<bool, StoreError> {
        let done = engine::query("DELETE FROM second_factors WHERE unique_id = ?")
            .bind(unique_id)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

/// The time step of a code that is made at `now`: 30 seconds, as RFC 6238 has it.
fn step_of(now: UnixMillis) -> i64 {
    now.0.div_euclid(30_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    async fn user(store: &Store) -> Principal {
        store.principals().create("ann", &[], NOW).await.unwrap();
        store.principals().get("ann").await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_code_is_taken_once_and_wrong_ones_block_the_user_for_a_time() {
        let (store, _dir) = scratch().await;
        let ann = user(&store).await;
        let factors = store.second_factors();
        factors.create(&ann, b"s", NOW).await.unwrap();
        let id = factors.get("ann").await.unwrap().unwrap().unique_id;
        let count = async |step, now| factors.count(&id, step, true, now).await.unwrap();
        assert_eq!(count(Some(5), NOW).await, CodeOutcome::Taken);
        assert!(factors.get("ann").await.unwrap().unwrap().is_enabled);
        assert!(matches!(factors.create(&ann, b"t", NOW).await, Err(StoreError::Exists(_))));
        assert_eq!(count(Some(5), NOW).await, CodeOutcome::Wrong, "used");
        assert_eq!(count(Some(4), NOW).await, CodeOutcome::Wrong, "older");
        for _ in 2..limits::SECOND_FACTOR_FAILURES {
            assert_eq!(count(None, NOW).await, CodeOutcome::Wrong);
        }
        assert_eq!(count(Some(6), NOW).await, CodeOutcome::Blocked, "although it is right");
        let later = NOW.plus(limits::SECOND_FACTOR_PAUSE);
        assert_eq!(count(Some(6), later).await, CodeOutcome::Taken);
        crate::testing::remove(&store, "ann").await;
        assert_eq!(factors.get("ann").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_factor_is_its_users_and_no_later_one_of_the_name_gets_or_loses_it() {
        let (store, _dir) = scratch().await;
        let before = user(&store).await;
        crate::testing::remove(&store, "ann").await;
        let ann = user(&store).await;
        let factors = store.second_factors();
        let late = factors.create(&before, b"s", NOW).await;
        assert!(matches!(late, Err(StoreError::Missing("principal"))), "{late:?}");
        assert_eq!(factors.get("ann").await.unwrap(), None);
        factors.create(&ann, b"s", NOW).await.unwrap();
        let first = factors.get("ann").await.unwrap().unwrap();
        factors.create(&ann, b"t", NOW).await.unwrap();
        assert!(!factors.remove(&first.unique_id).await.unwrap(), "it was replaced");
        assert!(factors.get("ann").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_blocks_nobody_for_longer() {
        let (store, _dir) = scratch().await;
        let ann = user(&store).await;
        let factors = store.second_factors();
        factors.create(&ann, b"s", NOW).await.unwrap();
        let id = factors.get("ann").await.unwrap().unwrap().unique_id;
        let ahead = NOW.plus(limits::SECOND_FACTOR_PAUSE * 1000);
        for _ in 0..limits::SECOND_FACTOR_FAILURES {
            factors.count(&id, None, true, ahead).await.unwrap();
        }
        let blocked = factors.count(&id, Some(6), true, ahead).await.unwrap();
        assert_eq!(blocked, CodeOutcome::Blocked);
        assert_eq!(factors.count(&id, Some(5), true, NOW).await.unwrap(), CodeOutcome::Taken);
        let far = step_of(ahead);
        assert_eq!(factors.count(&id, Some(far), true, ahead).await.unwrap(), CodeOutcome::Taken);
        assert_eq!(factors.count(&id, Some(far), true, ahead).await.unwrap(), CodeOutcome::Wrong);
        let now = step_of(NOW);
        assert_eq!(factors.count(&id, Some(now), true, NOW).await.unwrap(), CodeOutcome::Taken);
        assert_eq!(factors.count(&id, Some(now), true, NOW).await.unwrap(), CodeOutcome::Wrong);
    }
}
