//! Signals whose default ends a process, and that must not end a gateway.
//!
//! # Invariants
//! - They have a handler that does nothing, from here to the end of the process.
//!
//! # Not here
//! - SIGTERM and SIGINT, which stop it. What SIGHUP does: `certificate/watch.rs`.

use std::io;

use nix::libc::{
    SIGALRM, SIGIO, SIGPROF, SIGPWR, SIGSTKFLT, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
};
use tokio::signal::unix::{SignalKind, signal};

/// Limits of files and of processor time, and timers that a parent has set: a write fails then with
/// EFBIG, as on a full disk.
pub(crate) fn outlive_limits() -> io::Result<()> {
    outlive(&[SIGXFSZ, SIGXCPU, SIGALRM, SIGVTALRM, SIGPROF].map(SignalKind::from_raw))
}

/// What tells a server of new files, or another program of something else. SIGHUP is one of them: a
/// gateway that waits for its turn, or starts, reads its certificate later anyway.
pub(crate) fn outlive_news() -> io::Result<()> {
    let news = [SIGUSR1, SIGUSR2, SIGIO, SIGPWR, SIGSTKFLT];
    outlive(&news.map(SignalKind::from_raw))?;
    outlive(&[SignalKind::hangup()])
}

fn outlive(kinds: &[SignalKind]) -> io::Result<()> {
    kinds.iter().try_for_each(|kind| signal(*kind).map(drop))
}
