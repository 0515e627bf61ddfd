//! The database file: opened, migrated, and shared by the tables' modules.

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
    /// Opens the database file, creates it if it does not exist, and migrates the schema.
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

    /// Closes the store: waits for running statements and merges the log into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Begins a transaction that will write. It takes the writer's lock at once: SQLite may refuse a
    /// transaction that reads first and writes later, without waiting.
    pub(crate) async fn writing(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Refuses a new row when the counted table is full. Runs in the transaction that adds the row.
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

/// Adds `AND column IN (...)`, values bound, unless there are none. `column`: a literal of this
/// crate.
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
