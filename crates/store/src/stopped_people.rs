//! Identity providers that are stopped, people of them who are blocked, and what that voids.
//!
//! # Invariants
//! - What was given before a stop or a block is over, also when provider or person is let in again:
//!   credentials by their time (`holds_since`), renewals, requests for access and approvals of
//!   requests that are not decided as rows.
//! - All of it is one transaction.
//!
//! # Not here
//! - Sessions that go on: the gateway ends or counts them.

use towline_host::clock::UnixMillis;

use crate::engine::{self, Tx};
use crate::error::StoreError;
use crate::identity_providers::{IdentityProviders, LIVE, PEOPLE, RemovedPeople};

impl IdentityProviders<'_> {
    /// Stops a provider, or lets it in again. With a stop, in the name of `by`, what its people
    /// were given goes. `None`: there is no such provider; else what its people leave.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set_disabled(
        &self,
        id: &str,
        disabled: bool,
        (by, now): (&str, UnixMillis),
    ) -> Result<Option<RemovedPeople>, StoreError> {
        let mut tx = self.store.writing().await?;
        // To stop one that is stopped voids nothing more: nothing was given meanwhile.
        let done = engine::query(
            "UPDATE identity_providers SET changed_at = ?, \
             holds_since = CASE WHEN disabled = 0 AND ? = 1 THEN ? ELSE holds_since END, \
             disabled = ? WHERE unique_id = ?",
        )
        .bind(now.0)
        .bind(i64::from(disabled))
        .bind(now.0)
        .bind(i64::from(disabled))
        .bind(id)
        .execute(&mut *tx)
        .await?;
        let sessions: Vec<String> = engine::query_scalar(LIVE).bind(id).fetch_all(&mut *tx).await?;
        let people: Vec<String> = engine::query_scalar(PEOPLE).bind(id).fetch_all(&mut *tx).await?;
        if disabled {
            void(&mut tx, (OF_PROVIDER, id), by, now).await?;
        }
        tx.commit().await?;
        Ok((done.rows_affected() > 0).then_some(RemovedPeople { sessions, people }))
    }

    /// Blocks a person, or lets it in again. With a block, in the name of `by`, what it was given
    /// goes. Its live sessions; `None`: there is no such person.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn block(
        &self,
        id: &str,
        blocked: bool,
        (by, now): (&str, UnixMillis),
    ) -> Result<Option<Vec<String>>, StoreError> {
        let mut tx = self.store.writing().await?;
        // To block one that is blocked voids nothing more: nothing was given meanwhile.
        let done = engine::query(
            "UPDATE federated_people SET \
             holds_since = CASE WHEN blocked = 0 AND ? = 1 THEN ? ELSE holds_since END, \
             blocked = ? WHERE id = ?",
        )
        .bind(i64::from(blocked))
        .bind(now.0)
        .bind(i64::from(blocked))
        .bind(id)
        .execute(&mut *tx)
        .await?;
        if blocked {
            void(&mut tx, (ONE, id), by, now).await?;
        }
        let sessions: Vec<String> = engine::query_scalar(
            "SELECT id FROM sessions WHERE ended_at IS NULL AND person_id = ? ORDER BY id",
        )
        .bind(id)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok((done.rows_affected() > 0).then_some(sessions))
    }
}

/// SQL behind a column of ids: one person.
const ONE: &str = "= ?";
/// The same: the people of a provider.
const OF_PROVIDER: &str = "IN (SELECT id FROM federated_people WHERE provider_id = ?)";

/// Removes or closes what these people were given or gave, and what would count again.
async fn void(
    tx: &mut Tx,
    (people, id): (&str, &str),
    by: &str,
    now: UnixMillis,
) -> Result<(), StoreError> {
    engine::query(&format!(
        "UPDATE access_requests SET decided_by = ?, \
         status = CASE WHEN status = 'Pending' THEN 'Rejected' ELSE 'Revoked' END \
         WHERE principal_id {people} AND status IN ('Pending', 'Approved') AND expires_at > ?"
    ))
    .bind(by)
    .bind(id)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    for table in ["renewals", "access_extensions"] {
        let sql = format!("DELETE FROM {table} WHERE person_id {people}");
        engine::query(&sql).bind(id).execute(&mut **tx).await?;
    }
    // Those of a request that was decided stay on record.
    let sql = format!(
        "DELETE FROM access_approvals WHERE person_id {people} AND request_id IN \
         (SELECT id FROM access_requests WHERE status = 'Pending')"
    );
    engine::query(&sql).bind(id).execute(&mut **tx).await?;
    Ok(())
}
