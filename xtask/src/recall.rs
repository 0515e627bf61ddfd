//! `cargo xtask recall`: the share of executed programs that the command log records, and its cost
//! on the device.
//!
//! Data flow: a workload of 5,000 programs, each with a number, in one session
//! (`towline_testkit::recall`), on the agent as it ships; the same once more while both processors
//! are kept busy by others; what `towline commands` gives is counted.
//!
//! # Not here
//! - Lost links and killed processes: `cargo xtask endure`.

use std::process::{Child, Command, Stdio};

use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::recall::{Tally, Workload, measure};
use towline_testkit::{Outcome, Trouble, facts};

use crate::{console, programs};

/// Builds, measures, prints. A log that is not sound ([`Tally::is_sound`]) is an error.
///
/// # Errors
/// See above.
pub(crate) fn report() -> Outcome {
    programs::shipped()?;
    let mut rows = vec![
        [
            "",
            "programs",
            "with arguments and exit code",
            "recall",
            "precision",
            "without arguments, in gaps",
            "doubled",
            "other gaps",
            "lasted",
            "CPU of the agent",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let lab = Lab::start()?;
    let device = lab.device()?;
    for (name, hogs) in [("as it is", 0), ("two programs that take all they get", 2)] {
        let _busy = Hogs::start(hogs)?;
        rows.push(one(&lab, &device, name)?);
    }
    let setup =
        DeviceSetup { config: "audit.command_log = false".to_owned(), ..DeviceSetup::default() };
    let silent = lab.device_with(&setup)?;
    console::step("the same without the log, for its cost");
    let before = facts::cpu(silent.pid()?)?;
    lab.admin().text(&["exec", "-n", silent.id(), "--", "sh", "-c", &Workload::WHOLE.script()])?;
    let without = facts::cpu(silent.pid()?)? - before;
    console::table(&rows);
    console::line(&format!(
        "without the log the agent took {} ms of CPU for the session",
        without.as_millis()
    ));
    Ok(())
}

fn one(lab: &Lab, device: &Device, name: &str) -> Outcome<Vec<String>> {
    console::step(&format!("{} programs, {name}", Workload::WHOLE.programs()));
    let before = facts::cpu(device.pid()?)?;
    let tally = measure(&lab.admin(), device, &Workload::WHOLE)?;
    let cpu = facts::cpu(device.pid()?)? - before;
    if !tally.is_sound() {
        return Err(Trouble::new(format!(
            "a record is missing without a gap, wrong, doubled or somebody else's: {tally:?}"
        )));
    }
    Ok(row(name, &tally, cpu))
}

fn row(name: &str, tally: &Tally, cpu: std::time::Duration) -> Vec<String> {
    let each = cpu.as_micros() / u128::try_from(tally.records.max(1)).unwrap_or(1);
    vec![
        name.to_owned(),
        tally.programs.to_string(),
        tally.with_code.to_string(),
        format!("{:.2} %", 100.0 * tally.recall()),
        format!("{:.2} %", 100.0 * tally.precision()),
        tally.said.to_string(),
        tally.doubled.to_string(),
        tally.gaps.to_string(),
        format!("{:.1} s", tally.lasted.as_secs_f64()),
        format!("{each} us a program"),
    ]
}

/// Programs that compute for ever. Dropped: killed.
struct Hogs(Vec<Child>);

impl Hogs {
    fn start(some: usize) -> Outcome<Self> {
        let mut hogs = Self(Vec::new());
        for _ in 0..some {
            hogs.0.push(
                Command::new("sh")
                    .args(["-c", "while :; do :; done"])
                    .stdin(Stdio::null())
                    .spawn()?,
            );
        }
        Ok(hogs)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            let _ = hog.kill();
            let _ = hog.wait();
        }
    }
}
