//! The clock of the database is set, or a server with another clock takes its place, while nodes
//! work.

use std::time::Duration;

use towline_host::clock::UnixMillis;
use towline_testkit::postgres::Postgres;

use crate::engine::member::NOW;
use crate::server::ServerAddress;
use crate::testing::{SERVER, joined};
use crate::{Arrival, Connection, Known, Store, engine};

const DATABASE: &str = "towline";

/// A server whose clock can be set, with a store.
async fn made() -> (Postgres, ServerAddress) {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    server.psql("postgres", &format!("create database {DATABASE}")).unwrap();
    server.lets_clock_be_set(DATABASE).unwrap();
    let address = ServerAddress::parse(&server.address(DATABASE), None).unwrap();
    let store = Store::create_on(&address).await.unwrap();
    store.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
    store.close().await;
    (server, address)
}

/// Whether these have renewed their leases since the clock was set.
async fn have_renewed(store: &Store, names: &[&str]) -> bool {
    let sql = format!(
        "SELECT COUNT(*) FROM nodes WHERE expires_at BETWEEN {NOW} + 5000 AND {NOW} + 8100 \
         AND name IN ('{}')",
        names.join("', '")
    );
    let renewed: i64 = engine::query_scalar(&sql).fetch_one(&store.pool).await.unwrap();
    renewed == i64::try_from(names.len()).unwrap()
}

/// Whether both renew their leases in time. On a machine that is too slow for that one of them may
/// be dead indeed.
fn are_fresh(stores: [&Store; 2]) -> bool {
    stores.iter().all(|store| store.member.as_ref().unwrap().lease.is_fresh())
}

async fn nobody_is_dead(a: &Store, b: &Store, after: &str) {
    for (store, other) in [(a, "b"), (b, "a")] {
        if !are_fresh([a, b]) {
            return;
        }
        let judged = store.nodes().judge().await;
        // Until it has renewed it, its own lease is over: it cannot write.
        let is_nobody = judged.is_err() || judged.is_ok_and(|dead| dead.is_empty());
        assert!(!are_fresh([a, b]) || is_nobody, "{after}: {other}");
        let nodes = store.nodes().look().await.unwrap();
        assert!(!are_fresh([a, b]) || nodes.iter().all(|node| node.lives), "{after}: {nodes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_declared_dead_and_no_link_is_taken_away_when_the_clock_is_set() {
    if std::env::var(SERVER).is_ok() {
        return; // the run on the other engine: this test has a server of its own
    }
    let (server, address) = made().await;
    let (a, b) = (joined(&address, "a").await, joined(&address, "b").await);
    let link = |boot: u8| Connection { boot: [boot; 16], number: 1 };
    let at_b = b.presences().arrive("mi-1", link(1), Known::default(), UnixMillis(1)).await;
    assert!(matches!(at_b, Ok(Arrival::Here { .. })));
    for clock in ["5 minutes", "0", "7 seconds", "-5 minutes", "-20 seconds"] {
        for store in [&a, &b] {
            store.member.as_ref().unwrap().lease.assume_steady();
        }
        server.set_clock(DATABASE, clock).unwrap();
        while !have_renewed(&a, &["a", "b"]).await {
            nobody_is_dead(&a, &b, clock).await;
            // Another start of its agent, or a copy: b is alive and has to be asked.
            let known = Known::default();
            let other = a.presences().arrive("mi-1", link(2), known, UnixMillis(1)).await;
            assert!(
                other.is_err()
                    || !are_fresh([&a, &b])
                    || matches!(&other, Ok(Arrival::OtherStart(node)) if node == "b"),
                "{clock}: {other:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await; // a database has other clients
        }
        nobody_is_dead(&a, &b, clock).await;
        for store in [&a, &b] {
            while store.settings().set("k", clock).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await; // its lease was over
            }
        }
    }
    let generations: Vec<i64> =
        engine::query_scalar("SELECT generation FROM nodes").fetch_all(&a.pool).await.unwrap();
    assert_eq!(generations, [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_judged_by_a_lease_that_was_renewed_since_by_another_clock() {
    if std::env::var(SERVER).is_ok() {
        return; // the run on the other engine: this test has a server of its own
    }
    let (server, address) = made().await;
    let (a, b) = (joined(&address, "a").await, joined(&address, "b").await);
    a.member.as_ref().unwrap().lease.assume_steady();
    let before = a.member.as_ref().unwrap().lease.judges().unwrap();
    for clock in ["5 minutes", "-5 minutes"] {
        server.set_clock(DATABASE, clock).unwrap();
        while !have_renewed(&a, &["a", "b"]).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Its row says that it may write, but what it knows is of before.
        let dead = a.nodes().judge_by(before).await.unwrap();
        assert!(dead.is_empty(), "{clock}: {dead:?}");
    }
    drop(b);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_before_the_clock_is_set_back_is_declared_dead_in_the_time_of_a_lease() {
    if std::env::var(SERVER).is_ok() {
        return; // the run on the other engine: this test has a server of its own
    }
    let (server, address) = made().await;
    let (a, b) = (joined(&address, "a").await, joined(&address, "b").await);
    drop(b); // killed
    server.set_clock(DATABASE, "-5 minutes").unwrap();
    while !have_renewed(&a, &["a"]).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let dead = async {
        loop {
            a.member.as_ref().unwrap().lease.assume_steady(); // a lease's time has passed
            let judged = a.nodes().judge().await.unwrap();
            if let Some(dead) = judged.into_iter().next() {
                return dead.node;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let dead = tokio::time::timeout(Duration::from_secs(30), dead).await;
    assert_eq!(dead.expect("b is declared dead long before its lease ends"), "b");
}
