//! Sessions that granted access permits, and when that access ends.
//!
//! # Invariants
//! - A session whose request is gone counts as one whose access has ended.

use crate::engine::{self, Row};
use crate::error::StoreError;
use crate::sessions::SessionStore;
use towline_host::clock::UnixMillis;

/// A session that has not ended, and the access that permits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderAccess {
    /// The session.
    pub session: String,
    /// The request.
    pub request: String,
    /// Whether access is approved, and not revoked.
    pub approved: bool,
    /// When access ends.
    pub ends_at: UnixMillis,
}

fn under_access(row: &Row) -> Result<UnderAccess, sqlx::Error> {
    let status: String = row.try_get("status")?;
    Ok(UnderAccess {
        session: row.try_get("id")?,
        request: row.try_get("access_request")?,
        approved: status == "Approved",
        ends_at: UnixMillis(row.try_get("expires_at")?),
    })
}

impl SessionStore<'_> {
    /// Up to `limit` sessions that have not ended and that granted access permits.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn under_access(&self, limit: i64) -> Result<Vec<UnderAccess>, StoreError> {
        let rows = engine::query(
            "SELECT s.id, s.access_request, COALESCE(a.status, 'Expired') AS status, \
             COALESCE(a.expires_at, 0) AS expires_at FROM sessions s \
             LEFT JOIN access_requests a ON a.id = s.access_request \
             WHERE s.ended_at IS NULL AND s.access_request <> '' LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(rows.iter().map(under_access).collect::<Result<_, _>>()?)
    }
}
