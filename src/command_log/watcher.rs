//! The watcher: threads that observe the processes of sessions, while a session is open.
//!
//! Data flow: the kernel's [`Events`] -> a short wait for the events right after ([`LookAhead`])
//! -> the session of the process ([`ProcessTree`]) -> its arguments, from the process readers ->
//! the loop, through [`Inbox`]. Without events it polls the process table ([`super::polling`]).
//!
//! # Why threads
//! The kernel reports that a program was executed, without its arguments. They have to be read
//! from the process, and many processes live for less than a turn of the loop. The kernel sends
//! its event from within the exec. A reader is bound to one processor, wakes for the execs on it
//! alone, and has the lowest real-time priority: so it runs before the first instruction of the
//! new program. `cargo xtask recall` measures the result. The loop itself stays an ordinary
//! thread: bulk output must not displace other work of the device. One exec costs a reader some
//! 20 us, and the kernel bounds real-time threads to 95 % of a processor.
//!
//! # Invariants
//! - The watcher waits neither for the loop nor for the network.
//! - The priority is not inherited: it is reset on fork.
//! - Each execution is recorded. Its arguments, user and directory are its own, or they are
//!   missing: see [`super::look_ahead`].

use super::events::{Event, Events, Told};
use super::look_ahead::{Answer, Answers, LookAhead};
use super::observations::{Inbox, Program, Seen};
use super::polling;
use super::process_info::{clock, read_process};
use super::process_readers;
use super::process_tree::ProcessTree;
use crate::limits;
use crate::logger;
use crate::sys::calls::take_precedence;
use crate::sys::proc_table::living;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use towline_wire::message::ExitStatus;
use towline_wire::record::{Lost, Source};

/// The source of observations, and why it is not a better one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Means {
    /// The source.
    pub source: Source,
    /// Empty for the best.
    pub why: String,
}

impl std::fmt::Display for Means {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.source {
            Source::Kernel => "kernel events",
            Source::KernelUnhurried => "kernel events, unhurried",
            Source::Polling => "polling",
            Source::Off => "off",
        })?;
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

/// Starts watching all children that this process makes from now on, and what descends from them;
/// and from `roots`, first processes of sessions that run already.
///
/// # Errors
/// No thread can be started.
pub fn start(inbox: Inbox, roots: Vec<u32>) -> io::Result<Means> {
    let events = Events::open();
    let why = events.as_ref().err().map(ToString::to_string);
    let (own, hurried) = (std::process::id(), Arc::new(AtomicU8::new(UNKNOWN)));
    let told = Arc::clone(&hurried);
    let answers = Arc::<Answers>::default();
    // Before any session: the readers are there before the first exec.
    let readers =
        if events.is_ok() { process_readers::start(&inbox, &answers) } else { Default::default() };
    let me = std::thread::current();
    std::thread::Builder::new()
        .name("command-log".to_owned())
        .stack_size(limits::LOG_STACK)
        .spawn(move || {
            let result = events.map(|events| (take_precedence(), events));
            told.store(
                result.as_ref().map_or(SLOW, |(hurry, _)| if hurry.is_ok() { FAST } else { SLOW }),
                Ordering::Release,
            );
            me.unpark();
            match result {
                Ok((_, events)) => {
                    let ahead = LookAhead::default();
                    let begin = (Instant::now(), clock());
                    let mut watcher = Watcher {
                        inbox,
                        tree: ProcessTree::default(),
                        own,
                        ahead,
                        answers,
                        readers,
                        begin,
                    };
                    watcher.find(&roots);
                    watcher.run(&events);
                }
                Err(_) => polling::run(&inbox, own, &roots),
            }
        })?;
    while hurried.load(Ordering::Acquire) == UNKNOWN {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let fast = hurried.load(Ordering::Acquire) == FAST;
    Ok(match why {
        Some(why) => Means { source: Source::Polling, why },
        None if fast => Means { source: Source::Kernel, why: String::new() },
        None => {
            let why = "no real-time priority for the watcher (CAP_SYS_NICE): arguments of \
                       short-lived programs may be missing";
            Means { source: Source::KernelUnhurried, why: why.to_owned() }
        }
    })
}

const UNKNOWN: u8 = 0;
const FAST: u8 = 1;
const SLOW: u8 = 2;

/// The source that would be used.
#[must_use]
pub fn probe() -> Means {
    match Events::open() {
        Ok(_) => Means { source: Source::Kernel, why: String::new() },
        Err(error) => Means { source: Source::Polling, why: error.to_string() },
    }
}

/// The thread that turns process events into observations.
struct Watcher {
    inbox: Inbox,
    tree: ProcessTree,
    /// The agent: its children are the first processes of sessions.
    own: u32,
    ahead: LookAhead,
    answers: Arc<Answers>,
    /// Processors that have a reader.
    readers: process_readers::Processors,
    /// One moment by both clocks.
    begin: (Instant, u64),
}

impl Watcher {
    /// Takes sessions up that run already, with all that descends from them by now.
    fn find(&mut self, roots: &[u32]) {
        if roots.is_empty() {
            return;
        }
        let full = roots.iter().any(|root| self.tree.adopt(*root, self.own).is_err());
        if polling::join(&mut self.tree, &living(), None) || full {
            self.inbox.push(Seen::Missed(Lost::Processes));
        }
        for pid in self.tree.living().collect::<Vec<_>>() {
            self.executed(pid, read_process(pid).0, Instant::now());
        }
    }

    fn run(mut self, events: &Events) {
        let everywhere = process_readers::processors().iter().all(|cpu| self.readers.contains(cpu));
        loop {
            // asked before the events are read: all that came before is read
            let over = self.inbox.is_dismissed();
            let read = self.hear(events);
            while let Some(told) = self.ahead.next(Instant::now(), over || read.is_err()) {
                self.on(told, events);
            }
            if let Err(error) = &read {
                logger::error!("the kernel stopped sending process events: {error}");
                self.inbox.push(Seen::Missed(Lost::Kernel));
            }
            self.inbox.ring();
            if over || read.is_err() {
                return self.inbox.end();
            }
            self.wait(events, everywhere);
        }
    }

    /// Until there is something to do. While events wait and readers do the reading, newer
    /// ones may wait, too.
    fn wait(&self, events: &Events, everywhere: bool) {
        let due = self
            .ahead
            .due()
            .map(|due| due.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let limit =
            due.and_then(|due| PollTimeout::try_from(due).ok()).unwrap_or(PollTimeout::NONE);
        let mut descriptors =
            [self.inbox.call(), events.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let some = if due.is_some() && everywhere { 1 } else { 2 };
        let _ = poll(&mut descriptors[..some], limit);
    }

    /// Takes the events of the kernel. On a processor without a reader it reads the process at
    /// once.
    fn hear(&mut self, events: &Events) -> io::Result<()> {
        events.read(|told| {
            if let Event::Exec { pid } = told.event
                && !self.readers.contains(&told.cpu)
            {
                let (program, read_at) = read_process(pid);
                self.answers.put(Answer { pid, at: told.at, read_at, program });
            }
            self.ahead.push(told, Instant::now());
        })
    }

    /// One event, with what came after it in view.
    fn on(&mut self, told: Told, events: &Events) {
        let now = self.instant(told.at);
        match told.event {
            Event::Fork { parent, child } => {
                let own = parent == self.own;
                let kept = if own {
                    self.tree.adopt(child, parent)
                } else {
                    self.tree.fork(parent, child)
                };
                if kept.is_err() {
                    self.inbox.push(Seen::Missed(Lost::Processes));
                }
            }
            Event::Exec { pid } => {
                let answer = self.answers.take(pid, told.at);
                if self.tree.get(pid).is_some() {
                    let program = self.program(pid, told.at, answer, events);
                    self.executed(pid, program, now);
                }
            }
            Event::Exit { pid, status } => self.ended(pid, Some(status_of(status)), now),
            Event::Lost => self.inbox.push(Seen::Missed(Lost::Kernel)),
        }
    }

    /// What a process became at an exec: nothing rather than what it, or another with its number,
    /// became later.
    fn program(&mut self, pid: u32, at: u64, answer: Option<Answer>, events: &Events) -> Program {
        let answer = answer.unwrap_or_else(|| {
            let (program, read_at) = read_process(pid);
            // What has come meanwhile says whether it was still the same program.
            let _ = self.hear(events); // an error comes again, and is told then
            Answer { pid, at, read_at, program }
        });
        if self.ahead.is_doubtful(&answer, &self.answers) {
            Program::default()
        } else {
            answer.program
        }
    }

    /// A time of the kernel's as one of ours.
    fn instant(&self, at: u64) -> Instant {
        let (now, since) = (Instant::now(), Duration::from_nanos(at.saturating_sub(self.begin.1)));
        self.begin.0.checked_add(since).map_or(now, |instant| instant.min(now))
    }

    fn executed(&mut self, pid: u32, program: Program, at: Instant) {
        if let Some(member) = self.tree.exec(pid, at) {
            self.tree.count(member.root, !program.arguments.is_empty());
            self.inbox.push(Seen::Exec {
                root: member.root,
                at,
                pid,
                parent: member.parent,
                program,
            });
        }
    }

    fn ended(&mut self, pid: u32, status: Option<ExitStatus>, at: Instant) {
        let Some((member, over)) = self.tree.exit(pid) else { return };
        let root = member.root;
        if let Some(since) = member.since {
            self.inbox.push(Seen::Exit { root, at, pid, status, since });
        }
        if let Some(tally) = over {
            let (executions, without_arguments) = (tally.executions, tally.without_arguments);
            self.inbox.push(Seen::Over { root, at, executions, without_arguments });
        }
    }
}

/// The signal in the low seven bits, the exit code in the second byte.
fn status_of(status: u32) -> ExitStatus {
    match status & 0x7f {
        0 => ExitStatus::Code(u8::try_from(status >> 8 & 0xff).unwrap_or(u8::MAX)),
        signal => ExitStatus::Signal(u8::try_from(signal).unwrap_or(u8::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_is_decoded_as_wait_does() {
        assert_eq!(status_of(3 << 8), ExitStatus::Code(3));
        assert_eq!(status_of(9), ExitStatus::Signal(9));
        assert_eq!(status_of(0x80 | 11), ExitStatus::Signal(11), "with a core dump");
    }
}
