//! `cargo xtask fleet store [DEVICES] [--write]`: how long lists, names and searches take with a
//! store of many devices, none of which is connected.
//!
//! Data flow: a gateway stops -> devices and tags are written into its store -> it starts, and
//! fills in what devices are found by -> `towline` and signed requests, each timed from its start
//! to its end.
//!
//! # Not here
//! - Links: `cargo xtask fleet`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use towline_testkit::Outcome;
use towline_testkit::fleet;
use towline_testkit::lab::Lab;
use towline_testkit::trouble::ensure;

use crate::figures::grouped;
use crate::{console, figures, setup};

/// Devices, unless told otherwise: as many as a gateway keeps.
const DEVICES: usize = 100_000;
/// How often each request is timed.
const ROUNDS: usize = 7;

/// `fleet store WORDS…`.
///
/// # Errors
/// An answer that is not the right one.
pub(crate) fn command(words: &[&str]) -> Outcome {
    setup::programs(&[("python3", "python3")])?;
    figures::command(words, "fleet-store", DEVICES, measure).map(drop)
}

fn measure(devices: usize) -> Outcome<Vec<Vec<String>>> {
    let mut lab = Lab::start()?;
    lab.gateway.process().stop()?;
    console::step(&format!("{} devices are written into the store", grouped(devices as u64)));
    fleet::store(&lab.gateway.directory().join("towline.db"), devices)?;
    let mut rows = vec![["", "median ms", "worst ms", "found"].map(str::to_owned).to_vec()];
    let begin = Instant::now();
    lab.gateway.start_again()?;
    rows.push(row("first start, which fills in the texts", vec![begin.elapsed()], devices));
    lab.gateway.process().stop()?;
    let begin = Instant::now();
    lab.gateway.start_again()?;
    rows.push(row("each start after it", vec![begin.elapsed()], devices));
    rows.push(listed(&lab, devices)?);
    let last = devices.saturating_sub(1);
    let (name, id) = (format!("dev-{last:06}"), fleet::id(last));
    rows.push(refused(&lab, "`towline exec ID`, refused", &id)?);
    rows.push(refused(&lab, "`towline exec NAME`, refused", &name)?);
    rows.push(sent(&lab)?);
    let site = json!({ "TagFilters": [{ "Key": "site", "Values": ["site17"] }] });
    for (what, body) in [
        ("first page of 100", json!({})),
        ("part of a name", json!({ "Query": &name[..name.len() - 2] })),
        ("two words of tags", json!({ "Query": "site=site17 prod" })),
        ("a word of no device", json!({ "Query": "no-such-device" })),
        ("a tag", site),
    ] {
        rows.push(searched(&lab, what, body)?);
    }
    Ok(rows)
}

fn listed(lab: &Lab, devices: usize) -> Outcome<Vec<String>> {
    let mut times = Vec::new();
    for _ in 0..3 {
        let begin = Instant::now();
        let out = lab.admin().run(&["devices"])?;
        times.push(begin.elapsed());
        let lines = out.stdout.iter().filter(|byte| **byte == b'\n').count();
        ensure(lines == devices + 1, || format!("`towline devices` printed {lines} lines"))?;
    }
    Ok(row("`towline devices`", times, devices))
}

/// A session on a device that is not connected, from the command's start to the refusal.
fn refused(lab: &Lab, what: &str, target: &str) -> Outcome<Vec<String>> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let out = lab.admin().run(&["exec", target, "--", "true"])?;
        times.push(begin.elapsed());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure(said.contains("TargetNotConnected"), || format!("{target}: {said}"))?;
    }
    Ok(row(what, times, 1))
}

/// A command to the devices of a tag, until it is stored: what `run --target` waits for before it
/// begins.
fn sent(lab: &Lab) -> Outcome<Vec<String>> {
    let body = json!({
        "DocumentName": "AWS-RunShellScript",
        "Targets": [{ "Key": "tag:Site", "Values": ["site17"] }],
        "Parameters": { "commands": ["true"] },
    });
    let (mut times, mut found) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let answer = lab.admin().api("AmazonSSM.SendCommand", &body)?;
        times.push(begin.elapsed());
        found = answer["Command"]["TargetCount"].as_u64().unwrap_or_default();
    }
    Ok(row("SendCommand to the devices of a tag", times, usize::try_from(found)?))
}

/// A search by a signed request, on a connection of its own.
fn searched(lab: &Lab, what: &str, mut body: Value) -> Outcome<Vec<String>> {
    body["MaxResults"] = json!(100);
    let (mut times, mut found) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let answer = lab.admin().api("Towline.SearchDevices", &body)?;
        times.push(begin.elapsed());
        found = answer["TotalCount"].as_u64().unwrap_or_default();
    }
    Ok(row(&format!("SearchDevices: {what}"), times, usize::try_from(found)?))
}

/// A row: median and worst of `times`, and how many were found.
pub(crate) fn row(what: &str, mut times: Vec<Duration>, found: usize) -> Vec<String> {
    times.sort_unstable();
    let ms = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    vec![
        what.to_owned(),
        format!("{:.0}", ms(times.len() / 2)),
        format!("{:.0}", ms(times.len().saturating_sub(1))),
        grouped(found as u64),
    ]
}
