//! Two processes with one name and one key: a machine or a directory was copied.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use towline_host::clock::UnixMillis;
use towline_testkit::postgres::Postgres;

use crate::engine::member::NAME;
use crate::limits::NODE_LEASE;
use crate::server::ServerAddress;
use crate::testing::{SERVER, identity, joined, new_database};
use crate::{Store, StoreError};

async fn made(server: &Postgres) -> ServerAddress {
    let address = new_database(&server.address("postgres")).await;
    let store = Store::create_on(&address).await.unwrap();
    store.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
    store.close().await;
    address
}

async fn is_refused(address: &ServerAddress) -> bool {
    match Store::join(address, &identity("a")).await {
        Ok(_) => false,
        Err(error @ StoreError::Server(_)) => error.to_string().contains("copied"),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_refused_while_the_node_lives_and_the_node_goes_on() {
    if std::env::var(SERVER).is_ok() {
        return; // the run on the other engine: this test has a server of its own
    }
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let address = made(&server).await;
    let a = joined(&address, "a").await;
    assert!(is_refused(&address).await);
    a.settings().set("k", "of the first").await.unwrap();
    let lost = tokio::time::timeout(Duration::ZERO, a.taken_over()).await;
    assert!(lost.is_err(), "the first one has lost its lease");

    // Killed: the server frees the lock with its connection, and nobody waits for its lease.
    drop(a);
    let begun = Instant::now();
    let again = joined(&address, "a").await;
    assert!(begun.elapsed() < NODE_LEASE, "{:?}", begun.elapsed());
    again.settings().set("k", "of the next").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_lease_is_over_gives_way_although_its_connection_is_not_known_to_be_lost() {
    if std::env::var(SERVER).is_ok() {
        return; // the run on the other engine: this test has a server of its own
    }
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let address = made(&server).await;
    drop(joined(&address, "a").await);
    let mut stranded = PgConnection::connect_with(&address.options).await.unwrap();
    let mut locks = false;
    while !locks {
        locks = sqlx::query_scalar(NAME).bind("a").fetch_one(&mut stranded).await.unwrap();
    }
    let a = joined(&address, "a").await;
    a.settings().set("k", "v").await.unwrap();
    // It takes the lock when that is free: from then on a copy is refused.
    stranded.execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    let held = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted \
                AND (CAST(classid AS BIGINT) << 32) + CAST(objid AS BIGINT) \
                = hashtextextended('node a', 109300197516659)";
    let mut held_by = 0_i64;
    while held_by == 0 {
        held_by = sqlx::query_scalar(held).fetch_one(&mut stranded).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(is_refused(&address).await);
}
