//! Messages on standard error while a command runs.
//!
//! # Invariants
//! - On a terminal one line is written over; elsewhere a line is added only when something has
//!   changed.
//! - What a device printed cannot steer the terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, TryRecvError};

use tokio::time::sleep;
use towline_ssm::api::command::Command;

use crate::limits::TYPED_LINE_POLL;
use crate::platform::Interrupts;
use crate::terminal::printable;

/// The answer to Ctrl-C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Wait on.
    GoOn,
    /// Stop it on the devices.
    Cancel,
    /// Let it run, and wait no more.
    Leave,
}

/// How many devices are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    waiting: i64,
    running: i64,
    done: i64,
    failed: i64,
}

impl Counts {
    /// As of the command, and those that run.
    pub(super) fn of(command: &Command, running: usize) -> Self {
        let running = i64::try_from(running).unwrap_or(i64::MAX);
        let failed = command.error_count + command.delivery_timed_out_count;
        Self {
            waiting: (command.target_count - command.completed_count - running).max(0),
            running,
            done: command.completed_count - failed,
            failed,
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { waiting, running, done, failed } = self;
        write!(f, "{waiting} waiting, {running} running, {done} done, {failed} failed")
    }
}

/// The progress on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: bool,
    shown: Option<Counts>,
}

impl Progress {
    /// On standard error. Without colour nothing is written over, either: it may be a screen
    /// reader's wish.
    pub(super) fn new(plain: bool) -> Self {
        Self { terminal: io::stderr().is_terminal() && !plain, shown: None }
    }

    /// Says something that stays.
    pub(super) fn say(&mut self, text: &str) {
        self.clear();
        write(&format!("{}\n", printable(text)));
        if let Some(counts) = self.shown.take() {
            self.show(&counts);
        }
    }

    /// Shows how it stands.
    pub(super) fn show(&mut self, counts: &Counts) {
        if self.shown == Some(*counts) {
            return;
        }
        self.shown = Some(*counts);
        write(&if self.terminal { format!("\r\x1b[K{counts}") } else { format!("{counts}\n") });
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        if self.terminal && self.shown.is_some() {
            write("\r\x1b[K");
        }
    }

    /// Prints output of a device that is watched.
    pub(super) fn output(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.clear();
        let lines: Vec<String> = text.split('\n').map(printable).collect();
        write(&lines.join("\n"));
        self.shown = None;
    }

    /// Asks what to do after Ctrl-C. Without a terminal, the command keeps running.
    pub(super) async fn ask(&mut self, id: &str, interrupts: &mut Interrupts) -> Answer {
        self.clear();
        self.shown = None; // the counts are printed again
        let left = format!(
            "command {id} continues; cancel it with: aws ssm cancel-command --command-id {id}\n"
        );
        if !io::stdin().is_terminal() {
            write(&left);
            return Answer::Leave;
        }
        write(
            "\ncancel the command on all devices? [y]es, [n]o (keep waiting), Ctrl-C (leave it \
             running) ",
        );
        let line = typed_line();
        tokio::select! {
            line = line => match line.trim() {
                "y" | "Y" | "yes" => Answer::Cancel,
                _ => Answer::GoOn,
            },
            () = interrupts.next() => {
                write(&format!("\n{left}"));
                Answer::Leave
            }
        }
    }
}

/// A line from the terminal. A detached thread reads it, so that this program can end without it.
async fn typed_line() -> String {
    let (tell, told) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().read_line(&mut line);
        let _ = tell.send(line); // the receiver may be gone
    });
    loop {
        match told.try_recv() {
            Ok(line) => return line,
            Err(TryRecvError::Disconnected) => return String::new(),
            Err(TryRecvError::Empty) => sleep(TYPED_LINE_POLL).await,
        }
    }
}

/// A failure to write is ignored: the text is only information.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}
