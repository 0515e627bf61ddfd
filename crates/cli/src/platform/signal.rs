//! What the system tells a program, as events of the session.
//!
//! # Invariants
//! - The number of a signal is Linux's, on every system: it goes to the device, and into the exit
//!   code.

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
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
    // Only systems with job control say these two.
    /// SIGTSTP: stop for a while.
    #[cfg_attr(windows, allow(dead_code))]
    Stop,
    /// SIGCONT: after a stop of any kind.
    #[cfg_attr(windows, allow(dead_code))]
    Continue,
}

impl Signal {
    /// Its number on Linux; these are the same on all of its architectures.
    #[must_use]
    pub(crate) fn number(self) -> u8 {
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
