//! How often a key wakes each program, and how many system calls it costs.
//!
//! Data flow: a session of ours -> keys with a pause in between -> voluntary context switches of
//! `/proc/PID/task/*/status` before and after -> a number for each key. System calls the same way
//! by strace, in a run of their own: it makes everything slower.
//!
//! Two switches are the floor of each program: it is woken for the key and for its echo (decision
//! 274).
//!
//! # Known limits
//! - Programs that others execute wake the agent's command log, the gateway has work of its own a
//!   few times a second, and a busy machine joins wake-ups: only a quiet machine shows the floor.
//!
//! # Invariants
//! - Where strace is not installed, or may not trace, the report says so.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use towline_testkit::process::{self, Signal};
use towline_testkit::terminal::Terminal;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use super::rig::Rig;
use super::sample::{A_FAST_TYPIST, echoing, press};
use crate::console;

/// Keys that are counted.
const KEYS: usize = 200;
/// Most switches for a key that still are the floor.
const FLOOR: f64 = 2.3;
/// How long strace may take to attach.
const ATTACHED: Duration = Duration::from_secs(5);

/// Counts and prints.
pub(super) fn report(rig: &mut Rig) -> Outcome {
    let mut terminal = Terminal::start(&rig.ours(), 24, 80)?;
    echoing(&mut terminal)?;
    let [gateway, agent] = rig.pids()?;
    let programs = [("towline", terminal.pid()), ("gateway", gateway), ("agent", agent)];
    print_switches(&mut terminal, &programs)?;
    if process::find("strace").is_none() {
        console::line("system calls for each key: not counted, strace is not installed");
        return Ok(());
    }
    let mut shown = Vec::new();
    for (name, pid) in programs {
        shown.push(match system_calls(&mut terminal, pid, rig.lab().directory())? {
            Some(calls) => format!("{name} {:.1}", a_key(calls)),
            None => format!("{name} not counted (strace may not trace it)"),
        });
    }
    console::line(&format!("system calls for each key: {}", shown.join(", ")));
    Ok(())
}

/// Types keys, and prints how often each wakes each of these programs. The far terminal echoes.
pub(super) fn print_switches(terminal: &mut Terminal, programs: &[(&str, u32)]) -> Outcome {
    let before: Vec<u64> = programs.iter().map(|(_, pid)| switches(*pid)).collect();
    for key in (b'a'..=b'z').cycle().take(KEYS) {
        press(terminal, key, Some(A_FAST_TYPIST))?;
    }
    let shown: Vec<String> = programs
        .iter()
        .zip(before)
        .map(|((name, pid), before)| {
            let seen = a_key(switches(*pid) - before);
            format!("{name} {seen:.1}{}", if seen > FLOOR { " MISSED" } else { "" })
        })
        .collect();
    console::line(&format!(
        "voluntary context switches for each key (floor 2): {}",
        shown.join(", ")
    ));
    Ok(())
}

fn a_key(all: u64) -> f64 {
    f64::from(u32::try_from(all).unwrap_or(u32::MAX)) / KEYS as f64
}

/// Voluntary context switches of all threads of a process so far.
fn switches(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("status")).ok())
        .filter_map(|status| {
            let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<u64>().ok()
        })
        .sum()
}

/// System calls of a process while [`KEYS`] keys are typed; `None` when it cannot be traced.
fn system_calls(terminal: &mut Terminal, pid: u32, scratch: &Path) -> Outcome<Option<u64>> {
    let table = scratch.join("strace");
    let mut tracer = Command::new("strace")
        .args(["-c", "-f", "-o"])
        .arg(&table)
        .args(["-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if eventually("strace is attached", ATTACHED, || is_traced(pid).then_some(())).is_err() {
        let _ = tracer.kill();
        let _ = tracer.wait();
        return Ok(None);
    }
    for key in (b'a'..=b'z').cycle().take(KEYS) {
        press(terminal, key, Some(A_FAST_TYPIST))?;
    }
    process::send(tracer.id(), Signal::INT)?;
    let _ = tracer.wait()?;
    let text = std::fs::read_to_string(&table)?;
    let calls = total(&text);
    ensure(calls.is_some(), || format!("strace printed no total: {text}"))?;
    Ok(calls)
}

fn is_traced(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
}

/// The number of calls in the last line of strace's table: share, seconds, microseconds a call,
/// calls.
fn total(table: &str) -> Option<u64> {
    let line = table.lines().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn the_total_of_a_table_is_the_number_of_calls() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                      60.00    0.000030           3        10           write\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.000050           2        25         1 total\n";
        assert_eq!(total(table), Some(25));
        assert_eq!(total("nothing"), None);
    }
}
