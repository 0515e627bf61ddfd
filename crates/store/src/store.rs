//! The database file: opened, brought up to date, and shared by the themes of the crate.

use std::path::Path;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{QueryBuilder, Sqlite, Transaction};

use crate::error::StoreError;
use crate::{limits, migrations};

/// The embedded store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) pool: SqlitePool,
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

    /// A transaction that will write. It takes the writer's lock at once: a transaction that begins
    /// by reading and then wants to write can be refused by SQLite without waiting.
    pub(crate) async fn writing(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Refuses when the counted table has reached its bound. Runs in the transaction that is about to
/// add a row.
pub(crate) async fn within(
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
pub(crate) fn one_of<'q>(
    query: &mut QueryBuilder<'q, Sqlite>,
    column: &'static str,
    values: &'q [String],
) {
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
        let (store, dir) = crate::testing::scratch().await;
        store.settings().set("k", "v").await.unwrap();
        store.close().await;
        let again = Store::open(&dir.path().join("towline.db")).await.unwrap();
        assert_eq!(again.settings().get("k").await.unwrap().as_deref(), Some("v"));
    }
}
