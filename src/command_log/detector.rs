//! Command lines that were typed or recalled in a shell, read from the terminal.
//!
//! Data flow: input of the terminal tells when a line begins and when Enter is pressed; output
//! tells what the line shows by then, after editing, history and completion. So typed bytes are
//! not used, and what a program does not echo (a password) is not seen.
//!
//! # Invariants
//! - Memory: one line of [`limits::TYPED_LINE`] characters and two prompts. Of a large output
//!   only both ends are looked at.
//! - A command line is what follows the prompt. The prompt is what the line showed when its
//!   first key came, or the last prompt that was confirmed if keys came too fast. Without a
//!   prompt there is no command line.
//!
//! # Not here
//! - Which programs ran: the kernel reports them ([`super::watcher`]). This file adds builtins
//!   and the words that were typed.
//!
//! # Known limits (each has a test of the same name in `tests/detector.rs`)
//! - `a_paste_while_a_program_runs`: lines typed ahead are seen as the shell shows them.
//! - `the_input_of_a_repl`: a line typed at the prompt of another program looks like a command
//!   line.
//! - `a_line_longer_than_the_bound`: the rest of the line is dropped.

use crate::limits;
use heapless::Vec;

/// What moves the cursor by one and does nothing else.
const PLAIN: std::ops::RangeInclusive<u8> = 0x20..=0x7e;

/// A prompt; a character has at most four bytes.
type Prompt = heapless::String<{ 4 * limits::TYPED_PROMPT }>;

/// Where the parser of escape sequences is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    Escape,
    /// `ESC [`: parameters follow.
    Control,
    /// `ESC ]` and its kin: a string that ends with BEL or `ESC \`.
    Text2End,
    /// One byte that belongs to the sequence before.
    Skip,
}

/// The line under the cursor of one terminal, and the prompt before it.
#[derive(Debug)]
pub struct Detector {
    row: Vec<char, { limits::TYPED_LINE }>,
    column: usize,
    /// A character was put into the last column: the cursor is still there, though `column` is
    /// behind it.
    pending: bool,
    width: usize,
    /// What the line showed when its first key came.
    prompt: Option<Prompt>,
    /// The last prompt that was confirmed.
    proved: Prompt,
    /// A key of this line has come.
    typing: bool,
    enters: u8,
    state: State,
    private: bool,
    numbers: [u16; 2],
    number: usize,
    /// The alternate screen: an editor, a pager.
    alternate: bool,
    partial: [u8; 4],
    held: usize,
}

impl Detector {
    /// For a terminal of this width, columns.
    #[must_use]
    pub fn new(width: u16) -> Self {
        Self {
            row: Vec::new(),
            column: 0,
            pending: false,
            width: usize::from(width.max(1)),
            prompt: None,
            proved: Prompt::new(),
            typing: false,
            enters: 0,
            state: State::Text,
            private: false,
            numbers: [0; 2],
            number: 0,
            alternate: false,
            partial: [0; 4],
            held: 0,
        }
    }

    /// The terminal has another width.
    pub fn resize(&mut self, width: u16) {
        self.width = usize::from(width.max(1));
    }

    /// Keys of the operator.
    pub fn input(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if !std::mem::replace(&mut self.typing, true) {
                let mut prompt = Prompt::new();
                for &character in self.row.iter().take(self.column.min(limits::TYPED_PROMPT)) {
                    let _ = prompt.push(character); // has room for so many
                }
                if prompt == self.proved {
                    self.enters = 0; // the shell waits: no line is under way
                }
                self.prompt = Some(prompt).filter(|prompt| !prompt.trim().is_empty());
            }
            if matches!(byte, b'\r' | b'\n') {
                self.enters = (self.enters + 1).min(limits::TYPED_ENTERS);
                self.typing = false;
            }
            // Given up, or the end of the input: the next key begins another line.
            if matches!(byte, 0x03 | 0x04) {
                self.typing = false;
            }
        }
    }

    /// Keys that ended a line which the terminal did not show: what follows on the row is a
    /// program's output.
    pub fn hidden(&mut self) {
        (self.typing, self.prompt) = (false, None);
    }

    /// Output of the terminal; each command line that is complete by it goes to `found`.
    pub fn output(&mut self, bytes: &[u8], mut found: impl FnMut(String)) {
        if bytes.len() <= 2 * limits::TYPED_ENDS {
            return self.stretch(bytes, &mut found);
        }
        self.stretch(&bytes[..limits::TYPED_ENDS], &mut found);
        (self.state, self.held, self.enters) = (State::Text, 0, 0);
        self.clear();
        self.stretch(&bytes[bytes.len() - limits::TYPED_ENDS..], &mut found);
    }

    /// Plain text goes run by run: a program that writes much pays a copy for it and not a step for
    /// each byte.
    fn stretch(&mut self, mut bytes: &[u8], found: &mut impl FnMut(String)) {
        while let Some((&first, rest)) = bytes.split_first() {
            let plain = match self.state {
                State::Text => {
                    bytes.iter().position(|byte| !PLAIN.contains(byte)).unwrap_or(bytes.len())
                }
                _ => 0,
            };
            if plain > 0 {
                let (run, rest) = bytes.split_at(plain);
                self.put(run.iter().map(|byte| char::from(*byte)));
                bytes = rest;
            } else {
                self.byte(first, found);
                bytes = rest;
            }
        }
    }

    fn byte(&mut self, byte: u8, found: &mut impl FnMut(String)) {
        match self.state {
            State::Text => self.text(byte, found),
            State::Escape => {
                self.state = match byte {
                    b'[' => {
                        (self.private, self.numbers, self.number) = (false, [0; 2], 0);
                        State::Control
                    }
                    b']' | b'P' | b'X' | b'^' | b'_' => State::Text2End,
                    b'(' | b')' | b'*' | b'+' | b'#' | b'%' | b' ' => State::Skip,
                    _ => State::Text,
                }
            }
            State::Control => self.control(byte),
            State::Text2End => match byte {
                0x07 => self.state = State::Text,
                0x1b => self.state = State::Skip,
                _ => {}
            },
            State::Skip => self.state = State::Text,
        }
    }

    fn text(&mut self, byte: u8, found: &mut impl FnMut(String)) {
        match byte {
            0x1b => self.state = State::Escape,
            b'\r' => self.column = self.start_of_row(),
            b'\n' => self.new_line(found),
            0x08 => self.column = self.column.saturating_sub(1),
            b'\t' => self.column = (self.column / 8 + 1) * 8,
            0x00..=0x1f | 0x7f => {}
            0x20..=0x7e => return self.put(std::iter::once(char::from(byte))),
            _ => return self.beyond_ascii(byte),
        }
        self.pending = false;
    }

    fn beyond_ascii(&mut self, byte: u8) {
        if byte & 0xc0 != 0x80 {
            self.held = 0;
        }
        if let Some(place) = self.partial.get_mut(self.held) {
            *place = byte;
            self.held += 1;
        }
        if let Ok(text) = std::str::from_utf8(&self.partial[..self.held]) {
            let character = text.chars().next();
            self.held = 0;
            if let Some(character) = character {
                self.put(std::iter::once(character));
            }
        }
    }

    /// Characters that are seen, at least one, side by side.
    fn put(&mut self, run: impl ExactSizeIterator<Item = char>) {
        let end = (self.column + run.len()).min(limits::TYPED_LINE);
        if self.row.len() < end {
            let _ = self.row.resize(end, ' '); // `end` is no more than the bound
        }
        // a tab may have gone beyond the bound
        let places = self.row.get_mut(self.column..end).unwrap_or_default();
        for (place, character) in places.iter_mut().zip(run) {
            *place = character;
        }
        self.column = end;
        self.pending = end.is_multiple_of(self.width);
    }

    /// A line that is wrapped is one row here: this is where the part under the cursor begins on
    /// the screen.
    fn start_of_row(&self) -> usize {
        let at = self.column - usize::from(self.pending);
        at / self.width * self.width
    }

    fn new_line(&mut self, found: &mut impl FnMut(String)) {
        let below = self.start_of_row() + self.width;
        if self.row.len() > below && self.enters == 0 {
            self.column = below; // the line editor moves within its own wrapped line
            return;
        }
        if self.enters > 0
            && !self.alternate
            && let Some(line) = self.command_line()
        {
            self.enters -= 1; // what a program wrote in between uses none up
            if !line.is_empty() {
                found(line);
            }
        }
        self.clear();
    }

    /// What follows the prompt, perhaps nothing; `None` where there is no prompt.
    fn command_line(&mut self) -> Option<String> {
        let row: String = self.row.iter().collect();
        let prompt = self.prompt.take();
        let of =
            |prompt: &str| row.strip_prefix(prompt.trim_end()).map(|line| line.trim().to_owned());
        let (prompt, line) = match prompt.and_then(|prompt| Some((of(&prompt)?, prompt))) {
            Some((line, prompt)) => (prompt, line),
            None if self.proved.is_empty() => return None,
            None => (self.proved.clone(), of(&self.proved)?),
        };
        if !line.is_empty() {
            self.proved = prompt;
        }
        Some(line)
    }

    fn clear(&mut self) {
        self.row.clear();
        self.column = 0;
    }

    fn control(&mut self, byte: u8) {
        match byte {
            b'0'..=b'9' => {
                if let Some(number) = self.numbers.get_mut(self.number) {
                    *number = number.saturating_mul(10).saturating_add(u16::from(byte - b'0'));
                }
                return;
            }
            b';' => {
                self.number += 1;
                return;
            }
            b'?' | b'>' | b'=' => {
                self.private = true;
                return;
            }
            0x20..=0x2f => return,
            _ => {}
        }
        (self.state, self.pending) = (State::Text, false);
        let first = usize::from(self.numbers[0]);
        let some = first.max(1);
        match byte {
            b'h' | b'l' if self.private && matches!(first, 47 | 1047 | 1049) => {
                self.alternate = byte == b'h';
                self.clear();
            }
            _ if self.private => {}
            b'A' => self.column = self.column.saturating_sub(some * self.width),
            b'B' => self.column = (self.column + some * self.width).min(limits::TYPED_LINE),
            b'C' => self.column = (self.column + some).min(limits::TYPED_LINE),
            b'D' => self.column = self.column.saturating_sub(some),
            b'G' => self.column = (self.start_of_row() + some - 1).min(limits::TYPED_LINE),
            b'H' | b'f' => self.clear(),
            b'J' | b'K' => self.erase(first),
            b'P' => {
                let end = (self.column + some).min(self.row.len());
                let (begin, length) = (self.column.min(end), self.row.len());
                self.row.copy_within(end.., begin);
                self.row.truncate(length - (end - begin));
            }
            b'@' => {
                let at = self.column.min(self.row.len());
                let blanks = some.min(limits::TYPED_LINE.saturating_sub(self.row.len()));
                let _ = self.row.resize(self.row.len() + blanks, ' ');
                self.row[at..].rotate_right(blanks);
            }
            b'X' => {
                let end = (self.column + some).min(self.row.len());
                self.row[self.column.min(end)..end].fill(' ');
            }
            _ => {}
        }
    }

    /// To the end, to the start, all of it.
    fn erase(&mut self, what: usize) {
        match what {
            0 => self.row.truncate(self.column),
            1 => {
                let end = self.column.min(self.row.len());
                self.row[..end].fill(' ');
            }
            _ => self.row.clear(),
        }
    }
}
