//! Where a statement is executed: on any connection of a pool, or in a transaction.
//!
//! # Invariants
//! - A statement that changes rows on a pool is a transaction of its own, and has its turn among
//!   writers as [`Pool::writing`] does; on PostgreSQL it takes the writers' lock, too.

use sqlx::SqliteConnection;

use super::file::{FilePool, FileTransaction};
use super::postgres::{PostgresPool, PostgresTransaction};
use super::query::{Outcome, Query, Wanted};
use super::row::Row;
use super::value::{Value, bind_all, fetched};

/// Connections to the database.
#[derive(Clone, Debug)]
pub(crate) enum Pool {
    /// To the file.
    Sqlite(FilePool),
    /// To the server.
    Postgres(PostgresPool),
}

/// A connection in a transaction.
#[derive(Debug)]
pub(crate) enum Connection {
    /// To the file.
    Sqlite(FileTransaction),
    /// To the server.
    Postgres(PostgresTransaction),
}

/// A transaction: dropped without [`Tx::commit`] it changes nothing.
#[derive(Debug)]
pub(crate) struct Tx(Connection);

impl std::ops::Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl std::ops::DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl Tx {
    /// Makes the changes last.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self.0 {
            Connection::Sqlite(open) => open.tx.commit().await,
            Connection::Postgres(tx) => tx.commit().await,
        }
    }
}

impl Pool {
    /// Begins a transaction that writes: no other one writes until its end.
    pub(crate) async fn writing(&self) -> Result<Tx, sqlx::Error> {
        Ok(Tx(match self {
            Self::Sqlite(pool) => Connection::Sqlite(pool.writing().await?),
            Self::Postgres(pool) => Connection::Postgres(pool.writing().await?),
        }))
    }

    /// Begins a transaction that reads: all its statements see the same rows.
    pub(crate) async fn reading(&self) -> Result<Tx, sqlx::Error> {
        Ok(Tx(match self {
            Self::Sqlite(pool) => Connection::Sqlite(pool.reading().await?),
            Self::Postgres(pool) => Connection::Postgres(pool.reading().await?),
        }))
    }

    /// Waits for running statements and closes the connections.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.connections.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Where a statement is executed.
pub(crate) enum Target<'t> {
    /// On any connection.
    Pool(&'t Pool),
    /// In a transaction.
    Connection(&'t mut Connection),
}

impl<'t> From<&'t Pool> for Target<'t> {
    fn from(pool: &'t Pool) -> Self {
        Self::Pool(pool)
    }
}

impl<'t> From<&'t mut Connection> for Target<'t> {
    fn from(connection: &'t mut Connection) -> Self {
        Self::Connection(connection)
    }
}

impl<'t> From<&'t mut Tx> for Target<'t> {
    fn from(tx: &'t mut Tx) -> Self {
        Self::Connection(tx)
    }
}

impl Target<'_> {
    pub(super) async fn run(
        self,
        query: Query<'_>,
        wanted: Wanted,
    ) -> Result<Outcome, sqlx::Error> {
        match self {
            Self::Pool(Pool::Sqlite(pool)) => {
                let (mut connection, _turn) = pool.for_statement(wanted == Wanted::Count).await?;
                on_sqlite(&mut connection, query, wanted).await
            }
            Self::Connection(Connection::Sqlite(open)) => {
                on_sqlite(&mut open.tx, query, wanted).await
            }
            Self::Pool(Pool::Postgres(pool)) if wanted == Wanted::Count => {
                let mut tx = pool.writing().await?;
                let outcome = tx.run(query, wanted).await?;
                tx.commit().await?;
                Ok(outcome)
            }
            Self::Pool(Pool::Postgres(pool)) => pool.run(query, wanted).await,
            Self::Connection(Connection::Postgres(tx)) => tx.run(query, wanted).await,
        }
    }
}

async fn on_sqlite(
    connection: &mut SqliteConnection,
    query: Query<'_>,
    wanted: Wanted,
) -> Result<Outcome, sqlx::Error> {
    let statement = sqlx::query(&query.sql).persistent(query.persistent);
    let statement = bind_all!(statement, query.values, |text| text);
    fetched!(statement, connection, wanted, Row::Sqlite)
}
