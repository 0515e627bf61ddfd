//! Tags: keys and values of devices, principals and documents. Policies and filters use them.

use std::collections::BTreeMap;

use towline_policy::fold;

use crate::device_texts;
use crate::engine::{self, Tx};
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
    pub(crate) store: &'a Store,
}

impl Store {
    /// Tags of devices and principals.
    #[must_use]
    pub const fn tags(&self) -> Tags<'_> {
        Tags { store: self }
    }
}

impl Tags<'_> {
    /// All tags of the devices that have one of these values of a tag: id, folded key and value, by
    /// id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn of_devices_with(
        &self,
        key: &str,
        values: &[String],
    ) -> Result<Vec<(String, String, String)>, StoreError> {
        let marks = vec!["?"; values.len().max(1)].join(", ");
        let sql = format!(
            "SELECT o.id, o.key_folded, o.value FROM tags t JOIN tags o ON o.kind = t.kind AND \
             o.id = t.id \
             WHERE t.kind = 'device' AND t.key_folded = ? AND t.value IN ({marks}) ORDER BY o.id"
        );
        let mut query = engine::query_as(&sql).bind(fold(key));
        for value in values {
            query = query.bind(value);
        }
        Ok(query.fetch_all(&self.store.search).await?)
    }

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
            engine::query_as("SELECT key, value FROM tags WHERE kind = ? AND id = ?")
                .bind(kind.as_str())
                .bind(id)
                .fetch_all(&self.store.pool)
                .await?;
        Ok(rows.into_iter().collect())
    }

    /// Removes tags by key, and sets others, on a thing that still has the tags that were read.
    /// Keys have no letter case: a key that is there gets the new spelling and value; one that is
    /// not there is no error.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the thing was removed; [`StoreError::Changed`] when its tags
    /// are others; [`StoreError::Full`] beyond [`MAX_TAGS`]. No tag is changed then.
    pub async fn change(
        &self,
        kind: TagKind,
        id: &str,
        read: &BTreeMap<String, String>,
        (remove, put): (&[String], &[Tag]),
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        let (sql, what) = match kind {
            TagKind::Device => ("SELECT COUNT(*) FROM devices WHERE id = ?", "device"),
            TagKind::Document => ("SELECT COUNT(*) FROM documents WHERE name = ?", "document"),
            TagKind::Principal => ("SELECT COUNT(*) FROM principals WHERE name = ?", "principal"),
        };
        let known: i64 = engine::query_scalar(sql).bind(id).fetch_one(&mut *tx).await?;
        if known == 0 {
            return Err(StoreError::Missing(what));
        }
        same_tags(&mut tx, kind, id, read).await?;
        remove_all(&mut tx, kind, id, remove).await?;
        put_all(&mut tx, kind, id, put).await?;
        if kind == TagKind::Device {
            device_texts::note(&mut tx, id).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Sets tags of a thing that need not be there.
    #[cfg(test)]
    pub(crate) async fn put(
        &self,
        kind: TagKind,
        id: &str,
        tags: &[Tag],
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        put_all(&mut tx, kind, id, tags).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Compares the tags of a thing with what was read of them before.
pub(crate) async fn same_tags(
    tx: &mut Tx,
    kind: TagKind,
    id: &str,
    read: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    let rows: Vec<Tag> = engine::query_as("SELECT key, value FROM tags WHERE kind = ? AND id = ?")
        .bind(kind.as_str())
        .bind(id)
        .fetch_all(&mut **tx)
        .await?;
    let now: BTreeMap<String, String> = rows.into_iter().collect();
    if now == *read { Ok(()) } else { Err(StoreError::Changed("set of tags")) }
}

async fn remove_all(
    tx: &mut Tx,
    kind: TagKind,
    id: &str,
    keys: &[String],
) -> Result<(), StoreError> {
    for key in keys {
        engine::query("DELETE FROM tags WHERE kind = ? AND id = ? AND key_folded = ?")
            .bind(kind.as_str())
            .bind(id)
            .bind(fold(key))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Sets tags within a transaction, and checks their number.
pub(crate) async fn put_all(
    tx: &mut Tx,
    kind: TagKind,
    id: &str,
    tags: &[Tag],
) -> Result<(), StoreError> {
    for (key, value) in tags {
        engine::query(
            "INSERT INTO tags (kind, id, key, key_folded, value) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (kind, id, key_folded) DO UPDATE SET key = excluded.key, value = \
             excluded.value",
        )
        .bind(kind.as_str())
        .bind(id)
        .bind(key)
        .bind(fold(key))
        .bind(value)
        .execute(&mut **tx)
        .await?;
    }
    let count: i64 = engine::query_scalar("SELECT COUNT(*) FROM tags WHERE kind = ? AND id = ?")
        .bind(kind.as_str())
        .bind(id)
        .fetch_one(&mut **tx)
        .await?;
    let limit = i64::try_from(MAX_TAGS).unwrap_or(i64::MAX);
    if count > limit {
        // the transaction rolls back
        return Err(StoreError::Full { what: "tags on this resource", limit });
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

    /// A store with the document `d`, and a change of its tags as they are now.
    async fn scene() -> (Store, tempfile::TempDir) {
        let (store, dir) = scratch().await;
        let new = crate::NewDocument {
            name: "d".into(),
            kind: "Session".into(),
            text: crate::DocumentText { format: "JSON".into(), ..Default::default() },
            ..Default::default()
        };
        store.documents().create(&new, &[], towline_host::clock::UnixMillis(1)).await.unwrap();
        (store, dir)
    }

    async fn change(store: &Store, remove: &[&str], put: &[Tag]) -> Result<(), StoreError> {
        let tags = store.tags();
        let read = tags.of(TagKind::Document, "d").await?;
        let remove: Vec<String> = remove.iter().map(|key| (*key).to_owned()).collect();
        tags.change(TagKind::Document, "d", &read, (&remove, put)).await
    }

    #[tokio::test]
    async fn a_key_in_whatever_letters_gets_the_new_value_and_goes_by_any() {
        let (store, _dir) = scene().await;
        change(&store, &[], &[tag("Environment", "dev"), tag("Site", "a")]).await.unwrap();
        change(&store, &[], &[tag("environment", "prod")]).await.unwrap();
        change(&store, &["SITE", "Never"], &[]).await.unwrap();
        let all = store.tags().of(TagKind::Document, "d").await.unwrap();
        assert_eq!(all, BTreeMap::from([tag("environment", "prod")]));
        assert!(store.tags().of(TagKind::Principal, "d").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_tag_too_many_sets_none() {
        let (store, _dir) = scene().await;
        let fill: Vec<Tag> = (0..MAX_TAGS).map(|n| tag(&n.to_string(), "")).collect();
        change(&store, &[], &fill).await.unwrap();
        let more = change(&store, &[], &[tag("0", "new"), tag("x", "")]).await;
        assert!(matches!(more, Err(StoreError::Full { .. })));
        assert_eq!(store.tags().of(TagKind::Document, "d").await.unwrap()["0"], "");
    }

    #[tokio::test]
    async fn a_change_holds_for_the_tags_that_were_read_and_for_a_thing_that_is_there() {
        let (store, _dir) = scene().await;
        let (tags, none) = (store.tags(), BTreeMap::new());
        let put = [tag("Team", "edge")];
        tags.change(TagKind::Document, "d", &none, (&[], &put)).await.unwrap();
        let late = tags.change(TagKind::Document, "d", &none, (&[], &put)).await;
        assert!(matches!(late, Err(StoreError::Changed(_))));
        let gone = tags.change(TagKind::Document, "e", &none, (&[], &put)).await;
        assert!(matches!(gone, Err(StoreError::Missing(_))));
    }
}
