//! `cargo xtask bench processes`: an agent as two processes (`security.separation`) beside one as a
//! single process.
//!
//! Data flow: one gateway, two devices on this machine -> memory of both idle -> rounds of
//! keystrokes and bulk output, the two devices in turn -> the median of each, and their ratio ->
//! what a key wakes.
//!
//! # Known limits
//! - Only the ratio of one run counts: a busy machine slows both.
//! - The account is one that Debian has, `games`: the package's is not on the machine that
//!   measures.

use std::process::Command;

use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::terminal::Terminal;
use towline_testkit::text::Text;
use towline_testkit::trouble::pause;
use towline_testkit::{Outcome, Trouble, eventually, facts, files};

use super::counted::print_switches;
use super::rig::at_home;
use super::sample::{A_FAST_TYPIST, bulk, echoing, keystrokes};
use super::stats::{Series, machine, median};
use crate::{console, programs};

const ROUNDS: usize = 5;
/// Bytes of one bulk sample.
const BULK: usize = 50_000_000;
/// Time for memory to settle.
const SETTLE: std::time::Duration = std::time::Duration::from_secs(5);
const CONFIG: &str = "security.separation = \"demanded\"\nsecurity.network_user = \"games\"";

/// Measures, and prints the figures.
///
/// # Errors
/// No root, or a device does not work.
pub(super) fn compare() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Err(Trouble::new("it needs root: the agent changes to another account"));
    }
    programs::shipped()?;
    let lab = Lab::start()?;
    let home = lab.directory().join("home");
    std::fs::create_dir(&home)?;
    files::write(&home.join(".hushlogin"), "")?;
    let text = lab.directory().join("text");
    files::write(&text, Text::new(1).take_bytes(BULK))?;
    let device = |config: &str| {
        lab.device_with(&DeviceSetup {
            direct: Some(lab.gateway.address().to_string()),
            behind: at_home(&home),
            config: config.to_owned(),
            ..DeviceSetup::default()
        })
    };
    let (one, two) = (device("")?, device(CONFIG)?);
    console::line(&format!("machine: {}", machine()));
    pause(SETTLE);
    show("one process", one.pid()?)?;
    show("two: with all rights", two.pid()?)?;
    show("two: reads the network", network_process(&two)?)?;
    let shell = |device: &Device| -> Command { lab.admin().towline(&["shell", device.id()]) };
    let mut series: [[Series; 2]; 3] = Default::default();
    for round in 1..=ROUNDS {
        console::step(&format!("round {round} of {ROUNDS}"));
        for (way, device) in [&one, &two].into_iter().enumerate() {
            series[0][way].push(keystrokes(&shell(device), None)?);
            series[1][way].push(keystrokes(&shell(device), Some(A_FAST_TYPIST))?);
            series[2][way].push(bulk(&shell(device), &text, BULK)?);
        }
    }
    let network = network_process(&two)?;
    let both = [("agent", &one, None), ("agent of two processes", &two, Some(network))];
    for (name, device, network) in both {
        let mut terminal = Terminal::start(&shell(device), 24, 80)?;
        echoing(&mut terminal)?;
        let mut programs = vec![(name, device.pid()?)];
        programs.extend(network.map(|pid| ("its network process", pid)));
        print_switches(&mut terminal, &programs)?;
    }
    let names = ["keystroke p50, us", "keystroke p50, typed every 20 ms, us", "bulk output, MB/s"];
    for (name, [one, two]) in names.iter().zip(&series) {
        let (one, two) = (median(one), median(two));
        console::line(&format!("{name}: one {one:.1}, two {two:.1}, ratio {:.3}", two / one));
    }
    Ok(())
}

fn show(name: &str, pid: u32) -> Outcome {
    let (memory, libraries) = (facts::memory(pid)?, facts::library_memory(pid).unwrap_or(0));
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default().trim();
    console::line(&format!(
        "{name}: RSS {} KiB, of these {libraries} of libraries, PSS {pss}, anonymous {} KiB, {} \
         thread",
        memory.rss,
        memory.anonymous,
        facts::threads(pid)?
    ));
    Ok(())
}

/// The child that has a filter of system calls.
fn network_process(device: &Device) -> Outcome<u32> {
    let agent = device.pid()?;
    let filtered = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line == "Seccomp:\t2")
    };
    eventually("there is a network process", SETTLE, || {
        facts::children(agent).into_iter().find(filtered)
    })
}
