//! `cargo xtask bench console [DEVICES] [--quick] [--write]`: the web console in Chromium beside a
//! plain page (xterm, a websocket, a terminal) in the same run, and beside ttyd where
//! `TOWLINE_TTYD` names a program.
//!
//! Data flow: a gateway, an agent and a relay -> `tests/e2e/console/bench.js` drives both pages and
//! tells rows -> a store of many devices, lists -> a long recording, jumps and a search through all
//! of it -> one table.
//!
//! # Not here
//! - What is measured inside of a page: `tests/e2e/console/bench_clock.js`.

use std::process::Command;

use towline_testkit::browser::{browser, perform, serve_console_at};
use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::relay::Relay;
use towline_testkit::{Outcome, Trouble, fleet};

use crate::{console, figures, programs, run, setup, suite};

/// Devices of the store whose lists are measured, unless told otherwise.
const DEVICES: usize = 100_000;
/// MiB of the recording in which the page jumps.
const RECORDING: &str = "1024";
/// The test that plays it.
const PLAYER: &str = "a_long_recording_is_played_from_any_moment";

type Rows = Vec<Vec<String>>;

/// `bench console WORDS…`.
///
/// # Errors
/// A page does not do what it should. A promise that is missed is printed, not an error.
pub(super) fn command(words: &[&str]) -> Outcome {
    setup::programs(setup::FOR_TESTS)?;
    let number = words.iter().find(|word| !word.starts_with('-'));
    let devices = number.map_or(Ok(DEVICES), |number| number.parse())?;
    programs::shipped()?;
    let mut rows = vec![["", "promise", "console", "plain", "ttyd"].map(str::to_owned).to_vec()];
    terminals(&mut rows)?;
    lists(&mut rows, devices)?;
    if words.contains(&"--quick") {
        console::step("no recording of 1 GiB: --quick");
    } else {
        jumps(&mut rows)?;
    }
    if std::env::var_os("TOWLINE_TTYD").is_none() {
        rows.iter_mut().for_each(|row| row.truncate(4));
    }
    console::table(&rows);
    if words.contains(&"--write") {
        figures::write("console", &figures::markdown(&rows))?;
    }
    Ok(())
}

fn terminals(rows: &mut Rows) -> Outcome {
    let mut lab = Lab::start()?;
    let relay = Relay::to(lab.gateway.address())?;
    let origin = format!("https://{}", relay.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device()?;
    let mut story = story(&lab, &origin)?;
    story.env("TOWLINE_DEVICE", device.id());
    perform(story, |what| match what.split_once(' ').unwrap_or((what, "")) {
        ("row", row) => told(rows, row),
        ("cut", "") => {
            relay.cut();
            Ok(())
        }
        _ => Err(Trouble::new(format!("the browser asks for {what}"))),
    })
}

fn lists(rows: &mut Rows, devices: usize) -> Outcome {
    let mut lab = Lab::start()?;
    lab.gateway.process().stop()?;
    console::step(&format!("{devices} devices are written into the store"));
    fleet::store(&lab.gateway.directory().join("towline.db"), devices)?;
    lab.gateway.start_again()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let mut story = story(&lab, &origin)?;
    story.env("TOWLINE_NEWEST", format!("dev-{:06}", devices.saturating_sub(1)));
    perform(story, |what| match what.split_once(' ') {
        Some(("row", row)) => told(rows, row),
        _ => Err(Trouble::new(format!("the browser asks for {what}"))),
    })
}

/// The test of the player, with a long recording.
fn jumps(rows: &mut Rows) -> Outcome {
    let mut player = run::cargo();
    player.args(["test", "--locked", "--workspace", "--test", "e2e", PLAYER]);
    player.args(["--", "--nocapture"]).env("TOWLINE_RECORDING_MIB", RECORDING);
    suite::equip(&mut player, &setup::python()?)?;
    programs::tell(&mut player);
    let told = [("a jump: ", "p95 <= 150 ms"), ("a search: ", "")];
    let lines = run::watched(player, |line| told.iter().any(|(what, _)| line.contains(what)))?;
    for (what, promise) in told {
        let said = lines.iter().find_map(|line| line.split_once(what)).map(|(_, said)| said);
        let said = said.ok_or_else(|| Trouble::new(format!("the player told no times: {what}")))?;
        let what = format!("{}in a recording of 1 GiB", what.replace(':', ""));
        rows.push(vec![what, promise.into(), said.into(), String::new(), String::new()]);
    }
    Ok(())
}

fn story(lab: &Lab, origin: &str) -> Outcome<Command> {
    let mut story = browser(lab, &setup::node_modules()?)?;
    story.arg(workspace().join("tests/e2e/console/bench.js")).env("TOWLINE_ORIGIN", origin);
    Ok(story)
}

/// A row as the story tells it.
fn told(rows: &mut Rows, row: &str) -> Outcome {
    console::step(row);
    rows.push(serde_json::from_str(row)?);
    Ok(())
}
