//! What is behind a file descriptor: a terminal or not, and its size.

use std::fs::File;
use std::os::fd::AsFd;

use towline_wire::message::Size;

use crate::limits::MAX_TERMINAL_SIDE;

/// The size of the terminal behind `fd`, within what a session may have; nothing when it is no
/// terminal, or one that does not know its size.
#[must_use]
pub(crate) fn size_of(fd: impl AsFd) -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(fd).ok()?;
    let (rows, cols) = (size.ws_row.min(MAX_TERMINAL_SIDE), size.ws_col.min(MAX_TERMINAL_SIDE));
    (rows > 0 && cols > 0).then_some(Size { rows, cols })
}

/// Whether `fd` is a terminal.
#[must_use]
pub(crate) fn is_terminal(fd: impl AsFd) -> bool {
    rustix::termios::isatty(fd)
}

/// The keyboard of the terminal that this program was started from, whatever standard input is.
/// Nothing without one, and in the background, where a read would stop this program.
#[must_use]
pub(crate) fn keyboard() -> Option<File> {
    let tty = File::open("/dev/tty").ok()?;
    let foreground = rustix::termios::tcgetpgrp(&tty).ok()?;
    (foreground == rustix::process::getpgrp()).then_some(tty)
}

/// What an operator must know of the terminal behind `input`: nothing here.
#[must_use]
pub(crate) const fn notice(_input: &std::io::Stdin) -> Option<&'static str> {
    None
}

/// A terminal draws colours and sequences as it is.
pub(crate) const fn prepare() {}
