//! Signals of the agent's process: those it hears, which wait in a descriptor, and those it
//! outlives.
//!
//! Data flow: [`hold`] at the start of the program -> [`Signals::listen`] -> the loop polls
//! [`Signals`]. They stay blocked over an exec in this process: the successor reads them.
//!
//! # Invariants
//! - SIGTERM and SIGINT stop the agent, SIGHUP restarts it. None ends it before somebody listens.
//! - Nothing is ignored and nothing has a handler: no program that a session starts inherits
//!   anything. A child unblocks all before its exec, see [`crate::sys`].
//! - The main thread blocks them before there are others.
//!
//! # Not here
//! - The runtime's own signals: for each of the 64 they take memory, 30 KiB in a process.

use crate::sys::{calls, watch};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::task::Context;
use tokio::io::unix::AsyncFd;

const HEARD: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD];

/// What has its effect, beside [`HEARD`]: SIGQUIT ends a program on purpose, faults of the program
/// end it, a terminal stops it, and the last two do nothing by default. SIGPIPE is the standard
/// library's.
const EFFECTIVE: [Signal; 15] = [
    Signal::SIGQUIT,
    Signal::SIGABRT,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGCONT,
    Signal::SIGPIPE,
    Signal::SIGWINCH,
    Signal::SIGURG,
];

/// Bytes of the kernel's `signalfd_siginfo`, which begins with the number.
const INFO: usize = 128;

/// Signals that tell a program of a limit, a timer, power or news, and the real-time ones, do not
/// end this process from now on: a parent may have set a limit or a timer, and anybody may mistake
/// the process for another one. A write beyond the limit of files fails with EFBIG, as on a full
/// disk.
///
/// # Errors
/// The kernel refuses, which it does not.
pub fn outlive() -> io::Result<()> {
    let mut outlived = SigSet::all(); // without the C library's own
    for signal in HEARD.into_iter().chain(EFFECTIVE) {
        outlived.remove(signal);
    }
    Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(&outlived), None)?)
}

/// Lets the signals wait that the agent hears.
///
/// # Errors
/// The kernel refuses, which it does not.
pub fn hold() -> io::Result<()> {
    Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::from_iter(HEARD)), None)?)
}

/// What came and was not taken yet.
#[derive(Debug)]
pub struct Signals {
    source: AsyncFd<OwnedFd>,
    stop: bool,
    renew: bool,
    children: bool,
}

impl Signals {
    /// Listens, inside of a runtime.
    ///
    /// # Errors
    /// The system is out of descriptors.
    pub fn listen() -> io::Result<Self> {
        hold()?;
        // A parent may have had them ignored: the kernel would tell of no child then.
        calls::hear_of_children();
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let source = SignalFd::with_flags(&SigSet::from_iter(HEARD), flags)?;
        let source = watch(source.as_fd().try_clone_to_owned()?)?;
        Ok(Self { source, stop: false, renew: false, children: false })
    }

    /// Takes what has come.
    pub fn poll(&mut self, cx: &mut Context<'_>) {
        let mut info = [0; INFO];
        while let std::task::Poll::Ready(Ok(mut ready)) = self.source.poll_read_ready(cx) {
            match nix::unistd::read(ready.get_inner(), &mut info) {
                Err(Errno::EINTR) => {}
                Ok(INFO) => {
                    let [a, b, c, d, ..] = info;
                    match Signal::try_from(i32::from_ne_bytes([a, b, c, d])) {
                        Ok(Signal::SIGCHLD) => self.children = true,
                        Ok(Signal::SIGHUP) => self.renew = true,
                        _ => self.stop = true,
                    }
                }
                _ => ready.clear_ready(),
            }
        }
    }

    /// Whether the agent was told to stop.
    pub fn take_stop(&mut self) -> bool {
        std::mem::take(&mut self.stop)
    }

    /// Whether it was told to restart.
    pub fn take_renewal(&mut self) -> bool {
        std::mem::take(&mut self.renew)
    }

    /// Whether at least one child may have ended: call
    /// [`next_exit`](crate::process::reap::next_exit) until it has no more.
    pub fn take_children(&mut self) -> bool {
        std::mem::take(&mut self.children)
    }
}
