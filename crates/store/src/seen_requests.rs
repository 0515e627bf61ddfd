//! The table of signatures of requests that changed something, until they would be refused as
//! expired anyway.
//!
//! # Invariants
//! - A signature is written before its request changes anything ([`crate::BegunRequests`]): it is
//!   not taken again, also if the gateway is killed meanwhile.

use crate::engine::{self, Tx};
use crate::error::StoreError;
use crate::store::Store;

/// A signature that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenRequest {
    /// The signature.
    pub signature: [u8; 32],
    /// From this second on (since the epoch) the request is refused as expired.
    pub forget_at: i64,
}

/// Operations on the signatures.
pub struct SeenRequests<'a> {
    store: &'a Store,
}

impl Store {
    /// Signatures of requests that changed something.
    #[must_use]
    pub const fn seen_requests(&self) -> SeenRequests<'_> {
        SeenRequests { store: self }
    }
}

impl SeenRequests<'_> {
    /// Up to `limit` signatures that still count at `now` (seconds), those that count longest
    /// first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn alive(&self, now: i64, limit: i64) -> Result<Vec<SeenRequest>, StoreError> {
        let rows: Vec<(Vec<u8>, i64)> = engine::query_as(
            "SELECT signature, forget_at FROM seen_requests WHERE forget_at > ? \
             ORDER BY forget_at DESC LIMIT ?",
        )
        .bind(now)
        .bind(limit)
        .fetch_all(&self.store.pool)
        .await?;
        let whole = |(signature, forget_at): (Vec<u8>, i64)| {
            Some(SeenRequest { signature: signature.try_into().ok()?, forget_at })
        };
        Ok(rows.into_iter().filter_map(whole).collect())
    }

    /// Whether a signature was taken.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn contains(&self, signature: &[u8; 32]) -> Result<bool, StoreError> {
        let found: Option<i64> =
            engine::query_scalar("SELECT 1 FROM seen_requests WHERE signature = ?")
                .bind(signature.as_slice())
                .fetch_optional(&self.store.pool)
                .await?;
        Ok(found.is_some())
    }

    /// Takes a request. False: it was taken before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn take(&self, request: &SeenRequest) -> Result<bool, StoreError> {
        let done = engine::query(INSERT)
            .bind(request.signature.as_slice())
            .bind(request.forget_at)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Takes requests, in their order: of each whether it is the first. None is taken when this
    /// fails.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn take_all(&self, requests: &[SeenRequest]) -> Result<Vec<bool>, StoreError> {
        let mut first = Vec::with_capacity(requests.len());
        let mut tx = self.store.writing().await?;
        for request in requests {
            first.push(insert_one(&mut tx, request).await?);
        }
        tx.commit().await?;
        Ok(first)
    }

    /// Removes the signatures that count no more at `now` (seconds).
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune(&self, now: i64) -> Result<u64, StoreError> {
        let done = engine::query("DELETE FROM seen_requests WHERE forget_at <= ?")
            .bind(now)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected())
    }
}

const INSERT: &str = "INSERT INTO seen_requests (signature, forget_at) VALUES (?, ?) \
     ON CONFLICT (signature) DO NOTHING";

/// Adds signatures in a transaction that is under way.
pub(crate) async fn insert(tx: &mut Tx, seen: &[SeenRequest]) -> Result<(), StoreError> {
    for request in seen {
        insert_one(tx, request).await?;
    }
    Ok(())
}

/// Whether it was not there.
async fn insert_one(tx: &mut Tx, request: &SeenRequest) -> Result<bool, StoreError> {
    let done = engine::query(INSERT)
        .bind(request.signature.as_slice())
        .bind(request.forget_at)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RequestEnd;
    use crate::testing::scratch;

    #[tokio::test]
    async fn a_signature_is_kept_until_its_request_has_expired() {
        let (store, _dir) = scratch().await;
        let request = |n: u8, forget_at| SeenRequest { signature: [n; 32], forget_at };
        let both = [request(1, 100), request(2, 200)];
        let end = |seen: &SeenRequest| RequestEnd { id: String::new(), seen: Some(*seen) };
        store.audit().append(&[], &both.each_ref().map(end)).await.unwrap();
        store.audit().append(&[], &[end(&both[0])]).await.unwrap();
        let seen = store.seen_requests();
        assert_eq!(seen.alive(99, 10).await.unwrap(), [both[1], both[0]]);
        assert_eq!(seen.prune(100).await.unwrap(), 1);
        assert!(!seen.contains(&[1; 32]).await.unwrap() && seen.contains(&[2; 32]).await.unwrap());
    }
}
