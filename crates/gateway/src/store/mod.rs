//! What the gateway remembers: devices, activations, principals, sessions, commands, settings, the
//! audit trail.
//!
//! Way: the API and the data plane call a theme's handle (`store.devices()`, ...) -> SQL with bound
//! parameters -> rows as plain structs. SQLite embedded, write-ahead log, every commit synced: what
//! was answered is still there after a power cut.
//!
//! # Invariants
//! - SQL stands in this folder only, and only with bound values: no text of a request becomes part
//!   of a statement.
//! - Every table has a bound: by [`crate::limits`], checked in the transaction that adds the row,
//!   or by pruning.
//! - Times come from the caller; the store has no clock.
//!
//! # Not here
//! - Policy, validation of names, secrets in the clear: `access_keys.sealed` is opaque to the
//!   store.

mod access;
mod activations;
mod audit;
mod commands;
mod devices;
mod documents;
mod keys;
mod migrations;
mod principals;
mod roles;
mod run_commands;
mod sessions;
mod settings;
mod tags;

use std::path::Path;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{QueryBuilder, Sqlite, Transaction};

pub use access::{AccessRequest, AccessRequests};
pub use activations::{Activation, ActivationFilter, Activations, NewActivation};
pub use audit::{AuditRow, AuditTrail};
pub use commands::{CommandBatch, CommandLog, CommandRow, RawCommand, StoredCommand};
pub use devices::{Device, DeviceFilter, DeviceReport, DeviceStatus, Devices, NewDevice};
pub use documents::{Document, DocumentText, Documents, NewDocument, Version};
pub(crate) use documents::{SAME_NAME, SAME_TEXT};
pub use keys::{DeviceKey, DeviceKeys, KeyStatus, fingerprint};
pub use principals::{AccessKey, Principal, Principals};
pub use roles::{Role, Roles};
pub use run_commands::{
    CommandEnd, CommandFilter, CommandStore, InvocationChange, InvocationRow, NewCommand,
    OutputHeads, SentCommand,
};
pub use sessions::{NewSession, Session, SessionFilter, SessionStatus, SessionStore};
pub use settings::{IDLE_MINUTES, MAX_MINUTES, SessionLimits, Settings};
pub use tags::{Tag, TagKind, Tags};

use crate::limits;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table is at its bound; nothing was written.
    #[error("there are already {limit} {what}: remove some first")]
    Full {
        /// What there are enough of.
        what: &'static str,
        /// The bound.
        limit: i64,
    },
    /// The name is taken; nothing was written.
    #[error("this {0} exists already")]
    Exists(&'static str),
    /// What it should have changed is not there.
    #[error("no such {0}")]
    Missing(&'static str),
    /// A row that this version does not understand.
    #[error("the store holds a row that this version cannot read: {0}")]
    Row(String),
    /// The database failed: disk full, locked for too long, damaged.
    #[error("the store failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the store's schema could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// For an insert whose key may be taken.
    fn on_insert(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |error| match &error {
            sqlx::Error::Database(d) if d.is_unique_violation() => Self::Exists(what),
            _ => Self::Database(error),
        }
    }
}

/// The embedded store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the store's file, made if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(limits::STORE_BUSY);
        let pool = SqlitePoolOptions::new()
            .max_connections(limits::STORE_CONNECTIONS)
            .connect_with(options)
            .await?;
        migrations::migrator().await?.run(&pool).await?;
        Ok(Self { pool })
    }

    /// Ends the store: waits for running statements and folds the log into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Whether the store answers at all.
    ///
    /// # Errors
    /// The database's own.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Devices.
    #[must_use]
    pub const fn devices(&self) -> Devices<'_> {
        Devices { store: self }
    }
    /// Keys of devices.
    #[must_use]
    pub const fn device_keys(&self) -> DeviceKeys<'_> {
        DeviceKeys { store: self }
    }
    /// Tags of devices and principals.
    #[must_use]
    pub const fn tags(&self) -> Tags<'_> {
        Tags { store: self }
    }
    /// Activations.
    #[must_use]
    pub const fn activations(&self) -> Activations<'_> {
        Activations { store: self }
    }
    /// Principals, their access keys and policies.
    #[must_use]
    pub const fn principals(&self) -> Principals<'_> {
        Principals { store: self }
    }
    /// Documents and their versions.
    #[must_use]
    pub const fn documents(&self) -> Documents<'_> {
        Documents { store: self }
    }
    /// Roles, groups' members, boundaries.
    #[must_use]
    pub const fn roles(&self) -> Roles<'_> {
        Roles { store: self }
    }
    /// Requests for access for a time.
    #[must_use]
    pub const fn access_requests(&self) -> AccessRequests<'_> {
        AccessRequests { store: self }
    }
    /// Commands.
    #[must_use]
    pub const fn run_commands(&self) -> CommandStore<'_> {
        CommandStore { store: self }
    }
    /// Sessions.
    #[must_use]
    pub const fn sessions(&self) -> SessionStore<'_> {
        SessionStore { store: self }
    }
    /// Settings.
    #[must_use]
    pub const fn settings(&self) -> Settings<'_> {
        Settings { store: self }
    }
    /// The command log of devices.
    #[must_use]
    pub const fn commands(&self) -> CommandLog<'_> {
        CommandLog { store: self }
    }
    /// The audit trail.
    #[must_use]
    pub const fn audit(&self) -> AuditTrail<'_> {
        AuditTrail { store: self }
    }

    /// A transaction that will write. It takes the writer's lock at once: a transaction that begins
    /// by reading and then wants to write can be refused by SQLite without waiting.
    async fn writing(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Refuses when the counted table has reached its bound. Runs in the transaction that is about to
/// add a row.
async fn within(
    tx: &mut Transaction<'static, Sqlite>,
    count: &'static str,
    key: &str,
    what: &'static str,
    limit: i64,
) -> Result<(), StoreError> {
    let rows: i64 = sqlx::query_scalar(count).bind(key).fetch_one(&mut **tx).await?;
    if rows >= limit { Err(StoreError::Full { what, limit }) } else { Ok(()) }
}

/// Adds `AND column IN (...)`, values bound, unless there are none. `column` is a literal of this
/// folder.
fn one_of<'q>(query: &mut QueryBuilder<'q, Sqlite>, column: &'static str, values: &'q [String]) {
    if values.is_empty() {
        return;
    }
    query.push(" AND ").push(column).push(" IN (");
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value.clone());
    }
    query.push(")");
}

#[cfg(test)]
pub(crate) mod testing {
    //! A store in a folder of its own, for the tests of this crate.
    use super::*;

    /// The store and the folder that must outlive it.
    pub(crate) async fn scratch() -> (Store, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("towline.db")).await.unwrap();
        (store, dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_opens_again_with_what_was_written() {
        let (store, dir) = testing::scratch().await;
        store.settings().set("k", "v").await.unwrap();
        store.close().await;
        let again = Store::open(&dir.path().join("towline.db")).await.unwrap();
        assert_eq!(again.settings().get("k").await.unwrap().as_deref(), Some("v"));
    }
}
