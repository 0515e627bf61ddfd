//! What the watcher sees of the programs that are executed below this process, by this kernel.
//!
//! Needs root and a kernel with process events for the whole; elsewhere it says by what it watches,
//! and the test holds it to that. The figure for a whole device: `cargo xtask recall`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use towline_agent::command_log::observations::{self as seen, Seen};
use towline_agent::command_log::watcher;
use towline_wire::message::ExitStatus;
use towline_wire::record::Source;

/// 600 short-lived programs one after another, some nested two deep, 100 at once, some orphaned and
/// in sessions of their own; each with a number. The second hundred fails.
const WORKLOAD: &str = r#"
n=0
while [ $n -lt 100 ]; do /bin/true x$n; n=$((n+1)); done
while [ $n -lt 200 ]; do /bin/false x$n; n=$((n+1)); done
while [ $n -lt 400 ]; do ( ( /bin/true x$n ) ); n=$((n+1)); done
while [ $n -lt 500 ]; do /bin/true x$n & n=$((n+1)); done; wait
while [ $n -lt 600 ]; do ( setsid /bin/true x$n & ); n=$((n+1)); done
"#;
const PROGRAMS: usize = 600;
const PATIENCE: Duration = Duration::from_secs(60);

/// What came out of the watcher about one session.
#[derive(Default)]
struct Found {
    with_arguments: HashSet<usize>,
    without: usize,
    executions: usize,
    doubled: usize,
    wrong_code: usize,
    foreign: usize,
    missed: usize,
    running: HashMap<u32, usize>,
    /// What the watcher itself counted: executions, and those without arguments.
    over: Option<(u64, u64)>,
}

impl Found {
    fn take(&mut self, session: u32, seen: Seen) {
        match seen {
            Seen::Exec { root, pid, program, .. } if root == session => {
                let words: Vec<&[u8]> = program.arguments.split(|b| *b == 0).collect();
                let own = words[0].starts_with(b"/bin/");
                let number = words.get(1).and_then(|word| {
                    std::str::from_utf8(word).ok()?.strip_prefix('x')?.parse().ok()
                });
                self.executions += 1;
                self.without += usize::from(program.arguments.is_empty());
                self.foreign += usize::from(words.contains(&&b"outsider"[..]));
                if let Some(number) = number.filter(|_| own) {
                    self.doubled += usize::from(!self.with_arguments.insert(number));
                    self.running.insert(pid, number);
                }
            }
            Seen::Exit { root, pid, status, .. } if root == session => {
                if let Some(number) = self.running.remove(&pid) {
                    let code = u8::from((100..200).contains(&number));
                    self.wrong_code += usize::from(status != Some(ExitStatus::Code(code)));
                }
            }
            Seen::Over { root, executions, without_arguments, .. } if root == session => {
                self.over = Some((executions, without_arguments));
            }
            Seen::Missed(_) => self.missed += 1,
            Seen::Exec { .. } | Seen::Exit { .. } | Seen::Over { .. } => {}
        }
    }
}

#[test]
fn the_watcher_knows_what_a_session_executed_or_says_that_something_is_missing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (means, found) = runtime.block_on(async {
        let (inbox, mut outbox) = seen::pair().unwrap();
        let means = watcher::start(inbox, Vec::new()).unwrap();
        let run = |script: &str| {
            Command::new("sh").args(["-c", script]).stdout(Stdio::null()).spawn().unwrap()
        };
        let mut session = run(WORKLOAD);
        let mut other = run("for n in 1 2 3; do /bin/true outsider; done");
        let (mut found, start) = (Found::default(), Instant::now());
        while found.over.is_none() && start.elapsed() < PATIENCE {
            let left = poll_fn(|cx| outbox.poll_left(cx));
            let _ = tokio::time::timeout(Duration::from_millis(200), left).await;
            for seen in outbox.take() {
                found.take(session.id(), seen);
            }
            let _ = (session.try_wait(), other.try_wait()); // ended children are reaped
        }
        for child in [&mut session, &mut other] {
            let _ = child.kill();
            child.wait().unwrap();
        }
        (means, found)
    });
    println!(
        "{means}: {PROGRAMS} programs, {} with arguments, {} without, {} doubled, {} wrong exit \
         codes, {} missed",
        found.with_arguments.len(),
        found.without,
        found.doubled,
        found.wrong_code,
        found.missed
    );
    let counted = found.over.expect("the end of the session was seen");
    assert_eq!(
        counted,
        (found.executions as u64, found.without as u64),
        "what is missing is counted"
    );
    assert_eq!(
        (found.foreign, found.doubled, found.wrong_code),
        (0, 0, 0),
        "what is on record is right"
    );
    match means.source {
        // Every execution is there, with its own arguments or without any: the host of a virtual
        // machine may take a processor away at any moment, so how many have them is measured
        // (`cargo xtask recall`) and not demanded here.
        Source::Kernel | Source::KernelUnhurried => {
            assert!(found.with_arguments.len() + found.without >= PROGRAMS || found.missed > 0);
        }
        Source::Polling | Source::Off => {
            assert!(!means.why.is_empty(), "what is less than whole says why")
        }
    }
}
