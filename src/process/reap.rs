//! The ends of children, of all sessions. [`crate::signals`] tells when there may be one.
//!
//! The agent is the subreaper of its descendants, so the kernel passes orphans to it. The agent
//! waits for every child: no session leaves a zombie.

use super::exit::{Exit, exit_of};
use crate::logger;
use crate::sys::calls;
use nix::errno::Errno;
use nix::unistd::Pid;

/// Makes this process the subreaper of its descendants. Before the first child.
pub fn adopt_orphans() {
    // Missing before Linux 3.4 and in emulators: then who forks away from a session twice escapes
    // the reaping, and is still found by its cgroup or its environment.
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        logger::warning!("this kernel passes orphans to init and not to the agent: {error}");
    }
}

/// Reaps one ended child, of a session or not.
#[must_use]
pub fn next_exit() -> Option<(Pid, Exit)> {
    loop {
        match calls::reap_any() {
            Ok(None) | Err(Errno::ECHILD) => return None,
            Ok(Some((pid, status))) => match exit_of(status) {
                Some(exit) => return Some((pid, exit)),
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
