//! Tags: keys and values of devices, principals and documents. Policies and filters use them.

use std::collections::BTreeMap;

use sqlx::{Sqlite, Transaction};
use towline_policy::fold;

use crate::error::StoreError;
use crate::limits::MAX_TAGS;
use crate::store::Store;

/// The kind of a tagged resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKind {
    /// A device, by its id.
    Device,
    /// A principal, by its name.
    Principal,
    /// A document, by its name.
    Document,
}

impl TagKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Principal => "principal",
            Self::Document => "document",
        }
    }
}

/// Key and value. The keys of one resource are unique, whatever their letter case ([`fold`]).
pub type Tag = (String, String);

/// Operations on tags.
pub struct Tags<'a> {
    store: &'a Store,
}

impl Store {
    /// Tags of devices and principals.
    #[must_use]
    pub const fn tags(&self) -> Tags<'_> {
        Tags { store: self }
    }
}

impl Tags<'_> {
    /// All tags of one resource, by key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn of(
        &self,
        kind: TagKind,
        id: &str,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let rows: Vec<Tag> =
            sqlx::query_as("SELECT key, value FROM tags WHERE kind = ? AND id = ?")
                .bind(kind.as_str())
                .bind(id)
                .fetch_all(&self.store.pool)
                .await?;
        Ok(rows.into_iter().collect())
    }

    /// Sets tags. An existing key, in whatever letter case, gets the new spelling and value.
    ///
    /// # Errors
    /// [`StoreError::Full`] beyond [`MAX_TAGS`]; no tag is set then.
    pub async fn put(&self, kind: TagKind, id: &str, tags: &[Tag]) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        put_all(&mut tx, kind, id, tags).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes tags by key, in whatever letter case; missing keys are no error.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(&self, kind: TagKind, id: &str, keys: &[String]) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        for key in keys {
            sqlx::query("DELETE FROM tags WHERE kind = ? AND id = ? AND key_folded = ?")
                .bind(kind.as_str())
                .bind(id)
                .bind(fold(key))
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Sets tags within a transaction, and checks their number.
pub(crate) async fn put_all(
    tx: &mut Transaction<'static, Sqlite>,
    kind: TagKind,
    id: &str,
    tags: &[Tag],
) -> Result<(), StoreError> {
    for (key, value) in tags {
        sqlx::query(
            "INSERT INTO tags (kind, id, key, key_folded, value) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (kind, id, key_folded) DO UPDATE SET key = excluded.key, value = excluded.value",
        )
        .bind(kind.as_str())
        .bind(id)
        .bind(key)
        .bind(fold(key))
        .bind(value)
        .execute(&mut **tx)
        .await?;
    }
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tags WHERE kind = ? AND id = ?")
        .bind(kind.as_str())
        .bind(id)
        .fetch_one(&mut **tx)
        .await?;
    let limit = i64::try_from(MAX_TAGS).unwrap_or(i64::MAX);
    if count > limit {
        return Err(StoreError::Full { what: "tags on this resource", limit }); // the transaction rolls back
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    fn tag(key: &str, value: &str) -> Tag {
        (key.to_owned(), value.to_owned())
    }

    #[tokio::test]
    async fn a_key_that_is_there_gets_the_new_value() {
        let (store, _dir) = scratch().await;
        let tags = store.tags();
        tags.put(TagKind::Device, "mi-1", &[tag("Environment", "dev"), tag("Site", "a")])
            .await
            .unwrap();
        tags.put(TagKind::Device, "mi-1", &[tag("Environment", "prod")]).await.unwrap();
        tags.remove(TagKind::Device, "mi-1", &["Site".into(), "Never".into()]).await.unwrap();
        let all = tags.of(TagKind::Device, "mi-1").await.unwrap();
        assert_eq!(all, BTreeMap::from([tag("Environment", "prod")]));
        assert!(tags.of(TagKind::Principal, "mi-1").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_key_in_other_letters_is_the_same_key() {
        let (store, _dir) = scratch().await;
        let tags = store.tags();
        tags.put(TagKind::Device, "mi-1", &[tag("Environment", "dev")]).await.unwrap();
        tags.put(TagKind::Device, "mi-1", &[tag("environment", "prod")]).await.unwrap();
        let all = tags.of(TagKind::Device, "mi-1").await.unwrap();
        assert_eq!(all, BTreeMap::from([tag("environment", "prod")]));
        tags.remove(TagKind::Device, "mi-1", &["ENVIRONMENT".into()]).await.unwrap();
        assert!(tags.of(TagKind::Device, "mi-1").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_tag_too_many_sets_none() {
        let (store, _dir) = scratch().await;
        let fill: Vec<Tag> = (0..MAX_TAGS).map(|n| tag(&n.to_string(), "")).collect();
        store.tags().put(TagKind::Device, "mi-1", &fill).await.unwrap();
        let more =
            store.tags().put(TagKind::Device, "mi-1", &[tag("0", "new"), tag("x", "")]).await;
        assert!(matches!(more, Err(StoreError::Full { .. })));
        assert_eq!(store.tags().of(TagKind::Device, "mi-1").await.unwrap()["0"], "");
    }
}
