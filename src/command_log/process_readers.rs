//! Process readers: one thread for each processor, which reads the process of each exec on it.
//!
//! Data flow: the kernel's exec event, filtered by processor -> the reader, bound to the
//! processor and with a real-time priority -> [`read_process`] -> [`Answers`], for the watcher.
//!
//! # Why one for each processor
//! The kernel sends the event from within the exec. A thread that wakes on the same processor
//! before all ordinary threads reads the process before its new program has run one instruction.
//! A thread on another processor races with the program, and loses when the host of a virtual
//! machine suspends that other processor.
//!
//! # Invariants
//! - A reader only reads and leaves answers. Membership and order are the watcher's.
//! - The watcher reads the processes of a processor without a reader (no permission to run
//!   there, more than [`limits::LOG_READERS`]).

use super::events::{Event, Events};
use super::look_ahead::{Answer, Answers};
use super::observations::Inbox;
use super::process_info::read_process;
use crate::limits;
use crate::sys::calls::take_precedence;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const _: () = assert!(limits::LOG_READERS <= 32, "one bit for each");

/// What readers report when they begin: which of them are bound to their processor, and how many
/// have tried.
#[derive(Debug, Default)]
struct Begun {
    bound: AtomicU32,
    tried: AtomicU32,
}

/// Starts them. The processors that have one.
pub(super) fn start(inbox: &Inbox, answers: &Arc<Answers>) -> Processors {
    let (cpus, begun, starter) = (processors(), Arc::<Begun>::default(), std::thread::current());
    let mut started = 0;
    for (nth, cpu) in cpus.iter().copied().enumerate() {
        let Ok(events) = Events::of_execs_on(cpu) else { break };
        let (inbox, answers, begun, starter) =
            (inbox.clone(), Arc::clone(answers), Arc::clone(&begun), starter.clone());
        let thread = std::thread::Builder::new()
            .name("command-log-ask".to_owned())
            .stack_size(limits::LOG_STACK);
        let spawned = thread.spawn(move || {
            let bound = bind_to(cpu).and_then(|()| take_precedence()).is_ok();
            begun.bound.fetch_or(u32::from(bound) << nth, Ordering::AcqRel);
            begun.tried.fetch_add(1, Ordering::AcqRel);
            starter.unpark();
            if bound {
                run(&events, &inbox, &answers);
            }
        });
        started += u32::from(spawned.is_ok());
    }
    while begun.tried.load(Ordering::Acquire) < started {
        std::thread::park_timeout(limits::LOG_READERS_WAIT);
    }
    let bound = begun.bound.load(Ordering::Acquire);
    cpus.into_iter()
        .enumerate()
        .filter(|(nth, _)| bound >> nth & 1 == 1)
        .map(|(_, cpu)| cpu)
        .collect()
}

/// Numbers of processors.
pub(super) type Processors = heapless::Vec<u32, { limits::LOG_READERS }>;

/// Those that this program may run on.
pub(super) fn processors() -> Processors {
    let Ok(allowed) = sched_getaffinity(Pid::from_raw(0)) else { return Processors::new() };
    let may = |cpu: &u32| allowed.is_set(*cpu as usize).unwrap_or(false);
    (0..CpuSet::count() as u32).filter(may).take(limits::LOG_READERS).collect()
}

/// Binds the calling thread to a processor.
fn bind_to(cpu: u32) -> nix::Result<()> {
    let mut only = CpuSet::new();
    only.set(cpu as usize)?;
    sched_setaffinity(Pid::from_raw(0), &only)
}

fn run(events: &Events, inbox: &Inbox, answers: &Answers) {
    while !inbox.is_dismissed() {
        let read = events.read(|told| {
            if let Event::Exec { pid } = told.event {
                let (program, read_at) = read_process(pid);
                answers.put(Answer { pid, at: told.at, read_at, program });
            }
        });
        if read.is_err() {
            return; // the watcher's own socket tells of it
        }
        let mut descriptors =
            [events.as_fd(), inbox.call()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let _ = poll(&mut descriptors, PollTimeout::NONE);
    }
}
