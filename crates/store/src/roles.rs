//! Roles, the members of groups, and permission boundaries.
//!
//! Roles and groups are rows of the principals' table, named `role/NAME` and `group/NAME`. So they
//! share policies, tags and removal with users, and no name means two things.
//!
//! # Invariants
//! - What belongs to a principal is removed with it, by foreign keys.
//!
//! # Not here
//! - Changes after the creation: [`crate::change`].
//! - What trust policies and boundaries mean: `towline_policy`.

use crate::engine;
use crate::error::StoreError;
use crate::limits;
use crate::store::Store;
use crate::tags::Tag;
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
        let mut change = self.store.change().await?;
        change.create_role(name, role, tags, now).await?;
        change.commit().await
    }

    /// The role with this name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, name: &str) -> Result<Option<Role>, StoreError> {
        let row: Option<(String, String, i64)> =
            engine::query_as("SELECT unique_id, trust, max_seconds FROM roles WHERE principal = ?")
                .bind(name)
                .fetch_optional(&self.store.pool)
                .await?;
        Ok(row.map(|(unique_id, trust, max_seconds)| Role { unique_id, trust, max_seconds }))
    }

    /// The groups of a user, as `group/NAME`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn groups_of(&self, member: &str) -> Result<Vec<String>, StoreError> {
        Ok(engine::query_scalar(
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
        Ok(engine::query_scalar(
            "SELECT member FROM group_members WHERE group_name = ? ORDER BY member LIMIT ?",
        )
        .bind(group)
        .bind(limits::MAX_MEMBERS_LISTED)
        .fetch_all(&self.store.pool)
        .await?)
    }

    /// The boundary of a principal.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn boundary(&self, principal: &str) -> Result<Option<String>, StoreError> {
        Ok(engine::query_scalar("SELECT document FROM boundaries WHERE principal = ?")
            .bind(principal)
            .fetch_optional(&self.store.pool)
            .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{remove, scratch};

    const NOW: UnixMillis = UnixMillis(1_000);

    fn role() -> Role {
        Role { unique_id: "AROA1".into(), trust: "{}".into(), max_seconds: 3600 }
    }

    #[tokio::test]
    async fn a_role_is_no_user_and_goes_with_all_that_hangs_on_it() {
        let (store, _dir) = scratch().await;
        store.principals().create("ops", &[], NOW).await.unwrap();
        let tags = [("Team".into(), "edge".into())];
        store.roles().create("role/ops", &role(), &tags, NOW).await.unwrap();
        let mut change = store.change().await.unwrap();
        change.set_boundary("role/ops", "{}").await.unwrap();
        change.put_policy("role/ops", "p", "{}", NOW).await.unwrap();
        assert!(change.update_role("role/ops", None, Some(7200)).await.unwrap());
        change.commit().await.unwrap();
        assert_eq!(store.roles().get("ops").await.unwrap(), None);
        let changed = Some(Role { max_seconds: 7200, ..role() });
        assert_eq!(store.roles().get("role/ops").await.unwrap(), changed);
        let principal = store.principals().get("role/ops").await.unwrap().unwrap();
        assert_eq!(principal.unique_id, "AROA1");
        remove(&store, "role/ops").await;
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
        let pairs = [("edge", "ann"), ("edge", "ann"), ("core", "ann"), ("edge", "bob")];
        let mut change = store.change().await.unwrap();
        for (group, member) in pairs {
            change.join(&format!("group/{group}"), member).await.unwrap();
        }
        let none = change.join("group/gone", "ann").await;
        assert!(matches!(none, Err(StoreError::Missing("group"))));
        change.commit().await.unwrap();
        assert_eq!(store.roles().groups_of("ann").await.unwrap(), ["group/core", "group/edge"]);
        remove(&store, "group/core").await;
        remove(&store, "bob").await;
        assert_eq!(store.roles().groups_of("ann").await.unwrap(), ["group/edge"]);
        assert_eq!(store.roles().members_of("group/edge").await.unwrap(), ["ann"]);
        let mut change = store.change().await.unwrap();
        assert!(change.leave("group/edge", "ann").await.unwrap());
        assert!(!change.leave("group/edge", "ann").await.unwrap());
    }

    #[tokio::test]
    async fn a_boundary_needs_its_principal() {
        let (store, _dir) = scratch().await;
        let mut change = store.change().await.unwrap();
        let none = change.set_boundary("ann", "{}").await;
        assert!(matches!(none, Err(StoreError::Missing(_))));
        drop(change);
        store.principals().create("ann", &[], NOW).await.unwrap();
        let mut change = store.change().await.unwrap();
        change.set_boundary("ann", "{}").await.unwrap();
        change.set_boundary("ann", "[]").await.unwrap();
        let boundary = change.policy_texts("ann").await.unwrap().boundary;
        assert_eq!(boundary.as_deref(), Some("[]"));
        assert!(change.remove_boundary("ann").await.unwrap());
        assert!(!change.remove_boundary("ann").await.unwrap());
    }
}
