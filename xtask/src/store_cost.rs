//! `cargo xtask store-cost [STARTS] [--write]`: how long StartSession takes with the store in a
//! file and on a PostgreSQL server of this machine that syncs each commit, with one client and with
//! eight.
//!
//! Data flow: a gateway for each engine -> eight devices, one for each client -> the same starts,
//! timed at the client -> a table.

use std::time::{Duration, Instant};

use serde_json::json;
use towline_testkit::lab::{Device, GatewaySetup, Lab, Operator};
use towline_testkit::postgres::Postgres;
use towline_testkit::{Outcome, Trouble};

use crate::{console, figures, setup};

/// Starts of each client, unless told otherwise; at most 60: what a principal may start on a
/// device.
const STARTS: usize = 50;
/// Clients at once.
const CLIENTS: usize = 8;

/// `store-cost`.
///
/// # Errors
/// A session that does not start.
pub(crate) fn command(words: &[&str]) -> Outcome {
    setup::programs(&[("psql", "postgresql")])?;
    figures::command(words, "store-cost", STARTS, measure).map(drop)
}

fn measure(starts: usize) -> Outcome<Vec<Vec<String>>> {
    let head = ["store, clients", "starts a second", "median ms", "p99 ms", "commits a start"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    console::step("a store in a file");
    rows.extend(of(&Lab::start()?, "SQLite", starts, || Ok(None))?);
    console::step("a store on a server");
    let server = Postgres::start(&[])?;
    server.psql("postgres", "create database towline")?;
    let store = Some(server.address("towline"));
    let lab = Lab::with(&GatewaySetup { store, ..GatewaySetup::default() })?;
    let commits = || -> Outcome<Option<u64>> {
        let sql = "select xact_commit from pg_stat_database where datname = 'towline'";
        Ok(Some(server.psql("postgres", sql)?.parse()?))
    };
    rows.extend(of(&lab, "PostgreSQL", starts, commits)?);
    Ok(rows)
}

fn of(
    lab: &Lab,
    name: &str,
    starts: usize,
    commits: impl Fn() -> Outcome<Option<u64>>,
) -> Outcome<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    for clients in [1, CLIENTS] {
        let devices: Outcome<Vec<Device>> = (0..clients).map(|_| lab.device()).collect();
        let devices = devices?;
        let (before, begun) = (commits()?, Instant::now());
        let times = at_once(lab, &devices, starts)?;
        let took = begun.elapsed().as_secs_f64();
        let of_each = match (before, commits()?) {
            (Some(before), Some(after)) => {
                format!("{:.1}", (after.saturating_sub(before)) as f64 / times.len() as f64)
            }
            _ => "-".to_owned(),
        };
        let at = |percent: usize| {
            let last = times.len().saturating_sub(1);
            let time = times.get((times.len() * percent / 100).min(last));
            format!("{:.1}", time.map_or(0.0, Duration::as_secs_f64) * 1000.0)
        };
        let rate = format!("{:.0}", times.len() as f64 / took);
        rows.push(vec![format!("{name}, {clients}"), rate, at(50), at(99), of_each]);
    }
    Ok(rows)
}

/// A client for each device; the times of all, sorted.
fn at_once(lab: &Lab, devices: &[Device], starts: usize) -> Outcome<Vec<Duration>> {
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = devices
            .iter()
            .map(|device| client(lab, device, starts))
            .map(|one| scope.spawn(one))
            .collect();
        for client in clients {
            let done = client.join().map_err(|_| Trouble::new("a client panicked"))?;
            times.extend(done?);
        }
        Ok::<_, Trouble>(())
    })?;
    times.sort_unstable();
    Ok(times)
}

/// What a client does: starts sessions on a device, one after the other, and ends them.
fn client(
    lab: &Lab,
    device: &Device,
    starts: usize,
) -> impl FnOnce() -> Outcome<Vec<Duration>> + Send + use<> {
    let (admin, device) = (lab.admin(), device.id().to_owned());
    move || one(&admin, &device, starts)
}

fn one(admin: &Operator, device: &str, starts: usize) -> Outcome<Vec<Duration>> {
    let mut times = Vec::with_capacity(starts);
    for _ in 0..starts {
        let body = json!({ "Target": device });
        let begun = Instant::now();
        let started = admin.api("AmazonSSM.StartSession", &body)?;
        times.push(begun.elapsed());
        let body = json!({ "SessionId": started["SessionId"] });
        admin.api("AmazonSSM.TerminateSession", &body)?;
    }
    Ok(times)
}
