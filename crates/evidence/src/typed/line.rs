//! One line of input under judgement: whether each of its characters came back.
//!
//! A character must be the next one that is shown after it was typed. Keys that are no characters
//! (arrows, Tab, Ctrl) show whatever they show; they go the way of their line.
//!
//! # Invariants
//! - Of a line that is left out no byte is kept.
//! - At most [`LONGEST`] bytes; a longer line is judged in pieces of that length.

use std::collections::VecDeque;

/// Longest line that is judged in one, bytes: as much as a terminal in its line mode takes.
const LONGEST: usize = 4096;

/// What became of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing was typed.
    Empty,
    /// It was shown: these are its bytes.
    Shown(Vec<u8>),
    /// It was not.
    Hidden,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Key {
    #[default]
    Plain,
    Escape,
    /// `ESC [`.
    Control,
    /// `ESC O`.
    Single,
}

/// The line that is being typed, until Enter.
#[derive(Debug, Default)]
pub(super) struct Line {
    bytes: Vec<u8>,
    /// Characters that did not come back yet, each with the output before which it cannot.
    awaited: VecDeque<(char, u64)>,
    hidden: bool,
    ended: bool,
    /// The line before ended with Enter, and its new line was not shown yet.
    new_line_due: bool,
    key: Key,
    partial: Vec<u8>,
}

impl Line {
    /// The next byte that was typed, after so much output. True: the line has become too long to
    /// wait any more.
    pub(super) fn typed(&mut self, byte: u8, output: u64) -> bool {
        if byte < 0x80 && !self.partial.is_empty() {
            self.hide(); // half a character, which no screen shows
        }
        if !self.hidden {
            self.bytes.push(byte);
        }
        match (self.key, byte) {
            (Key::Plain, 0x1b) => self.key = Key::Escape,
            (Key::Plain, b'\r' | b'\n' | 0x03 | 0x04) => self.ended = true,
            (Key::Plain, 0x20..=0x7e) => self.awaits(char::from(byte), output),
            (Key::Plain, 0x80..) => self.beyond_ascii(byte, output),
            (Key::Escape, b'[') => self.key = Key::Control,
            (Key::Escape, b'O') => self.key = Key::Single,
            (Key::Control, 0x20..=0x3f) | (Key::Plain, _) => {}
            (Key::Escape | Key::Control | Key::Single, _) => self.key = Key::Plain,
        }
        self.bytes.len() >= LONGEST
    }

    fn awaits(&mut self, character: char, output: u64) {
        if !self.hidden {
            self.awaited.push_back((character, output));
        }
    }

    fn beyond_ascii(&mut self, byte: u8, output: u64) {
        if byte & 0xc0 != 0x80 && !self.partial.is_empty() {
            self.hide(); // half a character, which no screen shows
        }
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial).ok().and_then(|text| text.chars().next()) {
            Some(character) => {
                self.partial.clear();
                self.awaits(character, output);
            }
            None if self.partial.len() >= 4 => self.hide(),
            None => {}
        }
    }

    /// A character was shown at this position of the output.
    pub(super) fn shown(&mut self, character: char, at: u64) {
        match self.awaited.front() {
            Some((awaited, since)) if at >= *since && *awaited == character => {
                let _ = self.awaited.pop_front();
            }
            Some((_, since)) if at >= *since => self.hide(),
            Some(_) | None => {}
        }
    }

    /// A blank behind a step back: an echo, or something that erases and says nothing.
    pub(super) fn blank(&mut self, at: u64) {
        if self.awaited.front().is_some_and(|(awaited, since)| *awaited == ' ' && at >= *since) {
            self.awaited.pop_front();
        }
    }

    /// A new line was shown.
    pub(super) fn new_line(&mut self, at: u64) {
        if !std::mem::take(&mut self.new_line_due)
            && self.awaited.front().is_some_and(|(_, since)| at >= *since)
        {
            self.hide();
        }
    }

    /// Some output is not known: an echo may have been in it.
    pub(super) fn missed(&mut self) {
        if !self.awaited.is_empty() {
            self.hide();
        }
    }

    /// What was typed so far had another addressee; a line that has ended stays what it is. True:
    /// something is left out.
    pub(super) fn restart(&mut self) -> bool {
        if self.ended {
            return false;
        }
        std::mem::take(self).is_begun()
    }

    fn hide(&mut self) {
        self.hidden = true;
        self.awaited.clear();
        self.bytes = Vec::new();
        self.partial.clear();
    }

    /// True when Enter was pressed, or the line given up.
    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// True while a character may still come back.
    pub(super) fn is_undecided(&self) -> bool {
        !self.awaited.is_empty() || !self.partial.is_empty()
    }

    /// True when all of it was shown.
    pub(super) fn is_shown(&self) -> bool {
        !self.hidden && !self.is_undecided()
    }

    /// True when something was typed.
    pub(super) fn is_begun(&self) -> bool {
        self.hidden || !self.bytes.is_empty()
    }

    /// What became of it. The next line begins.
    pub(super) fn close(&mut self) -> Fate {
        let entered = matches!(self.bytes.last(), Some(b'\r' | b'\n'));
        let line = std::mem::take(self);
        self.new_line_due = entered;
        match (line.is_begun(), line.is_shown()) {
            (false, _) => Fate::Empty,
            (true, true) => Fate::Shown(line.bytes),
            (true, false) => Fate::Hidden,
        }
    }
}
