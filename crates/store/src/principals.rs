//! Principals: who may sign requests, with which keys, under which policies. Groups and roles are
//! principals named `group/NAME` and `role/NAME`; their other tables are in [`crate::roles`].
//!
//! # Invariants
//! - The secret of a key is sealed; the store cannot open it.
//! - A name may be given again, a unique id is not ([`crate::identity`]).
//!
//! # Not here
//! - Changes that are decided on what was read: [`crate::change`].

use crate::change::{PolicyTexts, policy_texts};
use crate::engine::{self, Row};
use crate::error::StoreError;
use crate::store::Store;
use crate::tags::Tag;
use towline_host::clock::UnixMillis;

/// A user, group or role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Its name; after its removal another principal may get it.
    pub name: String,
    /// Its id: no other principal ever gets it.
    pub unique_id: String,
    /// When it was created.
    pub created_at: UnixMillis,
}

/// An access key as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id, the public half.
    pub id: String,
    /// Name of the user that holds it.
    pub principal: String,
    /// Id of that user.
    pub principal_id: String,
    /// The sealed secret.
    pub sealed: Vec<u8>,
    /// Whether it may be used.
    pub active: bool,
    /// When it was created.
    pub created_at: UnixMillis,
    /// When it was last used, to the minute.
    pub last_used: Option<UnixMillis>,
    /// Since when what it was given holds: what it got before it was last disabled is over.
    pub holds_since: UnixMillis,
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

const KEY_COLUMNS: &str = "SELECT k.id, k.principal, p.unique_id AS principal_id, k.sealed, \
                           k.status, k.created_at, k.last_used, k.holds_since \
     FROM access_keys k JOIN principals p ON p.name = k.principal";

fn access_key(row: &Row) -> Result<AccessKey, sqlx::Error> {
    Ok(AccessKey {
        id: row.try_get("id")?,
        principal: row.try_get("principal")?,
        principal_id: row.try_get("principal_id")?,
        sealed: row.try_get("sealed")?,
        active: row.try_get::<String, _>("status")? == "Active",
        created_at: UnixMillis(row.try_get("created_at")?),
        last_used: row.try_get::<Option<i64>, _>("last_used")?.map(UnixMillis),
        holds_since: UnixMillis(row.try_get("holds_since")?),
    })
}

fn principal(row: &Row) -> Result<Principal, sqlx::Error> {
    Ok(Principal {
        name: row.try_get("name")?,
        unique_id: row.try_get("unique_id")?,
        created_at: UnixMillis(row.try_get("created_at")?),
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
        let mut change = self.store.change().await?;
        change.create(name, tags, now).await?;
        change.commit().await
    }

    /// The principal with this name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, name: &str) -> Result<Option<Principal>, StoreError> {
        let row =
            engine::query("SELECT name, unique_id, created_at FROM principals WHERE name = ?")
                .bind(name)
                .fetch_optional(&self.store.pool)
                .await?;
        Ok(row.as_ref().map(principal).transpose()?)
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
        let rows = engine::query(
            "SELECT name, unique_id, created_at FROM principals WHERE name > ? \
             AND CASE WHEN SUBSTR(name, 1, 5) = 'role/' THEN 'role/' \
             WHEN SUBSTR(name, 1, 6) = 'group/' THEN 'group/' ELSE '' END = ? ORDER BY name LIMIT \
             ?",
        )
        .bind(after)
        .bind(kind)
        .bind(limit)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(rows.iter().map(principal).collect::<Result<_, _>>()?)
    }

    /// Stores a new key, active.
    ///
    /// # Errors
    /// [`StoreError::Full`] beyond [`crate::limits::MAX_ACCESS_KEYS`].
    pub async fn add_key(
        &self,
        principal: &str,
        id: &str,
        sealed: &[u8],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut change = self.store.change().await?;
        change.add_key(principal, id, sealed, now).await?;
        change.commit().await
    }

    /// The key with this id, active or not.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn key(&self, id: &str) -> Result<Option<AccessKey>, StoreError> {
        let row = engine::query(&format!("{KEY_COLUMNS} WHERE k.id = ?"))
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
        let rows = engine::query(&format!(
            "{KEY_COLUMNS} WHERE k.principal = ? ORDER BY k.created_at, k.id"
        ))
        .bind(principal)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(rows.iter().map(access_key).collect::<Result<_, _>>()?)
    }

    /// Stores when a key was used.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn key_used(&self, id: &str, now: UnixMillis) -> Result<(), StoreError> {
        engine::query("UPDATE access_keys SET last_used = ? WHERE id = ?")
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
        let mut change = self.store.change().await?;
        change.put_policy(principal, name, document, now).await?;
        change.commit().await
    }

    /// The policies of a principal, those of its groups, and its boundary, of one moment.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn policy_texts(&self, principal: &str) -> Result<PolicyTexts, StoreError> {
        policy_texts(&mut *self.store.pool.reading().await?, principal).await
    }

    /// All policies of a user: name and text, by name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn policies(&self, principal: &str) -> Result<Vec<(String, String)>, StoreError> {
        Ok(engine::query_as(
            "SELECT name, document FROM principal_policies WHERE principal = ? ORDER BY name",
        )
        .bind(principal)
        .fetch_all(&self.store.pool)
        .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use crate::testing::{remove, scratch};

    const NOW: UnixMillis = UnixMillis(1_000);

    #[tokio::test]
    async fn removing_a_principal_removes_its_keys_and_policies() {
        let (store, _dir) = scratch().await;
        let users = store.principals();
        users.create("ann", &[], NOW).await.unwrap();
        users.add_key("ann", "AKIA1", b"sealed", NOW).await.unwrap();
        users.put_policy("ann", "p", "{}", NOW).await.unwrap();
        let ann = users.get("ann").await.unwrap().unwrap();
        remove(&store, "ann").await;
        assert!(users.key("AKIA1").await.unwrap().is_none());
        assert!(users.policies("ann").await.unwrap().is_empty());
        users.create("ann", &[], NOW).await.unwrap();
        let again = users.get("ann").await.unwrap().unwrap();
        assert_ne!(again.unique_id, ann.unique_id, "the name is given again, the id is not");
        assert!(matches!(store.change_of(&ann).await, Err(StoreError::Missing(_))));
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
        let mut change = store.change().await.unwrap();
        let later = UnixMillis(NOW.0 + 1);
        assert!(!change.set_key_active("bob", "AKIA1", false, later).await.unwrap());
        assert!(!change.delete_key("bob", "AKIA1").await.unwrap());
        assert!(change.set_key_active("ann", "AKIA1", false, later).await.unwrap());
        assert!(users.key("AKIA1").await.unwrap().unwrap().active, "not before the commit");
        change.commit().await.unwrap();
        let key = users.key("AKIA1").await.unwrap().unwrap();
        assert_eq!((key.active, key.holds_since), (false, later));
        for active in [false, true, true] {
            let mut change = store.change().await.unwrap();
            let after = UnixMillis(later.0 + 1);
            assert!(change.set_key_active("ann", "AKIA1", active, after).await.unwrap());
            change.commit().await.unwrap();
            let key = users.key("AKIA1").await.unwrap().unwrap();
            assert_eq!((key.active, key.holds_since), (active, later), "nothing was given since");
        }
    }
}
