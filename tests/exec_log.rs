//! How much of what a session executes is in the command log: 5,000 executions, by this kernel.
//!
//! Needs root and a kernel with process events; elsewhere the log is not available, which the test states.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::collections::{HashMap, HashSet};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use towline_agent::audit::events::Events;
use towline_agent::audit::exec::ExecLog;
use towline_agent::audit::record::{Gap, Record};

/// 4,000 short-lived programs one after another, some nested two deep, 200 at once, some orphaned and in sessions of
/// their own: 5,000 executions of `/bin/true` and `/bin/false`, each with a number.
const WORKLOAD: &str = r#"
n=0
while [ $n -lt 4000 ]; do /bin/true x$n; n=$((n+1)); done
while [ $n -lt 4400 ]; do /bin/false x$n; n=$((n+1)); done
while [ $n -lt 4600 ]; do ( ( /bin/true x$n ) ); n=$((n+1)); done
while [ $n -lt 4800 ]; do /bin/true x$n & n=$((n+1)); done; wait
while [ $n -lt 5000 ]; do ( setsid /bin/true x$n & ); n=$((n+1)); done
exec sleep 0.5
"#;
const EXECUTIONS: usize = 5000;

/// What came out of the log.
#[derive(Default)]
struct Found {
    with_arguments: HashSet<usize>,
    without: usize,
    codes: HashMap<u32, u32>,
    wrong_code: usize,
    ended: usize,
    foreign: usize,
    kernel_gaps: usize,
    ring_gaps: usize,
    number_of: HashMap<u32, usize>,
}

impl Found {
    fn take(&mut self, log: &mut ExecLog) {
        while let Some((_, record)) = log.ring().pop() {
            match record {
                Record::Exec { pid, arguments, session, .. } => {
                    assert_eq!(session, 7);
                    let words: Vec<&[u8]> = arguments.split(|b| *b == 0).collect();
                    let number =
                        words.get(1).and_then(|word| std::str::from_utf8(word).ok()?.strip_prefix('x')?.parse().ok());
                    match number {
                        Some(number) => {
                            self.with_arguments.insert(number);
                            self.number_of.insert(pid, number);
                        }
                        None if arguments.is_empty() => self.without += 1,
                        None if words[0] == b"outsider" => self.foreign += 1,
                        None => {}
                    }
                }
                Record::Exit { pid, status, .. } => {
                    self.ended += 1;
                    self.codes.insert(pid, status);
                    if let Some(number) = self.number_of.remove(&pid) {
                        let expected = if (4000..4400).contains(&number) { 1 << 8 } else { 0 };
                        self.wrong_code += usize::from(status != expected);
                    }
                }
                Record::Gap(Gap::Kernel | Gap::TooManyProcesses) => self.kernel_gaps += 1,
                Record::Gap(Gap::Ring { .. }) => self.ring_gaps += 1,
            }
        }
    }
}

#[test]
fn the_log_knows_what_a_session_executed_or_says_that_something_is_missing() {
    let events = match Events::open() {
        Ok(events) => events,
        Err(error) => {
            println!("no process events here ({error}): the command log is not available, and says so");
            return;
        }
    };
    let mut log = ExecLog::default();
    let mut child =
        Command::new("sh").args(["-c", WORKLOAD]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    log.adopt(child.id(), 7);
    // Somebody else's process at the same time: it must not be in the log.
    let mut outsider = Command::new("sh").args(["-c", "for n in 1 2 3; do /bin/true outsider; done"]).spawn().unwrap();
    let (mut found, start) = (Found::default(), Instant::now());
    let mut busy = Duration::ZERO;
    loop {
        let mut descriptors = [rustix::event::PollFd::new(&events, rustix::event::PollFlags::IN)];
        let patience = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        rustix::event::poll(&mut descriptors, Some(&patience)).unwrap();
        let before = Instant::now();
        log.pump(&events, start.elapsed().as_secs() as u32 + 1).unwrap();
        busy += before.elapsed();
        found.take(&mut log);
        if log.members() == 0 || start.elapsed() > Duration::from_secs(120) {
            break;
        }
    }
    child.wait().unwrap();
    outsider.wait().unwrap();
    let recall = found.with_arguments.len();
    println!(
        "{EXECUTIONS} executions: {recall} with arguments, {} without, {} ends, {} wrong exit codes, {} foreign, {} gaps of the \
         kernel, {} of the ring; {} µs each",
        found.without,
        found.ended,
        found.wrong_code,
        found.foreign,
        found.kernel_gaps,
        found.ring_gaps,
        busy.as_micros() / EXECUTIONS as u128
    );
    assert_eq!((found.foreign, found.wrong_code), (0, 0));
    // Every execution is there, with or without its arguments, unless the kernel said that it lost some.
    let seen = recall + found.without;
    assert!(seen >= EXECUTIONS || found.kernel_gaps > 0, "{seen} of {EXECUTIONS}, and no gap");
}
