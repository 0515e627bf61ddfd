//! Invitations: tokens by which a further gateway joins the cluster, and the nodes that wait for
//! approval.
//!
//! Data flow: [`Invitations::add`] (the digest of a token) -> [`Invitations::take`] (the token is
//! used, and the node's row waits, in one transaction) -> [`Invitations::approve`], or
//! [`Invitations::remove`].
//!
//! # Invariants
//! - A token is taken once, before its end. It is not stored, its digest is.
//! - A node that waits or was removed has no lease: it does not work, and its key opens nothing.
//!
//! # Not here
//! - Leases of nodes: `engine::member`.

use towline_host::clock::UnixMillis;

use crate::engine::{self, Target, member::NodeIdentity};
use crate::error::StoreError;
use crate::limits::MAX_INVITATIONS;
use crate::store::Store;

/// How long a token is kept after its end: the node that has used it may wait for approval.
const KEPT_MS: i64 = 7 * 24 * 3600 * 1000;

/// What becomes of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The node's row waits for approval.
    Waits,
    /// There is no such token, it was used, or its time is over.
    NoToken,
    /// A node has the name or the key.
    NodeExists,
}

/// Operations on invitations.
pub struct Invitations<'a> {
    store: &'a Store,
}

impl Store {
    /// Invitations.
    #[must_use]
    pub const fn invitations(&self) -> Invitations<'_> {
        Invitations { store: self }
    }
}

impl Invitations<'_> {
    /// Keeps the digest of a token until `ends_at`. False: there are as many as there may be.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn add(
        &self,
        digest: &str,
        ca_key: bool,
        now: UnixMillis,
        ends_at: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.writing().await?;
        engine::query("DELETE FROM invitations WHERE ends_at <= ?")
            .bind(now.0.saturating_sub(KEPT_MS))
            .execute(&mut *tx)
            .await?;
        let number: i64 =
            engine::query_scalar("SELECT COUNT(*) FROM invitations").fetch_one(&mut *tx).await?;
        if number >= MAX_INVITATIONS {
            return Ok(false);
        }
        engine::query("INSERT INTO invitations (digest, ends_at, ca_key) VALUES (?, ?, ?)")
            .bind(digest)
            .bind(ends_at.0)
            .bind(i64::from(ca_key))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A gateway shows a token: its row waits for approval from now on.
    ///
    /// # Errors
    /// [`StoreError::Database`]; the token is as good as before then.
    pub async fn take(
        &self,
        digest: &str,
        node: &NodeIdentity,
        now: UnixMillis,
    ) -> Result<Taken, StoreError> {
        // A caller without a token is not worth the writers' lock.
        if !is_good(&self.store.pool, digest, now).await? {
            return Ok(Taken::NoToken);
        }
        let mut tx = self.store.writing().await?;
        if !is_good(&mut tx, digest, now).await? {
            return Ok(Taken::NoToken);
        }
        let same: i64 =
            engine::query_scalar("SELECT COUNT(*) FROM nodes WHERE name = ? OR spki = ?")
                .bind(&node.name)
                .bind(&node.spki)
                .fetch_one(&mut *tx)
                .await?;
        if same > 0 {
            return Ok(Taken::NodeExists);
        }
        engine::query("UPDATE invitations SET used_by = ? WHERE digest = ?")
            .bind(&node.name)
            .bind(digest)
            .execute(&mut *tx)
            .await?;
        engine::query(
            "INSERT INTO nodes (name, generation, expires_at, spki, address, version, joined_at, \
             approved) VALUES (?, 0, 0, ?, ?, '', ?, 0)",
        )
        .bind(&node.name)
        .bind(&node.spki)
        .bind(&node.address)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Taken::Waits)
    }

    /// Whether the token that this node has used gives the key of the CA, too.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn gives_ca_key(&self, name: &str) -> Result<bool, StoreError> {
        let with: i64 = engine::query_scalar(
            "SELECT COUNT(*) FROM invitations WHERE used_by = ? AND ca_key = 1",
        )
        .bind(name)
        .fetch_one(&self.store.pool)
        .await?;
        Ok(with > 0)
    }

    /// The node may work. False: there is none of this name that waits or was removed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn approve(&self, name: &str) -> Result<bool, StoreError> {
        self.change("UPDATE nodes SET approved = 1 WHERE name = ? AND approved <> 1", name).await
    }

    /// The node may not work any more: its lease is over, and it has lost what it held. False:
    /// there is none of this name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let removed = "UPDATE nodes SET approved = -1, generation = generation + 1, \
                       expires_at = CASE WHEN expires_at > 0 THEN 1 ELSE 0 END \
                       WHERE name = ? AND approved <> -1";
        self.change(removed, name).await
    }

    async fn change(&self, statement: &str, name: &str) -> Result<bool, StoreError> {
        let mut tx = self.store.writing().await?;
        let done = engine::query(statement).bind(name).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

/// Whether this is the digest of a token that nobody has used and whose time is not over.
async fn is_good<'t>(
    target: impl Into<Target<'t>>,
    digest: &str,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let good: i64 = engine::query_scalar(
        "SELECT COUNT(*) FROM invitations WHERE digest = ? AND used_by = '' AND ends_at > ?",
    )
    .bind(digest)
    .bind(now.0)
    .fetch_one(target)
    .await?;
    Ok(good > 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;
    use crate::limits::STORE_BUSY;
    use crate::testing::scratch;

    fn node(name: &str) -> NodeIdentity {
        NodeIdentity {
            name: name.to_owned(),
            spki: name.as_bytes().to_vec(),
            address: format!("{name}.example:8443"),
            device_address: String::new(),
        }
    }

    #[tokio::test]
    async fn who_has_no_token_does_not_wait_for_the_turn_to_write() {
        let (store, _dir) = scratch().await;
        let writer = store.writing().await.unwrap();
        let (all, node) = (store.invitations(), node("b"));
        let taken = all.take("guessed", &node, UnixMillis(1));
        let taken = tokio::time::timeout(STORE_BUSY / 2, taken).await;
        assert_eq!(taken.expect("it waits for another writer").unwrap(), Taken::NoToken);
        drop(writer);
    }

    #[tokio::test]
    async fn a_token_is_taken_once_and_in_its_time_and_a_name_is_given_once() {
        let (store, _dir) = scratch().await;
        let (all, at) = (store.invitations(), UnixMillis);
        for digest in ["one", "two", "late"] {
            assert!(all.add(digest, digest == "two", at(0), at(1000)).await.unwrap());
        }
        assert_eq!(all.take("other", &node("b"), at(1)).await.unwrap(), Taken::NoToken);
        assert_eq!(all.take("late", &node("b"), at(1000)).await.unwrap(), Taken::NoToken);
        assert_eq!(all.take("one", &node("b"), at(1)).await.unwrap(), Taken::Waits);
        assert_eq!(all.take("one", &node("c"), at(1)).await.unwrap(), Taken::NoToken);
        assert_eq!(all.take("two", &node("b"), at(1)).await.unwrap(), Taken::NodeExists);
        assert_eq!(all.take("two", &node("c"), at(1)).await.unwrap(), Taken::Waits);
        assert!(!all.gives_ca_key("b").await.unwrap() && all.gives_ca_key("c").await.unwrap());
        assert!(all.approve("b").await.unwrap() && !all.approve("b").await.unwrap());
        assert!(all.remove("c").await.unwrap() && !all.remove("nobody").await.unwrap());
        let approved: Vec<i64> = engine::query_scalar("SELECT approved FROM nodes ORDER BY name")
            .fetch_all(&store.pool)
            .await
            .unwrap();
        assert_eq!(approved, [1, -1]);
    }
}
