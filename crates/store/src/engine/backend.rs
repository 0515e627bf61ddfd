//! The server's processes behind the connections of one gateway that may hold a lock.
//!
//! Data flow: a connection, before it takes the lock -> [`Backends::add`] -> the connection is lost
//! on its way, and the server does not know -> [`Backends::end_former`] on the next connection ->
//! the lock is free.
//!
//! # Invariants
//! - No other process is ended than one that was looked at: number and start are compared.
//! - A process that is not there any more holds no lock: the server frees those first.
//! - At most [`MOST`] are remembered, the latest ones.

use sqlx::postgres::PgConnection;

/// Connections that were lost one after the other while the server did not notice.
const MOST: usize = 16;

/// See above; the latest one last.
#[derive(Debug, Default)]
pub(super) struct Backends(Vec<Backend>);

#[derive(Debug)]
struct Backend {
    number: i32,
    began: String,
}

impl Backends {
    /// Remembers the one that serves this connection.
    pub(super) async fn add(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (number, began) = sqlx::query_as(
            "SELECT pid, CAST(EXTRACT(EPOCH FROM backend_start) AS TEXT) FROM pg_stat_activity \
             WHERE pid = pg_backend_pid()",
        )
        .fetch_one(connection)
        .await?;
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push(Backend { number, began });
        Ok(())
    }

    /// The lock is the latest one's: the others hold nothing.
    pub(super) fn forget_former(&mut self) {
        let former = self.0.len().saturating_sub(1);
        self.0.drain(..former);
    }

    /// Ends the others than that of this connection. Whether one was there: what it held is free a
    /// moment later.
    pub(super) async fn end_former(
        &self,
        connection: &mut PgConnection,
    ) -> Result<bool, sqlx::Error> {
        let mut was_there = false;
        for Backend { number, began } in &self.0 {
            let ended: Option<bool> = sqlx::query_scalar(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 \
                 AND pid <> pg_backend_pid() \
                 AND CAST(EXTRACT(EPOCH FROM backend_start) AS TEXT) = $2",
            )
            .bind(number)
            .bind(began)
            .fetch_optional(&mut *connection)
            .await?;
            was_there |= ended.is_some();
        }
        Ok(was_there)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use towline_testkit::postgres::Postgres;
    use towline_testkit::relay::Relay;

    use crate::server::ServerAddress;
    use crate::testing::joined;
    use crate::{SessionStatus, Store};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// The process of the server that has the lock with this number.
    fn holder(server: &Postgres, lock: i64) -> String {
        let sql = format!(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
             AND CAST(classid AS BIGINT) * 4294967296 + CAST(objid AS BIGINT) = {lock}"
        );
        server.psql("postgres", &sql).unwrap()
    }

    async fn keeps_its_place(works_alone: bool, lock: i64) {
        let server = Postgres::start(&["fsync = off"]).unwrap();
        server.psql("postgres", "create database towline").unwrap();
        let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).unwrap();
        let address = server.address_behind(relay.address().port(), "towline");
        let address = ServerAddress::parse(&address, None).unwrap();
        let made = Store::create_on(&address).await.unwrap();
        made.principals().create("ann", &[], towline_host::clock::UnixMillis(1)).await.unwrap();
        made.close().await;
        let store = match works_alone {
            true => Store::connect(&address).await.unwrap(),
            false => joined(&address, "a").await,
        };
        store.has_chores().await;
        let before = holder(&server, lock);
        assert!(!before.is_empty());
        relay.strand();
        let held_again = async {
            loop {
                let now = holder(&server, lock);
                if !now.is_empty() && now != before {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = store.taken_over() => panic!("nobody else has taken it"),
            held = tokio::time::timeout(PATIENCE, held_again) => held.expect("it has the lock"),
        }
        // It writes, as soon as its other connections are replaced, too.
        let writes = async {
            while store.sessions().mark("ann-1", SessionStatus::Connected).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = store.taken_over() => panic!("nobody else has taken it"),
            wrote = tokio::time::timeout(PATIENCE, writes) => wrote.expect("it writes again"),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_gateway_whose_connection_is_lost_on_its_way_keeps_its_place() {
        keeps_its_place(true, 482_989_925_221).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_whose_connection_is_lost_on_its_way_goes_on_with_the_chores() {
        keeps_its_place(false, 109_300_197_516_659).await;
    }
}
