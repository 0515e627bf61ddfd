//! Principals: who may sign requests, with which keys, under which policies. Groups and roles are
//! principals named `group/NAME` and `role/NAME`; their other tables are in [`crate::roles`].
//!
//! # Invariants
//! - The secret of a key is sealed; the store cannot open it.
//! - Removing a principal removes its keys and policies in the same transaction.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;
use crate::limits;
use crate::store::{Store, within};
use crate::tags::put_all;
use crate::tags::{Tag, TagKind};
use towline_host::clock::UnixMillis;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Its name, unique.
    pub name: String,
    /// When it was created.
    pub created_at: UnixMillis,
}

/// An access key as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id, the public half.
    pub id: String,
    /// The principal that holds it.
    pub principal: String,
    /// The sealed secret.
    pub sealed: Vec<u8>,
    /// Whether it may be used.
    pub active: bool,
    /// When it was created.
    pub created_at: UnixMillis,
    /// When it was last used, to the minute.
    pub last_used: Option<UnixMillis>,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

/// Operations on principals, access keys and policies.
pub struct Principals<'a> {
    store: &'a Store,
}

impl Store {
    /// Principals, their access keys and policies.
    #[must_use]
    pub const fn principals(&self) -> Principals<'_> {
        Principals { store: self }
    }
}

const KEY_COLUMNS: &str =
    "SELECT id, principal, sealed, status, created_at, last_used FROM access_keys";

fn access_key(row: &SqliteRow) -> Result<AccessKey, sqlx::Error> {
    Ok(AccessKey {
        id: row.try_get("id")?,
        principal: row.try_get("principal")?,
        sealed: row.try_get("sealed")?,
        active: row.try_get::<String, _>("status")? == "Active",
        created_at: UnixMillis(row.try_get("created_at")?),
        last_used: row.try_get::<Option<i64>, _>("last_used")?.map(UnixMillis),
    })
}

impl Principals<'_> {
    /// Creates a user with its tags.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Full`].
    pub async fn create(
        &self,
        name: &str,
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        within(
            &mut tx,
            "SELECT COUNT(*) FROM principals WHERE name <> ?",
            name,
            "principals",
            limits::MAX_PRINCIPALS,
        )
        .await?;
        sqlx::query("INSERT INTO principals (name, created_at) VALUES (?, ?)")
            .bind(name)
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(StoreError::on_insert("principal"))?;
        put_all(&mut tx, TagKind::Principal, name, tags).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The principal with this name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, name: &str) -> Result<Option<Principal>, StoreError> {
        let row = sqlx::query_as("SELECT name, created_at FROM principals WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.map(|(name, at)| Principal { name, created_at: UnixMillis(at) }))
    }

    /// Up to `limit` principals with names after `after`, by name. `kind`: the prefix of the names,
    /// `role/`, `group/`, or nothing for users.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(
        &self,
        kind: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Principal>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT name, created_at FROM principals WHERE name > ? \
             AND CASE WHEN SUBSTR(name, 1, 5) = 'role/' THEN 'role/' \
             WHEN SUBSTR(name, 1, 6) = 'group/' THEN 'group/' ELSE '' END = ? ORDER BY name LIMIT ?",
        )
        .bind(after)
        .bind(kind)
        .bind(limit)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(name, at)| Principal { name, created_at: UnixMillis(at) })
            .collect())
    }

    /// Removes a user with its keys, policies and tags. `false`: there is no such user.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let mut tx = self.store.writing().await?;
        let gone = sqlx::query("DELETE FROM principals WHERE name = ?")
            .bind(name)
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM tags WHERE kind = ? AND id = ?")
            .bind(TagKind::Principal.as_str())
            .bind(name)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Stores a new key, active.
    ///
    /// # Errors
    /// [`StoreError::Full`] beyond [`limits::MAX_ACCESS_KEYS`].
    pub async fn add_key(
        &self,
        principal: &str,
        id: &str,
        sealed: &[u8],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        let count = "SELECT COUNT(*) FROM access_keys WHERE principal = ?";
        within(&mut tx, count, principal, "access keys of this principal", limits::MAX_ACCESS_KEYS)
            .await?;
        sqlx::query(
            "INSERT INTO access_keys (id, principal, sealed, status, created_at) VALUES (?, ?, ?, 'Active', ?)",
        )
        .bind(id)
        .bind(principal)
        .bind(sealed)
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("access key"))?;
        tx.commit().await?;
        Ok(())
    }

    /// The key with this id, active or not.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn key(&self, id: &str) -> Result<Option<AccessKey>, StoreError> {
        let row = sqlx::query(&format!("{KEY_COLUMNS} WHERE id = ?"))
            .bind(id)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(access_key).transpose()?)
    }

    /// All keys of a user, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keys(&self, principal: &str) -> Result<Vec<AccessKey>, StoreError> {
        let rows =
            sqlx::query(&format!("{KEY_COLUMNS} WHERE principal = ? ORDER BY created_at, id"))
                .bind(principal)
                .fetch_all(&self.store.pool)
                .await?;
        Ok(rows.iter().map(access_key).collect::<Result<_, _>>()?)
    }

    /// Activates or deactivates a key of this user. `false`: the user has no such key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set_key_active(
        &self,
        principal: &str,
        id: &str,
        active: bool,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE access_keys SET status = ? WHERE id = ? AND principal = ?")
            .bind(if active { "Active" } else { "Inactive" })
            .bind(id)
            .bind(principal)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Removes a key of this user. `false`: the user has no such key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delete_key(&self, principal: &str, id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM access_keys WHERE id = ? AND principal = ?")
            .bind(id)
            .bind(principal)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Stores when a key was used.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn key_used(&self, id: &str, now: UnixMillis) -> Result<(), StoreError> {
        sqlx::query("UPDATE access_keys SET last_used = ? WHERE id = ?")
            .bind(now.0)
            .bind(id)
            .execute(&self.store.pool)
            .await?;
        Ok(())
    }

    /// Stores a policy; one with the same name is replaced.
    ///
    /// # Errors
    /// [`StoreError::Full`] beyond the bounds on number and bytes; [`StoreError::Missing`] without
    /// the user.
    pub async fn put_policy(
        &self,
        principal: &str,
        name: &str,
        document: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        let known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM principals WHERE name = ?")
            .bind(principal)
            .fetch_one(&mut *tx)
            .await?;
        if known == 0 {
            return Err(StoreError::Missing("principal"));
        }
        sqlx::query(
            "INSERT INTO principal_policies (principal, name, document, updated_at) VALUES (?, ?, ?, ?) \
             ON CONFLICT (principal, name) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at",
        )
        .bind(principal)
        .bind(name)
        .bind(document)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        let count = "SELECT COUNT(*) - 1 FROM principal_policies WHERE principal = ?";
        within(&mut tx, count, principal, "policies of this principal", limits::MAX_POLICIES)
            .await?;
        let bytes =
            "SELECT SUM(OCTET_LENGTH(document)) - 1 FROM principal_policies WHERE principal = ?";
        within(
            &mut tx,
            bytes,
            principal,
            "bytes of policies of this principal",
            limits::MAX_POLICY_BYTES,
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// All policies of a user: name and text, by name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn policies(&self, principal: &str) -> Result<Vec<(String, String)>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT name, document FROM principal_policies WHERE principal = ? ORDER BY name",
        )
        .bind(principal)
        .fetch_all(&self.store.pool)
        .await?)
    }

    /// Removes a policy. `false`: there is no such policy.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delete_policy(&self, principal: &str, name: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM principal_policies WHERE principal = ? AND name = ?")
            .bind(principal)
            .bind(name)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    const NOW: UnixMillis = UnixMillis(1_000);

    #[tokio::test]
    async fn removing_a_principal_removes_its_keys_and_policies() {
        let (store, _dir) = scratch().await;
        let users = store.principals();
        users.create("ann", &[], NOW).await.unwrap();
        users.add_key("ann", "AKIA1", b"sealed", NOW).await.unwrap();
        users.put_policy("ann", "p", "{}", NOW).await.unwrap();
        assert!(users.delete("ann").await.unwrap());
        assert!(users.key("AKIA1").await.unwrap().is_none());
        assert!(users.policies("ann").await.unwrap().is_empty());
        assert!(!users.delete("ann").await.unwrap());
    }

    #[tokio::test]
    async fn a_name_is_taken_once() {
        let (store, _dir) = scratch().await;
        store.principals().create("ann", &[], NOW).await.unwrap();
        assert!(matches!(
            store.principals().create("ann", &[], NOW).await,
            Err(StoreError::Exists(_))
        ));
    }

    #[tokio::test]
    async fn a_third_access_key_is_refused() {
        let (store, _dir) = scratch().await;
        store.principals().create("ann", &[], NOW).await.unwrap();
        for n in 0..limits::MAX_ACCESS_KEYS {
            store.principals().add_key("ann", &format!("AKIA{n}"), b"", NOW).await.unwrap();
        }
        let more = store.principals().add_key("ann", "AKIAX", b"", NOW).await;
        assert!(matches!(more, Err(StoreError::Full { .. })));
    }

    #[tokio::test]
    async fn policies_are_bounded_by_number_and_by_bytes() {
        let (store, _dir) = scratch().await;
        let users = store.principals();
        users.create("ann", &[], NOW).await.unwrap();
        for n in 0..limits::MAX_POLICIES {
            users.put_policy("ann", &n.to_string(), "{}", NOW).await.unwrap();
        }
        assert!(matches!(
            users.put_policy("ann", "more", "{}", NOW).await,
            Err(StoreError::Full { .. })
        ));
        users.put_policy("ann", "0", "[]", NOW).await.unwrap();

        let large = "x".repeat(usize::try_from(limits::MAX_POLICY_BYTES).unwrap());
        assert!(matches!(
            users.put_policy("ann", "0", &large, NOW).await,
            Err(StoreError::Full { .. })
        ));
        assert_eq!(users.policies("ann").await.unwrap()[0], ("0".to_owned(), "[]".to_owned()));
        assert!(matches!(
            users.put_policy("bob", "p", "{}", NOW).await,
            Err(StoreError::Missing(_))
        ));
    }

    #[tokio::test]
    async fn a_key_is_changed_only_through_its_own_principal() {
        let (store, _dir) = scratch().await;
        let users = store.principals();
        users.create("ann", &[], NOW).await.unwrap();
        users.add_key("ann", "AKIA1", b"s", NOW).await.unwrap();
        assert!(!users.set_key_active("bob", "AKIA1", false).await.unwrap());
        assert!(!users.delete_key("bob", "AKIA1").await.unwrap());
        assert!(users.set_key_active("ann", "AKIA1", false).await.unwrap());
        assert!(!users.key("AKIA1").await.unwrap().unwrap().active);
    }
}
