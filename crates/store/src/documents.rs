//! Documents and their versions.
//!
//! # Invariants
//! - Version numbers only grow; the number of a removed version is not used again.
//! - A document always has its default version: that version cannot be removed alone.
//! - No two versions of a document have the same text, or the same name.
//! - A change is made to the document that was read ([`DocumentAsRead`]), in one transaction with
//!   that comparison.

use std::collections::BTreeMap;

use crate::engine::{self, Row, Tx};
use crate::error::StoreError;
use crate::identity::{IdKind, new_id};
use crate::limits;
use crate::store::{Store, no_alike, within};
use crate::tags::{Tag, TagKind, put_all, same_tags};
use towline_host::clock::UnixMillis;

/// The text of a version, and what belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentText {
    /// The version's name; empty: none.
    pub version_name: String,
    /// A name for lists; empty: none.
    pub display_name: String,
    /// `JSON` or `YAML`.
    pub format: String,
    /// The text.
    pub content: String,
    /// SHA-256 of the text, hex.
    pub hash: String,
    /// Its schema version.
    pub schema_version: String,
}

/// A document about to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewDocument {
    /// Its name.
    pub name: String,
    /// `Session` or `Command`.
    pub kind: String,
    /// Target type; empty when none is given.
    pub target_type: String,
    /// Its first version.
    pub text: DocumentText,
}

/// One version of a document, with the fields of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub name: String,
    /// Its id: a document that is created again under the name has another one. Empty for a
    /// built-in document.
    pub unique_id: String,
    /// `Session` or `Command`.
    pub kind: String,
    /// Target type; empty when none is given.
    pub target_type: String,
    /// The version that is used when none is named.
    pub default_version: i64,
    /// The latest version.
    pub latest_version: i64,
    /// This version.
    pub version: i64,
    /// The version's text. In lists its `content` is empty.
    pub text: DocumentText,
    /// When this version was created.
    pub created_at: UnixMillis,
}

/// Which version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// The default one.
    Default,
    /// The latest one.
    Latest,
    /// By number.
    Number(i64),
    /// By name.
    Named(String),
}

/// A document as it was when a change of it was decided: the change is made only if that holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentAsRead {
    /// Its name.
    pub name: String,
    /// Its id.
    pub unique_id: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its latest version, where the change depends on it.
    pub latest_version: Option<i64>,
}

/// Operations on documents and their versions.
pub struct Documents<'a> {
    store: &'a Store,
}

impl Store {
    /// Documents and their versions.
    #[must_use]
    pub const fn documents(&self) -> Documents<'_> {
        Documents { store: self }
    }
}

/// What `StoreError::Exists` names when another version has the same text.
pub const SAME_TEXT: &str = "text of a document";
/// What `StoreError::Exists` names when another version has the same name.
pub const SAME_NAME: &str = "name of a document's version";

const COLUMNS: &str = "d.name, d.unique_id, d.kind, d.target_type, d.default_version, \
     (SELECT MAX(version) FROM document_versions WHERE name = d.name) AS latest_version, \
     v.version, v.version_name, \
     v.display_name, v.format, v.hash, v.schema_version, v.created_at";
const FROM: &str = "FROM documents d JOIN document_versions v ON v.name = d.name";

fn document(row: &Row) -> Result<Document, sqlx::Error> {
    Ok(Document {
        name: row.try_get("name")?,
        unique_id: row.try_get("unique_id")?,
        kind: row.try_get("kind")?,
        target_type: row.try_get("target_type")?,
        default_version: row.try_get("default_version")?,
        latest_version: row.try_get("latest_version")?,
        version: row.try_get("version")?,
        text: DocumentText {
            version_name: row.try_get("version_name")?,
            display_name: row.try_get("display_name")?,
            format: row.try_get("format")?,
            content: row.try_get("content")?,
            hash: row.try_get("hash")?,
            schema_version: row.try_get("schema_version")?,
        },
        created_at: UnixMillis(row.try_get("created_at")?),
    })
}

/// Kinds of which there are fewer than [`limits::MAX_DOCUMENTS`].
const OF_KIND: [(&str, &str, i64); 2] = [
    ("ManualApprovalPolicy", "documents of this type", limits::MAX_MANUAL_APPROVAL_POLICIES),
    ("AutoApprovalPolicy", "documents of this type", 1),
];

impl Documents<'_> {
    /// Creates a document with its first version and its tags.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Full`].
    pub async fn create(
        &self,
        new: &NewDocument,
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        let count = "SELECT COUNT(*) FROM documents WHERE name <> ?";
        within(&mut tx, count, &new.name, "documents", limits::MAX_DOCUMENTS).await?;
        let of_kind = "SELECT COUNT(*) FROM documents WHERE kind = ?";
        for (kind, what, most) in OF_KIND.iter().filter(|(kind, ..)| *kind == new.kind) {
            within(&mut tx, of_kind, kind, what, *most).await?;
        }
        let alike = "SELECT COUNT(*) FROM documents WHERE LOWER(name) = ? AND name <> ?";
        no_alike(&mut tx, alike, &new.name, "document of this name, letter case aside,").await?;
        engine::query(
            "INSERT INTO documents (name, unique_id, kind, target_type, default_version, \
             numbers_given) VALUES (?, ?, ?, ?, 1, 1)",
        )
        .bind(&new.name)
        .bind(new_id(IdKind::Document)?)
        .bind(&new.kind)
        .bind(&new.target_type)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("document"))?;
        insert(&mut tx, &new.name, 1, &new.text, now).await?;
        put_all(&mut tx, TagKind::Document, &new.name, tags).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Adds a version, which becomes the latest. Returns its number.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without the document; [`StoreError::Changed`] when it is not as it
    /// was read; [`StoreError::Exists`] of the text or the version's name; [`StoreError::Full`]
    /// beyond [`limits::MAX_DOCUMENT_VERSIONS`].
    pub async fn add_version(
        &self,
        read: &DocumentAsRead,
        target_type: Option<&str>,
        text: &DocumentText,
        now: UnixMillis,
    ) -> Result<i64, StoreError> {
        let name = &*read.name;
        let mut tx = self.changing(read).await?;
        let given: i64 = engine::query_scalar("SELECT numbers_given FROM documents WHERE name = ?")
            .bind(name)
            .fetch_one(&mut *tx)
            .await?;
        let version = given + 1;
        let count = "SELECT COUNT(*) FROM document_versions WHERE name = ?";
        within(&mut tx, count, name, "versions of this document", limits::MAX_DOCUMENT_VERSIONS)
            .await?;
        let taken: i64 = engine::query_scalar(
            "SELECT COUNT(*) FROM document_versions WHERE name = ? AND version_name = ? AND \
             version_name <> ''",
        )
        .bind(name)
        .bind(&text.version_name)
        .fetch_one(&mut *tx)
        .await?;
        if taken > 0 {
            return Err(StoreError::Exists(SAME_NAME));
        }
        insert(&mut tx, name, version, text, now).await?;
        engine::query("UPDATE documents SET numbers_given = ?, target_type = COALESCE(?, target_type) WHERE name = ?")
            .bind(version)
            .bind(target_type)
            .bind(name)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(version)
    }

    /// One version of a document, with its text.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, name: &str, version: &Version) -> Result<Option<Document>, StoreError> {
        let (condition, number, text) = match version {
            Version::Default => ("v.version = d.default_version", None, None),
            Version::Latest => (
                "v.version = (SELECT MAX(version) FROM document_versions WHERE name = d.name)",
                None,
                None,
            ),
            Version::Number(number) => ("v.version = ?", Some(*number), None),
            Version::Named(named) => ("v.version_name = ?", None, Some(named.as_str())),
        };
        let sql = format!("SELECT {COLUMNS}, v.content {FROM} WHERE d.name = ? AND {condition}");
        let mut query = engine::query(&sql).bind(name);
        query = match (number, text) {
            (Some(number), _) => query.bind(number),
            (None, Some(text)) => query.bind(text),
            (None, None) => query,
        };
        let row = query.fetch_optional(&self.store.pool).await?;
        Ok(row.as_ref().map(document).transpose()?)
    }

    /// The default versions of all documents, by name, without their texts.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(&self) -> Result<Vec<Document>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, '' AS content {FROM} WHERE v.version = d.default_version ORDER BY \
             d.name"
        );
        let rows = engine::query(&sql).fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(document).collect::<Result<_, _>>()?)
    }

    /// The default versions of all documents of this kind, by name, with their texts.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn of_kind(&self, kind: &str) -> Result<Vec<Document>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, v.content {FROM} WHERE v.version = d.default_version AND d.kind = ? \
             ORDER BY d.name"
        );
        let rows = engine::query(&sql).bind(kind).fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(document).collect::<Result<_, _>>()?)
    }

    /// Up to `limit` versions of a document below `before`, latest first, without their texts.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn versions(
        &self,
        name: &str,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Document>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, '' AS content {FROM} WHERE d.name = ? AND v.version < ? ORDER BY \
             v.version DESC LIMIT ?"
        );
        let rows = engine::query(&sql)
            .bind(name)
            .bind(before)
            .bind(limit)
            .fetch_all(&self.store.pool)
            .await?;
        Ok(rows.iter().map(document).collect::<Result<_, _>>()?)
    }

    /// Makes a version the default. `false`: there is no such version.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Changed`].
    pub async fn set_default(
        &self,
        read: &DocumentAsRead,
        version: i64,
    ) -> Result<bool, StoreError> {
        let name = &*read.name;
        let mut tx = self.changing(read).await?;
        let done = engine::query(
            "UPDATE documents SET default_version = ? WHERE name = ? \
             AND EXISTS (SELECT 1 FROM document_versions WHERE name = ? AND version = ?)",
        )
        .bind(version)
        .bind(name)
        .bind(name)
        .bind(version)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Removes a document with its versions and tags.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Changed`].
    pub async fn delete(&self, read: &DocumentAsRead) -> Result<(), StoreError> {
        let name = &*read.name;
        let mut tx = self.changing(read).await?;
        engine::query("DELETE FROM documents WHERE name = ?").bind(name).execute(&mut *tx).await?;
        engine::query("DELETE FROM tags WHERE kind = ? AND id = ?")
            .bind(TagKind::Document.as_str())
            .bind(name)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Removes one version that is not the default. `false`: it is the default, or there is no such
    /// version.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Changed`].
    pub async fn delete_version(
        &self,
        read: &DocumentAsRead,
        version: i64,
    ) -> Result<bool, StoreError> {
        let name = &*read.name;
        let mut tx = self.changing(read).await?;
        let gone = engine::query(
            "DELETE FROM document_versions WHERE name = ? AND version = ? \
             AND version <> (SELECT default_version FROM documents WHERE name = ?)",
        )
        .bind(name)
        .bind(version)
        .bind(name)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Begins a change of a document that is still what it was when it was read.
    async fn changing(&self, read: &DocumentAsRead) -> Result<Tx, StoreError> {
        let mut tx = self.store.writing().await?;
        let row: Option<(String, i64)> = engine::query_as(
            "SELECT d.unique_id, MAX(v.version) FROM documents d \
             JOIN document_versions v ON v.name = d.name WHERE d.name = ? GROUP BY d.unique_id",
        )
        .bind(&read.name)
        .fetch_optional(&mut *tx)
        .await?;
        let (_, latest) =
            row.filter(|(id, _)| *id == read.unique_id).ok_or(StoreError::Missing("document"))?;
        if read.latest_version.is_some_and(|read| read != latest) {
            return Err(StoreError::Changed("document"));
        }
        same_tags(&mut tx, TagKind::Document, &read.name, &read.tags).await?;
        Ok(tx)
    }
}

async fn insert(
    tx: &mut Tx,
    name: &str,
    version: i64,
    text: &DocumentText,
    now: UnixMillis,
) -> Result<(), StoreError> {
    engine::query(
        "INSERT INTO document_versions (name, version, version_name, display_name, format, \
         content, hash, schema_version, \
         created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(name)
    .bind(version)
    .bind(&text.version_name)
    .bind(&text.display_name)
    .bind(&text.format)
    .bind(&text.content)
    .bind(&text.hash)
    .bind(&text.schema_version)
    .bind(now.0)
    .execute(&mut **tx)
    .await
    .map_err(StoreError::on_insert(SAME_TEXT))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    const NOW: UnixMillis = UnixMillis(1_000);

    fn text(content: &str, version_name: &str) -> DocumentText {
        DocumentText {
            version_name: version_name.into(),
            format: "JSON".into(),
            content: content.into(),
            hash: content.into(),
            schema_version: "1.0".into(),
            ..DocumentText::default()
        }
    }

    fn new(name: &str) -> NewDocument {
        NewDocument {
            name: name.into(),
            kind: "Session".into(),
            target_type: String::new(),
            text: text("{}", "one"),
        }
    }

    /// A document as it is now.
    async fn read(store: &Store, name: &str) -> DocumentAsRead {
        let document = store.documents().get(name, &Version::Default).await.unwrap().unwrap();
        DocumentAsRead {
            name: name.into(),
            unique_id: document.unique_id,
            tags: store.tags().of(TagKind::Document, name).await.unwrap(),
            latest_version: None,
        }
    }

    #[tokio::test]
    async fn names_differ_in_more_than_letter_case() {
        let (store, _dir) = scratch().await;
        store.documents().create(&new("Mine"), &[], NOW).await.unwrap();
        let refused = store.documents().create(&new("mine"), &[], NOW).await.unwrap_err();
        assert!(matches!(refused, StoreError::Exists(_)), "{refused}");
    }

    #[tokio::test]
    async fn of_parallel_updates_of_one_version_one_is_made() {
        let (store, _dir) = scratch().await;
        store.documents().create(&new("Mine"), &[], NOW).await.unwrap();
        let read = DocumentAsRead { latest_version: Some(1), ..read(&store, "Mine").await };
        let updates = (0..8).map(|n| {
            let (store, read) = (store.clone(), read.clone());
            tokio::spawn(async move {
                let text = text(&format!("[{n}]"), "");
                store.documents().add_version(&read, None, &text, NOW).await
            })
        });
        let mut made = 0;
        for update in updates.collect::<Vec<_>>() {
            match update.await.unwrap() {
                Ok(version) => made += version,
                Err(error) => assert!(matches!(error, StoreError::Changed(_)), "{error}"),
            }
        }
        assert_eq!(made, 2, "one update, of version 2");
    }

    #[tokio::test]
    async fn a_document_that_was_created_again_is_another_one() {
        let (store, _dir) = scratch().await;
        let documents = store.documents();
        documents.create(&new("Mine"), &[], NOW).await.unwrap();
        let old = read(&store, "Mine").await;
        documents.delete(&old).await.unwrap();
        documents.create(&new("Mine"), &[], NOW).await.unwrap();
        let late = documents.add_version(&old, None, &text("[]", ""), NOW).await;
        assert!(matches!(late, Err(StoreError::Missing(_))));
        assert!(matches!(documents.delete(&old).await, Err(StoreError::Missing(_))));
        assert!(documents.get("Mine", &Version::Latest).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_change_is_refused_when_the_tags_it_was_allowed_by_are_others_now() {
        let (store, _dir) = scratch().await;
        store.documents().create(&new("Mine"), &[], NOW).await.unwrap();
        let old = read(&store, "Mine").await;
        let tags = [("Team".to_owned(), "core".to_owned())];
        store.tags().put(TagKind::Document, "Mine", &tags).await.unwrap();
        let late = store.documents().add_version(&old, None, &text("[]", ""), NOW).await;
        assert!(matches!(late, Err(StoreError::Changed(_))));
    }

    #[tokio::test]
    async fn versions_are_found_by_number_by_name_and_by_their_part() {
        let (store, _dir) = scratch().await;
        let documents = store.documents();
        documents.create(&new("Mine"), &[("Team".into(), "a".into())], NOW).await.unwrap();
        let mine = read(&store, "Mine").await;
        assert_eq!(documents.add_version(&mine, None, &text("[]", "two"), NOW).await.unwrap(), 2);
        let number = async |version: Version| {
            documents.get("Mine", &version).await.unwrap().map(|d| d.version)
        };
        assert_eq!(number(Version::Default).await, Some(1));
        assert_eq!(number(Version::Latest).await, Some(2));
        assert_eq!(number(Version::Number(2)).await, Some(2));
        assert_eq!(number(Version::Named("one".into())).await, Some(1));
        assert_eq!(number(Version::Number(3)).await, None);
        assert_eq!(number(Version::Named(String::new())).await, None);
        assert!(documents.set_default(&mine, 2).await.unwrap());
        assert!(!documents.set_default(&mine, 9).await.unwrap());
        assert_eq!(number(Version::Default).await, Some(2));
        documents.delete(&mine).await.unwrap();
        assert!(documents.get("Mine", &Version::Number(1)).await.unwrap().is_none());
        assert!(store.tags().of(TagKind::Document, "Mine").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_text_and_a_version_name_stand_once_in_a_document() {
        let (store, _dir) = scratch().await;
        let documents = store.documents();
        documents.create(&new("Mine"), &[], NOW).await.unwrap();
        documents.create(&new("Other"), &[], NOW).await.unwrap();
        assert!(matches!(
            documents.create(&new("Mine"), &[], NOW).await,
            Err(StoreError::Exists("document"))
        ));
        let mine = read(&store, "Mine").await;
        let add = async |content: &str, name: &str| {
            documents.add_version(&mine, None, &text(content, name), NOW).await
        };
        assert!(matches!(add("{}", "two").await, Err(StoreError::Exists(SAME_TEXT))));
        assert!(matches!(add("[]", "one").await, Err(StoreError::Exists(SAME_NAME))));
        assert!(matches!(add("[]", "").await, Ok(2)));
        assert!(matches!(add("[1]", "").await, Ok(3)));
    }

    #[tokio::test]
    async fn the_default_version_stays_and_numbers_do_not_come_back() {
        let (store, _dir) = scratch().await;
        let documents = store.documents();
        documents.create(&new("Mine"), &[], NOW).await.unwrap();
        let mine = read(&store, "Mine").await;
        documents.add_version(&mine, None, &text("2", ""), NOW).await.unwrap();
        assert!(!documents.delete_version(&mine, 1).await.unwrap());
        assert!(documents.delete_version(&mine, 2).await.unwrap());
        assert!(!documents.delete_version(&mine, 2).await.unwrap());
        assert_eq!(documents.add_version(&mine, None, &text("3", ""), NOW).await.unwrap(), 3);
        assert_eq!(documents.versions("Mine", i64::MAX, 9).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn documents_and_versions_are_bounded() {
        let (store, _dir) = scratch().await;
        let documents = store.documents();
        documents.create(&new("Mine"), &[], NOW).await.unwrap();
        let mine = read(&store, "Mine").await;
        for n in 1..limits::MAX_DOCUMENT_VERSIONS {
            documents.add_version(&mine, None, &text(&n.to_string(), ""), NOW).await.unwrap();
        }
        let more = documents.add_version(&mine, None, &text("more", ""), NOW).await;
        assert!(matches!(more, Err(StoreError::Full { .. })));
        for n in 1..limits::MAX_DOCUMENTS {
            documents.create(&new(&format!("d{n}")), &[], NOW).await.unwrap();
        }
        assert!(matches!(
            documents.create(&new("more"), &[], NOW).await,
            Err(StoreError::Full { .. })
        ));
    }
}
