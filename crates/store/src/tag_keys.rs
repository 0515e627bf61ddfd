//! Tags under keys that differ in letter case only: found before the schema forbids them, and
//! removed by hand.
//!
//! Data flow: a store of an older version -> [`check`] -> migration -> [`complete`], which fills in
//! the folded keys and makes them unique.
//!
//! # Invariants
//! - Nothing is chosen: of two such tags a policy may mean either, so a person removes one. Until
//!   then the store is not opened, and its schema stays as it was.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use towline_policy::fold;

use crate::engine::{self, Pool};
use crate::error::StoreError;
use crate::limits;

/// The migration that forbids such tags.
const MIGRATION: i64 = 12;

/// Keys on one thing that differ in letter case only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagClash {
    /// `device`, `principal` or `document`.
    pub kind: String,
    /// Which one.
    pub id: String,
    /// Its keys with their values.
    pub tags: Vec<(String, String)>,
}

impl fmt::Display for TagClash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:", self.kind, self.id)?;
        self.tags.iter().try_for_each(|(key, value)| write!(f, " {key:?} = {value:?}"))
    }
}

/// The tags of a store file that keep this version from opening it. Changes nothing.
///
/// # Errors
/// When the file cannot be read.
pub async fn tag_clashes_in(path: &Path) -> Result<Vec<TagClash>, StoreError> {
    let pool = existing(path).await?;
    let found = if needs_check(&pool).await? { clashes(&pool).await } else { Ok(Vec::new()) };
    pool.close().await;
    found
}

/// Removes one tag from a store file that is not in use, whatever the version of its schema. `key`
/// is compared as it is. False: there is no such tag.
///
/// # Errors
/// When the file cannot be written.
pub async fn remove_tag_in(
    path: &Path,
    kind: &str,
    id: &str,
    key: &str,
) -> Result<bool, StoreError> {
    let pool = existing(path).await?;
    let done = engine::query("DELETE FROM tags WHERE kind = ? AND id = ? AND key = ?")
        .bind(kind)
        .bind(id)
        .bind(key)
        .execute(&pool)
        .await;
    pool.close().await;
    Ok(done?.rows_affected() > 0)
}

async fn existing(path: &Path) -> Result<Pool, StoreError> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(limits::STORE_BUSY);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    Ok(Pool::Sqlite(pool.into()))
}

/// Refuses a store that has such tags, before its schema is changed.
pub(crate) async fn check(pool: &Pool) -> Result<(), StoreError> {
    if !needs_check(pool).await? {
        return Ok(());
    }
    let found = clashes(pool).await?;
    if found.is_empty() { Ok(()) } else { Err(StoreError::TagClashes(found)) }
}

/// Whether the store has tags, and its schema allows keys that differ in letter case only.
async fn needs_check(pool: &Pool) -> Result<bool, StoreError> {
    let tables: i64 = engine::query_scalar(
        "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name IN ('tags', \
         '_sqlx_migrations')",
    )
    .fetch_one(pool)
    .await?;
    if tables < 2 {
        return Ok(false);
    }
    let applied: i64 =
        engine::query_scalar("SELECT COUNT(*) FROM _sqlx_migrations WHERE version = ?")
            .bind(MIGRATION)
            .fetch_one(pool)
            .await?;
    Ok(applied == 0)
}

async fn clashes(pool: &Pool) -> Result<Vec<TagClash>, StoreError> {
    let rows: Vec<(String, String, String, String)> =
        engine::query_as("SELECT kind, id, key, value FROM tags ORDER BY kind, id, key")
            .fetch_all(pool)
            .await?;
    let mut by_key: BTreeMap<(String, String, String), Vec<(String, String)>> = BTreeMap::new();
    for (kind, id, key, value) in rows {
        by_key.entry((kind, id, fold(&key))).or_default().push((key, value));
    }
    by_key.retain(|_, tags| tags.len() > 1);
    Ok(by_key.into_iter().map(|((kind, id, _), tags)| TagClash { kind, id, tags }).collect())
}

/// Fills in folded keys that are missing, and makes them unique.
pub(crate) async fn complete(pool: &Pool) -> Result<(), StoreError> {
    let missing: Vec<(String,)> =
        engine::query_as("SELECT DISTINCT key FROM tags WHERE key_folded = ''")
            .fetch_all(pool)
            .await?;
    let mut tx = pool.writing().await?;
    for (key,) in &missing {
        engine::query("UPDATE tags SET key_folded = ? WHERE key = ?")
            .bind(fold(key))
            .bind(key)
            .execute(&mut *tx)
            .await?;
    }
    engine::query(
        "CREATE UNIQUE INDEX IF NOT EXISTS tags_by_folded_key ON tags (kind, id, key_folded)",
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, TagKind, migrations};
    use sqlx::sqlite::SqlitePool;

    /// A store of the version before, with these tags of a device.
    async fn older(tags: &[(&str, &str)]) -> (std::path::PathBuf, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("towline.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        migrations::migrator_before(MIGRATION).await.unwrap().run(&pool).await.unwrap();
        let pool = Pool::Sqlite(pool.into());
        for (key, value) in tags {
            engine::query(
                "INSERT INTO tags (kind, id, key, value) VALUES ('device', 'mi-1', ?, ?)",
            )
            .bind(key)
            .bind(value)
            .execute(&pool)
            .await
            .unwrap();
        }
        pool.close().await;
        (path, dir)
    }

    #[tokio::test]
    async fn a_store_of_an_older_version_keeps_its_tags() {
        let (path, _dir) = older(&[("Environment", "dev"), ("Stra\u{df}e", "7")]).await;
        let store = Store::open(&path).await.unwrap();
        store.tags().put(TagKind::Device, "mi-1", &[("STRASSE".into(), "8".into())]).await.unwrap();
        let all = store.tags().of(TagKind::Device, "mi-1").await.unwrap();
        let expected = [("Environment", "dev"), ("STRASSE", "8")];
        assert_eq!(all, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    #[tokio::test]
    async fn of_two_spellings_nothing_is_chosen_and_the_store_stays_as_it_was() {
        let (path, _dir) =
            older(&[("Environment", "prod"), ("environment", "dev"), ("a", "b")]).await;
        for _ in 0..2 {
            let error = Store::open(&path).await.unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains(r#"device mi-1: "Environment" = "prod" "environment" = "dev""#),
                "{text}"
            );
            assert!(text.contains("towline-gateway remove-tag"), "{text}");
        }
        assert_eq!(tag_clashes_in(&path).await.unwrap().len(), 1);
        assert!(!remove_tag_in(&path, "device", "mi-1", "ENVIRONMENT").await.unwrap());
        assert!(remove_tag_in(&path, "device", "mi-1", "environment").await.unwrap());
        assert_eq!(tag_clashes_in(&path).await.unwrap(), []);
        let store = Store::open(&path).await.unwrap();
        let all = store.tags().of(TagKind::Device, "mi-1").await.unwrap();
        assert_eq!(all["Environment"], "prod");
        assert_eq!(tag_clashes_in(&path).await.unwrap(), [], "a store in use can be checked");
    }
}
