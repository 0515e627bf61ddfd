//! Signals as events of the session.
//!
//! # Invariants
//! - A signal that was ignored when this program started stays ignored: `nohup` and background jobs
//!   of scripts rely on it. Not so for a guest of a program that ignores the keyboard's signals and
//!   leaves them to us.
//! - Nothing is polled: the size of the terminal is asked for when the kernel says that it has
//!   changed.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal as Source, SignalKind, signal};

use crate::platform::Signal;

/// Whether a program can stop itself, as the job control of a shell does.
pub(crate) const CAN_SUSPEND: bool = true;

const ENDING: &[Signal] = &[Signal::Hangup, Signal::Interrupt, Signal::Quit, Signal::Terminate];
const OF_A_TERMINAL: &[Signal] = &[Signal::WindowChange, Signal::Stop, Signal::Continue];

/// The signals that are listened to.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(Signal, Source)>);

impl Signals {
    /// Listens to the signals that end a program, and with a raw terminal to those that concern it.
    /// As a `guest` also to those of the keyboard that are ignored.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn listen(raw_terminal: bool, guest: bool) -> io::Result<Self> {
        let ignored = ignored();
        let heeded = |signal: &Signal| guest && matches!(signal, Signal::Interrupt | Signal::Quit);
        let wanted = ENDING
            .iter()
            .filter(|signal| ignored >> (signal.number() - 1) & 1 == 0 || heeded(signal));
        let terminal = OF_A_TERMINAL.iter().filter(|_| raw_terminal);
        let sources =
            wanted.chain(terminal).map(|&s| Ok((s, signal(SignalKind::from_raw(here(s)))?)));
        sources.collect::<io::Result<_>>().map(Self)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|cx| {
            for (signal, source) in &mut self.0 {
                if let Poll::Ready(Some(())) = source.poll_recv(cx) {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Ctrl-C, listened to from the beginning: one that comes while nobody waits for it is not lost.
#[derive(Debug)]
pub(crate) struct Interrupts(Source);

impl Interrupts {
    /// From now on Ctrl-C does not end this program.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn listen() -> io::Result<Self> {
        signal(SignalKind::interrupt()).map(Self)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// From now on a limit of files (`ulimit -f`) does not end this program: a write fails, what was
/// begun is cleaned up, and the session ends. A handler, which programs that are started here do
/// not inherit. Inside of a runtime.
pub(crate) fn outlive_file_limit() {
    // Without it the kernel ends this program there, as it ends others.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
}

/// Stops this program as the job control of the local shell does; returns after SIGCONT.
pub(crate) fn suspend() {
    // Here this program stands still until SIGCONT.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
}

/// The number of a signal on this system.
fn here(of: Signal) -> i32 {
    use rustix::process::Signal as Here;
    match of {
        Signal::Hangup => Here::HUP,
        Signal::Interrupt => Here::INT,
        Signal::Quit => Here::QUIT,
        Signal::Terminate => Here::TERM,
        Signal::WindowChange => Here::WINCH,
        Signal::Stop => Here::TSTP,
        Signal::Continue => Here::CONT,
    }
    .as_raw()
}

/// The signals that this program was started to ignore, a bit each, lowest first.
fn ignored() -> u64 {
    std::fs::read_to_string("/proc/self/status").map_or(0, |status| mask(&status))
}

fn mask(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_kernels_mask() {
        let status = "Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t00000000ffffffff\n";
        assert_eq!(mask(status), 1 << 12 | 1);
        assert_eq!(mask(""), 0);
    }
}
