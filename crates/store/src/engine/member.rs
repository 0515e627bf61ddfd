//! The lease of a gateway that works on a store together with others: a node.
//!
//! Data flow: [`Member::join`] -> the lock of its name -> a row among the nodes, with one
//! generation more -> renewed on a connection of its own -> each write compares name, generation
//! and lease in its own transaction.
//!
//! # Invariants
//! - A node whose lease is over writes nothing until it has renewed it, and nothing at all once
//!   another node has declared it dead: the comparison is made under the writers' lock, by the
//!   clock of the database.
//! - One process at a time is the node of a name: it holds the lock of the name on the connection
//!   that renews its lease. A process that finds the lock taken waits until the lease is over or
//!   given back; it is refused when the lease is renewed meanwhile, by another process with a copy
//!   of its key.
//! - A gateway that works alone ([`super::place`]) and nodes exclude each other: nodes share its
//!   lock.
//! - One node does the chores of the cluster: it holds a second lock on the connection that renews
//!   its lease. A node that has lost the lock does not renew again before it has it back; when
//!   another one has it, the node is lost. When a former connection of the node has it, which the
//!   server does not know to be lost, that one is ended. A node begins with chores when a lease's
//!   time has passed with the lock.
//!
//! # Not here
//! - Who is declared dead: [`crate::nodes`]. The clock of the database: [`super::lease`].

use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Executor as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::backend::Backends;
use super::guard::{WRITING, WriteGuard};
use super::lease::{Lease, Renewal};
use super::place::{WORD, watched};
use crate::limits::{MAX_NODES, NODE_LEASE, NODE_RENEW, PLACE_AGAIN, SERVER_PATIENCE};
use crate::migrations;
use crate::run_commands::{LEAVES_COMMANDS, LEAVES_INVOCATIONS};

/// The lock of a gateway that works alone, shared by nodes.
pub(crate) const SHARED: &str = "SELECT pg_try_advisory_lock_shared(482989925221)";
/// The lock of the node that does the chores: "chores" in ASCII.
const CHORES: &str = "SELECT pg_try_advisory_lock(109300197516659)";
/// The lock of a node's name; the number is the one of the chores.
pub(crate) const NAME: &str =
    "SELECT pg_try_advisory_lock(hashtextextended('node ' || $1, 109300197516659))";
/// Renewals by another process that show it alive: one may have been under way when it died.
const SEEN_ALIVE: u32 = 2;
/// What the word of the place is while nodes work.
const CLUSTER: &str = "cluster";
/// The time of the database in milliseconds.
pub(crate) const NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// Who joins.
#[derive(Debug, Clone)]
pub struct NodeIdentity {
    /// Its name: letters, digits, hyphens and underscores.
    pub name: String,
    /// The key that proves it to other nodes.
    pub spki: Vec<u8>,
    /// Where other nodes reach it.
    pub address: String,
    /// Where devices reach it, if it is to be named to them.
    pub device_address: String,
}

/// Why a gateway is no node of the cluster.
#[derive(Debug)]
pub(crate) enum NotJoined {
    /// A gateway that works alone has the store.
    Alone,
    /// A node with another key has the name, and its lease holds.
    NameTaken,
    /// A node with another name has the key.
    KeyTaken,
    /// Another process works with this name and key.
    Twice,
    /// An administrator has not approved the node yet.
    Waits,
    /// The node was removed.
    Removed,
    /// The schema has this step of a newer version, which breaks older ones.
    Schema(i64),
    /// There are as many nodes as there may be.
    Full,
    /// The database.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for NotJoined {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// A lease. Dropped: it is not renewed any more.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: Arc<str>,
    lost: watch::Receiver<bool>,
    chores: watch::Receiver<bool>,
    pub(crate) lease: Arc<Lease>,
    keeper: JoinHandle<()>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.keeper.abort(); // its connection goes with it
    }
}

impl Member {
    /// Joins, and gives what each write compares.
    pub(crate) async fn join(
        options: &PgConnectOptions,
        identity: &NodeIdentity,
    ) -> Result<(Self, WriteGuard), NotJoined> {
        let options = watched(options);
        let mut connection = shared(&options).await?.ok_or(NotJoined::Alone)?;
        let has_name = wait_for_name(&mut connection, identity).await?;
        let (generation, is_alone, begun) = enter(&mut connection, identity).await?;
        let mut backends = Backends::default();
        backends.add(&mut connection).await?;
        let has_chores = is_alone && take_chores(&mut connection).await?;
        let (tell, lost) = watch::channel(false);
        let (tell_chores, chores) = watch::channel(has_chores);
        let lease = Arc::new(Lease::new());
        lease.renewed(begun);
        let name: Arc<str> = identity.name.as_str().into();
        let keeper = Keeper {
            options,
            name: Arc::clone(&name),
            generation,
            backends,
            lease: Arc::clone(&lease),
            has_name,
            has_chores,
            chores: tell_chores,
        };
        let guard = guard(&name, generation);
        let keeper = tokio::spawn(keeper.keep(connection, tell));
        Ok((Self { name, lost, chores, lease, keeper }, guard))
    }

    /// Waits until another node has declared this one dead, or has taken its name.
    pub(crate) async fn lost(&self) {
        let mut lost = self.lost.clone();
        if lost.wait_for(|lost| *lost).await.is_err() {
            std::future::pending::<()>().await; // given back, not lost
        }
    }

    /// The lease is not renewed any more.
    pub(crate) fn stop(&self) {
        self.keeper.abort();
    }

    /// Becomes true when this node does the chores of the cluster.
    pub(crate) fn chores(&self) -> watch::Receiver<bool> {
        self.chores.clone()
    }
}

/// A connection that shares the lock; `None`: a gateway that works alone has it.
async fn shared(options: &PgConnectOptions) -> Result<Option<PgConnection>, sqlx::Error> {
    let mut connection = options.connect().await?;
    let got: bool = sqlx::query_scalar(SHARED).fetch_one(&mut connection).await?;
    Ok(got.then_some(connection))
}

/// Takes the lock of the node's name. Another process may have it, or a connection that is lost:
/// then this waits until its lease is over. False: the lock is not free even then, or it is another
/// node's, which [`look_round`] judges.
async fn wait_for_name(
    connection: &mut PgConnection,
    node: &NodeIdentity,
) -> Result<bool, NotJoined> {
    let (mut known, mut renewals) = (None, 0);
    let end = Instant::now() + 2 * NODE_LEASE;
    while !take_name(connection, &node.name).await? {
        let sql = format!("SELECT expires_at, expires_at > {NOW}, spki FROM nodes WHERE name = $1");
        let row: Option<(i64, bool, Vec<u8>)> =
            sqlx::query_as(&sql).bind(&node.name).fetch_optional(&mut *connection).await?;
        match row {
            Some((_, false, _)) => return Ok(false),
            Some((_, _, spki)) if spki != node.spki => return Ok(false),
            None if Instant::now() > end => return Ok(false),
            None => {} // it is just coming itself
            Some((ends, ..)) => {
                if known.replace(ends).is_some_and(|before| before != ends) {
                    renewals += 1;
                }
                if renewals == SEEN_ALIVE {
                    return Err(NotJoined::Twice);
                }
            }
        }
        sleep(PLACE_AGAIN).await;
    }
    Ok(true)
}

async fn take_name(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(NAME).bind(name).fetch_one(connection).await
}

/// Writes the node's row; its generation, whether no other node lives, and the lease. What an
/// earlier process of the name held is over, but for its sessions.
async fn enter(
    connection: &mut PgConnection,
    node: &NodeIdentity,
) -> Result<(i64, bool, Renewal), NotJoined> {
    connection.execute(WRITING).await?;
    let alive = look_round(connection, node).await?;
    let lease = i64::try_from(NODE_LEASE.as_millis()).unwrap_or(i64::MAX);
    let asked = Instant::now();
    let (generation, ends): (i64, i64) = sqlx::query_as(&format!(
        "INSERT INTO nodes (name, generation, expires_at, spki, address, version, joined_at, \
         device_address, knows) VALUES ($1, 1, {NOW} + $2, $3, $4, $5, {NOW}, $6, $7) \
         ON CONFLICT (name) DO UPDATE SET \
         generation = nodes.generation + 1, expires_at = excluded.expires_at, spki = \
         excluded.spki, \
         address = excluded.address, version = excluded.version, joined_at = excluded.joined_at, \
         device_address = excluded.device_address, knows = excluded.knows, draining = 0 \
         RETURNING generation, expires_at"
    ))
    .bind(&node.name)
    .bind(lease)
    .bind(&node.spki)
    .bind(&node.address)
    .bind(env!("CARGO_PKG_VERSION"))
    .bind(&node.device_address)
    .bind(migrations::newest())
    .fetch_one(&mut *connection)
    .await?;
    let begun = Renewal { asked, answered: Instant::now(), ends, was_held: true };
    // What an earlier process of the name held, so that the other nodes see it; then what a gateway
    // had that worked alone before.
    for statement in [
        "DELETE FROM presence WHERE node = ?",
        LEAVES_COMMANDS,
        LEAVES_INVOCATIONS,
        "UPDATE sessions SET node = ? WHERE node = '' AND ended_at IS NULL",
        "UPDATE begun_requests SET node = ? WHERE node = ''",
    ] {
        let statement = statement.replacen('?', "$1", 1);
        sqlx::query(&statement).bind(&node.name).execute(&mut *connection).await?;
    }
    sqlx::query(
        "INSERT INTO settings (key, value) VALUES ($1, $2) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )
    .bind(WORD)
    .bind(CLUSTER)
    .execute(&mut *connection)
    .await?;
    connection.execute("COMMIT").await?;
    Ok((generation, alive == 0, begun))
}

/// Whether the node may enter; the number of others that live.
async fn look_round(connection: &mut PgConnection, node: &NodeIdentity) -> Result<i64, NotJoined> {
    let known: Option<(Vec<u8>, bool, i64)> = sqlx::query_as(&format!(
        "SELECT spki, expires_at > {NOW}, approved FROM nodes WHERE name = $1"
    ))
    .bind(&node.name)
    .fetch_optional(&mut *connection)
    .await?;
    match known {
        Some((spki, lives, approved)) if spki != node.spki && (lives || approved != 1) => {
            return Err(NotJoined::NameTaken);
        }
        Some((_, _, 0)) => return Err(NotJoined::Waits),
        Some((_, _, approved)) if approved < 0 => return Err(NotJoined::Removed),
        _ => {}
    }
    let breaking: Option<i64> = sqlx::query_scalar(
        "SELECT MAX(version) FROM _sqlx_migrations WHERE version <> ALL ($1) \
         AND SUBSTR(description, 1, LENGTH($2)) = $2",
    )
    .bind(migrations::numbers().collect::<Vec<_>>())
    .bind(migrations::BREAKS)
    .fetch_one(&mut *connection)
    .await?;
    if let Some(step) = breaking {
        return Err(NotJoined::Schema(step));
    }
    let same_key: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM nodes WHERE spki = $1 AND name <> $2")
            .bind(&node.spki)
            .bind(&node.name)
            .fetch_one(&mut *connection)
            .await?;
    if same_key > 0 {
        return Err(NotJoined::KeyTaken);
    }
    let (others, alive): (i64, i64) = sqlx::query_as(&format!(
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE expires_at > {NOW}) FROM nodes WHERE name <> $1"
    ))
    .bind(&node.name)
    .fetch_one(&mut *connection)
    .await?;
    if others >= MAX_NODES {
        return Err(NotJoined::Full);
    }
    Ok(alive)
}

/// Renews a lease.
struct Keeper {
    options: PgConnectOptions,
    name: Arc<str>,
    generation: i64,
    /// Behind its connections, of now and of before.
    backends: Backends,
    lease: Arc<Lease>,
    has_name: bool,
    has_chores: bool,
    chores: watch::Sender<bool>,
}

/// What a turn of the keeper came to.
enum Turn {
    /// The lease was renewed, by this connection.
    Renewed(PgConnection),
    /// A former connection had the lock of the chores: the lease is not renewed before this node
    /// has it again.
    Later,
    /// Another node has declared this one dead, has taken its name or does the chores, or a gateway
    /// works alone.
    Lost,
}

impl Keeper {
    async fn keep(mut self, first: PgConnection, tell: watch::Sender<bool>) {
        let mut held = Some(first);
        let mut chores_since = None;
        loop {
            sleep(if held.is_some() { NODE_RENEW } else { PLACE_AGAIN }).await;
            match timeout(SERVER_PATIENCE, self.turn(held.take())).await {
                Ok(Ok(Turn::Lost)) => {
                    let _ = tell.send(true); // nobody waits when the store is being closed
                    return;
                }
                Ok(Ok(Turn::Renewed(connection))) => held = Some(connection),
                Ok(Ok(Turn::Later) | Err(_)) | Err(_) => {
                    self.lease.begin_again(); // it runs out meanwhile
                }
            }
            if self.has_chores {
                let since = *chores_since.get_or_insert_with(Instant::now);
                if since.elapsed() > NODE_LEASE {
                    self.chores.send_if_modified(|chores| !std::mem::replace(chores, true));
                }
            }
        }
    }

    /// Renews the lease on the connection that is held, or on another one.
    async fn turn(&mut self, held: Option<PgConnection>) -> Result<Turn, sqlx::Error> {
        let mut connection = match held {
            Some(connection) => connection,
            None => {
                let Some(mut connection) = shared(&self.options).await? else {
                    return Ok(Turn::Lost);
                };
                self.backends.add(&mut connection).await?;
                self.has_name = take_name(&mut connection, &self.name).await?;
                if !self.has_name {
                    self.backends.end_former(&mut connection).await?;
                }
                if self.has_chores && !take_chores(&mut connection).await? {
                    if self.backends.end_former(&mut connection).await? {
                        return Ok(Turn::Later);
                    }
                    // The former one has gone since, or another node has the lock.
                    if !take_chores(&mut connection).await? {
                        return Ok(Turn::Lost);
                    }
                }
                connection
            }
        };
        if !self.renew(&mut connection).await? {
            return Ok(Turn::Lost);
        }
        self.backends.forget_former();
        if !self.has_name {
            self.has_name = take_name(&mut connection, &self.name).await?;
        }
        if !self.has_chores && self.lease.is_steady() {
            self.has_chores = take_chores(&mut connection).await?;
        }
        Ok(Turn::Renewed(connection))
    }

    /// Whether the lease is still this process's.
    async fn renew(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let lease = i64::try_from(NODE_LEASE.as_millis()).unwrap_or(i64::MAX);
        let asked = Instant::now();
        let renewed: Option<(bool, i64)> = sqlx::query_as(&format!(
            "WITH before AS (SELECT expires_at > {NOW} AS held FROM nodes WHERE name = $1) \
             UPDATE nodes SET expires_at = {NOW} + $3 FROM before WHERE nodes.name = $1 \
             AND nodes.generation = $2 RETURNING before.held, nodes.expires_at"
        ))
        .bind(&*self.name)
        .bind(self.generation)
        .bind(lease)
        .fetch_optional(&mut *connection)
        .await?;
        if let Some((was_held, ends)) = renewed {
            self.lease.renewed(Renewal { asked, answered: Instant::now(), ends, was_held });
        }
        Ok(renewed.is_some())
    }
}

async fn take_chores(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(CHORES).fetch_one(connection).await
}

/// What begins a transaction that writes.
fn guard(name: &str, generation: i64) -> WriteGuard {
    WriteGuard {
        statement: format!(
            "; SELECT 1 / (CASE WHEN (SELECT value FROM settings WHERE key = '{WORD}') = \
             '{CLUSTER}' \
             AND EXISTS (SELECT 1 FROM nodes WHERE name = '{name}' AND generation = {generation} \
             AND expires_at > {NOW}) THEN 1 ELSE 0 END)"
        ),
        refusal: "the lease of this node is over: it writes nothing until it has renewed it",
    }
}
