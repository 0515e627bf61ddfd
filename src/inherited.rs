//! What a parent or a service manager has handed down to the process, and what of it would end the
//! agent or change its sessions.
//!
//! Data flow: [`set_right`] at the start of the program -> [`Remaining`], for the log.
//!
//! # Invariants
//! - Time of the processor does not end the agent where the kernel lets it lift that limit, and
//!   sessions begin without it.
//! - A file that a session makes can be written by its owner alone unless the session says
//!   otherwise: a parent may have had no mask at all.
//!
//! # Not here
//! - Signals: [`crate::signals`]. Limits of files, of memory and of descriptors stay as they are:
//!   who sets them means the sessions, too.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use std::fmt;

/// Limits of processor time, and their names for people. Beyond the first number the kernel sends
/// SIGXCPU, beyond the second one SIGKILL.
const TIMES: [(Resource, &str, &str); 2] = [
    (Resource::RLIMIT_CPU, "seconds of processor time", "LimitCPU="),
    (Resource::RLIMIT_RTTIME, "microseconds of real-time processor time", "LimitRTTIME="),
];

/// A limit that the kernel does not let this process lift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    most: u64,
    unit: &'static str,
    setting: &'static str,
}

impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { most, unit, setting } = self;
        write!(
            f,
            "the kernel ends this agent and its sessions after {most} {unit}, and the agent may \
             not lift that limit: the service manager or the parent should set none ({setting} of \
             systemd, ulimit -t of shells)"
        )
    }
}

/// Lifts limits of processor time, and takes away what others may write by default.
#[must_use]
pub fn set_right() -> Vec<Remaining> {
    let others = Mode::S_IWGRP | Mode::S_IWOTH;
    let mask = umask(others);
    umask(mask | others);
    TIMES.into_iter().filter_map(|(time, unit, setting)| lift(time, unit, setting)).collect()
}

fn lift(time: Resource, unit: &'static str, setting: &'static str) -> Option<Remaining> {
    let (soft, hard) = getrlimit(time).ok()?;
    if (soft, hard) == (RLIM_INFINITY, RLIM_INFINITY)
        || setrlimit(time, RLIM_INFINITY, RLIM_INFINITY).is_ok()
    {
        return None;
    }
    // Without the right to lift the second one, up to it: then there is no signal before.
    let _ = setrlimit(time, hard, hard);
    #[allow(clippy::useless_conversion)] // 32 bits on some targets
    let most = u64::from(hard);
    (hard != RLIM_INFINITY).then_some(Remaining { most, unit, setting })
}
