//! A store goes to a server and comes back whole, or not at all.

use towline_host::clock::UnixMillis;
use towline_testkit::postgres::Postgres;

use super::*;
use crate::engine;
use crate::store::Store;
use crate::testing::{new_database, scratch_file};
use crate::{AuditRow, NewActivation, TrailRoom};

fn line(text: &str) -> AuditRow {
    AuditRow {
        at: UnixMillis(1),
        principal: String::new(),
        action: "a".into(),
        outcome: "Done".into(),
        line: text.into(),
        room: TrailRoom::Strangers,
        whose: "ann".into(),
    }
}

async fn some_rows(store: &Store) {
    for number in 0..450 {
        let name = format!("user-{number}");
        store.principals().create(&name, &[], UnixMillis(number)).await.unwrap();
    }
    store.settings().set("note", "with a \0 in it").await.unwrap();
    let new = NewActivation::for_tests("a", 1, UnixMillis(1_000));
    store.activations().create(&new, UnixMillis(1)).await.unwrap();
    store.audit().append(&[line("one"), line("two"), line("three")], &[]).await.unwrap();
    // The last number was given, and its row is gone.
    engine::query("DELETE FROM audit WHERE line = ?")
        .bind("three")
        .execute(&store.pool)
        .await
        .unwrap();
}

fn rows_of(all: &[Copied], table: &str) -> u64 {
    all.iter().find(|copied| copied.table == table).unwrap().rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_goes_to_a_server_and_back_with_all_its_rows_and_numbers() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let address = new_database(&server.address("postgres")).await;
    let (store, dir) = scratch_file().await;
    some_rows(&store).await;
    store.close().await;
    let there = copy_to_server(&dir.path().join("towline.db"), &address).await.unwrap();
    assert_eq!(rows_of(&there, "principals"), 450);
    assert_eq!((rows_of(&there, "audit"), rows_of(&there, "activations")), (2, 1));

    let second = copy_to_server(&dir.path().join("towline.db"), &address).await.unwrap_err();
    assert!(second.to_string().contains("holds a store already"), "{second}");

    let moved = Store::connect(&address).await.unwrap();
    assert_eq!(
        moved.settings().get("note").await.unwrap().as_deref(),
        Some("with a \u{fffd} in it")
    );
    moved.audit().append(&[line("four")], &[]).await.unwrap();
    let lines = moved.audit().list(0, 9).await.unwrap();
    assert_eq!(lines.last().unwrap(), &(4, "four".to_owned()), "no number is given twice");

    let back = dir.path().join("back.db");
    moved.snapshot(&back).await.unwrap();
    assert!(!back.with_extension("copying").exists());
    Store::accept(&back).await.unwrap();
    let back = Store::open_existing(&back).await.unwrap();
    assert!(back.principals().get("user-449").await.unwrap().is_some());
    assert_eq!(back.audit().list(0, 9).await.unwrap(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_fails_leaves_a_database_that_holds_no_store() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let address = new_database(&server.address("postgres")).await;
    let (store, dir) = scratch_file().await;
    some_rows(&store).await;
    // A value of another kind than its column: SQLite takes it.
    engine::query("UPDATE sessions SET id = id").execute(&store.pool).await.unwrap();
    engine::query("INSERT INTO settings (key, value) VALUES (?, ?)")
        .bind("zzz")
        .bind(&b"\xff\xfe"[..])
        .execute(&store.pool)
        .await
        .unwrap();
    store.close().await;
    let path = dir.path().join("towline.db");
    let failed = copy_to_server(&path, &address).await.unwrap_err().to_string();
    assert!(failed.contains("settings") && failed.contains("value"), "{failed}");
    let none = Store::connect(&address).await.unwrap_err().to_string();
    assert!(none.contains("holds no store"), "{none}");
    // The file is whole, and the same database takes it when the fault is mended.
    let store = Store::open_existing(&path).await.unwrap();
    store.settings().clear("zzz").await.unwrap();
    store.close().await;
    copy_to_server(&path, &address).await.unwrap();
}
