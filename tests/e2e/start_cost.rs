//! What one StartSession reads and writes in the store, counted in the gateway's log, and how often
//! it waits for a database that is far.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use towline_testkit::lab::{GatewaySetup, Lab};
use towline_testkit::postgres::Postgres;
use towline_testkit::relay::Relay;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::cluster::PATIENCE;
use crate::database::{exec, lab_at};

/// Statements that read, of a user with a key: the key, the user's tags, the device's tags and row,
/// the preferences of all sessions, the document and its tags, the limits, and whether the key
/// still stands when the session is open.
const READS: usize = 9;
/// Statements that write, but for the audit line, which waits with those of others: the request and
/// its signature, room for the session's row, and the row.
const WRITES: usize = 4;

#[test]
fn a_session_starts_with_few_statements() -> Outcome {
    let environment = vec![("RUST_LOG".to_owned(), "sqlx::query=debug,info".to_owned())];
    let lab = Lab::with(&GatewaySetup { environment, ..GatewaySetup::default() })?;
    let device = lab.device()?;
    let admin = lab.admin();
    // Once before: policies are read once, and so is when a key was last used.
    for word in ["first", "second"] {
        let out = admin.run(&["exec", device.id(), "--", "echo", word])?;
        ensure(out.stdout == format!("{word}\n").as_bytes(), || format!("{out:?}"))?;
    }
    let statements = eventually("the log has the session's row", PATIENCE, || {
        let statements = statements(&lab.gateway.logged());
        statements.iter().any(|line| line.starts_with("INSERT INTO sessions")).then_some(statements)
    })?;
    let of = |kinds: &[&str]| {
        let is_one = |line: &&String| kinds.iter().any(|kind| line.starts_with(kind));
        statements.iter().filter(is_one).count()
    };
    let (reads, writes) = (of(&["SELECT", "WITH"]), of(&["INSERT", "UPDATE", "DELETE"]));
    ensure(reads <= READS && writes <= WRITES, || {
        format!("{reads} reads, {writes} writes: {statements:#?}")
    })
}

/// One way to the database, and back.
const FAR: Duration = Duration::from_millis(100);
/// How often a start may wait for the database, one after the other. 32 were seen on a machine that
/// compiled beside it; time of the processor counts as part of a trip.
const TRIPS: u128 = 36;

#[test]
fn a_session_starts_with_few_round_trips_to_a_far_database() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    server.psql("postgres", "create database towline")?;
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], server.port())))?;
    let lab = lab_at(&server.address_behind(relay.address().port(), "towline"))?;
    let device = lab.device()?;
    ensure(exec(&lab, &device, "first").is_some(), || "no session".into())?;
    relay.delay(FAR);
    let mut fewest = u128::MAX;
    // What others write meanwhile is waited for, too: the best of some counts.
    for _ in 0..5 {
        let start = Instant::now();
        lab.admin().api("AmazonSSM.StartSession", &json!({ "Target": device.id() }))?;
        fewest = fewest.min(start.elapsed().as_millis() / (2 * FAR).as_millis());
    }
    relay.delay(Duration::ZERO);
    println!("{fewest} round trips");
    ensure(fewest <= TRIPS, || format!("{fewest} round trips, one after the other"))
}

/// The statements of the last StartSession in a log, as the log shortens them.
fn statements(logged: &str) -> Vec<String> {
    let starts = logged.lines().rfind(|line| line.contains("op=\"StartSession\""));
    let Some(id) = starts.and_then(request) else { return Vec::new() };
    let of_it = logged.lines().filter(|line| request(line) == Some(id));
    let statement = |line: &str| {
        let shortened = line.split_once("summary=\"")?.1;
        Some(shortened.split_once('"').map_or(shortened, |(words, _)| words).to_owned())
    };
    of_it.filter_map(statement).collect()
}

/// The id of the request that a line of the log names.
fn request(line: &str) -> Option<&str> {
    line.split_once("request{id=\"")?.1.split_once('"').map(|(id, _)| id)
}
