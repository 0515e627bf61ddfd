//! `cargo xtask cluster [ROUNDS] [SEED] [--older PROGRAM]`: three gateways on one PostgreSQL
//! server, 20 devices, eight shells, and a fault in each round. `--older` names the
//! `towline-gateway` of an older version: the first gateway is of that version, and is upgraded in
//! the last round.

use std::path::Path;
use std::time::Instant;

use towline_testkit::Outcome;
use towline_testkit::cluster::{Fault, Gateways, Told, run};

use crate::{console, programs, setup};

/// Rounds unless the command line gives another number.
const ROUNDS: usize = 200;
/// Gateways, devices, and devices with a shell.
const SIZE: (usize, usize, usize) = (3, 20, 8);

/// Builds, runs, prints. Anything that is lost, doubled or ended is an error.
///
/// # Errors
/// See above.
pub(crate) fn command(words: &[&str]) -> Outcome {
    let (words, older) = match words {
        [words @ .., "--older", program] => (words, Some(Path::new(program).canonicalize()?)),
        words => (words, None),
    };
    let rounds = words.first().map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let seed = words.get(1).map_or(Ok(now), |seed| seed.parse())?;
    setup::python()?;
    programs::shipped()?;
    let (gateways, devices, shells) = SIZE;
    console::step(&format!("{gateways} gateways, {devices} devices, {shells} shells, seed {seed}"));
    let mut all = Gateways::beside(gateways, older.as_deref())?;
    let start = Instant::now();
    let told = run(&mut all, (devices, shells), (&Fault::ALL, rounds), seed, console::line)?;
    console::table(&rows(&told));
    console::line(&format!("in {:.0} s, seed {seed}", start.elapsed().as_secs_f64()));
    Ok(())
}

fn rows(told: &Told) -> Vec<Vec<String>> {
    let row = |what: String, number: String| vec![what, number];
    let mut rows: Vec<_> = told
        .faults
        .iter()
        .map(|(fault, times)| row(format!("rounds of {fault:?}"), times.to_string()))
        .collect();
    rows.push(row("bytes compared, none lost, doubled or changed".into(), told.bytes.to_string()));
    let longest = format!("{:.1} s", told.longest.as_secs_f64());
    rows.push(row("longest time from a fault to all bytes".into(), longest));
    rows.push(row("commands sent".into(), told.commands.0.to_string()));
    rows.push(row("... executed, once each".into(), told.commands.1.to_string()));
    rows.push(row("lines of the audit trail, in the sink once".into(), told.lines.to_string()));
    rows
}
