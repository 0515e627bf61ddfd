//! `cargo xtask trail [EVENTS] [--write]`: how long LookupEvents takes with a long trail, and what
//! it does to other calls meanwhile.
//!
//! Data flow: a gateway writes one event and stops -> the event is copied with other times and
//! users by Python's SQLite -> the gateway starts -> signed requests, each on a connection of its
//! own, timed from their start to their end; then the cheapest call, in the quiet and beside
//! searches that find nothing.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use towline_testkit::Outcome;
use towline_testkit::lab::{Lab, Operator};
use towline_testkit::trouble::ensure;

use crate::figures::grouped;
use crate::stored_fleet::row;
use crate::{console, figures, setup};

/// Events, unless told otherwise: as many as a gateway keeps.
const EVENTS: usize = 1_000_000;
/// How often each request is timed.
const ROUNDS: usize = 9;
/// How often the cheapest call is timed.
const CALLS: usize = 200;
/// Searches at once while other calls are timed.
const SEARCHERS: usize = 4;
/// Copies of the newest event, one a second back from it. Every 100,000th is of `rare`, the oldest
/// of `first`.
const FILL: &str = r#"
import sqlite3, sys
path, count = sys.argv[1], int(sys.argv[2])
store = sqlite3.connect(path)
at, principal, action, outcome, line = store.execute(
    "SELECT at, principal, action, outcome, line FROM audit WHERE action = 'sts.amazonaws.com:GetCallerIdentity'"
    " ORDER BY id DESC LIMIT 1").fetchone()
name = principal.rsplit("/", 1)[1]
def rows():
    for n in range(count):
        user = "first" if n == 0 else "rare" if n % 100000 == 50000 else "user-%04d" % (n % 5000)
        yield (at - 1000 * (count - n), principal.replace(name, user), action, outcome, line.replace(name, user))
store.execute("DELETE FROM audit")
store.executemany(
    "INSERT INTO audit (at, principal, action, outcome, line, stranger) VALUES (?, ?, ?, ?, ?, FALSE)", rows())
store.commit()
"#;

/// `trail WORDS…`.
///
/// # Errors
/// An answer that is not the right one.
pub(crate) fn command(words: &[&str]) -> Outcome {
    setup::programs(&[("python3", "python3")])?;
    figures::command(words, "trail", EVENTS, measure).map(drop)
}

fn measure(events: usize) -> Outcome<Vec<Vec<String>>> {
    let mut lab = Lab::start()?;
    lab.admin().text(&["whoami"])?;
    lab.gateway.process().stop()?;
    console::step(&format!("{} events are written into the trail", grouped(events as u64)));
    fill(&lab, events)?;
    lab.gateway.start_again()?;
    let mut rows = vec![["", "median ms", "worst ms", "found"].map(str::to_owned).to_vec()];
    rows.push(page(&lab, "the newest 50", &json!({}))?);
    rows.push(page(&lab, "the newest 50 of one user of 5,000", &of("user-0001"))?);
    rows.push(page(&lab, "first page of a user of one event in 100,000", &of("rare"))?);
    rows.push(page(&lab, "first page of a user without events", &of("nobody"))?);
    rows.push(whole(&lab, events)?);
    rows.push(row("GetCallerIdentity, quiet", calls(&lab)?, 1));
    let (beside, searched) = beside_searches(&lab)?;
    rows.push(row(&format!("GetCallerIdentity, beside {SEARCHERS} such searches"), beside, 1));
    ensure(searched > 0, || "no search came to its end meanwhile".into())?;
    Ok(rows)
}

/// Writes the rows while nobody else has the store.
fn fill(lab: &Lab, events: usize) -> Outcome {
    let mut python = Command::new("python3");
    let store = lab.gateway.directory().join("towline.db");
    let status = python.args(["-c", FILL]).arg(store).arg(events.to_string()).status()?;
    ensure(status.success(), || "python3 did not fill the trail".into())
}

fn of(user: &str) -> Value {
    json!({ "LookupAttributes": [{ "AttributeKey": "Username", "AttributeValue": user }] })
}

fn lookup(admin: &Operator, body: &Value) -> Outcome<Value> {
    admin.api("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents", body)
}

fn found(answer: &Value) -> usize {
    answer["Events"].as_array().map_or(0, Vec::len)
}

/// One page: what a person waits for.
fn page(lab: &Lab, what: &str, body: &Value) -> Outcome<Vec<String>> {
    let (mut times, mut events) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let answer = lookup(&lab.admin(), body)?;
        times.push(begin.elapsed());
        events = found(&answer);
    }
    Ok(row(&format!("LookupEvents: {what}"), times, events))
}

/// All pages until the oldest event is found.
fn whole(lab: &Lab, events: usize) -> Outcome<Vec<String>> {
    let (mut body, mut pages, mut events_found) = (of("first"), 0, 0);
    let begin = Instant::now();
    loop {
        let answer = lookup(&lab.admin(), &body)?;
        pages += 1;
        events_found += found(&answer);
        ensure(pages <= events, || "the pages have no end".into())?;
        match answer["NextToken"].as_str() {
            Some(token) => body["NextToken"] = json!(token),
            None => break,
        }
    }
    ensure(events_found == 1, || format!("{events_found} events of the first user"))?;
    let what = format!("LookupEvents: the oldest event, through {pages} pages");
    Ok(row(&what, vec![begin.elapsed()], events_found))
}

fn calls(lab: &Lab) -> Outcome<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let begin = Instant::now();
        lab.admin().text(&["whoami"])?;
        times.push(begin.elapsed());
    }
    Ok(times)
}

/// The same calls while others search for a user without events.
fn beside_searches(lab: &Lab) -> Outcome<(Vec<Duration>, usize)> {
    let (over, searched) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for admin in std::iter::repeat_with(|| lab.admin()).take(SEARCHERS) {
            let (over, searched) = (&over, &searched);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    // A search that is told to come again is what the gateway is there to do.
                    let done = lookup(&admin, &of("nobody")).is_ok();
                    searched.fetch_add(usize::from(done), Ordering::SeqCst);
                }
            });
        }
        let times = calls(lab);
        over.store(true, Ordering::SeqCst);
        Ok((times?, searched.load(Ordering::SeqCst)))
    })
}
