//! Links of the server that sign a browser in once. Any gateway of several takes them.
//!
//! Data flow: a gateway makes a link -> [`SignInLinks::keep`] -> a person's click, at any gateway
//! -> [`SignInLinks::take`].
//!
//! # Invariants
//! - A link is taken once, and not after its end. A guess is looked up and writes nothing.
//! - A gateway has so many at the most; a further one voids its oldest.
//! - When a gateway begins, what it had made before is void ([`SignInLinks::void_own`]). So is what
//!   one has made that has ended or was declared dead.
//!
//! # Not here
//! - The secret and its digest: the gateway's.

use towline_host::clock::UnixMillis;

use crate::engine::{self, Tx};
use crate::error::StoreError;
use crate::limits::MAX_SIGN_IN_LINKS;
use crate::store::Store;

/// Operations on links that sign in.
pub struct SignInLinks<'a> {
    store: &'a Store,
}

impl Store {
    /// Links that sign in.
    #[must_use]
    pub const fn sign_in_links(&self) -> SignInLinks<'_> {
        SignInLinks { store: self }
    }
}

impl SignInLinks<'_> {
    /// Keeps a link that this gateway has made, for an access key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keep(
        &self,
        digest: &str,
        access_key: &str,
        now: UnixMillis,
        ends_at: UnixMillis,
    ) -> Result<(), StoreError> {
        let own = &*self.store.node;
        let mut tx = self.store.writing().await?;
        engine::query("DELETE FROM sign_in_links WHERE ends_at <= ?")
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
        engine::query(
            "DELETE FROM sign_in_links WHERE node = ? AND digest NOT IN (SELECT l.digest \
             FROM sign_in_links l WHERE l.node = ? ORDER BY l.ends_at DESC, l.digest LIMIT ?)",
        )
        .bind(own)
        .bind(own)
        .bind(MAX_SIGN_IN_LINKS - 1)
        .execute(&mut *tx)
        .await?;
        engine::query(
            "INSERT INTO sign_in_links (digest, access_key, node, ends_at) VALUES (?, ?, ?, ?)",
        )
        .bind(digest)
        .bind(access_key)
        .bind(own)
        .bind(ends_at.0)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("sign-in link"))?;
        tx.commit().await?;
        Ok(())
    }

    /// Uses a link up: the access key that it was made for.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn take(&self, digest: &str, now: UnixMillis) -> Result<Option<String>, StoreError> {
        let sql = "SELECT access_key FROM sign_in_links WHERE digest = ? AND ends_at > ?";
        let found: Option<String> = engine::query_scalar(sql)
            .bind(digest)
            .bind(now.0)
            .fetch_optional(&self.store.pool)
            .await?;
        let Some(access_key) = found else { return Ok(None) };
        let taken = engine::query("DELETE FROM sign_in_links WHERE digest = ?")
            .bind(digest)
            .execute(&self.store.pool)
            .await?;
        Ok((taken.rows_affected() > 0).then_some(access_key))
    }

    /// This gateway begins: what it had made before is void. A gateway that works alone voids all.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn void_own(&self) -> Result<(), StoreError> {
        let own = &*self.store.node;
        engine::query("DELETE FROM sign_in_links WHERE node IN (?, '') OR ? = ''")
            .bind(own)
            .bind(own)
            .execute(&self.store.pool)
            .await?;
        Ok(())
    }
}

/// A gateway has ended: what it had made is void.
pub(crate) async fn void_of(tx: &mut Tx, node: &str) -> Result<(), StoreError> {
    engine::query("DELETE FROM sign_in_links WHERE node = ?").bind(node).execute(&mut **tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::scratch;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const LATE: UnixMillis = UnixMillis(NOW.0 + 300_000);

    fn node(store: &Store, name: &str) -> Store {
        Store { node: Arc::from(name), ..store.clone() }
    }

    #[tokio::test]
    async fn a_link_of_one_gateway_is_taken_at_another_one_once_and_in_time() {
        let (store, _dir) = scratch().await;
        let (a, b) = (node(&store, "a"), node(&store, "b"));
        for digest in ["once", "late"] {
            a.sign_in_links().keep(digest, "AKIA1", NOW, LATE).await.unwrap();
        }
        let take = async |digest, now| b.sign_in_links().take(digest, now).await.unwrap();
        assert_eq!(take("guess", NOW).await, None);
        assert_eq!(take("once", NOW).await.as_deref(), Some("AKIA1"));
        assert_eq!(take("once", NOW).await, None);
        assert_eq!(take("late", LATE).await, None);
        assert_eq!(a.sign_in_links().take("once", NOW).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_a_gateway_has_made_is_void_when_it_begins_again_and_no_other_link_is() {
        let (store, _dir) = scratch().await;
        let (a, b) = (node(&store, "a"), node(&store, "b"));
        a.sign_in_links().keep("of-a", "AKIA1", NOW, LATE).await.unwrap();
        b.sign_in_links().keep("of-b", "AKIA1", NOW, LATE).await.unwrap();
        store.sign_in_links().keep("alone", "AKIA1", NOW, LATE).await.unwrap();
        a.sign_in_links().void_own().await.unwrap();
        let is_there =
            async |digest| store.sign_in_links().take(digest, NOW).await.unwrap().is_some();
        assert!(!is_there("of-a").await && !is_there("alone").await && is_there("of-b").await);
        b.sign_in_links().keep("of-b", "AKIA1", NOW, LATE).await.unwrap();
        store.sign_in_links().void_own().await.unwrap();
        assert!(!is_there("of-b").await, "a gateway that works alone has no others");
    }

    #[tokio::test]
    async fn a_gateway_has_so_many_and_the_oldest_makes_room() {
        let (store, _dir) = scratch().await;
        let (a, b) = (node(&store, "a"), node(&store, "b"));
        b.sign_in_links().keep("of-b", "AKIA1", NOW, LATE).await.unwrap();
        for number in 0..=MAX_SIGN_IN_LINKS {
            let ends = UnixMillis(LATE.0 + number);
            a.sign_in_links().keep(&format!("a-{number}"), "AKIA1", NOW, ends).await.unwrap();
        }
        let take = async |digest| a.sign_in_links().take(digest, NOW).await.unwrap();
        assert_eq!(take("a-0").await, None);
        assert!(take("a-1").await.is_some() && take("of-b").await.is_some());
    }
}
