//! PostgreSQL: the address, connections with bounded waiting, and transactions.
//!
//! # Invariants
//! - Nothing waits for the server without end. The server ends a statement after the pool's
//!   patience, and a transaction in which nothing happens; when no answer comes at all, the
//!   connection is cut. So a gateway that is stopped in a transaction keeps no lock.
//! - One writer at a time, in this process by a permit, in the cluster by an advisory lock that the
//!   transaction holds. A connection is taken only with the permit: writers that wait take no
//!   connections from readers.
//! - A connection whose transaction did not end serves no other statement.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Postgres};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::guard::{NOT_OURS, WRITING, WriteGuard};
use super::placeholders::numbered;
use super::query::{Outcome, Query, Wanted};
use super::row::Row;
use super::timeline;
use super::value::{Value, bind_all, fetched};
use crate::limits;

const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A connection that was used so lately is taken without a round trip that asks for it.
const TRUSTED: Duration = Duration::from_secs(1);
/// How long the try that asks for the reason of a failure may take.
const ONE_MORE_TRY: Duration = Duration::from_secs(1);

/// Connections to a server.
#[derive(Clone, Debug)]
pub(crate) struct PostgresPool {
    pool: PgPool,
    writers: Arc<Semaphore>,
    patience: Duration,
    /// What begins a write.
    writing: Arc<str>,
    /// What a write is that finds the database on another timeline; `None`: the server tells none,
    /// or nothing is guarded.
    adopting: Option<Arc<str>>,
    /// What it means when the guard of a write fails.
    refusal: &'static str,
}

impl PostgresPool {
    /// Connects. `patience`: how long a statement may take. `guard`: what a write needs.
    pub(crate) async fn connect(
        options: &PgConnectOptions,
        most: u32,
        patience: Duration,
        guard: Option<&WriteGuard>,
    ) -> Result<Self, sqlx::Error> {
        let millis = patience.as_millis().to_string();
        let options = options.clone().options([
            ("statement_timeout", millis.as_str()),
            ("idle_in_transaction_session_timeout", millis.as_str()),
        ]);
        let pool = PgPoolOptions::new().max_connections(most).acquire_timeout(patience);
        let pool = pool.test_before_acquire(false).before_acquire(|connection, used| {
            Box::pin(async move {
                if used.idle_for >= TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        });
        let pool = match pool.connect_with(options.clone()).await {
            Ok(pool) => pool,
            Err(error) => return Err(reason(&options, error).await),
        };
        let statement = guard.map(|guard| guard.statement.as_str()).unwrap_or_default();
        let mut writing = format!("{WRITING}{statement}");
        let mut adopting = None;
        if guard.is_some() && timeline::is_told(&mut *pool.acquire().await?).await {
            adopting = Some(format!("{writing}{}", timeline::ADOPT).into());
            writing.push_str(timeline::CHECK);
        }
        let (writing, writers) = (writing.into(), Arc::new(Semaphore::new(1)));
        let refusal = guard.map_or("", |guard| guard.refusal);
        Ok(Self { pool, writers, patience, writing, adopting, refusal })
    }

    /// Whether each write compares the timeline of the database.
    pub(crate) const fn watches_timeline(&self) -> bool {
        self.adopting.is_some()
    }

    /// See [`super::Pool::writing`].
    pub(crate) async fn writing(&self) -> Result<PostgresTransaction, sqlx::Error> {
        let begun = self.begin_writing(&self.writing).await;
        match (&self.adopting, begun) {
            (Some(adopting), Err(error)) if has_code(&error, timeline::CHANGED) => {
                self.begin_writing(adopting).await?.commit().await?;
                self.begin_writing(&self.writing).await
            }
            (_, begun) => begun,
        }
    }

    async fn begin_writing(&self, statement: &str) -> Result<PostgresTransaction, sqlx::Error> {
        let permit = timeout(limits::STORE_BUSY, Arc::clone(&self.writers).acquire_owned()).await;
        let permit = permit.map_err(|_| slow(limits::STORE_BUSY))?;
        let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
        let begun = self.begin(statement, Some(permit)).await;
        begun.map_err(|error| match has_code(&error, NOT_OURS) {
            true => refused(self.refusal),
            false => error,
        })
    }

    /// See [`super::Pool::reading`].
    pub(crate) async fn reading(&self) -> Result<PostgresTransaction, sqlx::Error> {
        self.begin(READING, None).await
    }

    async fn begin(
        &self,
        statement: &str,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<PostgresTransaction, sqlx::Error> {
        let connection = self.pool.acquire().await?;
        let mut tx = PostgresTransaction {
            connection: Some(connection),
            permit,
            patience: self.patience,
            failed: false,
        };
        tx.simple(statement).await?;
        Ok(tx)
    }

    pub(super) async fn run(
        &self,
        query: Query<'_>,
        wanted: Wanted,
    ) -> Result<Outcome, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        match timeout(self.patience, on_server(&mut connection, query, wanted)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                drop(connection.detach()); // cut: its answer may come at any time
                Err(slow(self.patience))
            }
        }
    }

    /// Waits for running statements and closes the connections.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Why no connection was made: a pool that has tried until its time was over says that alone, and
/// one more try without it says the reason.
pub(crate) async fn reason(options: &PgConnectOptions, error: sqlx::Error) -> sqlx::Error {
    if !matches!(error, sqlx::Error::PoolTimedOut) {
        return error;
    }
    match timeout(ONE_MORE_TRY, options.connect()).await {
        Ok(Err(why)) => why,
        Ok(Ok(_)) | Err(_) => error,
    }
}

/// A transaction on a connection of the pool.
#[derive(Debug)]
pub(crate) struct PostgresTransaction {
    /// `None`: it was cut.
    connection: Option<PoolConnection<Postgres>>,
    permit: Option<OwnedSemaphorePermit>,
    patience: Duration,
    /// A statement failed: the server takes everything back, also at a COMMIT.
    failed: bool,
}

impl PostgresTransaction {
    pub(super) async fn run(
        &mut self,
        query: Query<'_>,
        wanted: Wanted,
    ) -> Result<Outcome, sqlx::Error> {
        let connection = self.connection.as_mut().ok_or_else(|| slow(self.patience))?;
        let done = timeout(self.patience, on_server(connection, query, wanted)).await;
        let done = done.unwrap_or_else(|_| {
            self.cut();
            Err(slow(self.patience))
        });
        self.failed |= done.is_err();
        done
    }

    /// A statement without values.
    async fn simple(&mut self, statement: &str) -> Result<(), sqlx::Error> {
        let connection = self.connection.as_mut().ok_or_else(|| slow(self.patience))?;
        let done = timeout(self.patience, (&mut **connection).execute(statement)).await;
        let done = done.unwrap_or_else(|_| {
            self.cut();
            Err(slow(self.patience))
        });
        done.map(drop)
    }

    fn cut(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }

    /// Makes the changes last.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        if self.failed {
            return Err(sqlx::Error::Protocol("the transaction failed before its commit".into()));
        }
        self.simple("COMMIT").await?;
        // Returned to the pool: nothing is to be rolled back.
        drop(self.connection.take());
        Ok(())
    }
}

impl Drop for PostgresTransaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let Ok(runtime) = Handle::try_current() else {
            drop(connection.detach());
            return;
        };
        let (permit, patience) = (self.permit.take(), self.patience);
        runtime.spawn(async move {
            let done = timeout(patience, (&mut *connection).execute("ROLLBACK")).await;
            if !matches!(done, Ok(Ok(_))) {
                drop(connection.detach());
            }
            drop(permit);
        });
    }
}

fn has_code(error: &sqlx::Error, wanted: &str) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == wanted)
}

fn refused(why: &'static str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

fn slow(patience: Duration) -> sqlx::Error {
    let text = format!("the database gave no answer within {} s", patience.as_secs());
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text))
}

async fn on_server(
    connection: &mut PgConnection,
    query: Query<'_>,
    wanted: Wanted,
) -> Result<Outcome, sqlx::Error> {
    let sql = numbered(&query.sql);
    let statement = sqlx::query(&sql).persistent(query.persistent);
    let statement = bind_all!(statement, query.values, |text: String| {
        if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
    });
    fetched!(statement, connection, wanted, Row::Postgres)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_refuses_is_told_as_that_and_not_as_a_pool_without_connections() {
        // Its port is kept, and nobody listens.
        let holder = tokio::net::TcpSocket::new_v4().unwrap();
        holder.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = holder.local_addr().unwrap().port();
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port);
        let told = reason(&options, sqlx::Error::PoolTimedOut).await;
        assert!(told.to_string().contains("refused"), "{told}");
        let other = reason(&options, sqlx::Error::PoolClosed).await;
        assert!(matches!(other, sqlx::Error::PoolClosed), "{other}");
    }
}
