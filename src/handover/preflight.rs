//! The preflight: the installed program reports, in its own process, whether it can take over.
//!
//! The program is started with the arguments of this one and `--takes-over FORM`. It reads its
//! configuration, its enrollment and its key, and ends with a status that says whether it can
//! resume sessions of that form. Its errors go to the agent's log.
//!
//! # Invariants
//! - A program that does not run, hangs, or cannot use the settings never replaces one that
//!   works.
//! - The answer has a deadline, and the loop continues meanwhile.

use super::exchange::{VARIABLE, installed};
use super::form::FORM;
use crate::limits;
use crate::process::Exit;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The option with which the preflight is put.
pub const OPTION: &str = "--takes-over";

/// The exit status of a program that works, but does not know the form.
pub const OTHER_FORM: u8 = 3;

/// The exit status of a program that does not know the preflight: it is older than it.
const USAGE: u8 = 2;

/// What the installed program says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It can resume the sessions.
    TakesOver,
    /// It works, but can take no session over.
    OnlyWithoutSessions,
    /// It does not work here.
    Broken(Exit),
}

impl Answer {
    fn of(exit: Exit) -> Self {
        match exit {
            Exit::Code(0) => Self::TakesOver,
            Exit::Code(USAGE | OTHER_FORM) => Self::OnlyWithoutSessions,
            other => Self::Broken(other),
        }
    }
}

/// A preflight that was put.
#[derive(Debug)]
pub struct Preflight {
    /// The process that will answer by its end. It is the reaper's, as all children are.
    pub pid: Pid,
    /// When it is given up.
    pub deadline: Instant,
}

impl Preflight {
    /// Asks the installed program.
    ///
    /// # Errors
    /// It cannot be executed.
    #[allow(clippy::zombie_processes)] // the agent waits for all its children, including this one
    pub fn ask(now: Instant) -> io::Result<Self> {
        let mut command = Command::new(installed());
        command.args(std::env::args_os().skip(1)).args([OPTION, &FORM.to_string()]);
        command
            .env_remove("NOTIFY_SOCKET")
            .env_remove(VARIABLE)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command.spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        Ok(Self { pid, deadline: now + limits::TAKES_OVER })
    }

    /// What the end of this child means, if it is the one that was asked.
    #[must_use]
    pub fn answer(&self, pid: Pid, exit: Exit) -> Option<Answer> {
        (pid == self.pid).then(|| Answer::of(exit))
    }

    /// Ends the one that was asked, so that it answers.
    pub fn give_up(&self) {
        let _ = kill(self.pid, Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_know_the_question_still_works() {
        for (exit, answer) in [
            (Exit::Code(0), Answer::TakesOver),
            (Exit::Code(2), Answer::OnlyWithoutSessions),
            (Exit::Code(OTHER_FORM), Answer::OnlyWithoutSessions),
            (Exit::Code(78), Answer::Broken(Exit::Code(78))),
            (Exit::Code(127), Answer::Broken(Exit::Code(127))),
            (Exit::Signal(11), Answer::Broken(Exit::Signal(11))),
        ] {
            assert_eq!(Answer::of(exit), answer);
        }
    }
}
