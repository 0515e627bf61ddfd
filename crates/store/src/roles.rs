//! Roles, the members of groups, and permission boundaries.
//!
//! Roles and groups are rows of the principals' table, named `role/NAME` and `group/NAME`. So they
//! share policies, tags and removal with users, and no name means two things.
//!
//! # Invariants
//! - What belongs to a principal is removed with it, by foreign keys.
//!
//! # Not here
//! - What trust policies and boundaries mean: `towline_policy`.

use crate::error::StoreError;
use crate::limits;
use crate::store::{Store, within};
use crate::tags::put_all;
use crate::tags::{Tag, TagKind};
use towline_host::clock::UnixMillis;

/// What makes a principal a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// `AROA` and 16 characters. A role that is created again under the same name gets a new id.
    pub unique_id: String,
    /// The trust policy's text.
    pub trust: String,
    /// Longest life of its credentials, seconds.
    pub max_seconds: i64,
}

/// Operations on roles, members of groups and permission boundaries.
pub struct Roles<'a> {
    store: &'a Store,
}

impl Store {
    /// Roles, groups' members, boundaries.
    #[must_use]
    pub const fn roles(&self) -> Roles<'_> {
        Roles { store: self }
    }
}

impl Roles<'_> {
    /// Creates a role (`name` begins with `role/`) with its tags.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Full`].
    pub async fn create(
        &self,
        name: &str,
        role: &Role,
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        let count = "SELECT COUNT(*) FROM principals WHERE name <> ?";
        within(&mut tx, count, name, "principals", limits::MAX_PRINCIPALS).await?;
        sqlx::query("INSERT INTO principals (name, created_at) VALUES (?, ?)")
            .bind(name)
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(StoreError::on_insert("principal"))?;
        sqlx::query(
            "INSERT INTO roles (principal, unique_id, trust, max_seconds) VALUES (?, ?, ?, ?)",
        )
        .bind(name)
        .bind(&role.unique_id)
        .bind(&role.trust)
        .bind(role.max_seconds)
        .execute(&mut *tx)
        .await?;
        put_all(&mut tx, TagKind::Principal, name, tags).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The role with this name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, name: &str) -> Result<Option<Role>, StoreError> {
        let row: Option<(String, String, i64)> =
            sqlx::query_as("SELECT unique_id, trust, max_seconds FROM roles WHERE principal = ?")
                .bind(name)
                .fetch_optional(&self.store.pool)
                .await?;
        Ok(row.map(|(unique_id, trust, max_seconds)| Role { unique_id, trust, max_seconds }))
    }

    /// Changes the given fields. `false`: there is no such role.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn update(
        &self,
        name: &str,
        trust: Option<&str>,
        max_seconds: Option<i64>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE roles SET trust = COALESCE(?, trust), max_seconds = COALESCE(?, max_seconds) WHERE principal = ?",
        )
        .bind(trust)
        .bind(max_seconds)
        .bind(name)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Adds a user to a group (`group` begins with `group/`). A member stays a member.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without user or group, [`StoreError::Full`] beyond
    /// [`limits::MAX_GROUPS_OF_USER`].
    pub async fn join(&self, group: &str, member: &str) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        for (name, what) in [(group, "group"), (member, "principal")] {
            let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM principals WHERE name = ?")
                .bind(name)
                .fetch_one(&mut *tx)
                .await?;
            if there == 0 {
                return Err(StoreError::Missing(what));
            }
        }
        sqlx::query(
            "INSERT INTO group_members (group_name, member) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(group)
        .bind(member)
        .execute(&mut *tx)
        .await?;
        let count = "SELECT COUNT(*) - 1 FROM group_members WHERE member = ?";
        within(&mut tx, count, member, "groups of this user", limits::MAX_GROUPS_OF_USER).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes a user from a group. `false`: the user is not a member.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn leave(&self, group: &str, member: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM group_members WHERE group_name = ? AND member = ?")
            .bind(group)
            .bind(member)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The groups of a user, as `group/NAME`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn groups_of(&self, member: &str) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT group_name FROM group_members WHERE member = ? ORDER BY group_name",
        )
        .bind(member)
        .fetch_all(&self.store.pool)
        .await?)
    }

    /// The members of a group, by name; at most [`limits::MAX_MEMBERS_LISTED`].
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn members_of(&self, group: &str) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT member FROM group_members WHERE group_name = ? ORDER BY member LIMIT ?",
        )
        .bind(group)
        .bind(limits::MAX_MEMBERS_LISTED)
        .fetch_all(&self.store.pool)
        .await?)
    }

    /// Sets the boundary of a principal.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without the principal.
    pub async fn set_boundary(&self, principal: &str, document: &str) -> Result<(), StoreError> {
        let done = sqlx::query(
            "INSERT INTO boundaries (principal, document) SELECT name, ? FROM principals WHERE name = ? \
             ON CONFLICT (principal) DO UPDATE SET document = excluded.document",
        )
        .bind(document)
        .bind(principal)
        .execute(&self.store.pool)
        .await?;
        if done.rows_affected() == 0 { Err(StoreError::Missing("principal")) } else { Ok(()) }
    }

    /// The boundary of a principal.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn boundary(&self, principal: &str) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT document FROM boundaries WHERE principal = ?")
            .bind(principal)
            .fetch_optional(&self.store.pool)
            .await?)
    }

    /// Removes the boundary of a principal. `false`: it has none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove_boundary(&self, principal: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM boundaries WHERE principal = ?")
            .bind(principal)
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

    fn role() -> Role {
        Role { unique_id: "AROA1".into(), trust: "{}".into(), max_seconds: 3600 }
    }

    #[tokio::test]
    async fn a_role_is_no_user_and_goes_with_all_that_hangs_on_it() {
        let (store, _dir) = scratch().await;
        store.principals().create("ops", &[], NOW).await.unwrap();
        store
            .roles()
            .create("role/ops", &role(), &[("Team".into(), "edge".into())], NOW)
            .await
            .unwrap();
        store.roles().set_boundary("role/ops", "{}").await.unwrap();
        store.principals().put_policy("role/ops", "p", "{}", NOW).await.unwrap();
        assert_eq!(store.roles().get("ops").await.unwrap(), None);
        assert!(store.roles().update("role/ops", None, Some(7200)).await.unwrap());
        assert_eq!(
            store.roles().get("role/ops").await.unwrap(),
            Some(Role { max_seconds: 7200, ..role() })
        );
        assert!(store.principals().delete("role/ops").await.unwrap());
        assert_eq!(store.roles().get("role/ops").await.unwrap(), None);
        assert_eq!(store.roles().boundary("role/ops").await.unwrap(), None);
        assert!(store.principals().get("ops").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_user_is_in_a_group_until_either_is_gone() {
        let (store, _dir) = scratch().await;
        for name in ["ann", "bob", "group/edge", "group/core"] {
            store.principals().create(name, &[], NOW).await.unwrap();
        }
        for (group, member) in [
            ("group/edge", "ann"),
            ("group/edge", "ann"),
            ("group/core", "ann"),
            ("group/edge", "bob"),
        ] {
            store.roles().join(group, member).await.unwrap();
        }
        assert_eq!(store.roles().groups_of("ann").await.unwrap(), ["group/core", "group/edge"]);
        store.principals().delete("group/core").await.unwrap();
        store.principals().delete("bob").await.unwrap();
        assert_eq!(store.roles().groups_of("ann").await.unwrap(), ["group/edge"]);
        assert_eq!(store.roles().members_of("group/edge").await.unwrap(), ["ann"]);
        assert!(store.roles().leave("group/edge", "ann").await.unwrap());
        assert!(!store.roles().leave("group/edge", "ann").await.unwrap());
        assert!(matches!(
            store.roles().join("group/gone", "ann").await,
            Err(StoreError::Missing("group"))
        ));
    }

    #[tokio::test]
    async fn a_boundary_needs_its_principal() {
        let (store, _dir) = scratch().await;
        assert!(matches!(
            store.roles().set_boundary("ann", "{}").await,
            Err(StoreError::Missing(_))
        ));
        store.principals().create("ann", &[], NOW).await.unwrap();
        store.roles().set_boundary("ann", "{}").await.unwrap();
        store.roles().set_boundary("ann", "[]").await.unwrap();
        assert_eq!(store.roles().boundary("ann").await.unwrap().as_deref(), Some("[]"));
        assert!(store.roles().remove_boundary("ann").await.unwrap());
        assert!(!store.roles().remove_boundary("ann").await.unwrap());
    }
}
