//! `cargo xtask fleet [DEVICES] [--write]`: a gateway with thousands of simulated devices on real
//! sockets: memory, one command on all of them, and their return after a kill and after a stop.
//!
//! Data flow: devices are written into the store -> processes of this program simulate them, up to
//! [`OF_PROCESS`] each -> their counts, one line ten times a second -> rows of the table.
//!
//! # Not here
//! - Links without sockets (`cargo xtask fleet links [N]`): `crates/gateway/tests/links.rs`. Lists
//!   and searches: `cargo xtask fleet store`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use towline_testkit::fleet::{self, Counts, Plan};
use towline_testkit::lab::{Lab, Operator};
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, Trouble, eventually, facts};

use crate::figures::grouped;
use crate::{console, figures, run, setup};

/// Devices, unless told otherwise.
const DEVICES: usize = 1000;
/// Links by pipes, unless told otherwise.
const LINKS: usize = 100_000;
/// Devices of one process: its open files are bounded, too.
const OF_PROCESS: usize = 9000;
/// How long a script takes on a device.
const WORK: Duration = Duration::from_millis(20);
/// How long all devices may take to come.
const ALL_COME: Duration = Duration::from_secs(600);
/// How long memory settles, and how long an idle gateway is watched.
const IDLE: Duration = Duration::from_secs(20);
/// Devices that come together where few come at a time, and how many times: over 4,000 devices five
/// runs gave 13.8 to 14.2 KiB, over 1,500 they differed by 8 %.
const FEW: usize = 250;
const TIMES: usize = 16;

/// `fleet WORDS…`.
///
/// # Errors
/// A device that did not come, or a command that did not run once on each.
pub(crate) fn command(words: &[&str]) -> Outcome {
    if let ["devices", first, count, gateway, ca] = words {
        return simulate(&Plan {
            gateway: fleet::Way::Tcp(gateway.parse()?),
            ca: ca.into(),
            first: first.parse()?,
            count: count.parse()?,
            work: WORK,
        });
    }
    if let ["links", more @ ..] = words {
        return links(more.first().map_or(Ok(LINKS), |links| links.parse())?);
    }
    setup::programs(&[("python3", "python3")])?;
    figures::command(words, "fleet", DEVICES, measure).map(drop)
}

/// Links in one process of the gateway's code, over pipes: a test of the gateway, with so many, in
/// the profile that the gateway ships in. Its table is on the terminal.
fn links(links: usize) -> Outcome {
    let mut command = run::cargo();
    command.args(["test", "--locked", "--profile", "server", "--package", "towline-gateway"]);
    command.args(["--test", "links", "--", "all_links", "--nocapture"]);
    command.env("TOWLINE_LINKS", links.to_string());
    command.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0"); // as the gateway sets it
    run::checked(command)
}

/// Devices of one process, until its standard output is closed.
fn simulate(plan: &Plan) -> Outcome {
    let (_, hard) = open_files();
    set_open_files(hard)?;
    let mut out = std::io::stdout();
    fleet::run(plan, |counts| writeln!(out, "{}", counts.line()).and_then(|()| out.flush()).is_ok())
}

fn open_files() -> (Option<u64>, Option<u64>) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    (limit.current, limit.maximum)
}

fn set_open_files(hard: Option<u64>) -> Outcome {
    let limit = rustix::process::Rlimit { current: hard, maximum: hard };
    Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?)
}

/// Processes that simulate devices. They end with it.
struct Simulators {
    children: Vec<Child>,
    counts: Arc<Mutex<Vec<Counts>>>,
}

impl Simulators {
    fn start(lab: &Lab, devices: usize) -> Outcome<Self> {
        let processes = devices.div_ceil(OF_PROCESS).max(2);
        let of_each = devices.div_ceil(processes);
        let firsts = (0..processes).map(|process| process * of_each);
        let parts = firsts.map(|first| (first, of_each.min(devices.saturating_sub(first))));
        Self::of_parts(lab, &parts.collect::<Vec<_>>())
    }

    /// A process for each part: its first device, and how many.
    fn of_parts(lab: &Lab, parts: &[(usize, usize)]) -> Outcome<Self> {
        let counts = Arc::new(Mutex::new(vec![Counts::default(); parts.len()]));
        let mut children = Vec::new();
        for (process, (first, count)) in parts.iter().enumerate() {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["fleet", "devices", &first.to_string(), &count.to_string()]);
            command.arg(lab.gateway.address().to_string()).arg(lab.gateway.ca());
            let mut child = command.stdout(Stdio::piped()).spawn()?;
            let out = child.stdout.take().ok_or_else(|| Trouble::new("no output"))?;
            let all = Arc::clone(&counts);
            thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if let Ok(now) = Counts::parse(&line) {
                        all.lock().unwrap_or_else(PoisonError::into_inner)[process] = now;
                    }
                }
            });
            children.push(child);
        }
        Ok(Self { children, counts })
    }

    fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().sum()
    }

    /// How long it takes until all are linked.
    fn all_come(&self, devices: usize) -> Outcome<Duration> {
        fleet::until(ALL_COME, || self.counts(), |counts| counts.linked == devices)
    }
}

impl Drop for Simulators {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn measure(devices: usize) -> Outcome<Vec<Vec<String>>> {
    let few = further_device()?;
    let mut lab = with_store(devices)?;
    let empty = facts::memory(lab.gateway.process().pid())?.rss;
    console::step("the devices come");
    let simulators = Simulators::start(&lab, devices)?;
    let came = simulators.all_come(devices)?;
    let mut rows = vec![["what", "seen"].map(str::to_owned).to_vec()];
    let mut row = |what: &str, seen: String| rows.push(vec![what.to_owned(), seen]);
    row("devices, all on real sockets", grouped(devices as u64));
    row("all linked after", seconds(came));
    pause(IDLE);
    let pid = lab.gateway.process().pid();
    let idle = facts::memory(pid)?.rss;
    row("gateway's RSS empty / with all idle", format!("{} / {}", mb(empty), mb(idle)));
    row("RSS of one idle device, all come at once", kib(idle.saturating_sub(empty), devices));
    let what = format!("memory of a further idle device, {FEW} come at a time");
    row(&what, format!("{few:.1} KiB"));
    let before = facts::cpu_us(pid)?;
    pause(IDLE);
    let used = facts::cpu_us(pid)?.saturating_sub(before);
    row("processor idle, of one core", percent(used, IDLE));
    console::step("one command on all, ten percent at once");
    row("one command finished on all after", seconds(command_on_all(&lab, devices, &simulators)?));
    console::step("the gateway is killed");
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    let (back, starts) = come_back(&lab, &simulators, devices)?;
    row("all back after SIGKILL", seconds(back));
    row("session starts meanwhile: number, p50, p99", starts);
    console::step("the gateway is stopped and started");
    lab.gateway.process().stop()?;
    lab.gateway.start_again()?;
    let (back, starts) = come_back(&lab, &simulators, devices)?;
    row("all back after SIGTERM", seconds(back));
    row("session starts meanwhile: number, p50, p99", starts);
    let most = facts::memory(lab.gateway.process().pid())?.rss;
    row("gateway's RSS after that", mb(most));
    row("dials that came to nothing", simulators.counts().failures.to_string());
    Ok(rows)
}

/// What a further idle device costs where few come at a time, KiB: the handshakes of all at once
/// leave holes in the gateway's memory that later links fill. The slope of anonymous memory over
/// [`TIMES`] readings: pages of the program that were read meanwhile are no device's, and no single
/// reading decides.
pub(crate) fn further_device() -> Outcome<f64> {
    let mut lab = with_store(FEW * TIMES)?;
    let pid = lab.gateway.process().pid();
    let (mut simulators, mut readings) = (Vec::new(), Vec::new());
    console::step(&format!("{FEW} to {} devices, {FEW} at a time", FEW * TIMES));
    for time in 0..TIMES {
        let more = Simulators::of_parts(&lab, &[(FEW * time, FEW)])?;
        more.all_come(FEW)?;
        simulators.push(more);
        pause(Duration::from_secs(1));
        readings.push(facts::memory(pid)?.anonymous);
    }
    console::line(&format!("gateway: anonymous memory {readings:?} KiB"));
    Ok(slope(&readings) / FEW as f64)
}

/// A gateway with so many devices in its store.
fn with_store(devices: usize) -> Outcome<Lab> {
    let mut lab = Lab::start()?;
    lab.gateway.process().stop()?;
    console::step(&format!("{} devices are written into the store", grouped(devices as u64)));
    fleet::store(&lab.gateway.directory().join("towline.db"), devices)?;
    lab.gateway.start_again()?;
    pause(Duration::from_secs(2));
    Ok(lab)
}

/// Growth from one reading to the next, by least squares.
#[allow(clippy::cast_precision_loss)] // KiB of one process
fn slope(readings: &[u64]) -> f64 {
    let number = readings.len() as f64;
    let (middle, mean) = ((number - 1.0) / 2.0, readings.iter().sum::<u64>() as f64 / number);
    let (mut rise, mut run) = (0.0, 0.0);
    for (at, reading) in readings.iter().enumerate() {
        let from_middle = at as f64 - middle;
        rise += from_middle * (*reading as f64 - mean);
        run += from_middle * from_middle;
    }
    rise / run
}

/// Waits until all are linked again, and starts sessions meanwhile.
fn come_back(lab: &Lab, simulators: &Simulators, devices: usize) -> Outcome<(Duration, String)> {
    let (admin, over) = (lab.admin(), AtomicBool::new(false));
    let (back, mut times) = thread::scope(|scope| {
        let starts = scope.spawn(|| start_sessions(&admin, devices, &over));
        let back = simulators.all_come(devices);
        over.store(true, Ordering::Relaxed);
        let times = starts.join().map_err(|_| Trouble::new("the session starts panicked"));
        Ok::<_, Trouble>((back?, times?))
    })?;
    times.sort_unstable();
    let ms = |percent: usize| {
        let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(at).map_or(0.0, |time: &Duration| time.as_secs_f64() * 1000.0)
    };
    Ok((back, format!("{}, {:.0} ms, {:.0} ms", times.len(), ms(50), ms(99))))
}

/// Starts a session on one device after the other; those that are back count.
fn start_sessions(admin: &Operator, devices: usize, over: &AtomicBool) -> Vec<Duration> {
    let (mut times, mut number) = (Vec::new(), 0_usize);
    while !over.load(Ordering::Relaxed) {
        number = (number + 7919) % devices;
        let body = json!({ "Target": fleet::id(number) });
        let begin = Instant::now();
        if let Ok(started) = admin.api("AmazonSSM.StartSession", &body) {
            times.push(begin.elapsed());
            let end = json!({ "SessionId": started["SessionId"] });
            let _ = admin.api("AmazonSSM.TerminateSession", &end); // it ends by itself, too
        } else {
            pause(Duration::from_millis(10));
        }
    }
    times
}

fn command_on_all(lab: &Lab, devices: usize, simulators: &Simulators) -> Outcome<Duration> {
    let body = json!({
        "DocumentName": "AWS-RunShellScript",
        "Targets": [{ "Key": "InstanceIds", "Values": ["*"] }],
        "Parameters": { "commands": ["uname -a"] },
        "MaxConcurrency": "10%",
    });
    let begin = Instant::now();
    let sent = lab.admin().api("AmazonSSM.SendCommand", &body)?;
    let id = sent["Command"]["CommandId"].clone();
    let ended = eventually("the command has ended", ALL_COME, || {
        pause(Duration::from_millis(100));
        let listed = lab.admin().api("AmazonSSM.ListCommands", &json!({ "CommandId": id })).ok()?;
        let command = listed["Commands"][0].clone();
        (!["Pending", "InProgress"].contains(&command["Status"].as_str()?)).then_some(command)
    })?;
    let took = begin.elapsed();
    ensure(ended["Status"] == "Success", || format!("the command ended so: {ended}"))?;
    let scripts = fleet::until(
        Duration::from_secs(5),
        || simulators.counts(),
        |counts| counts.scripts == devices,
    );
    scripts.map_err(|trouble| Trouble::new(format!("not once on each device: {trouble}")))?;
    Ok(took)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[allow(clippy::cast_precision_loss)] // for people
fn mb(kib: u64) -> String {
    format!("{:.1} MB", kib as f64 * 1024.0 / 1e6)
}

#[allow(clippy::cast_precision_loss)] // for people
fn kib(kib: u64, devices: usize) -> String {
    format!("{:.1} KiB", kib as f64 / devices.max(1) as f64)
}

#[allow(clippy::cast_precision_loss)] // for people
fn percent(microseconds: u64, of: Duration) -> String {
    format!("{:.1} %", microseconds as f64 / of.as_micros() as f64 * 100.0)
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn the_growth_of_a_step_is_that_of_the_line_and_no_reading_decides_alone() {
        let steady: Vec<u64> = (0..16).map(|step| 22_800 + 3_500 * step).collect();
        assert!((slope(&steady) - 3_500.0).abs() < 0.001, "{}", slope(&steady));
        for at in 0..steady.len() {
            let mut read = steady.clone();
            read[at] += 1_000; // what an export of the audit trail takes for a moment
            assert!((slope(&read) - 3_500.0).abs() < 25.0, "reading {at}: {}", slope(&read));
        }
    }
}
