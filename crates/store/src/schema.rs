//! The schema of a store on a server, and what it means for programs of other versions.
//!
//! Data flow: [`look`] reads which steps were applied -> may this program work with them? ->
//! [`upgrade`] applies the steps that are missing, under the writers' lock.
//!
//! # Invariants
//! - A node works beside a schema of a newer version, unless one of the steps that it does not know
//!   says that it breaks older programs ([`migrations::BREAKS`]).
//! - A step that breaks older programs is not applied while a node lives that does not know it.
//!   This is decided under the writers' lock, which a node that joins takes, too.
//! - While a gateway works alone, no other one changes its schema.
//! - A step that waits for a table gives up after [`SERVER_TABLE_WAIT`]: all readers of the table
//!   queue behind it.
//!
//! # Not here
//! - Gateways that work alone, backups and stores in files: they refuse every newer schema.

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Executor as _, Postgres};

use crate::engine::guard::{LOCK_WRITERS, UNLOCK_WRITERS};
use crate::engine::member::{NOW, SHARED};
use crate::error::StoreError;
use crate::limits::SERVER_TABLE_WAIT;
use crate::migrations;

/// Who may work with the store while its schema is brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Nobody: this gateway has the place, or makes the store.
    Nobody,
    /// Other nodes, but no gateway that works alone.
    Nodes,
}

/// A step that was applied.
#[derive(Debug, Clone)]
struct Applied {
    version: i64,
    description: String,
}

/// What a database holds.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) users: i64,
    steps: Vec<Applied>,
}

impl Found {
    /// Whether no step was ever applied.
    pub(crate) fn is_bare(&self) -> bool {
        self.steps.is_empty()
    }

    pub(crate) fn holds_one(&self) -> Result<(), StoreError> {
        if self.users > 0 {
            return Ok(());
        }
        refuse("holds no store: is it the one that `towline-gateway init --store` was given?")
    }

    /// Whether a gateway may bring this schema up to date and work with it.
    pub(crate) fn suits(&self, beside: Beside) -> Result<(), StoreError> {
        let unknown = self.steps.iter().filter(|step| !migrations::knows(step.version));
        let stops = |step: &&Applied| {
            beside == Beside::Nobody || step.description.starts_with(migrations::BREAKS)
        };
        match unknown.filter(stops).map(|step| step.version).max() {
            None => Ok(()),
            Some(schema) => Err(StoreError::Server(newer(schema))),
        }
    }

    /// Whether it is the schema of this version, step by step.
    pub(crate) fn is_of_this_version(&self) -> Result<(), StoreError> {
        self.suits(Beside::Nobody)?;
        self.has_all_of_this_version()
    }

    /// Whether this version can read it: all of its own steps were applied.
    pub(crate) fn has_all_of_this_version(&self) -> Result<(), StoreError> {
        let Some(step) = self.missing().next() else { return Ok(()) };
        let schema = self.steps.iter().map(|step| step.version).max().unwrap_or(0);
        refuse(format!(
            "has schema {schema} without step {step}, and this version knows {}: use the version \
             that works with it",
            migrations::newest()
        ))
    }

    /// Steps of this version that were not applied.
    fn missing(&self) -> impl Iterator<Item = i64> {
        let is_applied = |number: &i64| self.steps.iter().any(|step| step.version == *number);
        migrations::numbers().filter(move |number| !is_applied(number))
    }
}

/// What the database has to a program that cannot work beside a step.
pub(crate) fn newer(schema: i64) -> String {
    format!(
        "has schema {schema} of a newer version; this version knows up to {}: install the newer \
         one",
        migrations::newest()
    )
}

fn refuse<T>(what: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Server(what.into()))
}

/// Looks at the server and the database before anything in it is changed.
pub(crate) async fn look(one: &PgPool) -> Result<Found, StoreError> {
    let mut connection = one.acquire().await?;
    let (standby, encoding, lasting): (bool, String, String) = sqlx::query_as(
        "SELECT pg_is_in_recovery(), current_setting('server_encoding'), \
         current_setting('synchronous_commit')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if standby {
        return refuse("is a standby, which takes no writes: name the primary");
    }
    if encoding != "UTF8" {
        return refuse(format!("has the encoding {encoding}: create it with UTF8"));
    }
    if lasting == "off" {
        return refuse("confirms what may be lost (synchronous_commit is off): switch it on");
    }
    let steps = steps(&mut connection).await?;
    let mut users = 0;
    if is_there(&mut connection, "principals").await? {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM principals");
        users = count.fetch_one(&mut *connection).await?;
    }
    Ok(Found { users, steps })
}

async fn is_there(connection: &mut PgConnection, table: &str) -> Result<bool, sqlx::Error> {
    let sql = "SELECT to_regclass($1) IS NOT NULL";
    sqlx::query_scalar(sql).bind(table).fetch_one(connection).await
}

/// The steps that were applied.
async fn steps(connection: &mut PgConnection) -> Result<Vec<Applied>, sqlx::Error> {
    if !is_there(connection, "_sqlx_migrations").await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, description FROM _sqlx_migrations ORDER BY version";
    let rows: Vec<(i64, String)> = sqlx::query_as(sql).fetch_all(connection).await?;
    let step = |(version, description)| Applied { version, description };
    Ok(rows.into_iter().map(step).collect())
}

/// Brings the schema up to date.
pub(crate) async fn upgrade(one: PgPool, beside: Beside) -> Result<(), StoreError> {
    let connection = one.acquire().await?;
    let done = apply(connection, beside).await;
    one.close().await; // and its locks with it
    done
}

async fn apply(mut one: PoolConnection<Postgres>, beside: Beside) -> Result<(), StoreError> {
    if beside == Beside::Nodes {
        let shared: bool = sqlx::query_scalar(SHARED).fetch_one(&mut *one).await?;
        if !shared {
            return Err(StoreError::Held);
        }
    }
    one.execute(LOCK_WRITERS).await?;
    // Another gateway may have been at it while this one waited.
    let found = Found { users: 0, steps: steps(&mut one).await? };
    found.suits(beside)?;
    if let Some(step) = found.missing().filter(|step| migrations::breaks(*step)).max() {
        let older = older_nodes(&mut one, step).await?;
        if !older.is_empty() {
            return refuse(format!(
                "is in use by gateways of an older version, which cannot work with schema {step} \
                 of this version: stop {} first; nothing was changed",
                older.join(", ")
            ));
        }
        end_older_nodes(&mut one, step).await?;
    }
    let patience = format!("SET lock_timeout = {}", SERVER_TABLE_WAIT.as_millis());
    one.execute(&*patience).await?;
    migrations::postgres(beside == Beside::Nodes).await?.run_direct(&mut *one).await?;
    one.execute(UNLOCK_WRITERS).await?;
    Ok(())
}

/// Which nodes do not know a step. The column came with step 69: a node of before knows less than
/// any step that asks.
const KNOW_LESS: &str = "COALESCE(CAST(to_jsonb(nodes) ->> 'knows' AS BIGINT), 0) < $1";

/// Nodes that do not know a step and stand still: when they go on, they end.
async fn end_older_nodes(one: &mut PgConnection, step: i64) -> Result<(), sqlx::Error> {
    if is_there(one, "nodes").await? {
        let sql = format!(
            "UPDATE nodes SET generation = generation + 1, expires_at = 1 \
             WHERE expires_at > 1 AND {KNOW_LESS}"
        );
        sqlx::query(&sql).bind(step).execute(one).await?;
    }
    Ok(())
}

/// Nodes that live and do not know a step.
async fn older_nodes(one: &mut PgConnection, step: i64) -> Result<Vec<String>, sqlx::Error> {
    if !is_there(one, "nodes").await? {
        return Ok(Vec::new());
    }
    let sql =
        format!("SELECT name FROM nodes WHERE expires_at > {NOW} AND {KNOW_LESS} ORDER BY name");
    sqlx::query_scalar(&sql).bind(step).fetch_all(one).await
}
