//! The store: the database file opened and migrated, and what the tables' modules share. The server
//! in place of the file: `server`.
//!
//! # Invariants
//! - A connection whose transaction could not be ended (the disk was full, the system failed) never
//!   serves again: it is closed and replaced. The driver would refuse each later transaction on it.
//! - One connection outside of the pool stays open, so that the log and its index stay on the disk:
//!   a new connection on a full disk needs no room.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use sqlx::Connection as _;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use tokio::time::timeout;
use towline_host::clock::UnixMillis;

use crate::engine::{self, Member, Place, Pool, QueryBuilder, Tx, WORD};
use crate::error::StoreError;
use crate::limits::SERVER_PATIENCE;
use crate::sessions::Unreadable;
use crate::{device_texts, identity, limits, migrations, tag_keys};

/// The store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) pool: Pool,
    /// For searches, which read much: the other calls have connections of their own.
    pub(crate) search: Pool,
    /// Of a file; a server needs none.
    pub(crate) keeper: Arc<Mutex<Option<SqliteConnection>>>,
    /// On a server; a file has none.
    pub(crate) place: Option<Arc<Place>>,
    /// Among the nodes of a cluster.
    pub(crate) member: Option<Arc<Member>>,
    /// The name among them; empty for a gateway that works alone.
    pub(crate) node: Arc<str>,
    /// Sessions that this version cannot read.
    pub(crate) unreadable: Arc<Unreadable>,
}

/// Key of the setting that [`Store::probe`] writes.
const PROBE: &str = "store.probe";
/// Key of the setting that says that the store was opened and not closed.
const OPEN: &str = "store.open";
/// Settings about this store, not of what is in it: another one does not get them.
pub(crate) const OWN_SETTINGS: [&str; 3] = [PROBE, OPEN, WORD];

impl Store {
    /// Opens the database file, creates it if it does not exist, and migrates the schema.
    ///
    /// # Errors
    /// When the file cannot be opened, was written by a newer version, or has tags that this
    /// version cannot keep apart ([`StoreError::TagClashes`]).
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(limits::STORE_BUSY);
        let keeper = SqliteConnection::connect_with(&options).await?;
        // On one connection: another one that had read the schema before would not know the new
        // indices, and SQLite does not read it again for an ON CONFLICT clause.
        let one = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        let upgraded = upgrade(one.clone()).await;
        one.close().await;
        upgraded?;
        let pool = SqlitePoolOptions::new()
            .max_connections(limits::STORE_CONNECTIONS)
            .before_acquire(usable)
            .after_release(usable)
            .connect_with(options.clone())
            .await?;
        let search = SqlitePoolOptions::new()
            .max_connections(limits::SEARCH_CONNECTIONS)
            .connect_lazy_with(options);
        let (pool, search) = (Pool::Sqlite(pool.into()), Pool::Sqlite(search.into()));
        Ok(Self {
            pool,
            search,
            keeper: Arc::new(Mutex::new(Some(keeper))),
            place: None,
            member: None,
            node: Arc::from(""),
            unreadable: Arc::default(),
        })
    }

    /// Opens a store that must be there and whole, and marks it as open. A file that was copied
    /// without its log is refused: it would start an older gateway, or an empty one.
    ///
    /// # Errors
    /// [`StoreError::NotWhole`]; else as [`Store::open`].
    pub async fn open_existing(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::NotWhole("the file is not there"));
        }
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let has_log = Path::new(&log).exists();
        Self::examine(path, has_log).await?;
        let store = Self::open(path).await?;
        store.settings().set(OPEN, "1").await?;
        // In the file itself, so that a copy of it alone shows the mark.
        store.fold_log().await?;
        Ok(store)
    }

    /// Looks into the file before anything in it is changed.
    async fn examine(path: &Path, has_log: bool) -> Result<(), StoreError> {
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(limits::STORE_BUSY);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let tables = "SELECT COUNT(*) FROM sqlite_master WHERE name IN ('principals', 'settings')";
        let tables: i64 = sqlx::query_scalar(tables).fetch_one(&mut connection).await?;
        if tables < 2 {
            return Err(StoreError::NotWhole("it has no tables"));
        }
        let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM principals")
            .fetch_one(&mut connection)
            .await?;
        if users == 0 {
            return Err(StoreError::NotWhole("it has no user"));
        }
        let open: Option<String> = sqlx::query_scalar("SELECT value FROM settings WHERE key = ?")
            .bind(OPEN)
            .fetch_optional(&mut connection)
            .await?;
        if open.is_some() && !has_log {
            return Err(StoreError::NotWhole("it was copied while a gateway ran, without its log"));
        }
        if open.is_some() {
            // File and log are here together. Closing the connection may fold the log in.
            Self::unmark(&mut connection).await?;
        }
        Ok(connection.close().await?)
    }

    /// Takes the mark off a file that [`Store::open_existing`] refuses, because its owner knows
    /// that it is whole: another tool has folded its log in.
    ///
    /// # Errors
    /// The database's own.
    pub async fn accept(path: &Path) -> Result<(), StoreError> {
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(limits::STORE_BUSY);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        Self::unmark(&mut connection).await?;
        Ok(connection.close().await?)
    }

    async fn unmark(connection: &mut SqliteConnection) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM settings WHERE key = ?").bind(OPEN).execute(connection).await?;
        Ok(())
    }

    /// Merges the log into the file.
    async fn fold_log(&self) -> Result<(), StoreError> {
        engine::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes the store: waits for running statements and merges the log into the file. When the
    /// disk refuses that, the log stays beside the file for the next start. A node leaves the
    /// cluster.
    pub async fn close(&self) {
        if self.is_shared() {
            if let Some(member) = &self.member {
                member.stop();
                let _ = timeout(SERVER_PATIENCE, self.nodes().leave()).await; // else it runs out
            }
            self.search.close().await;
            self.pool.close().await;
            return;
        }
        if self.settings().clear(OPEN).await.is_err() {
            let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
            Box::leak(Box::new(keeper)); // the last connection would remove the log
            return;
        }
        // Merged by name, because the last connection to close does it only if it gets the lock.
        let _ = self.fold_log().await;
        self.search.close().await;
        self.pool.close().await;
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            let _ = keeper.close().await; // the file is whole without it
        }
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        engine::query("SELECT 1").fetch_optional(&self.pool).await?;
        Ok(())
    }

    /// Writes one row: whether the store can keep anything. `now` is what it writes.
    ///
    /// # Errors
    /// The database's own, such as a full disk.
    pub async fn probe(&self, now: UnixMillis) -> Result<(), StoreError> {
        let mut tx = self.writing().await?;
        engine::query(
            "INSERT INTO settings (key, value) VALUES (?, ?) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(PROBE)
        .bind(now.0.to_string())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether it is on a server, where other gateways may use it.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.pool, Pool::Postgres(_))
    }

    /// Which history of the database its server wrote at the latest write: another one begins when
    /// another server takes its place. `None`: it is not told.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn timeline(&self) -> Result<Option<String>, StoreError> {
        self.settings().get(crate::engine::TIMELINE).await
    }

    /// Whether it notices that another server has taken the place of its database's.
    #[must_use]
    pub const fn notices_another_server(&self) -> bool {
        match &self.pool {
            Pool::Sqlite(_) => true, // there is none
            Pool::Postgres(pool) => pool.watches_timeline(),
        }
    }

    /// Waits until another gateway works with this store, or has declared this node dead. Never
    /// returns for a store in a file.
    pub async fn taken_over(&self) {
        match (&self.place, &self.member) {
            (Some(place), _) => place.lost().await,
            (None, Some(member)) => member.lost().await,
            (None, None) => std::future::pending().await,
        }
    }

    /// The name among the nodes of a cluster; `None` for a gateway that works alone.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.member.as_ref().map(|_| &*self.node)
    }

    /// Returns once this gateway has to do what only one does: at once for one that works alone.
    pub async fn has_chores(&self) {
        if let Some(member) = &self.member {
            let mut chores = member.chores();
            if chores.wait_for(|chores| *chores).await.is_err() {
                std::future::pending::<()>().await; // the store was closed
            }
        }
    }

    /// Whether this gateway does now what only one does.
    #[must_use]
    pub fn does_chores(&self) -> bool {
        self.member.as_ref().is_none_or(|member| *member.chores().borrow())
    }

    /// Begins a transaction that will write; no other one does so until its end.
    pub(crate) async fn writing(&self) -> Result<Tx, StoreError> {
        Ok(self.pool.writing().await?)
    }
}

/// Brings the schema up to date.
async fn upgrade(file: SqlitePool) -> Result<(), StoreError> {
    let pool = Pool::Sqlite(file.clone().into());
    tag_keys::check(&pool).await?;
    migrations::migrator().await?.run(&file).await?;
    tag_keys::complete(&pool).await?;
    device_texts::complete(&pool).await?;
    identity::complete(&pool).await
}

/// Whether a connection may serve again: it is in no transaction. SQLite ends a transaction by
/// itself when the disk is full; the driver's own ROLLBACK then fails, and it counts one too many.
fn usable(
    connection: &mut SqliteConnection,
    _: PoolConnectionMetadata,
) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    Box::pin(async move {
        if connection.is_in_transaction() {
            connection.ping().await?; // a rollback may still be on its way to the worker
        }
        Ok(!connection.is_in_transaction())
    })
}

/// Refuses a new row when the counted table is full. Runs in the transaction that adds the row.
pub(crate) async fn within(
    tx: &mut Tx,
    count: &'static str,
    key: &str,
    what: &'static str,
    limit: i64,
) -> Result<(), StoreError> {
    let rows: i64 = engine::query_scalar(count).bind(key).fetch_one(&mut **tx).await?;
    if rows >= limit { Err(StoreError::Full { what, limit }) } else { Ok(()) }
}

/// Refuses a name beside one that differs from it in letter case only: people, and conditions of
/// policies, take the one for the other. Names are of ASCII. `count` binds the folded name and the
/// name.
pub(crate) async fn no_alike(
    tx: &mut Tx,
    count: &'static str,
    name: &str,
    what: &'static str,
) -> Result<(), StoreError> {
    let alike: i64 = engine::query_scalar(count)
        .bind(name.to_ascii_lowercase())
        .bind(name)
        .fetch_one(&mut **tx)
        .await?;
    if alike > 0 { Err(StoreError::Exists(what)) } else { Ok(()) }
}

/// Adds `AND column IN (...)`, values bound, unless there are none. `column`: a literal of this
/// crate.
pub(crate) fn one_of(query: &mut QueryBuilder, column: &'static str, values: &[String]) {
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
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_opens_again_with_what_was_written() {
        let (store, dir) = crate::testing::scratch_file().await;
        store.settings().set("k", "v").await.unwrap();
        store.close().await;
        let again = Store::open(&dir.path().join("towline.db")).await.unwrap();
        assert_eq!(again.settings().get("k").await.unwrap().as_deref(), Some("v"));
    }

    /// Copies in another process: closing the file in this one would end SQLite's locks on it.
    fn cp(from: &Path, to: &Path) {
        let status = std::process::Command::new("cp").arg(from).arg(to).status().unwrap();
        assert!(status.success());
    }

    #[tokio::test]
    async fn a_file_that_was_copied_without_its_log_is_refused() {
        let (store, dir) = crate::testing::scratch_file().await;
        let path = dir.path().join("towline.db");
        store.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
        store.close().await;

        let running = Store::open_existing(&path).await.unwrap();
        running.principals().create("bob", &[], UnixMillis(1)).await.unwrap();
        let copy = dir.path().join("copy.db");
        cp(&path, &copy);
        let refused = Store::open_existing(&copy).await.unwrap_err().to_string();
        assert!(refused.contains("without its log"), "{refused}");
        Store::accept(&copy).await.unwrap();
        Store::open_existing(&copy).await.unwrap().close().await;

        // Killed: the log is beside the file. Stopped: the file is whole.
        let whole = dir.path().join("whole.db");
        cp(&path, &whole);
        cp(&dir.path().join("towline.db-wal"), &dir.path().join("whole.db-wal"));
        let again = Store::open_existing(&whole).await.unwrap();
        assert!(again.principals().get("bob").await.unwrap().is_some());
        running.close().await;
        cp(&path, &dir.path().join("stopped.db"));
        Store::open_existing(&dir.path().join("stopped.db")).await.unwrap();
    }

    #[tokio::test]
    async fn an_empty_or_absent_file_is_refused_and_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("towline.db");
        assert!(matches!(Store::open_existing(&path).await, Err(StoreError::NotWhole(_))));
        assert!(!path.exists());
        drop(std::fs::File::create(&path).unwrap());
        assert!(matches!(Store::open_existing(&path).await, Err(StoreError::NotWhole(_))));
        let (store, other) = crate::testing::scratch_file().await;
        store.close().await;
        let refused = Store::open_existing(&other.path().join("towline.db")).await.unwrap_err();
        assert!(refused.to_string().contains("no user"), "{refused}");
    }

    /// The driver's connections to the file.
    fn file(store: &Store) -> &SqlitePool {
        match &store.pool {
            Pool::Sqlite(pool) => &pool.connections,
            Pool::Postgres(_) => panic!("the store is not in a file"),
        }
    }

    /// Lets the file of each connection that is open now grow by no page more.
    async fn fill_the_disk(store: &Store) {
        let mut all = Vec::new();
        for _ in 0..limits::STORE_CONNECTIONS {
            all.push(file(store).acquire().await.unwrap());
        }
        for connection in &mut all {
            sqlx::query("PRAGMA max_page_count = 1").execute(&mut **connection).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_store_whose_disk_was_full_once_takes_writes_again() {
        let (store, _dir) = crate::testing::scratch_file().await;
        let now = UnixMillis(1);
        let large = "x".repeat(1 << 20);
        store.principals().create("ann", &[], now).await.unwrap();
        fill_the_disk(&store).await;
        for _ in 0..limits::STORE_CONNECTIONS {
            let full = store.principals().put_policy("ann", "p", &large, now).await;
            // The bound on bytes comes after the insert: what fails first is the disk.
            let error = full.unwrap_err();
            if matches!(error, StoreError::Full { .. }) {
                break; // all connections have been replaced
            }
            assert!(error.is_disk(), "{error}");
        }
        for n in 0..4 * limits::STORE_CONNECTIONS {
            store.probe(UnixMillis(n.into())).await.unwrap();
            store.principals().put_policy("ann", "p", "{}", now).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_connection_whose_transaction_was_taken_back_serves_again() {
        let (store, _dir) = crate::testing::scratch_file().await;
        let mut tx = store.writing().await.unwrap();
        engine::query("CREATE TEMP TABLE mine (x INTEGER)").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        drop(store.writing().await.unwrap());
        let mut all = Vec::new();
        let mut kept = false;
        for _ in 0..limits::STORE_CONNECTIONS {
            let mut connection = file(&store).acquire().await.unwrap();
            kept |= sqlx::query("SELECT x FROM mine").execute(&mut *connection).await.is_ok();
            all.push(connection);
        }
        assert!(kept, "the connection was replaced without a reason");
    }
}
