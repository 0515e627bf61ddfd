//! `cargo xtask fleet vendor [DEVICES] [--write]`: a gateway with thousands of devices that play
//! amazon-ssm-agent: what each costs in memory, and how long it takes until all are connected.
//! Beside them one device sends through a forwarded port.
//!
//! Data flow: activations -> `tests/e2e/python/vendor_fleet.py`, in a process of its own ->
//! registration, keys, control channels over TLS -> rows of the table.
//!
//! # Not here
//! - No other session and no command runs there: the tests in `tests/e2e/vendor` have those.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::process::Running;
use towline_testkit::terminal::PATIENCE;
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, Trouble, facts};

use crate::figures::{self, grouped};
use crate::{console, setup};

/// Devices, unless told otherwise.
const DEVICES: usize = 1000;
/// Devices that are there before the first reading: what the gateway allocates once is no device's
/// cost.
const WARM: usize = 100;
/// Most devices of one activation.
const OF_ACTIVATION: usize = 1000;
/// How long memory settles, and how long an idle gateway is watched.
const IDLE: Duration = Duration::from_secs(20);
/// Bytes that one device sends through a forwarded port.
const PORT_BYTES: usize = 16_000_000;

/// `fleet vendor WORDS…`.
///
/// # Errors
/// A device that did not come.
pub(crate) fn command(words: &[&str]) -> Outcome {
    figures::command(words, "fleet-vendor", DEVICES, measure).map(drop)
}

fn measure(devices: usize) -> Outcome<Vec<Vec<String>>> {
    let devices = devices.max(WARM + 1);
    let python = setup::python()?;
    let mut lab = Lab::start()?;
    let gateway = lab.gateway.process().pid();
    let mut fleet = Command::new(python);
    fleet.arg(workspace().join("tests/e2e/python/vendor_fleet.py"));
    fleet.arg(format!("localhost:{}", lab.gateway.address().port())).arg(lab.gateway.ca());
    fleet.arg(lab.gateway.region()).args([devices.to_string(), WARM.to_string()]);
    let mut child = fleet.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let nothing = || Trouble::new("no pipe to the devices");
    let mut tell = child.stdin.take().ok_or_else(nothing)?;
    let mut hear = BufReader::new(child.stdout.take().ok_or_else(nothing)?);
    // More than devices: one that failed has used its activation.
    for _ in 0..(devices + devices / 4).div_ceil(OF_ACTIVATION) + 1 {
        let made = lab.activation(u32::try_from(OF_ACTIVATION)?)?;
        writeln!(tell, "{} {} {OF_ACTIVATION}", made.id, made.code)?;
    }
    writeln!(tell)?;
    wait(&mut hear, "warm")?;
    pause(Duration::from_secs(2));
    let before = facts::memory(gateway)?.rss;
    console::step(&format!("{} devices come", grouped(devices as u64)));
    writeln!(tell)?;
    let told = wait(&mut hear, "all ")?;
    pause(IDLE);
    let idle = facts::memory(gateway)?.rss;
    let processor = facts::cpu_us(gateway)?;
    pause(IDLE);
    let used = facts::cpu_us(gateway)?.saturating_sub(processor);
    writeln!(tell, "port {PORT_BYTES}")?;
    let speed = port(&lab, &wait(&mut hear, "device ")?)?;
    drop(tell);
    ensure(child.wait()?.success(), || "the devices failed".into())?;
    let (seconds, failures) = told.split_once(' ').unwrap_or((&told, "?"));
    let mut rows = rows(devices, (seconds, failures), (before, idle), used);
    let mb = PORT_BYTES / 1_000_000;
    rows.push(vec![
        format!("{mb} MB through one connection of `towline forward`, 1 KiB a message"),
        format!("{speed:.1} MB/s"),
    ]);
    Ok(rows)
}

/// Takes what a device sends through a forwarded port; MB/s.
#[allow(clippy::cast_precision_loss)] // for people
fn port(lab: &Lab, device: &str) -> Outcome<f64> {
    let command = lab.admin().towline(&["-o", "json", "forward", device, "0:9"]);
    let log = lab.directory().join("forward.log");
    let mut forward = Running::start("towline forward", command, &log)?;
    let listens = |text: &str| {
        let (_, behind) = text.split_once("\"LocalPort\":")?;
        behind.split_once(['}', ','])?.0.trim().parse::<u16>().ok()
    };
    let local = forward.wait_for("the forward listens", 0, PATIENCE, listens)?;
    let start = Instant::now();
    let mut connection = TcpStream::connect(("127.0.0.1", local))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let (mut chunk, mut taken) = (vec![0; 64 * 1024], 0);
    loop {
        match connection.read(&mut chunk)? {
            0 => break,
            read => taken += read,
        }
    }
    let took = start.elapsed().as_secs_f64();
    ensure(taken == PORT_BYTES, || format!("{taken} of {PORT_BYTES} bytes came"))?;
    Ok(taken as f64 / 1e6 / took)
}

/// Reads until a line begins so; the rest of it.
fn wait(hear: &mut BufReader<ChildStdout>, beginning: &str) -> Outcome<String> {
    let mut line = String::new();
    while hear.read_line(&mut line)? > 0 {
        if let Some(rest) = line.strip_prefix(beginning) {
            return Ok(rest.trim().to_owned());
        }
        line.clear();
    }
    Err(Trouble::new(format!("the devices ended before they said {beginning:?}")))
}

#[allow(clippy::cast_precision_loss)] // for people
fn rows(
    devices: usize,
    (seconds, failures): (&str, &str),
    (before, idle): (u64, u64),
    used: u64,
) -> Vec<Vec<String>> {
    let of_each = idle.saturating_sub(before) as f64 / (devices - WARM) as f64;
    let mb = |kib: u64| format!("{:.1} MB", kib as f64 * 1024.0 / 1e6);
    let share = used as f64 / IDLE.as_micros() as f64 * 100.0;
    [
        ("what", "seen".to_owned()),
        ("devices, control channels over TLS", grouped(devices as u64)),
        (
            "all registered and connected after, beside the process that plays them",
            format!("{seconds} s"),
        ),
        ("dials that came to nothing", failures.to_owned()),
        (
            &format!("gateway's RSS with {WARM} / with all idle"),
            format!("{} / {}", mb(before), mb(idle)),
        ),
        ("RSS of a further idle device", format!("{of_each:.1} KiB")),
        ("processor with all idle, of one core; each pings once in 54 s", format!("{share:.1} %")),
    ]
    .into_iter()
    .map(|(what, seen)| vec![what.to_owned(), seen])
    .collect()
}
