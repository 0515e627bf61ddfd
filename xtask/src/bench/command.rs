//! `cargo xtask bench`: Towline compared with an SSH reverse tunnel: `ssh -> sshd <- ssh -R ->
//! dropbear`.
//!
//! Both reach a shell on a device that dialled out, over a relay, all on loopback. The one is two
//! encryptions end to end in OpenSSH and dropbear, the other is our command line, gateway and
//! agent.
//!
//! Data flow: both rigs up -> rounds, the two interleaved within each, the floor (no network) first
//! -> ratios within a round -> the median of the ratios. One machine's microseconds mean little; a
//! ratio of the same minute means something.
//!
//! # Not here
//! - Port forwarding: [`tunnel`], a run of its own.
//! - The web console: [`page`], a run of its own.

use towline_testkit::{Outcome, Trouble};

use super::rig::Rig;
use super::sample::{bulk, keystrokes, starts};
use super::stats::{Series, median};
use super::{counted, page, processes, sample, stats, tunnel};
use crate::{console, figures, programs, setup};

/// Rounds unless the command line gives another number. Fewer prove nothing: a round's p50 moves by
/// a factor of two.
const ROUNDS: usize = 5;
/// Text moved in one bulk sample, bytes.
const BULK: usize = 200_000_000;

/// What is compared, and the goal for ours as a multiple of the peer's.
struct Goal {
    what: &'static str,
    unit: &'static str,
    goal: f64,
    /// Less is better.
    less: bool,
}

const GOALS: [Goal; 4] = [
    Goal { what: "keystroke p50", unit: "us", goal: 1.0, less: true },
    Goal { what: "keystroke p50, typed every 20 ms", unit: "us", goal: 1.0, less: true },
    Goal { what: "session start p50", unit: "ms", goal: 0.25, less: true },
    Goal { what: "bulk output", unit: "MB/s", goal: 1.0, less: false },
];

/// `cargo xtask bench WORDS…`.
///
/// # Errors
/// The words mean nothing, or a rig does not work.
pub(crate) fn command(words: &[&str]) -> Outcome {
    match words {
        [] => compare(ROUNDS, false),
        ["--write"] => compare(ROUNDS, true),
        ["console", more @ ..] => page::command(more),
        ["tunnel"] => tunnel::compare(false),
        ["tunnel", "near"] => tunnel::compare(true),
        ["processes"] => processes::compare(),
        ["switches"] => counted::report(&mut rig()?),
        ["only", sample] => compare_one(sample, ROUNDS),
        ["only", sample, rounds] => compare_one(sample, rounds.parse()?),
        [rounds] => compare(rounds.parse()?, false),
        [rounds, "--write"] => compare(rounds.parse()?, true),
        _ => Err(Trouble::new(
            "usage: cargo xtask bench [ROUNDS] [--write] | only SAMPLE [ROUNDS] | switches | \
             tunnel [near] | processes | console [DEVICES] [--quick] [--write]",
        )),
    }
}

/// Runs the rounds and prints the ratios. A goal that is missed is printed, not an error: speed
/// depends on the machine.
///
/// # Errors
/// A rig does not work.
fn compare(rounds: usize, write: bool) -> Outcome {
    if rounds == 0 {
        return Err(Trouble::new("at least one round"));
    }
    let mut rig = rig()?;
    let mut series: [[Series; 3]; 4] = Default::default();
    for round in 1..=rounds {
        console::step(&format!("round {round} of {rounds}"));
        for (way, command) in [rig.floor(), rig.peer(), rig.ours()].iter().enumerate() {
            for (goal, series) in series.iter_mut().enumerate() {
                series[way].push(sample(goal, command, &rig)?);
            }
        }
        report_round(&GOALS, &series);
    }
    let rows = report(&GOALS, &series);
    counted::report(&mut rig)?;
    if write { figures::write("bench", &figures::markdown(&rows)) } else { Ok(()) }
}

/// One of the samples alone: what is taken apart with a profiler beside it.
///
/// # Errors
/// There is no such sample, or a rig does not work.
fn compare_one(what: &str, rounds: usize) -> Outcome {
    let goal = match what {
        "keys" => 0,
        "typed" => 1,
        "starts" => 2,
        "bulk" => 3,
        _ => {
            return Err(Trouble::new(format!(
                "there is no sample {what}: keys, typed, starts, bulk"
            )));
        }
    };
    let rig = rig()?;
    let mut series: [Series; 3] = Default::default();
    for _ in 0..rounds {
        for (way, command) in [rig.floor(), rig.peer(), rig.ours()].iter().enumerate() {
            series[way].push(sample(goal, command, &rig)?);
        }
        report_round(&GOALS[goal..=goal], std::slice::from_ref(&series));
    }
    report(&GOALS[goal..=goal], std::slice::from_ref(&series));
    Ok(())
}

fn rig() -> Outcome<Rig> {
    setup::programs(setup::FOR_BENCH)?;
    programs::shipped()?;
    let rig = Rig::start(BULK)?;
    console::line(&format!("machine: {}", stats::machine()));
    Ok(rig)
}

/// The sample of this number in [`GOALS`].
fn sample(goal: usize, command: &std::process::Command, rig: &Rig) -> Outcome<f64> {
    match goal {
        0 => keystrokes(command, None),
        1 => keystrokes(command, Some(sample::A_FAST_TYPIST)),
        2 => starts(command),
        _ => bulk(command, rig.text(), BULK),
    }
}

fn report_round(goals: &[Goal], series: &[[Series; 3]]) {
    for (goal, [floor, peer, ours]) in goals.iter().zip(series) {
        let last = |s: &Series| s.last().copied().unwrap_or(f64::NAN);
        let (floor, peer, ours) = (last(floor), last(peer), last(ours));
        let ratio = ours / peer;
        console::line(&format!(
            "{}: floor {floor:.1}, peer {peer:.1}, ours {ours:.1} {}, ratio {ratio:.2}",
            goal.what, goal.unit
        ));
    }
}

fn report(goals: &[Goal], series: &[[Series; 3]]) -> Vec<Vec<String>> {
    let mut rows = vec![
        ["median of rounds", "floor", "peer", "ours", "unit", "ratio (range)", "goal", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (goal, [floor, peer, ours]) in goals.iter().zip(series) {
        let mut ratios: Vec<f64> = ours.iter().zip(peer).map(|(ours, peer)| ours / peer).collect();
        ratios.sort_by(f64::total_cmp);
        let ratio = median(&ratios);
        let met = if goal.less { ratio <= goal.goal } else { ratio >= goal.goal };
        let sign = if goal.less { "<=" } else { ">=" };
        let (low, high) =
            (ratios.first().copied().unwrap_or(ratio), ratios.last().copied().unwrap_or(ratio));
        rows.push(vec![
            goal.what.into(),
            format!("{:.1}", median(floor)),
            format!("{:.1}", median(peer)),
            format!("{:.1}", median(ours)),
            goal.unit.into(),
            format!("{ratio:.2} ({low:.2}-{high:.2})"),
            format!("{sign} {:.2}", goal.goal),
            if met { "met" } else { "MISSED" }.into(),
        ]);
    }
    console::table(&rows);
    rows
}
