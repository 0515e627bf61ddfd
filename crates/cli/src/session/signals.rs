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

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGHUP: the terminal is gone.
    Hangup,
    /// SIGINT.
    Interrupt,
    /// SIGQUIT.
    Quit,
    /// SIGTERM.
    Terminate,
    /// SIGWINCH: the terminal has another size.
    WindowChange,
    /// SIGTSTP: stop for a while.
    Stop,
    /// SIGCONT: after a stop of any kind.
    Continue,
}

impl Signal {
    /// Its number on Linux; these are the same on all of its architectures.
    #[must_use]
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Quit => 3,
            Self::Terminate => 15,
            Self::WindowChange => 28,
            Self::Stop => 20,
            Self::Continue => 18,
        }
    }
}

const ENDING: &[Signal] = &[Signal::Hangup, Signal::Interrupt, Signal::Quit, Signal::Terminate];
const OF_A_TERMINAL: &[Signal] = &[Signal::WindowChange, Signal::Stop, Signal::Continue];

/// The signals that are listened to.
#[derive(Debug)]
pub(super) struct Signals(Vec<(Signal, Source)>);

impl Signals {
    /// Listens to the signals that end a program, and with a raw terminal to those that concern it.
    /// As a `guest` also to those of the keyboard that are ignored.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn listen(raw_terminal: bool, guest: bool) -> io::Result<Self> {
        let ignored = ignored();
        let heeded = |signal: &Signal| guest && matches!(signal, Signal::Interrupt | Signal::Quit);
        let wanted = ENDING
            .iter()
            .filter(|signal| ignored >> (signal.number() - 1) & 1 == 0 || heeded(signal));
        let terminal = OF_A_TERMINAL.iter().filter(|_| raw_terminal);
        let sources = wanted
            .chain(terminal)
            .map(|&s| Ok((s, signal(SignalKind::from_raw(s.number().into()))?)));
        sources.collect::<io::Result<_>>().map(Self)
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Signal {
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
