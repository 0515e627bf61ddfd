//! What is behind a file descriptor: a terminal or not, its size, and the value of `TERM`.

use std::os::fd::AsFd;

use towline_wire::message::Size;

use crate::limits::MAX_TERM;

/// The size of the terminal behind `fd`; nothing when it is no terminal, or one that does not know
/// its size.
#[must_use]
pub(crate) fn size_of(fd: impl AsFd) -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(fd).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some(Size { rows: size.ws_row, cols: size.ws_col })
}

/// Whether `fd` is a terminal.
#[must_use]
pub(crate) fn is_terminal(fd: impl AsFd) -> bool {
    rustix::termios::isatty(fd)
}

/// `TERM` as the API takes it; `dumb` for what it would refuse.
#[must_use]
pub(crate) fn term(variable: Option<&str>) -> String {
    let good = |text: &&str| {
        (1..=MAX_TERM).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b))
    };
    variable.filter(good).unwrap_or("dumb").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_type_that_the_api_would_refuse_is_dumb() {
        assert_eq!(term(Some("xterm-256color")), "xterm-256color");
        for bad in [None, Some(""), Some("a b"), Some("x;y")] {
            assert_eq!(term(bad), "dumb");
        }
    }
}
