//! SQLite: connections to the file, and the turns of those who write.
//!
//! Data flow: a write -> its turn -> a connection -> BEGIN IMMEDIATE, or one statement.
//!
//! # Invariants
//! - Writers of this process have their turns in the order in which they came. SQLite itself lets
//!   them ask again after growing pauses: who has waited for long would lose to who has just come.
//! - A connection is taken only with the turn: writers that wait take none from readers.
//!
//! # Not here
//! - Writers of other processes (`towline-gateway` beside the one that serves): SQLite's own lock,
//!   which is waited for as long as [`crate::limits::STORE_BUSY`].

use std::sync::Arc;

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::limits::STORE_TURN;

/// Connections to the file.
#[derive(Clone, Debug)]
pub(crate) struct FilePool {
    pub(crate) connections: SqlitePool,
    turns: Arc<Semaphore>,
}

impl From<SqlitePool> for FilePool {
    fn from(connections: SqlitePool) -> Self {
        Self { connections, turns: Arc::new(Semaphore::new(1)) }
    }
}

/// A transaction that is open. Its turn ends after it.
#[derive(Debug)]
pub(crate) struct FileTransaction {
    pub(super) tx: sqlx::Transaction<'static, Sqlite>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl FilePool {
    /// Waits for the turn to write.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, sqlx::Error> {
        let turn = timeout(STORE_TURN, Arc::clone(&self.turns).acquire_owned()).await;
        turn.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)
    }

    /// See [`super::Pool::writing`].
    pub(super) async fn writing(&self) -> Result<FileTransaction, sqlx::Error> {
        let turn = self.turn().await?;
        // At once: SQLite may refuse a transaction that reads first and writes later, without
        // waiting.
        let tx = self.connections.begin_with("BEGIN IMMEDIATE").await?;
        Ok(FileTransaction { tx, _turn: Some(turn) })
    }

    /// See [`super::Pool::reading`].
    pub(super) async fn reading(&self) -> Result<FileTransaction, sqlx::Error> {
        Ok(FileTransaction { tx: self.connections.begin().await?, _turn: None })
    }

    /// A connection for one statement, which may write; the turn has to outlive it.
    pub(super) async fn for_statement(
        &self,
        writes: bool,
    ) -> Result<(PoolConnection<Sqlite>, Option<OwnedSemaphorePermit>), sqlx::Error> {
        let turn = if writes { Some(self.turn().await?) } else { None };
        Ok((self.connections.acquire().await?, turn))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future as _, poll_fn};
    use std::task::Poll;
    use std::time::Duration;

    use crate::engine::{self, Pool};
    use crate::limits::STORE_CONNECTIONS;
    use crate::store::Store;
    use crate::testing::scratch_file;

    /// More writers than there are connections.
    const WRITERS: i64 = 3 * STORE_CONNECTIONS as i64;
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Writes a row, by one statement or in a transaction.
    async fn write(store: Store, number: i64) {
        let query = engine::query("INSERT INTO written (number) VALUES (?)").bind(number);
        if number % 2 == 0 {
            query.execute(&store.pool).await.unwrap();
        } else {
            let mut tx = store.writing().await.unwrap();
            query.execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn writers_write_in_the_order_in_which_they_came_and_keep_no_connection_from_readers() {
        let (store, _dir) = scratch_file().await;
        let table = "CREATE TABLE written (place INTEGER PRIMARY KEY, number BIGINT NOT NULL)";
        engine::query(table).execute(&store.pool).await.unwrap();
        let first = store.writing().await.unwrap();
        let mut tasks = Vec::new();
        for number in 0..WRITERS {
            let mut writes = Box::pin(write(store.clone(), number));
            // It has come when it was asked once.
            let waits = poll_fn(|context| Poll::Ready(writes.as_mut().poll(context).is_pending()));
            assert!(waits.await);
            tasks.push(tokio::spawn(writes));
        }
        let Pool::Sqlite(pool) = &store.pool else { panic!("the store is in a file") };
        let mut readers = Vec::new();
        for _ in 1..STORE_CONNECTIONS {
            let reader = tokio::time::timeout(PATIENCE, pool.connections.acquire()).await;
            readers.push(reader.expect("no writer that waits has it").unwrap());
        }
        drop(readers);
        first.commit().await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        let written: Vec<i64> = engine::query_scalar("SELECT number FROM written ORDER BY place")
            .fetch_all(&store.pool)
            .await
            .unwrap();
        assert_eq!(written, (0..WRITERS).collect::<Vec<_>>());
    }
}
