//! The end of children as an event: one SIGCHLD source for all sessions.
//!
//! The agent is the subreaper of its descendants, so the kernel passes orphans to it. The agent
//! waits for every child: no session leaves a zombie.

use super::exit::{Exit, exit_of};
use crate::logger;
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io;
use std::task::{Context, Poll};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The source of the agent's child events.
#[derive(Debug)]
pub struct Reaper {
    children: Signal,
}

impl Reaper {
    /// Makes this process the subreaper of its descendants, and listens for the ends of its
    /// children. Once in a process, and before the first child.
    ///
    /// # Errors
    /// The kernel or the runtime refuses, which neither does on a supported device.
    pub fn new() -> io::Result<Self> {
        // Missing before Linux 3.4 and in emulators: then who forks away from a session twice
        // escapes the reaping, and is still found by its cgroup or its environment.
        if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
            logger::warning!("this kernel passes orphans to init and not to the agent: {error}");
        }
        Ok(Self { children: signal(SignalKind::child())? })
    }

    /// Ready when at least one child may have ended: call [`next_exit`] until it has no more.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.children.poll_recv(cx).map(|_| ())
    }
}

/// Reaps one ended child, of a session or not.
#[must_use]
pub fn next_exit() -> Option<(Pid, Exit)> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return None,
            Ok(status) => match exit_of(status) {
                Some(ended) => return Some(ended),
                None => continue,
            },
            Err(Errno::EINTR) => continue,
            Err(errno) => {
                logger::error!("cannot wait for children: {errno}");
                return None;
            }
        }
    }
}
