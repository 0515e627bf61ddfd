//! Programs of several versions and one schema: which work together, and who is refused before
//! anything is changed.
//!
//! Data flow: a server in a scratch folder -> a schema of an older or a newer version -> this
//! version joins.

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{ConnectOptions as _, Executor as _};
use towline_host::clock::UnixMillis;
use towline_testkit::postgres::Postgres;

use crate::both_engines::{of_postgresql, of_sqlite};
use crate::migrations::some;
use crate::server::ServerAddress;
use crate::sessions::tests::new;
use crate::testing::{identity, new_database, scratch_file};
use crate::{Arrival, Connection, Known, Store, StoreError, engine};

/// A database of an older version: some of the steps of today, and a user.
async fn older(
    server: &Postgres,
    before: i64,
    without: &'static [i64],
) -> (ServerAddress, PgConnection) {
    let address = new_database(&server.address("postgres")).await;
    let mut connection = address.options.connect().await.unwrap();
    some(true, before, without).await.unwrap().run_direct(&mut connection).await.unwrap();
    let user = "INSERT INTO principals (name, created_at, unique_id) VALUES ('ann', 1, 'A')";
    connection.execute(user).await.unwrap();
    (address, connection)
}

async fn newest_step(connection: &mut PgConnection) -> i64 {
    let sql = "SELECT MAX(version) FROM _sqlx_migrations";
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// Steps that landed later than steps with higher numbers, and the first step after those.
const LATE: [(i64, &[i64]); 3] = [(50, &[40]), (57, &[50, 51]), (i64::MAX, &[51, 57])];

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_applied_to_a_store_that_has_later_ones() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let straight =
        Store::create_on(&new_database(&server.address("postgres")).await).await.unwrap();
    let (file, _dir) = scratch_file().await;
    for (before, late) in LATE {
        let (address, connection) = older(&server, before, late).await;
        drop(connection);
        let store = Store::connect(&address).await.unwrap();
        assert_eq!(of_postgresql(&store).await, of_postgresql(&straight).await, "{late:?}");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("towline.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        some(false, before, late).await.unwrap().run(&pool).await.unwrap();
        pool.close().await;
        let store = Store::open(&path).await.unwrap();
        assert_eq!(of_sqlite(&store).await, of_sqlite(&file).await, "{late:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_and_comes_back_beside_a_newer_schema_that_does_not_break_it() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let (address, mut newer) = older(&server, i64::MAX, &[]).await;
    let a = Store::join(&address, &identity("a")).await.unwrap();
    let before = a.nodes().list().await.unwrap();
    assert!(before[0].knows >= 69, "{before:?}");
    for statement in [
        "ALTER TABLE nodes ADD COLUMN later BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE settings ADD COLUMN later BIGINT NOT NULL DEFAULT 0",
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', TRUE, 'x', 0)",
    ] {
        newer.execute(statement).await.unwrap();
    }
    a.settings().set("k", "v").await.unwrap();
    assert_eq!(a.nodes().list().await.unwrap(), before);
    let b = Store::join(&address, &identity("b")).await.unwrap();
    assert_eq!(b.settings().get("k").await.unwrap().as_deref(), Some("v"));
    let looked = Store::look_at(&address).await.unwrap();
    assert_eq!(looked.nodes().list().await.unwrap().len(), 2);
    address.check(true).await.unwrap();
    let alone = address.check(false).await.unwrap_err().to_string();
    assert!(alone.contains("schema 9999 of a newer version"), "as `connect` says: {alone}");
    // A copy by this version would lack what the newer one has added.
    for refused in [Store::read_whole(&address).await, Store::connect(&address).await] {
        let why = refused.unwrap_err().to_string();
        assert!(why.contains("schema 9999 of a newer version"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_join_beside_a_newer_schema_that_breaks_it() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let (address, mut newer) = older(&server, i64::MAX, &[]).await;
    let breaking = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                    execution_time) VALUES (9999, 'breaks: later', TRUE, 'x', 0)";
    newer.execute(breaking).await.unwrap();
    for refused in [
        Store::join(&address, &identity("a")).await.map(drop),
        Store::look_at(&address).await.map(drop),
        address.check(true).await,
    ] {
        let why = refused.unwrap_err().to_string();
        assert!(why.contains("schema 9999 of a newer version"), "{why}");
    }
    let nodes: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM nodes").fetch_one(&mut newer).await.unwrap();
    assert_eq!(nodes, 0);
}

const OLD_NODE: &str = "INSERT INTO nodes (name, generation, expires_at, spki, address, version, \
     joined_at) VALUES ('old', 7, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) + \
     60000, 'old', 'old.example:1', '0.1.0', 1)";

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_breaks_older_nodes_waits_until_none_of_them_lives() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let (address, mut old) = older(&server, 50, &[]).await;
    old.execute(OLD_NODE).await.unwrap();
    let why = Store::join(&address, &identity("new")).await.unwrap_err().to_string();
    assert!(why.contains("stop old first; nothing was changed"), "{why}");
    assert_eq!(newest_step(&mut old).await, 47);
    // It stands still: when it goes on, it finds another generation, and ends.
    let over = "UPDATE nodes SET expires_at = 2 WHERE name = 'old'";
    old.execute(over).await.unwrap();
    let new = Store::join(&address, &identity("new")).await.unwrap();
    let nodes = new.nodes().list().await.unwrap();
    let shown: Vec<_> = nodes.iter().map(|it| (&*it.name, it.generation, it.lives)).collect();
    assert_eq!(shown, [("new", 1, true), ("old", 8, false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_steps_are_applied_while_older_nodes_work() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let (address, mut old) = older(&server, 66, &[]).await;
    old.execute(OLD_NODE).await.unwrap();
    let new = Store::join(&address, &identity("new")).await.unwrap();
    let nodes = new.nodes().list().await.unwrap();
    let shown: Vec<_> = nodes.iter().map(|it| (&*it.name, it.generation, it.knows)).collect();
    assert_eq!(shown, [("new", 1, crate::migrations::newest()), ("old", 7, 0)]);
    assert_eq!(new.nodes().without_step(86).await.unwrap(), ["old"]);
    assert!(new.nodes().without_step(0).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_changes_no_schema_under_a_gateway_that_works_alone() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let (address, mut alone) = older(&server, 66, &[]).await;
    alone.execute("SELECT pg_advisory_lock(482989925221)").await.unwrap();
    let refused = Store::join(&address, &identity("new")).await;
    assert!(matches!(refused, Err(StoreError::Held)), "{refused:?}");
    assert!(newest_step(&mut alone).await < 66);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_does_not_hold_up_readers_for_long() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let (address, mut reader) = older(&server, 69, &[]).await;
    reader.execute("BEGIN; SELECT name FROM nodes").await.unwrap();
    let refused = Store::join(&address, &identity("new")).await.unwrap_err().to_string();
    assert!(refused.contains("lock timeout"), "{refused}");
    reader.execute("COMMIT").await.unwrap();
    let new = Store::join(&address, &identity("new")).await.unwrap();
    engine::query("SELECT knows FROM nodes").fetch_optional(&new.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_another_version_keeps_its_device_from_no_node() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let (address, mut newer) = older(&server, i64::MAX, &[]).await;
    let a = Store::join(&address, &identity("a")).await.unwrap();
    let b = Store::join(&address, &identity("b")).await.unwrap();
    for id in ["ann-1", "ann-2"] {
        a.sessions().insert(&new(id, "mi-1"), UnixMillis(1)).await.unwrap();
    }
    for statement in [
        "ALTER TABLE sessions DROP CONSTRAINT sessions_status_check",
        "UPDATE sessions SET status = 'Later' WHERE id = 'ann-1'",
    ] {
        newer.execute(statement).await.unwrap();
    }
    let link = Connection { boot: [1; 16], number: 1 };
    let arrived = b.presences().arrive("mi-1", link, Known::default(), UnixMillis(2)).await;
    let Arrival::Here { sessions, .. } = arrived.unwrap() else { panic!("not here") };
    let ids: Vec<_> = sessions.iter().map(|one| &*one.new.id).collect();
    assert_eq!(ids, ["ann-2"]);
    assert!(b.sessions().is_unreadable("ann-1"));
    let sql = "SELECT node FROM sessions ORDER BY id";
    let nodes: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut newer).await.unwrap();
    assert_eq!(nodes, ["a", "b"], "it stays where a gateway that reads it finds it");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_dead_gateway_are_taken_over_beside_one_that_cannot_be_read() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let (address, mut newer) = older(&server, i64::MAX, &[]).await;
    let a = Store::join(&address, &identity("a")).await.unwrap();
    let b = Store::join(&address, &identity("b")).await.unwrap();
    for id in ["ann-1", "ann-2", "ann-3"] {
        a.sessions().insert(&new(id, "mi-1"), UnixMillis(1)).await.unwrap();
    }
    a.close().await;
    for statement in [
        "ALTER TABLE sessions DROP CONSTRAINT sessions_status_check",
        "UPDATE sessions SET status = 'Later' WHERE id = 'ann-2'",
        "UPDATE nodes SET expires_at = 1 WHERE name = 'a'",
    ] {
        newer.execute(statement).await.unwrap();
    }
    let judged = b.nodes().judge_now().await.unwrap();
    let ids: Vec<_> = judged[0].sessions.iter().map(|one| &*one.new.id).collect();
    assert_eq!(ids, ["ann-1", "ann-3"]);
    let sql = "SELECT node FROM sessions ORDER BY id";
    let nodes: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut newer).await.unwrap();
    assert_eq!(nodes, ["b", "a", "b"]);
    // It comes with its device to a gateway that reads it.
    newer.execute("UPDATE sessions SET status = 'Connected' WHERE id = 'ann-2'").await.unwrap();
    let link = Connection { boot: [1; 16], number: 1 };
    let arrived = b.presences().arrive("mi-1", link, Known::default(), UnixMillis(2)).await;
    let Arrival::Here { sessions, .. } = arrived.unwrap() else { panic!("not here") };
    let ids: Vec<_> = sessions.iter().map(|one| &*one.new.id).collect();
    assert_eq!(ids, ["ann-2"]);
}
