//! Ids of principals and documents that are given once. A name may be given again; what was stored
//! for the former bearer of a name holds an id, so it does not pass to the next one.
//!
//! Data flow: `create` -> [`new_id`]. A store of an older version -> migration -> [`complete`].
//!
//! # Invariants
//! - An older session or access request gets the id of today's bearer of its name only if that
//!   bearer was there first. Else it has no id, and nobody owns it.

use towline_host::entropy;
use towline_ssm::ids::unique_id;

use crate::engine::{self, Pool};
use crate::error::StoreError;

/// A new id: of a group, of a document, or of a user.
pub(crate) fn new_id(kind: IdKind) -> Result<String, StoreError> {
    let random = entropy::random().map_err(|_| StoreError::NoRandom)?;
    Ok(unique_id(kind.prefix(), random))
}

/// What an id is of. Roles bring theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdKind {
    User,
    Group,
    Role,
    Document,
    Provider,
    Federated,
    Webhook,
    SecondFactor,
}

impl IdKind {
    /// The kind of a principal, by its stored name.
    pub(crate) fn of(name: &str) -> Self {
        match name.split_once('/') {
            Some(("group", _)) => Self::Group,
            Some(("role", _)) => Self::Role,
            _ => Self::User,
        }
    }

    /// The four letters that AWS puts in front; documents, providers, their people and receivers of
    /// notifications have no such id there.
    const fn prefix(self) -> &'static str {
        match self {
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
            Self::Document => "ADOC",
            Self::Provider => "AIDP",
            Self::Federated => "AIDF",
            Self::Webhook => "AIDW",
            Self::SecondFactor => "AIDM",
        }
    }
}

/// Gives ids to rows of an older version, and makes them unique.
pub(crate) async fn complete(pool: &Pool) -> Result<(), StoreError> {
    let mut tx = pool.writing().await?;
    let names: Vec<String> =
        engine::query_scalar("SELECT name FROM principals WHERE unique_id = ''")
            .fetch_all(&mut *tx)
            .await?;
    for name in &names {
        engine::query("UPDATE principals SET unique_id = ? WHERE name = ?")
            .bind(new_id(IdKind::of(name))?)
            .bind(name)
            .execute(&mut *tx)
            .await?;
    }
    let documents: Vec<String> =
        engine::query_scalar("SELECT name FROM documents WHERE unique_id = ''")
            .fetch_all(&mut *tx)
            .await?;
    for name in &documents {
        engine::query("UPDATE documents SET unique_id = ? WHERE name = ?")
            .bind(new_id(IdKind::Document)?)
            .bind(name)
            .execute(&mut *tx)
            .await?;
    }
    if !names.is_empty() {
        for statement in OLDER_ROWS {
            engine::query(statement).execute(&mut *tx).await?;
        }
    }
    engine::query("CREATE UNIQUE INDEX IF NOT EXISTS principals_by_id ON principals (unique_id)")
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Sessions and requests of users that were there before them. A role's session does not say who
/// assumed the role.
const OLDER_ROWS: [&str; 3] = [
    "UPDATE sessions SET principal_id = COALESCE((SELECT p.unique_id FROM principals p \
     WHERE p.name = sessions.principal_name AND p.created_at <= sessions.started_at), '') \
     WHERE principal_id = '' AND SUBSTR(principal_arn, 1, 13) = 'arn:aws:iam::'",
    "UPDATE sessions SET person_id = principal_id WHERE person_id = ''",
    "UPDATE access_requests SET principal_id = COALESCE((SELECT p.unique_id FROM principals p \
     WHERE p.name = access_requests.principal AND p.created_at <= access_requests.created_at), '') \
     WHERE principal_id = ''",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, migrations};
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

    const SESSION: &str = "INSERT INTO sessions (id, device_id, principal_arn, principal_name, \
        document, status, idle_ms, started_at) VALUES (?, 'mi-1', ?, ?, 'd', 'Connecting', 1, ?)";
    const REQUEST: &str = "INSERT INTO access_requests (id, principal, principal_arn, reason, \
        targets, tags, status, created_at, expires_at) \
        VALUES (?, 'ann', 'a', 'r', '[]', '{}', 'Approved', ?, 9)";

    #[tokio::test]
    async fn rows_of_an_older_store_belong_to_who_was_there_before_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("towline.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        migrations::migrator_before(13).await.unwrap().run(&pool).await.unwrap();
        let pool = Pool::Sqlite(pool.into());
        for name in ["ann", "group/g", "role/ops"] {
            let insert = "INSERT INTO principals (name, created_at) VALUES (?, 5)";
            engine::query(insert).bind(name).execute(&pool).await.unwrap();
        }
        engine::query("INSERT INTO roles VALUES ('role/ops', 'AROAOPS', '{}', 3600)")
            .execute(&pool)
            .await
            .unwrap();
        let user = "arn:aws:iam::000000000000:user/ann";
        let role = "arn:aws:sts::000000000000:assumed-role/ops/ann";
        for (id, arn, at) in [("ann-new", user, 6), ("ann-old", user, 4), ("ann-role", role, 6)] {
            let insert = engine::query(SESSION).bind(id).bind(arn).bind("ann").bind(at);
            insert.execute(&pool).await.unwrap();
        }
        for (id, at) in [("oi-new", 6), ("oi-old", 4)] {
            engine::query(REQUEST).bind(id).bind(at).execute(&pool).await.unwrap();
        }
        pool.close().await;

        let store = Store::open(&path).await.unwrap();
        let ann = store.principals().get("ann").await.unwrap().unwrap();
        assert!(ann.unique_id.starts_with("AIDA") && ann.unique_id.len() == 20, "{ann:?}");
        let role = store.principals().get("role/ops").await.unwrap().unwrap();
        assert_eq!(role.unique_id, "AROAOPS");
        for (id, owner) in [("ann-new", &*ann.unique_id), ("ann-old", ""), ("ann-role", "")] {
            let session = store.sessions().get(id).await.unwrap().unwrap().new;
            assert_eq!((&*session.principal_id, &*session.person_id), (owner, owner), "{id}");
        }
        for (id, owner) in [("oi-new", &*ann.unique_id), ("oi-old", "")] {
            let request = store.access_requests().get(id).await.unwrap().unwrap();
            assert_eq!(request.principal_id, owner, "{id}");
        }
    }
}
