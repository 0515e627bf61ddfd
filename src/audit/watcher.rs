//! The watcher: one more thread, while a session is open, that does nothing but ask processes what they are.
//!
//! Way: the kernel's [`Events`] -> whose process it is ([`Descent`]) -> what it is, from the process itself -> the loop, through
//! [`Inbox`]. Where there are no events: the table of processes, again and again ([`super::polling`]).
//!
//! # Why a thread
//! The kernel says that a program was executed, not with which arguments: those must be read from the process, and many a
//! process lives for less than a turn of the loop. The kernel sends its event from within the exec. With the lowest of the
//! real-time priorities this thread runs before the new program's first instruction on that processor, so it comes in
//! time: a prototype missed none of 5,000, and one in five without the priority; the agent's figure is in the README
//! (`cargo xtask recall`). The loop itself
//! stays an ordinary program: bulk output must not displace what else the device does. What this thread does for one
//! event is some 20 us of work, and the kernel bounds real-time programs to 95 % of a processor.
//!
//! # Invariants
//! - It waits for nobody: not for the loop, not for the network.
//! - What it starts with the priority, it does not hand down: the priority is reset on fork.

use super::descent::Descent;
use super::events::{Event, Events};
use super::polling;
use super::seen::{Inbox, Program, Seen};
use crate::limits;
use crate::pty::proc_table::living;
use crate::pty::take_precedence;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use towline_wire::message::ExitStatus;
use towline_wire::record::{ARGUMENTS, Lost, PATH, Source};

/// What processes are known by, and why not by something better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Means {
    /// By what.
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

/// Starts watching all children that this process makes from now on, and what descends from them; and from `roots`, first
/// processes of sessions that run already.
///
/// # Errors
/// No thread can be had.
pub fn start(inbox: Inbox, roots: Vec<u32>) -> io::Result<Means> {
    let events = Events::open();
    let why = events.as_ref().err().map(ToString::to_string);
    let (own, hurried) = (std::process::id(), Arc::new(AtomicU8::new(UNKNOWN)));
    let told = Arc::clone(&hurried);
    let me = std::thread::current();
    std::thread::Builder::new().name("command-log".to_owned()).stack_size(limits::LOG_STACK).spawn(move || {
        let result = events.map(|events| (take_precedence(), events));
        told.store(
            result.as_ref().map_or(SLOW, |(hurry, _)| if hurry.is_ok() { FAST } else { SLOW }),
            Ordering::Release,
        );
        me.unpark();
        match result {
            Ok((_, events)) => {
                let mut watcher = Watcher { inbox, descent: Descent::default(), own };
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
            let why = "no real-time priority for the watcher (CAP_SYS_NICE): arguments of short-lived programs may be missing";
            Means { source: Source::KernelUnhurried, why: why.to_owned() }
        }
    })
}

const UNKNOWN: u8 = 0;
const FAST: u8 = 1;
const SLOW: u8 = 2;

/// What would be used, without using it.
#[must_use]
pub fn probe() -> Means {
    match Events::open() {
        Ok(_) => Means { source: Source::Kernel, why: String::new() },
        Err(error) => Means { source: Source::Polling, why: error.to_string() },
    }
}

/// See the module.
pub struct Watcher {
    inbox: Inbox,
    descent: Descent,
    /// The agent: its children are the first processes of sessions.
    own: u32,
}

impl Watcher {
    /// A watcher that is fed by hand.
    #[must_use]
    pub fn new(inbox: Inbox, own: u32) -> Self {
        Self { inbox, descent: Descent::default(), own }
    }

    /// Takes sessions up that run already, with all that descends from them by now.
    fn find(&mut self, roots: &[u32]) {
        if roots.is_empty() {
            return;
        }
        let full = roots.iter().any(|root| self.descent.adopt(*root, self.own).is_err());
        if polling::join(&mut self.descent, &living(), None) || full {
            self.inbox.push(Seen::Missed(Lost::Processes));
        }
        for pid in self.descent.living().collect::<Vec<_>>() {
            self.executed(pid, ask(pid), Instant::now());
        }
    }

    fn run(mut self, events: &Events) {
        loop {
            let over = self.inbox.is_dismissed(); // asked before the events are read: all that came before is read
            let read = events.read(|event| self.on(event, Instant::now()));
            if let Err(error) = &read {
                log::error!("the kernel gives no process events any more: {error}");
                self.inbox.push(Seen::Missed(Lost::Kernel));
            }
            self.inbox.ring();
            if over || read.is_err() {
                return self.inbox.end();
            }
            let mut descriptors = [events.as_fd(), self.inbox.call()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            let _ = poll(&mut descriptors, PollTimeout::NONE);
        }
    }

    /// One event.
    pub fn on(&mut self, event: Event, now: Instant) {
        match event {
            Event::Fork { parent, child } => {
                let own = parent == self.own;
                let kept = if own { self.descent.adopt(child, parent) } else { self.descent.fork(parent, child) };
                if kept.is_err() {
                    self.inbox.push(Seen::Missed(Lost::Processes));
                }
            }
            Event::Exec { pid } => {
                if self.descent.get(pid).is_some() {
                    let program = ask(pid);
                    self.executed(pid, program, now);
                }
            }
            Event::Exit { pid, status } => self.ended(pid, Some(status_of(status)), now),
            Event::Lost => self.inbox.push(Seen::Missed(Lost::Kernel)),
        }
    }

    fn executed(&mut self, pid: u32, program: Program, at: Instant) {
        if let Some(member) = self.descent.exec(pid, at) {
            self.descent.count(member.root, !program.arguments.is_empty());
            self.inbox.push(Seen::Exec { root: member.root, at, pid, parent: member.parent, program });
        }
    }

    fn ended(&mut self, pid: u32, status: Option<ExitStatus>, at: Instant) {
        let Some((member, over)) = self.descent.exit(pid) else { return };
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

/// Asks a process what it is: its arguments first, they go soonest. One that has ended says nothing.
pub(super) fn ask(pid: u32) -> Program {
    let mut program = Program::default();
    let mut path = format!("/proc/{pid}/cmdline");
    if let Ok(file) = File::open(&path) {
        // A process that ends while it is read gives nothing: it is then a record without arguments.
        let _ = file.take(ARGUMENTS as u64 + 1).read_to_end(&mut program.arguments);
    }
    path.truncate(path.len() - "/cmdline".len());
    // The directory belongs to the effective user, whatever the program forbids to be read.
    program.uid = std::fs::metadata(&path).ok().map(|meta| meta.uid());
    path.push_str("/cwd");
    program.directory = std::fs::read_link(&path).map(|path| path.into_os_string().into_vec()).unwrap_or_default();
    program.cut = program.arguments.len() > ARGUMENTS;
    program.arguments.truncate(ARGUMENTS);
    program.directory.truncate(PATH);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_process_ended_is_said_as_wait_says_it() {
        assert_eq!(status_of(3 << 8), ExitStatus::Code(3));
        assert_eq!(status_of(9), ExitStatus::Signal(9));
        assert_eq!(status_of(0x80 | 11), ExitStatus::Signal(11), "with a core dump");
    }

    #[test]
    fn this_process_says_what_it_is() {
        let program = ask(std::process::id());
        assert!(!program.arguments.is_empty() && program.uid.is_some());
        assert_eq!(program.directory, std::env::current_dir().unwrap().into_os_string().into_vec());
    }

    #[test]
    fn a_process_that_is_gone_says_nothing() {
        assert_eq!(ask(u32::MAX), Program::default());
    }
}
