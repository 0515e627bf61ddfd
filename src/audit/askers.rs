//! Askers: one thread for each processor, which asks what was executed on it.
//!
//! Way: the kernel's event of an exec, let through by a filter only on that processor -> the asker, which is bound to it and has
//! a real-time priority -> [`ask`] -> [`Answers`], where the watcher finds it.
//!
//! # Why one for each
//! The event is sent from within the exec. A thread that is woken on the same processor, and goes before everything ordinary
//! there, reads before the new program has run one instruction. A thread on another processor races with it, and loses when the
//! host of a virtual machine takes that other one away.
//!
//! # Invariants
//! - They only read and leave answers; what belongs to a session, and in which order, is the watcher's business.
//! - A processor without an asker (no right to run there, more than [`limits::LOG_ASKERS`]) is the watcher's to ask for.

use super::ahead::{Answer, Answers};
use super::ask::ask;
use super::events::{Event, Events};
use super::seen::Inbox;
use crate::limits;
use crate::pty::take_precedence;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// Starts them. The processors that have one.
pub(super) fn start(inbox: &Inbox, answers: &Arc<Answers>) -> Vec<u32> {
    let (ready, reports) = sync_channel(limits::LOG_ASKERS);
    let mut started = 0;
    for cpu in processors() {
        let Ok(events) = u32::try_from(cpu).map_err(std::io::Error::other).and_then(Events::of_execs_on) else { break };
        let (inbox, answers, ready) = (inbox.clone(), Arc::clone(answers), ready.clone());
        let thread = std::thread::Builder::new().name(format!("command-log-{cpu}")).stack_size(limits::LOG_STACK);
        let spawned = thread.spawn(move || {
            let bound = bind_to(cpu).and_then(|()| take_precedence());
            let _ = ready.send(bound.is_ok().then_some(cpu));
            if bound.is_ok() {
                run(&events, &inbox, &answers);
            }
        });
        started += usize::from(spawned.is_ok());
    }
    reports.iter().take(started).flatten().filter_map(|cpu| u32::try_from(cpu).ok()).collect()
}

/// Those that this program may run on.
pub(super) fn processors() -> Vec<usize> {
    let Ok(allowed) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).take(limits::LOG_ASKERS).collect()
}

/// Binds the calling thread to a processor.
fn bind_to(cpu: usize) -> nix::Result<()> {
    let mut only = CpuSet::new();
    only.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &only)
}

fn run(events: &Events, inbox: &Inbox, answers: &Answers) {
    while !inbox.is_dismissed() {
        let read = events.read(|told| {
            if let Event::Exec { pid } = told.event {
                let (program, read_at) = ask(pid);
                answers.put(Answer { pid, at: told.at, read_at, program });
            }
        });
        if read.is_err() {
            return; // the watcher's own socket tells of it
        }
        let mut descriptors = [events.as_fd(), inbox.call()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let _ = poll(&mut descriptors, PollTimeout::NONE);
    }
}
