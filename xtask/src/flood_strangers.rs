//! `cargo xtask flood-strangers [STARTS] [--write]`: how long an operator's sessions take to start
//! while one address floods the gateway.
//!
//! Data flow: sessions in the quiet -> each flood by itself, then all together -> the same sessions
//! meanwhile -> a table. Loopback only; the flood has an address of its own (127.6.6.6), and once
//! that of operator and device.
//!
//! # Invariants
//! - Each flood is bounded in connections and in connections a second, so that the flooding process
//!   leaves the processor to those it disturbs; all end with the command.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use towline_testkit::lab::{Device, Lab};
use towline_testkit::strangers::Strangers;
use towline_testkit::trouble::pause;
use towline_testkit::{Outcome, Trouble};

use crate::{console, figures};

/// Sessions of each row unless the command line gives another number.
const STARTS: usize = 50;
/// Most that the slowest percent may take, of its time in the quiet.
const GOAL: f64 = 2.0;
/// The address of the flood.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 6, 6, 6));

/// One way to flood: connections kept, and the pause between two new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flood {
    Silent,
    Idle,
    Wrong,
    Stalled,
}

impl Flood {
    const ALL: [Self; 4] = [Self::Silent, Self::Idle, Self::Wrong, Self::Stalled];

    const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent TCP, 500 kept, 500 a second",
            Self::Idle => "idle TLS, 300 kept, 50 a second",
            Self::Wrong => "wrong signatures, 200 a second",
            Self::Stalled => "bodies of 1 MB that stall, 50 kept, 10 a second",
        }
    }

    /// Floods until it is over. How much it did.
    fn run(self, strangers: &Strangers, key: &str, region: &str, over: &AtomicBool) -> usize {
        let (mut silent, mut tls, mut done) = (VecDeque::new(), VecDeque::new(), 0);
        while !over.load(Ordering::SeqCst) {
            // A connection that the gateway does not take is what it is there to do.
            let (keep, rest) = match self {
                Self::Silent => {
                    silent.extend(strangers.silent().ok());
                    (500, 2)
                }
                Self::Idle => {
                    tls.extend(strangers.idle().ok());
                    (300, 20)
                }
                Self::Wrong => {
                    done += strangers.wrong(key, region, 20).unwrap_or(0);
                    (0, 100)
                }
                Self::Stalled => {
                    tls.extend(strangers.stalled(key, region).ok());
                    (50, 100)
                }
            };
            done += usize::from(self != Self::Wrong);
            if silent.len() > keep {
                silent.pop_front();
            }
            if tls.len() > keep {
                tls.pop_front();
            }
            pause(Duration::from_millis(rest));
        }
        done
    }
}

/// `flood-strangers`.
///
/// # Errors
/// A session that does not start, or that takes too long.
pub(crate) fn command(words: &[&str]) -> Outcome {
    let rows = figures::command(words, "flood-strangers", STARTS, measure)?;
    let missed: Vec<_> =
        rows.iter().filter(|row| row.last().is_some_and(|ratio| ratio.ends_with("over"))).collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Trouble::new(format!("over {GOAL} times the quiet: {missed:?}")))
}

fn measure(starts: usize) -> Outcome<Vec<Vec<String>>> {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let head = ["", "done by the flood", "session start, median ms", "p99 ms", "p99 / quiet"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    console::step("quiet");
    sessions(&lab, &device, 5)?; // warm
    let quiet = sessions(&lab, &device, starts)?;
    rows.push(row("quiet", 0, &quiet, &quiet));
    for flood in Flood::ALL {
        rows.push(beside(&lab, starts, &quiet, &[flood], Some(ELSEWHERE), flood.name())?);
    }
    let all = &Flood::ALL;
    rows.push(beside(&lab, starts, &quiet, all, Some(ELSEWHERE), "all at once")?);
    let name = "all at once, from the operator's address";
    rows.push(beside(&lab, starts, &quiet, all, None, name)?);
    Ok(rows)
}

fn beside(
    lab: &Lab,
    starts: usize,
    quiet: &[Duration],
    floods: &[Flood],
    source: Option<IpAddr>,
    name: &str,
) -> Outcome<Vec<String>> {
    console::step(name);
    // One of its own: a principal starts at most 64 sessions on a device in two minutes.
    let device = &lab.device()?;
    let strangers =
        Strangers { host: lab.gateway.address().to_string(), ca: lab.gateway.ca().into(), source };
    let (key, region) = (lab.gateway.admin().id.as_str(), lab.gateway.region());
    let (over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for flood in floods {
            let (strangers, over, done) = (&strangers, &over, &done);
            scope.spawn(move || {
                let did = flood.run(strangers, key, region, over);
                done.fetch_add(did, Ordering::SeqCst);
            });
        }
        pause(Duration::from_secs(3)); // the floods are at their height
        let times = sessions(lab, device, starts);
        over.store(true, Ordering::SeqCst);
        times
    })
    .map(|times| row(name, done.load(Ordering::SeqCst), &times, quiet))
}

/// How long each of so many sessions takes, from the command's start to its end.
fn sessions(lab: &Lab, device: &Device, count: usize) -> Outcome<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let mut command = lab.admin().towline(&["exec", "-n", device.id(), "--", "true"]);
        let begin = Instant::now();
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        times.push(begin.elapsed());
        if !status.success() {
            return Err(Trouble::new(format!("a session did not start: {status}")));
        }
    }
    times.sort_unstable();
    Ok(times)
}

fn row(name: &str, done: usize, times: &[Duration], quiet: &[Duration]) -> Vec<String> {
    let at = |times: &[Duration], percent: usize| {
        let last = times.len().saturating_sub(1);
        times.get((times.len() * percent / 100).min(last)).map_or(0.0, Duration::as_secs_f64)
    };
    let ratio = at(times, 99) / at(quiet, 99).max(f64::EPSILON);
    let over = if ratio > GOAL { " over" } else { "" };
    vec![
        name.to_owned(),
        figures::grouped(done as u64),
        format!("{:.1}", at(times, 50) * 1000.0),
        format!("{:.1}", at(times, 99) * 1000.0),
        format!("{ratio:.2}{over}"),
    ]
}
