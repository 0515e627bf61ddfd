//! The tests of this crate once more, on PostgreSQL.
//!
//! Data flow: a server in a scratch folder -> this test program again, with the server's address in
//! its environment -> each store of a test is a database of that server.
//!
//! # Not here
//! - What is of SQLite alone (the file, its log, stores of older versions): those tests take a
//!   store in a file on both runs.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use towline_testkit::postgres::Postgres;
use towline_testkit::process::finish;

use crate::testing::{SERVER, new_database, scratch_file};
use crate::{Store, engine};

/// Tests that run at the least: fewer means that the filter is wrong.
const FEWEST: usize = 60;

#[test]
fn the_tests_of_the_store_pass_on_postgresql_too() {
    if std::env::var(SERVER).is_ok() {
        return; // this is the second run
    }
    let server = Postgres::start(&["fsync = off", "max_connections = 300"]).unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.env(SERVER, server.address("postgres")).args([
        "--test-threads",
        "4",
        "--skip",
        "both_engines",
        "--skip",
        "versions",
    ]);
    let out = finish(again, Duration::from_secs(900)).unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}");
    let passed = said.split("test result: ok. ").nth(1).and_then(|rest| rest.split(' ').next());
    let passed: usize = passed.and_then(|number| number.parse().ok()).unwrap_or(0);
    assert!(passed >= FEWEST, "{passed} tests ran: {said}");
}

/// Tables with their columns: name, type and whether it may be NULL.
pub(crate) type Schema = BTreeMap<String, Vec<(String, String, bool)>>;

pub(crate) async fn of_sqlite(store: &Store) -> Schema {
    let sql = "SELECT m.name, c.name, c.type, c.\"notnull\" FROM sqlite_master m, \
               pragma_table_info(m.name) c WHERE m.type = 'table' AND SUBSTR(m.name, 1, 7) <> \
               'sqlite_' \
               AND SUBSTR(m.name, 1, 5) <> '_sqlx' ORDER BY m.name, c.name";
    let rows: Vec<(String, String, String, i64)> =
        engine::query_as(sql).fetch_all(&store.pool).await.unwrap();
    let mut schema = Schema::new();
    for (table, column, kind, not_null) in rows {
        let key = kind == "INTEGER"; // numbers that the database gives
        let kind = if key { "BIGINT".to_owned() } else { kind };
        schema.entry(table).or_default().push((column, kind, not_null == 0 && !key));
    }
    schema
}

pub(crate) async fn of_postgresql(store: &Store) -> Schema {
    let sql = "SELECT CAST(c.table_name AS TEXT), CAST(c.column_name AS TEXT), \
               CAST(c.data_type AS TEXT), CAST(c.is_nullable AS TEXT), \
               COALESCE(CAST(c.collation_name AS TEXT), '') FROM information_schema.columns c \
               WHERE c.table_schema = 'public' AND c.table_name <> '_sqlx_migrations' \
               ORDER BY c.table_name COLLATE \"C\", c.column_name COLLATE \"C\"";
    let rows: Vec<(String, String, String, String, String)> =
        engine::query_as(sql).fetch_all(&store.pool).await.unwrap();
    let mut schema = Schema::new();
    for (table, column, kind, nullable, collation) in rows {
        let kind = match &*kind {
            "bytea" => "BLOB".to_owned(),
            other => other.to_uppercase(),
        };
        assert!(kind != "TEXT" || collation == "C", "{table}.{column} sorts by {collation:?}");
        schema.entry(table).or_default().push((column, kind, nullable == "YES"));
    }
    schema
}

async fn indices(store: &Store, sql: &str) -> Vec<String> {
    engine::query_scalar(sql).fetch_all(&store.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_have_the_same_tables_columns_and_indices() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let store = Store::create_on(&new_database(&server.address("postgres")).await).await.unwrap();
    let (file, _dir) = scratch_file().await;
    assert_eq!(of_sqlite(&file).await, of_postgresql(&store).await);
    let here =
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name";
    let there = "SELECT CAST(c.relname AS TEXT) FROM pg_index i \
                 JOIN pg_class c ON c.oid = i.indexrelid \
                 WHERE c.relnamespace = CAST('public' AS regnamespace) AND NOT EXISTS \
                 (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid) \
                 ORDER BY c.relname COLLATE \"C\"";
    assert_eq!(indices(&file, here).await, indices(&store, there).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_which_a_first_try_ended_early_takes_a_store() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let address = new_database(&server.address("postgres")).await;
    let store = Store::create_on(&address).await.unwrap();
    let [empty, list] = [
        "DROP SCHEMA public CASCADE",
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
         installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, \
         checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)",
    ];
    for sql in [empty, "CREATE SCHEMA public", list] {
        engine::query(sql).execute(&store.pool).await.unwrap();
    }
    store.close().await;
    let store = Store::create_on(&address).await.unwrap();
    for sql in ["DROP SCHEMA public CASCADE", "CREATE SCHEMA public", list, "CREATE TABLE x ()"] {
        engine::query(sql).execute(&store.pool).await.unwrap();
    }
    store.close().await;
    let foreign = Store::create_on(&address).await.unwrap_err().to_string();
    assert!(foreign.contains("1 tables of something else"), "{foreign}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_holds_one_store_and_an_empty_one_is_not_taken_for_it() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let address = new_database(&server.address("postgres")).await;
    let none = Store::connect(&address).await.unwrap_err().to_string();
    assert!(none.contains("holds no store"), "{none}");
    let store = Store::create_on(&address).await.unwrap();
    store.principals().create("ann", &[], towline_host::clock::UnixMillis(1)).await.unwrap();
    store.close().await;
    let second = Store::create_on(&address).await.unwrap_err().to_string();
    assert!(second.contains("holds a store already"), "{second}");
    let store = Store::connect(&address).await.unwrap();
    assert!(store.principals().get("ann").await.unwrap().is_some());
    engine::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                   execution_time) VALUES (9999, 'later', TRUE, ?, 0)",
    )
    .bind(&b"x"[..])
    .execute(&store.pool)
    .await
    .unwrap();
    let newer = Store::connect(&address).await.unwrap_err().to_string();
    assert!(newer.contains("schema 9999"), "{newer}");
}
