//! How a session ended: the exit code, and a line for the operator.
//!
//! # Invariants
//! - The device's own exit code is passed on as it is; a killing signal is 128 and its number, as
//!   shells have it.
//! - A normal exit has no line.

use towline_wire::message::{EndReason, ExitStatus};

use crate::api::CallError;
use crate::exit;
use crate::terminal::printable;

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// For the caller of this program.
    pub code: u8,
    /// For the operator.
    pub line: Option<String>,
    /// Why, where the gateway has told the end.
    pub reason: Option<EndReason>,
    /// The session that goes on with another client, which took the seat of this one.
    pub taken: Option<String>,
}

impl Ending {
    /// With this code and line.
    #[must_use]
    pub(crate) fn new(code: u8, line: impl Into<String>) -> Self {
        Self { line: Some(line.into()), ..Self::silent(code) }
    }

    /// With this code and nothing to say.
    #[must_use]
    pub(crate) fn silent(code: u8) -> Self {
        Self { code, line: None, reason: None, taken: None }
    }

    /// Another client took the seat of this one.
    #[must_use]
    pub(crate) fn taken(session: &str, line: String) -> Self {
        Self { taken: Some(session.to_owned()), ..Self::new(exit::ENDED, line) }
    }

    /// By a signal to this program.
    #[must_use]
    pub(crate) fn by_signal(number: u8) -> Self {
        Self::silent(128 + number)
    }

    /// Nobody reads our output any more: what a write would have met.
    #[must_use]
    pub(crate) fn abandoned() -> Self {
        Self::by_signal(13) // SIGPIPE
    }

    /// From the gateway's last message; `text` is its explanation, and may be empty.
    #[must_use]
    pub(crate) fn of(reason: EndReason, text: &str) -> Self {
        Self { reason: Some(reason), ..Self::worded(reason, text) }
    }

    /// As the gateway has stored it, for a client that was away when the session ended. Nobody
    /// knows whether this client has all of the output: the program's exit code would say so.
    #[must_use]
    pub(crate) fn stored(reason: EndReason, error: &CallError) -> Self {
        let code = match reason {
            EndReason::Exited(_) => exit::ENDED,
            reason => Self::worded(reason, "").code,
        };
        Self { reason: Some(reason), ..Self::new(code, error.to_string()) }
    }

    fn worded(reason: EndReason, text: &str) -> Self {
        let (code, what) = match reason {
            EndReason::Exited(ExitStatus::Code(code)) => return Self::silent(code),
            EndReason::Exited(ExitStatus::Signal(number)) => {
                return Self::new(
                    128_u8.saturating_add(number),
                    format!("the remote program was killed by {}", name(number)),
                );
            }
            EndReason::Exited(ExitStatus::TimedOut) => {
                (124, "the remote program exceeded its time limit")
            } // as timeout(1)
            EndReason::IdleTimeout => (exit::ENDED, "the session ended: it was idle for too long"),
            EndReason::MaxDuration => {
                (exit::ENDED, "the session ended: it reached its maximum duration")
            }
            EndReason::Terminated => (exit::ENDED, "the session was terminated"),
            EndReason::ClosedByOperator => (exit::ENDED, "the session was closed"),
            EndReason::OperatorGone => {
                (exit::ENDED, "the session ended: no client reattached in time")
            }
            EndReason::DeviceGone if !text.is_empty() => {
                let why = printable(text.trim_start_matches("ended: "));
                return Self::new(exit::NOT_CONNECTED, format!("the session ended: {why}"));
            }
            EndReason::DeviceGone => {
                (exit::NOT_CONNECTED, "the session ended: the device did not reconnect in time")
            }
            EndReason::NotOpened => (exit::REFUSED, "the device did not open the session"),
            EndReason::DeviceRevoked => {
                (exit::ENDED, "the session ended: the device was revoked or deregistered")
            }
            EndReason::Violation => (exit::TRANSPORT, "the session ended: protocol violation"),
        };
        // The gateway's sentence begins with what stands before it here.
        let rest = text.strip_prefix("ended: ").or_else(|| text.strip_prefix("terminated"));
        match printable(rest.unwrap_or(text).trim_start()) {
            rest if rest.is_empty() => Self::new(code, what),
            rest if rest.starts_with("by ") => Self::new(code, format!("{what} {rest}")),
            rest => Self::new(code, format!("{what}: {rest}")),
        }
    }
}

fn name(number: u8) -> String {
    let known = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return format!("signal {number}"),
    };
    format!("signal {number} ({known})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_told_once() {
        for (reason, text, line) in [
            (EndReason::Terminated, "terminated by arn:x", "the session was terminated by arn:x"),
            (EndReason::Terminated, "terminated", "the session was terminated"),
            (
                EndReason::Terminated,
                "its log is full",
                "the session was terminated: its log is full",
            ),
            (
                EndReason::IdleTimeout,
                "ended: nothing was typed",
                "the session ended: it was idle for too long: nothing was typed",
            ),
        ] {
            assert_eq!(Ending::of(reason, text).line.as_deref(), Some(line));
        }
    }

    #[test]
    fn the_remote_exit_code_is_passed_on_without_a_word() {
        for code in [0, 3, 255] {
            let ending = Ending::of(EndReason::Exited(ExitStatus::Code(code)), "");
            assert_eq!((ending.code, ending.line), (code, None));
        }
    }

    #[test]
    fn a_killing_signal_is_128_and_its_number() {
        let ending = Ending::of(EndReason::Exited(ExitStatus::Signal(9)), "");
        assert_eq!(
            (ending.code, ending.line.as_deref()),
            (137, Some("the remote program was killed by signal 9 (SIGKILL)"))
        );
    }

    #[test]
    fn of_a_device_that_is_gone_the_gateway_says_how() {
        let ending = Ending::of(EndReason::DeviceGone, "ended: its gateway was lost");
        assert_eq!(ending.line.unwrap(), "the session ended: its gateway was lost");
        let ending = Ending::of(EndReason::DeviceGone, "");
        assert!(ending.line.unwrap().ends_with("the device did not reconnect in time"));
    }

    #[test]
    fn other_ends_have_a_code_and_the_words_of_the_gateway_without_control_characters() {
        let ending = Ending::of(EndReason::NotOpened, "root is\x1b[2J not allowed");
        assert_eq!(ending.code, exit::REFUSED);
        assert_eq!(
            ending.line.unwrap(),
            "the device did not open the session: root is [2J not allowed"
        );
        assert_eq!(Ending::of(EndReason::DeviceGone, "").code, exit::NOT_CONNECTED);
        assert_eq!(Ending::of(EndReason::IdleTimeout, "").code, exit::ENDED);
    }
}
