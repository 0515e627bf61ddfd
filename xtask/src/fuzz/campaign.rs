//! One target's run: libFuzzer until it has had its processor time, and what it said.
//!
//! # Invariants
//! - Time is that of the processor, so figures of a busy machine and of a quiet one can be
//!   compared.
//! - An interrupted run leaves no fuzzer behind.
//! - What libFuzzer writes is read line by line and not kept, but for its last lines: they name a
//!   crash.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use towline_testkit::{Outcome, Trouble, facts, interrupt};

use super::target::Target;
use crate::console;

/// How often the processor time is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Memory of a target, MB; more is a crash.
const MEMORY_MB: u32 = 1024;
/// Seconds that one input may take; more is a crash.
const SECONDS_OF_AN_INPUT: u32 = 20;
/// Longest time that a target may take to stop after it was asked.
const TIME_TO_STOP: Duration = Duration::from_secs(60);
/// Lines that are shown of a crash.
const LAST_LINES: usize = 30;

/// What a run of a target said.
#[derive(Debug)]
pub(crate) struct Campaign<'t> {
    /// Which one.
    pub(crate) target: &'t Target,
    /// Inputs tried.
    pub(crate) executions: u64,
    /// Processor time.
    pub(crate) time: Duration,
    /// Inputs that are worth keeping.
    pub(crate) corpus: u64,
    /// Coverage: edges of the program and how often each was taken, as libFuzzer counts.
    pub(crate) features: u64,
    /// The input of the crash, if it crashed.
    pub(crate) crash: Option<PathBuf>,
}

impl<'t> Campaign<'t> {
    /// Runs a target for that much processor time, or until it crashes.
    ///
    /// # Errors
    /// It cannot be started, or does not stop.
    pub(crate) fn run(target: &'t Target, budget: Duration) -> Outcome<Self> {
        let crashes = target.crashes()?;
        let mut child = start(target, &crashes)?;
        let mut said = Said::default();
        let followed = follow(&mut child, &mut said, budget);
        if followed.is_err() {
            child.kill()?;
        }
        let status = child.wait()?;
        // Ctrl-C ends the fuzzer as well: that is no crash.
        interrupt::check()?;
        let time = followed?;
        let crash = if status.success() { None } else { Some(said.crash()) };
        if crash.is_some() {
            said.last.iter().for_each(|line| console::line(line));
        }
        let Said { executions, corpus, features, .. } = said;
        Ok(Self { target, executions, time, corpus, features, crash })
    }

    /// How to repeat its crash.
    pub(crate) fn repeated(&self) -> Option<String> {
        let crash = self.crash.as_ref()?;
        let program = self.target.program().unwrap_or_default();
        Some(format!("{}: {} {}", self.target, program.display(), crash.display()))
    }

    /// Executions in a second of processor time.
    pub(crate) fn rate(&self) -> u64 {
        let millis = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX).max(1);
        self.executions.saturating_mul(1000) / millis
    }
}

fn start(target: &Target, crashes: &Path) -> Outcome<Child> {
    let mut command = Command::new(target.program()?);
    command.arg(target.corpus()?).args(target.seeds());
    command.arg(format!("-artifact_prefix={}/", crashes.display()));
    command.arg(format!("-rss_limit_mb={MEMORY_MB}"));
    command.arg(format!("-timeout={SECONDS_OF_AN_INPUT}"));
    command.arg("-print_final_stats=1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|e| Trouble::new(format!("cannot start {target}: {e}")))
}

/// Reads what it says until it ends, and asks it to stop when its time is over. Answers the
/// processor time that it took.
fn follow(child: &mut Child, said: &mut Said, budget: Duration) -> Outcome<Duration> {
    let lines = lines_of(child)?;
    let (mut time, mut asked): (Duration, Option<Instant>) = (Duration::ZERO, None);
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(line) => said.line(line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(time),
        }
        interrupt::check()?;
        time = facts::cpu(child.id()).unwrap_or_default().max(time);
        match asked {
            None if time >= budget => {
                stop(child)?;
                asked = Some(Instant::now());
            }
            Some(at) if at.elapsed() > TIME_TO_STOP => {
                return Err(Trouble::new("the fuzzer did not stop when it was asked"));
            }
            Some(_) | None => {}
        }
    }
}

/// libFuzzer ends by itself, with its figures, after this signal.
fn stop(child: &Child) -> Outcome {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Trouble::new("a process without a number"))?;
    Ok(kill_process(pid, Signal::USR1)?)
}

fn lines_of(child: &mut Child) -> Outcome<Receiver<String>> {
    let stderr = child.stderr.take().ok_or_else(|| Trouble::new("no standard error"))?;
    let (to, from) = sync_channel(64);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            if to.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    Ok(from)
}

/// What libFuzzer has said so far.
#[derive(Debug, Default)]
struct Said {
    executions: u64,
    corpus: u64,
    features: u64,
    input: Option<PathBuf>,
    last: VecDeque<String>,
}

impl Said {
    fn line(&mut self, line: String) {
        if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = number.trim().parse().unwrap_or(self.executions);
        } else if let Some(rest) = line.strip_prefix('#') {
            self.progress(rest);
            return;
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.input = Some(PathBuf::from(path.trim()));
        }
        self.last.push_back(line);
        if self.last.len() > LAST_LINES {
            self.last.pop_front();
        }
    }

    /// `1234 NEW    cov: 12 ft: 34 corp: 5/6b ...`
    fn progress(&mut self, rest: &str) {
        let mut words = rest.split_whitespace();
        let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
        self.executions = number(words.next()).unwrap_or(self.executions);
        while let Some(word) = words.next() {
            match word {
                "ft:" => self.features = number(words.next()).unwrap_or(self.features),
                "corp:" => {
                    let size = words.next().and_then(|word| word.split('/').next());
                    self.corpus = number(size).unwrap_or(self.corpus);
                }
                _ => {}
            }
        }
    }

    /// The input that it crashed with; a program that did not even begin has none.
    fn crash(&self) -> PathBuf {
        self.input.clone().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_read() {
        let mut said = Said::default();
        for line in [
            "INFO: seed corpus: files: 3",
            "#2\tINITED cov: 9 ft: 12 corp: 1/1b exec/s: 0 rss: 30Mb",
            "#4096\tNEW    cov: 40 ft: 77 corp: 12/345b lim: 43 exec/s: 4096 rss: 31Mb L: 3/9 MS: \
             1 EraseBytes-",
            "artifact_prefix='/x/'; Test unit written to /x/crash-0a",
            "stat::number_of_executed_units: 5000",
        ] {
            said.line(line.to_owned());
        }
        assert_eq!((said.executions, said.corpus, said.features), (5000, 12, 77));
        assert_eq!(said.crash(), Path::new("/x/crash-0a"));
        assert_eq!(said.last.len(), 3, "progress is not kept");
    }
}
