//! Signals whose default ends a process, and that must not end a gateway.
//!
//! # Invariants
//! - They have a handler that does nothing, from here to the end of the process.
//!
//! # Not here
//! - SIGTERM and SIGINT, which stop it. What SIGHUP does: `certificate/watch.rs`.

use std::io;

use nix::libc::{SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};
use tokio::signal::unix::{SignalKind, signal};

/// Limits of files and of processor time: a write fails then with EFBIG, as on a full disk.
pub(crate) fn outlive_limits() -> io::Result<()> {
    outlive(&[SignalKind::from_raw(SIGXFSZ), SignalKind::from_raw(SIGXCPU)])
}

/// What tells a server of new files. SIGHUP is one of them: a gateway that waits for its turn, or
/// starts, reads its certificate later anyway.
pub(crate) fn outlive_news() -> io::Result<()> {
    outlive(&[SignalKind::hangup(), SignalKind::from_raw(SIGUSR1), SignalKind::from_raw(SIGUSR2)])
}

fn outlive(kinds: &[SignalKind]) -> io::Result<()> {
    kinds.iter().try_for_each(|kind| signal(*kind).map(drop))
}
