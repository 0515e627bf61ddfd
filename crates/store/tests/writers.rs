//! Writers at the same time, on both engines: what each confirmed is there, and what the writers'
//! lock costs.
//!
//! An ordinary run writes little. `TOWLINE_WRITES=2000 cargo test --profile server -p towline-store
//! --test writers -- --nocapture` measures, with a server that syncs each commit.
// also outside of test functions: all of this is a test
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use towline_host::clock::UnixMillis;
use towline_store::{AuditRow, ServerAddress, Store, TrailRoom};
use towline_testkit::postgres::Postgres;

/// Writes of an ordinary run, all writers together.
const FEW: usize = 160;

fn writes() -> usize {
    std::env::var("TOWLINE_WRITES").ok().and_then(|n| n.parse().ok()).unwrap_or(FEW)
}

fn row(writer: usize, number: usize) -> AuditRow {
    AuditRow {
        at: UnixMillis(1),
        principal: "arn:aws:iam::000000000000:user/ann".into(),
        action: "ssm:StartSession".into(),
        outcome: "Done".into(),
        line: format!("{writer}/{number} {}", "x".repeat(600)),
        room: TrailRoom::Changes,
        whose: String::new(),
    }
}

/// Each of so many writers appends its share, one row a transaction; the times, sorted.
async fn write(store: &Store, writers: usize, all: usize) -> Vec<Duration> {
    let share = all / writers;
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::with_capacity(share);
            for number in 0..share {
                let begun = Instant::now();
                store.audit().append(&[row(writer, number)], &[]).await.unwrap();
                times.push(begun.elapsed());
            }
            times
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    times.sort_unstable();
    times
}

/// Number of the newest row that each id up to it has.
async fn rows(store: &Store) -> usize {
    let (mut after, mut count) = (0, 0);
    loop {
        let page = store.audit().list(after, 1000).await.unwrap();
        let Some((last, _)) = page.last() else { return count };
        (after, count) = (*last, count + page.len());
    }
}

async fn measure(name: &str, store: &Store) {
    let all = writes();
    let mut before = rows(store).await;
    for writers in [1, 8] {
        let begun = Instant::now();
        let times = write(store, writers, all).await;
        let took = begun.elapsed().as_secs_f64();
        let there = rows(store).await;
        assert_eq!(there - before, times.len(), "a confirmed row is not there");
        before = there;
        let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
        println!(
            "| {name}, {writers} at once | {:.0} | {:.1} | {:.1} |",
            times.len() as f64 / took,
            at(50).as_secs_f64() * 1000.0,
            at(99).as_secs_f64() * 1000.0,
        );
    }
}

/// One commit after the other, synced: what the disk allows.
#[tokio::test(flavor = "multi_thread")]
async fn what_writers_at_the_same_time_confirmed_is_there_on_both_engines() {
    println!("| engine, writers | writes a second | median ms | p99 ms |\n|---|---|---|---|");
    let folder = tempfile::tempdir().unwrap();
    let file = Store::open(&folder.path().join("towline.db")).await.unwrap();
    measure("SQLite", &file).await;
    let settings: &[&str] = if writes() == FEW { &["fsync = off"] } else { &[] };
    let server = Postgres::start(settings).unwrap();
    server.psql("postgres", "create database towline").unwrap();
    let address = ServerAddress::parse(&server.address("towline"), None).unwrap();
    let store = Store::create_on(&address).await.unwrap();
    measure("PostgreSQL", &store).await;
}
