//! A change of who may do what: what it reads, what is decided on that, and what it writes are one
//! transaction.
//!
//! Data flow: [`Store::change`] takes the writer's lock -> reads and writes of this file -> the
//! caller looks at the outcome -> [`Change::commit`], or a drop, which takes everything back.
//!
//! # Invariants
//! - No other write happens between the first read and the commit.
//! - A principal is named by its row as it was read before ([`Store::change_of`]): when it was
//!   removed since, also when its name was given again, nothing is changed.
//! - What hangs on a principal goes with it: keys, policies, memberships, boundary, tags, and the
//!   rights of its access requests.
//!
//! # Not here
//! - What policies mean, and who is an administrator: the gateway.

use towline_host::clock::UnixMillis;

use crate::engine::{self, Connection, Tx};
use crate::error::StoreError;
use crate::identity::{IdKind, new_id};
use crate::limits;
use crate::principals::Principal;
use crate::roles::Role;
use crate::store::{Store, within};
use crate::tags::{Tag, TagKind, put_all};

/// An open change.
#[derive(Debug)]
pub struct Change {
    pub(crate) tx: Tx,
}

/// What a removed principal leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Sessions of it that have not ended.
    pub sessions: Vec<String>,
    /// Access requests that give nothing any more.
    pub requests: u64,
}

/// The texts of all policies that count for a principal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyTexts {
    /// Name and text of its own policies and of those of its groups (`group/NAME: POLICY`).
    pub identity: Vec<(String, String)>,
    /// Its boundary.
    pub boundary: Option<String>,
}

/// A role, and who may assume it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The role's stored name.
    pub role: String,
    /// Its trust policy's text.
    pub text: String,
}

impl Store {
    /// Begins a change. It waits for the one that is open.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn change(&self) -> Result<Change, StoreError> {
        Ok(Change { tx: self.writing().await? })
    }

    /// What is stored at this moment, for reading alone: it is not to be committed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn as_it_is(&self) -> Result<Change, StoreError> {
        Ok(Change { tx: self.pool.reading().await? })
    }

    /// Begins a change of a principal that was read before.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when that principal was removed since.
    pub async fn change_of(&self, principal: &Principal) -> Result<Change, StoreError> {
        let mut change = self.change().await?;
        let now: Option<String> =
            engine::query_scalar("SELECT unique_id FROM principals WHERE name = ?")
                .bind(&principal.name)
                .fetch_optional(&mut *change.tx)
                .await?;
        if now.as_deref() == Some(&*principal.unique_id) {
            return Ok(change);
        }
        Err(StoreError::Missing("principal"))
    }
}

/// The policies of one principal, as this connection sees them.
pub(crate) async fn policy_texts(
    connection: &mut Connection,
    principal: &str,
) -> Result<PolicyTexts, StoreError> {
    const OF: &str =
        "SELECT name, document FROM principal_policies WHERE principal = ? ORDER BY name";
    let mut identity: Vec<(String, String)> =
        engine::query_as(OF).bind(principal).fetch_all(&mut *connection).await?;
    let groups: Vec<String> = engine::query_scalar(
        "SELECT group_name FROM group_members WHERE member = ? ORDER BY group_name",
    )
    .bind(principal)
    .fetch_all(&mut *connection)
    .await?;
    for group in groups {
        let rows: Vec<(String, String)> =
            engine::query_as(OF).bind(&group).fetch_all(&mut *connection).await?;
        identity.extend(rows.into_iter().map(|(name, text)| (format!("{group}: {name}"), text)));
    }
    let boundary = engine::query_scalar("SELECT document FROM boundaries WHERE principal = ?")
        .bind(principal)
        .fetch_optional(&mut *connection)
        .await?;
    Ok(PolicyTexts { identity, boundary })
}

impl Change {
    /// Keeps what was changed.
    ///
    /// # Errors
    /// [`StoreError::Database`]; nothing was changed then.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }

    /// The policies of a principal, with what this change did to them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn policy_texts(&mut self, principal: &str) -> Result<PolicyTexts, StoreError> {
        policy_texts(&mut self.tx, principal).await
    }

    /// Names of the users that have an active key, each with its tags.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn users_with_a_key(&mut self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT principal FROM access_keys WHERE status = 'Active' ORDER BY 1";
        Ok(engine::query_scalar(sql).fetch_all(&mut *self.tx).await?)
    }

    /// Tags of a principal.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn tags(&mut self, principal: &str) -> Result<Vec<Tag>, StoreError> {
        Ok(engine::query_as("SELECT key, value FROM tags WHERE kind = ? AND id = ?")
            .bind(TagKind::Principal.as_str())
            .bind(principal)
            .fetch_all(&mut *self.tx)
            .await?)
    }

    /// All roles with their trust policies.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn trusts(&mut self) -> Result<Vec<Trust>, StoreError> {
        let rows: Vec<(String, String)> =
            engine::query_as("SELECT principal, trust FROM roles ORDER BY principal")
                .fetch_all(&mut *self.tx)
                .await?;
        Ok(rows.into_iter().map(|(role, text)| Trust { role, text }).collect())
    }

    /// Whether principals of these stored names exist; the first that does not.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn first_missing<'n>(
        &mut self,
        names: &'n [String],
    ) -> Result<Option<&'n str>, StoreError> {
        for name in names {
            let known: i64 = engine::query_scalar("SELECT COUNT(*) FROM principals WHERE name = ?")
                .bind(name)
                .fetch_one(&mut *self.tx)
                .await?;
            if known == 0 {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Creates a user or group with its tags. Returns its row.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Full`].
    pub async fn create(
        &mut self,
        name: &str,
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Principal, StoreError> {
        let unique_id = new_id(IdKind::of(name))?;
        self.insert(name, unique_id, tags, now).await
    }

    async fn insert(
        &mut self,
        name: &str,
        unique_id: String,
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Principal, StoreError> {
        let tx = &mut self.tx;
        let count = "SELECT COUNT(*) FROM principals WHERE name <> ?";
        within(tx, count, name, "principals", limits::MAX_PRINCIPALS).await?;
        // As at AWS: two names that differ in letter case only would be taken for each other.
        let alike: Option<String> =
            engine::query_scalar("SELECT name FROM principals WHERE LOWER(name) = ? LIMIT 1")
                .bind(name.to_ascii_lowercase())
                .fetch_optional(&mut **tx)
                .await?;
        if alike.is_some() {
            return Err(StoreError::Exists("principal of this name, letter case aside,"));
        }
        engine::query("INSERT INTO principals (name, unique_id, created_at) VALUES (?, ?, ?)")
            .bind(name)
            .bind(&unique_id)
            .bind(now.0)
            .execute(&mut **tx)
            .await
            .map_err(StoreError::on_insert("principal"))?;
        put_all(tx, TagKind::Principal, name, tags).await?;
        Ok(Principal { name: name.to_owned(), unique_id, created_at: now })
    }

    /// Creates a role (`name` begins with `role/`) with its tags. Returns its row.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Full`].
    pub async fn create_role(
        &mut self,
        name: &str,
        role: &Role,
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Principal, StoreError> {
        let made = self.insert(name, role.unique_id.clone(), tags, now).await?;
        engine::query(
            "INSERT INTO roles (principal, unique_id, trust, max_seconds) VALUES (?, ?, ?, ?)",
        )
        .bind(name)
        .bind(&role.unique_id)
        .bind(&role.trust)
        .bind(role.max_seconds)
        .execute(&mut *self.tx)
        .await?;
        Ok(made)
    }

    /// Changes the given fields of a role. `false`: there is no such role.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn update_role(
        &mut self,
        role: &str,
        trust: Option<&str>,
        max_seconds: Option<i64>,
    ) -> Result<bool, StoreError> {
        let done = engine::query(
            "UPDATE roles SET trust = COALESCE(?, trust), max_seconds = COALESCE(?, max_seconds) \
             WHERE principal = ?",
        )
        .bind(trust)
        .bind(max_seconds)
        .bind(role)
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Sessions that have not ended, of these ids of principals or persons.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn live_sessions(&mut self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for id in ids {
            let rows: Vec<String> = engine::query_scalar(
                "SELECT id FROM sessions WHERE ended_at IS NULL AND (principal_id = ? OR \
                 person_id = ?) ORDER BY id",
            )
            .bind(id)
            .bind(id)
            .fetch_all(&mut *self.tx)
            .await?;
            found.extend(rows);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Ids of the users in a group.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn member_ids(&mut self, group: &str) -> Result<Vec<String>, StoreError> {
        Ok(engine::query_scalar(
            "SELECT p.unique_id FROM group_members m JOIN principals p ON p.name = m.member WHERE \
             m.group_name = ?",
        )
        .bind(group)
        .fetch_all(&mut *self.tx)
        .await?)
    }

    /// Removes a principal with its keys, policies, memberships, boundary and tags. Its undecided
    /// requests for access are rejected, its approved ones revoked, in the name of `by`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(
        &mut self,
        principal: &Principal,
        by: &str,
        now: UnixMillis,
    ) -> Result<Removed, StoreError> {
        let id = &principal.unique_id;
        let sessions = self.live_sessions(std::slice::from_ref(id)).await?;
        engine::query("DELETE FROM principals WHERE unique_id = ?")
            .bind(id)
            .execute(&mut *self.tx)
            .await?;
        engine::query("DELETE FROM tags WHERE kind = ? AND id = ?")
            .bind(TagKind::Principal.as_str())
            .bind(&principal.name)
            .execute(&mut *self.tx)
            .await?;
        let requests = engine::query(
            "UPDATE access_requests SET status = CASE WHEN status = 'Pending' THEN 'Rejected' \
             ELSE 'Revoked' END, \
             decided_by = ? WHERE (principal_id = ? OR principal = ?) \
             AND status IN ('Pending', 'Approved') AND expires_at > ?",
        )
        .bind(by)
        .bind(id)
        .bind(&principal.name) // requests of people in a role that is removed
        .bind(now.0)
        .execute(&mut *self.tx)
        .await?;
        Ok(Removed { sessions, requests: requests.rows_affected() })
    }

    /// Stores a new key, active.
    ///
    /// # Errors
    /// [`StoreError::Full`] beyond [`limits::MAX_ACCESS_KEYS`].
    pub async fn add_key(
        &mut self,
        principal: &str,
        id: &str,
        sealed: &[u8],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (tx, count) = (&mut self.tx, "SELECT COUNT(*) FROM access_keys WHERE principal = ?");
        within(tx, count, principal, "access keys of this principal", limits::MAX_ACCESS_KEYS)
            .await?;
        engine::query(
            "INSERT INTO access_keys (id, principal, sealed, status, created_at) VALUES (?, ?, ?, \
             'Active', ?)",
        )
        .bind(id)
        .bind(principal)
        .bind(sealed)
        .bind(now.0)
        .execute(&mut *self.tx)
        .await
        .map_err(StoreError::on_insert("access key"))?;
        Ok(())
    }

    /// Activates or deactivates a key of this user, which voids what it was given until then.
    /// `false`: the user has no such key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set_key_active(
        &mut self,
        principal: &str,
        id: &str,
        active: bool,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let status = if active { "Active" } else { "Inactive" };
        let done = engine::query(
            "UPDATE access_keys SET holds_since = CASE WHEN status = 'Active' AND ? = 'Inactive' \
             THEN ? ELSE holds_since END, status = ? WHERE id = ? AND principal = ?",
        )
        .bind(status)
        .bind(now.0)
        .bind(status)
        .bind(id)
        .bind(principal)
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Removes a key of this user. `false`: the user has no such key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delete_key(&mut self, principal: &str, id: &str) -> Result<bool, StoreError> {
        let done = engine::query("DELETE FROM access_keys WHERE id = ? AND principal = ?")
            .bind(id)
            .bind(principal)
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Stores a policy; one with the same name is replaced.
    ///
    /// # Errors
    /// [`StoreError::Full`] beyond the bounds on number and bytes; [`StoreError::Missing`] without
    /// the principal.
    pub async fn put_policy(
        &mut self,
        principal: &str,
        name: &str,
        document: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let tx = &mut self.tx;
        let known: i64 = engine::query_scalar("SELECT COUNT(*) FROM principals WHERE name = ?")
            .bind(principal)
            .fetch_one(&mut **tx)
            .await?;
        if known == 0 {
            return Err(StoreError::Missing("principal"));
        }
        engine::query(
            "INSERT INTO principal_policies (principal, name, document, updated_at) VALUES (?, ?, \
             ?, ?) \
             ON CONFLICT (principal, name) DO UPDATE SET document = excluded.document, updated_at \
             = excluded.updated_at",
        )
        .bind(principal)
        .bind(name)
        .bind(document)
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
        let count = "SELECT COUNT(*) - 1 FROM principal_policies WHERE principal = ?";
        within(tx, count, principal, "policies of this principal", limits::MAX_POLICIES).await?;
        let bytes =
            "SELECT SUM(OCTET_LENGTH(document)) - 1 FROM principal_policies WHERE principal = ?";
        let what = "bytes of policies of this principal";
        within(tx, bytes, principal, what, limits::MAX_POLICY_BYTES).await
    }

    /// Removes a policy. `false`: there is no such policy.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delete_policy(&mut self, principal: &str, name: &str) -> Result<bool, StoreError> {
        let done = engine::query("DELETE FROM principal_policies WHERE principal = ? AND name = ?")
            .bind(principal)
            .bind(name)
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Adds a user to a group (`group` begins with `group/`). A member stays a member.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without user or group, [`StoreError::Full`] beyond
    /// [`limits::MAX_GROUPS_OF_USER`].
    pub async fn join(&mut self, group: &str, member: &str) -> Result<(), StoreError> {
        let names = [group.to_owned(), member.to_owned()];
        if let Some(missing) = self.first_missing(&names).await? {
            let what = if missing == group { "group" } else { "principal" };
            return Err(StoreError::Missing(what));
        }
        engine::query(
            "INSERT INTO group_members (group_name, member) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(group)
        .bind(member)
        .execute(&mut *self.tx)
        .await?;
        let count = "SELECT COUNT(*) - 1 FROM group_members WHERE member = ?";
        let most = limits::MAX_GROUPS_OF_USER;
        within(&mut self.tx, count, member, "groups of this user", most).await
    }

    /// Removes a user from a group. `false`: the user is not a member.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn leave(&mut self, group: &str, member: &str) -> Result<bool, StoreError> {
        let done = engine::query("DELETE FROM group_members WHERE group_name = ? AND member = ?")
            .bind(group)
            .bind(member)
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Sets the boundary of a principal.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without the principal.
    pub async fn set_boundary(
        &mut self,
        principal: &str,
        document: &str,
    ) -> Result<(), StoreError> {
        let done = engine::query(
            "INSERT INTO boundaries (principal, document) SELECT name, ? FROM principals WHERE \
             name = ? \
             ON CONFLICT (principal) DO UPDATE SET document = excluded.document",
        )
        .bind(document)
        .bind(principal)
        .execute(&mut *self.tx)
        .await?;
        if done.rows_affected() == 0 { Err(StoreError::Missing("principal")) } else { Ok(()) }
    }

    /// Removes the boundary of a principal. `false`: it has none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove_boundary(&mut self, principal: &str) -> Result<bool, StoreError> {
        let done = engine::query("DELETE FROM boundaries WHERE principal = ?")
            .bind(principal)
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

#[cfg(test)]
mod tests;
