//! Access requests: requests for temporary access, and the decisions about them.
//!
//! # Invariants
//! - A request is its requester's by id; a later user of the same name has no part in it. It is
//!   made and approved only while the requester exists.
//! - A request is decided once: only a pending one is approved or rejected, only an approved one is
//!   revoked.
//! - Of the requests that have expired, half of [`limits::MAX_ACCESS_REQUESTS`] are kept at the most.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;
use crate::limits;
use crate::store::{Store, within};
use towline_host::clock::UnixMillis;

/// A request as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// `oi-` and 12 hex digits.
    pub id: String,
    /// Name of the requester.
    pub principal: String,
    /// Id of the requester; empty when not known.
    pub principal_id: String,
    /// ARN of the requester.
    pub principal_arn: String,
    /// Why.
    pub reason: String,
    /// The targets: JSON of the API's type.
    pub targets: String,
    /// Tags of the request: JSON of a map.
    pub tags: String,
    /// `Pending`, `Approved`, `Rejected` or `Revoked`; whether it has expired is in `expires_at`.
    pub status: String,
    /// ARN of the approver; empty before a decision.
    pub decided_by: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Deadline of the decision; after an approval, its end.
    pub expires_at: UnixMillis,
}

/// Operations on access requests.
pub struct AccessRequests<'a> {
    store: &'a Store,
}

impl Store {
    /// Access requests.
    #[must_use]
    pub const fn access_requests(&self) -> AccessRequests<'_> {
        AccessRequests { store: self }
    }
}

const COLUMNS: &str = "SELECT id, principal, principal_id, principal_arn, reason, targets, tags, status, decided_by, created_at, \
     expires_at FROM access_requests";

fn request(row: &SqliteRow) -> Result<AccessRequest, sqlx::Error> {
    Ok(AccessRequest {
        id: row.try_get("id")?,
        principal: row.try_get("principal")?,
        principal_id: row.try_get("principal_id")?,
        principal_arn: row.try_get("principal_arn")?,
        reason: row.try_get("reason")?,
        targets: row.try_get("targets")?,
        tags: row.try_get("tags")?,
        status: row.try_get("status")?,
        decided_by: row.try_get("decided_by")?,
        created_at: UnixMillis(row.try_get("created_at")?),
        expires_at: UnixMillis(row.try_get("expires_at")?),
    })
}

impl AccessRequests<'_> {
    /// Stores a new request.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the principal has [`limits::MAX_PENDING_REQUESTS`] undecided
    /// requests, or the table is full of requests that have not expired; [`StoreError::Missing`]
    /// when the requester was removed.
    pub async fn create(&self, new: &AccessRequest, now: UnixMillis) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        let pending = "SELECT COUNT(*) FROM access_requests WHERE principal_id = ? AND status = 'Pending' AND expires_at > ";
        let pending: i64 = sqlx::query_scalar(&format!("{pending}?"))
            .bind(&new.principal_id)
            .bind(now.0)
            .fetch_one(&mut *tx)
            .await?;
        if pending >= limits::MAX_PENDING_REQUESTS {
            return Err(StoreError::Full {
                what: "undecided requests of this principal",
                limit: limits::MAX_PENDING_REQUESTS,
            });
        }
        sqlx::query(
            "DELETE FROM access_requests WHERE id IN (SELECT id FROM access_requests WHERE expires_at <= ? \
             ORDER BY created_at DESC LIMIT ? OFFSET ?)",
        )
        .bind(now.0)
        .bind(i64::MAX)
        .bind(limits::MAX_ACCESS_REQUESTS / 2)
        .execute(&mut *tx)
        .await?;
        let count = "SELECT COUNT(*) FROM access_requests WHERE id <> ?";
        within(&mut tx, count, &new.id, "access requests", limits::MAX_ACCESS_REQUESTS).await?;
        let made = sqlx::query(
            "INSERT INTO access_requests (id, principal, principal_id, principal_arn, reason, targets, tags, status, created_at, expires_at) \
             SELECT ?, ?, unique_id, ?, ?, ?, ?, 'Pending', ?, ? FROM principals WHERE unique_id = ?",
        )
        .bind(&new.id)
        .bind(&new.principal)
        .bind(&new.principal_arn)
        .bind(&new.reason)
        .bind(&new.targets)
        .bind(&new.tags)
        .bind(new.created_at.0)
        .bind(new.expires_at.0)
        .bind(&new.principal_id)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("access request"))?;
        if made.rows_affected() == 0 {
            return Err(StoreError::Missing("principal"));
        }
        tx.commit().await?;
        Ok(())
    }

    /// The request of this id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, id: &str) -> Result<Option<AccessRequest>, StoreError> {
        let row = sqlx::query(&format!("{COLUMNS} WHERE id = ?"))
            .bind(id)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(request).transpose()?)
    }

    /// Up to `limit` requests before that time and id, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(
        &self,
        before: Option<(UnixMillis, &str)>,
        limit: i64,
    ) -> Result<Vec<AccessRequest>, StoreError> {
        let (at, id) = before.unwrap_or((UnixMillis(i64::MAX), ""));
        let sql = format!(
            "{COLUMNS} WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?"
        );
        let rows =
            sqlx::query(&sql).bind(at.0).bind(id).bind(limit).fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(request).collect::<Result<_, _>>()?)
    }

    /// Moves a request from one status to another. `false`: its status is another one, it has
    /// expired, or it would be approved and its requester does not exist.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn decide(
        &self,
        id: &str,
        (from, to): (&str, &str),
        by: &str,
        until: UnixMillis,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE access_requests SET status = ?, decided_by = ?, expires_at = ? \
             WHERE id = ? AND status = ? AND expires_at > ? AND (? <> 'Approved' \
             OR EXISTS (SELECT 1 FROM principals p WHERE p.unique_id = access_requests.principal_id))",
        )
        .bind(to)
        .bind(by)
        .bind(until.0)
        .bind(id)
        .bind(from)
        .bind(now.0)
        .bind(to)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    async fn ann(store: &Store) -> String {
        store.principals().create("ann", &[], UnixMillis(0)).await.unwrap();
        store.principals().get("ann").await.unwrap().unwrap().unique_id
    }

    fn new(ann: &str, id: &str, created: i64, expires: i64) -> AccessRequest {
        AccessRequest {
            id: id.into(),
            principal: "ann".into(),
            principal_id: ann.into(),
            principal_arn: "arn:ann".into(),
            reason: "r".into(),
            targets: "[]".into(),
            tags: "{}".into(),
            status: "Pending".into(),
            decided_by: String::new(),
            created_at: UnixMillis(created),
            expires_at: UnixMillis(expires),
        }
    }

    #[tokio::test]
    async fn a_request_is_decided_once_and_in_time() {
        let (store, _dir) = scratch().await;
        let ann = ann(&store).await;
        let requests = store.access_requests();
        requests.create(&new(&ann, "oi-1", 1, 100), UnixMillis(1)).await.unwrap();
        let decide = async |steps, now| {
            requests
                .decide("oi-1", steps, "arn:bob", UnixMillis(200), UnixMillis(now))
                .await
                .unwrap()
        };
        assert!(!decide(("Pending", "Approved"), 100).await, "too late");
        assert!(!decide(("Approved", "Revoked"), 50).await, "not approved yet");
        assert!(decide(("Pending", "Approved"), 50).await);
        assert!(!decide(("Pending", "Rejected"), 60).await, "decided already");
        let now = requests.get("oi-1").await.unwrap().unwrap();
        assert_eq!(
            (now.status.as_str(), now.decided_by.as_str(), now.expires_at.0),
            ("Approved", "arn:bob", 200)
        );
        assert!(decide(("Approved", "Revoked"), 150).await);
    }

    #[tokio::test]
    async fn undecided_requests_of_one_principal_are_bounded_until_they_are_over() {
        let (store, _dir) = scratch().await;
        let ann = ann(&store).await;
        let requests = store.access_requests();
        for n in 0..limits::MAX_PENDING_REQUESTS {
            requests.create(&new(&ann, &format!("oi-{n}"), n, 100), UnixMillis(1)).await.unwrap();
        }
        assert!(matches!(
            requests.create(&new(&ann, "oi-x", 9, 100), UnixMillis(1)).await,
            Err(StoreError::Full { .. })
        ));
        requests.create(&new(&ann, "oi-x", 101, 200), UnixMillis(101)).await.unwrap();
        let page = requests.list(None, 2).await.unwrap();
        assert_eq!(page[0].id, "oi-x");
        let rest = requests.list(Some((page[1].created_at, &page[1].id)), 100).await.unwrap();
        assert_eq!(i64::try_from(rest.len()).unwrap(), limits::MAX_PENDING_REQUESTS - 1);
    }
}
