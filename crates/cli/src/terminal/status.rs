//! The one line about the connection, drawn below what the device has drawn, and removed again.
//!
//! # Invariants
//! - The cursor, and the line it is in, stay where the device left them: room is made below, the
//!   line is written there, and the cursor goes back.
//! - Without a raw terminal each change is one ordinary line on stderr.
//! - A failure to write is ignored: the line is only information.

use std::io::Write;

use towline_wire::message::Size;

use crate::limits::ASSUMED_SIZE;

/// The status line.
#[derive(Debug)]
pub(crate) struct StatusLine<W> {
    to: W,
    /// A raw terminal is there to draw on.
    drawn: bool,
    shown: bool,
}

impl<W: Write> StatusLine<W> {
    /// On `to`; `drawn` says that it is a terminal in raw mode.
    pub(crate) fn new(to: W, drawn: bool) -> Self {
        Self { to, drawn, shown: false }
    }

    /// Shows the text in place of the last one.
    pub(crate) fn show(&mut self, text: &str, size: Option<Size>) {
        if self.drawn {
            // Line feed and cursor up: from here on there is a line below, whatever was at the
            // bottom.
            let room = if self.shown { "" } else { "\n\x1b[A" };
            let text = cut(text, size);
            self.write(&format!("{room}\x1b7\r\n\x1b[K[{text}]\x1b8"));
        } else {
            self.write(&format!("towline: {text}\n"));
        }
        self.shown = true;
    }

    /// Takes the line away; without a raw terminal, prints `back` instead.
    pub(crate) fn clear(&mut self, back: &str) {
        if !self.shown {
            return;
        }
        self.shown = false;
        if self.drawn {
            self.write("\x1b7\r\n\x1b[K\x1b8");
        } else if !back.is_empty() {
            self.write(&format!("towline: {back}\n"));
        }
    }

    /// Says something that stays.
    pub(crate) fn say(&mut self, lines: &[String]) {
        self.clear("");
        let end = if self.drawn { "\r\n" } else { "\n" };
        let mut text = if self.drawn { "\r\n".to_owned() } else { String::new() };
        for line in lines {
            text.push_str(line);
            text.push_str(end);
        }
        self.write(&text);
    }

    fn write(&mut self, text: &str) {
        let _ = self.to.write_all(text.as_bytes());
        let _ = self.to.flush();
    }
}

/// As much of the text as stands in one line with its brackets; a character more would make two
/// lines of it.
fn cut(text: &str, size: Option<Size>) -> &str {
    let most = usize::from(size.unwrap_or(ASSUMED_SIZE).cols).saturating_sub(3);
    match text.char_indices().nth(most) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(drawn: bool) -> String {
        let mut bytes = Vec::new();
        let mut line = StatusLine::new(&mut bytes, drawn);
        line.show("lost", None);
        line.show("still lost", Some(Size { rows: 24, cols: 8 }));
        line.clear("back");
        line.clear("back");
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_terminal_gets_one_line_that_is_rewritten_and_cleared() {
        let expected =
            "\n\x1b[A\x1b7\r\n\x1b[K[lost]\x1b8\x1b7\r\n\x1b[K[still]\x1b8\x1b7\r\n\x1b[K\x1b8";
        assert_eq!(shown(true), expected);
    }

    #[test]
    fn where_there_is_nothing_to_say_no_line_is_written() {
        let mut bytes = Vec::new();
        let mut line = StatusLine::new(&mut bytes, false);
        line.show("lost", None);
        line.say(&["towline: over".to_owned()]);
        assert_eq!(String::from_utf8(bytes).unwrap(), "towline: lost\ntowline: over\n");
    }

    #[test]
    fn elsewhere_each_change_is_a_line() {
        assert_eq!(shown(false), "towline: lost\ntowline: still lost\ntowline: back\n");
    }
}
