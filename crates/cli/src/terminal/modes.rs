//! What a session has switched on in the operator's terminal, and how it is switched off again.
//!
//! Data flow: bytes that were written to the terminal -> [`Modes::push`]; at the end of the session
//! [`Modes::undo`] gives the sequences that bring the terminal back.
//!
//! # Invariants
//! - Pure: it reads and writes nothing.
//! - Only what the session changed is undone; a terminal that nothing was changed in gets no byte.
//! - Memory is bounded: modes below [`MAX_TRACKED_MODE`] and [`MAX_TRACKED_SEQUENCE`] bytes of one
//!   sequence.
//!
//! # Not here
//! - The content of the screen, and the title: nothing can bring them back.

use std::collections::BTreeSet;

use crate::limits::{MAX_TRACKED_MODE, MAX_TRACKED_SEQUENCE};

/// Private modes that terminals have on by default: to undo them is to set them.
const ON_BY_DEFAULT: [u16; 3] = [7, 8, 25];
/// Private modes that are a matter of the terminal's own settings, or no state.
const LEFT_ALONE: [u16; 10] = [2, 3, 12, 40, 1007, 1034, 1035, 1036, 1039, 1048];
/// Private modes of the alternate screen.
const ALTERNATE: [u16; 3] = [47, 1047, 1049];
/// Commands of the operating system (OSC) that set colours, and those that reset them.
const COLOURS: [(&str, u16); 9] = [
    ("4", 104),
    ("5", 105),
    ("10", 110),
    ("11", 111),
    ("12", 112),
    ("13", 113),
    ("14", 114),
    ("17", 117),
    ("19", 119),
];
const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const SHIFT_OUT: u8 = 0x0e;
const SHIFT_IN: u8 = 0x0f;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    /// Behind an ESC.
    Escape,
    /// Behind an ESC and this intermediate byte.
    Intermediate(u8),
    /// A control sequence.
    Control,
    /// A string: of an OSC, whose beginning is looked at, or of another kind.
    Text(bool),
    /// Behind an ESC within a string.
    TextEscape(bool),
}

/// What is switched on.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a switch of a terminal.
pub(crate) struct Modes {
    state: State,
    sequence: Vec<u8>,
    /// Private modes that are not as they are by default.
    private: BTreeSet<u16>,
    /// Those of them that were saved (XTSAVE): restoring brings them back.
    saved: BTreeSet<u16>,
    /// The same of ANSI's modes.
    ansi: BTreeSet<u16>,
    /// Keys that are modified otherwise (XTMODKEYS).
    modified_keys: BTreeSet<u16>,
    /// Colours that were set, by the number of their reset.
    colours: BTreeSet<u16>,
    /// Depth of the stack of keyboard flags, and whether flags were set: main and alternate screen.
    keyboard: [(u16, bool); 2],
    keypad: bool,
    /// Another character set is designated or shifted in.
    charset: bool,
    /// Bytes are not read as UTF-8.
    other_coding: bool,
    /// The terminal understands the sequences of a VT52 alone.
    vt52: bool,
    margins: bool,
    drawn: bool,
    cursor_shape: bool,
    pointer: bool,
    hyperlink: bool,
    progress: bool,
    printing: bool,
}

impl Modes {
    /// A terminal in which nothing was changed.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            state: State::Ground,
            sequence: Vec::new(),
            private: BTreeSet::new(),
            saved: BTreeSet::new(),
            ansi: BTreeSet::new(),
            modified_keys: BTreeSet::new(),
            colours: BTreeSet::new(),
            keyboard: [(0, false); 2],
            keypad: false,
            charset: false,
            other_coding: false,
            vt52: false,
            margins: false,
            drawn: false,
            cursor_shape: false,
            pointer: false,
            hyperlink: false,
            progress: false,
            printing: false,
        }
    }

    /// These bytes were written to the terminal.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, behind)) = rest.split_first() {
            if self.state == State::Ground {
                // Most bytes are text.
                let plain = |b: &u8| !matches!(*b, ESC | SHIFT_OUT | SHIFT_IN);
                let text = rest.iter().take_while(|b| plain(b)).count();
                if text > 0 {
                    rest = &rest[text..];
                    continue;
                }
            }
            self.byte(byte);
            rest = behind;
        }
    }

    fn byte(&mut self, byte: u8) {
        match (self.state, byte) {
            (State::Text(_), BEL) => self.end_text(),
            (State::Text(osc), ESC) => self.state = State::TextEscape(osc),
            (_, CANCEL | SUBSTITUTE) => self.state = State::Ground,
            (State::Text(osc), _) => {
                if osc && self.sequence.len() < MAX_TRACKED_SEQUENCE {
                    self.sequence.push(byte);
                }
            }
            (State::TextEscape(_), b'\\') => self.end_text(),
            (State::TextEscape(_), _) => {
                self.end_text();
                self.state = State::Escape;
                self.byte(byte);
            }
            (_, ESC) => self.state = State::Escape,
            (State::Ground, SHIFT_OUT) => self.charset = true,
            (State::Ground, _) => {}
            (State::Escape, _) => self.escape(byte),
            (State::Intermediate(kind), 0x30..=0x7e) => {
                match kind {
                    // Designations of G0 to G3; B is ASCII.
                    b'(' | b')' | b'*' | b'+' if byte != b'B' => self.charset = true,
                    b'%' => self.other_coding = byte != b'G',
                    _ => {}
                }
                self.state = State::Ground;
            }
            (State::Control, 0x40..=0x7e) => {
                self.state = State::Ground;
                self.control(byte);
            }
            (State::Control, 0x20..=0x3f) => {
                if self.sequence.len() < MAX_TRACKED_SEQUENCE {
                    self.sequence.push(byte);
                }
            }
            // Control characters act within a sequence and do not end it.
            (State::Intermediate(_) | State::Control, _) => {}
        }
    }

    fn escape(&mut self, byte: u8) {
        self.sequence.clear();
        self.state = match byte {
            b'[' => State::Control,
            b']' => State::Text(true),
            // DCS, SOS, PM, APC, and the title of some multiplexers.
            b'P' | b'X' | b'^' | b'_' | b'k' => State::Text(false),
            0x20..=0x2f => State::Intermediate(byte),
            0x00..=0x1f => State::Escape,
            _ => State::Ground,
        };
        match byte {
            b'=' => self.keypad = true,
            b'>' => self.keypad = false,
            b'<' => self.vt52 = false,
            // Locking shifts.
            b'n' | b'o' | b'|' | b'}' | b'~' => self.charset = true,
            b'c' => *self = Self::new(),
            _ => {}
        }
    }

    fn control(&mut self, last: u8) {
        let sequence = std::mem::take(&mut self.sequence);
        let text = String::from_utf8_lossy(&sequence).into_owned();
        let numbers = |text: &str| -> Vec<u16> {
            text.split([';', ':']).map(|n| n.parse().unwrap_or(0)).collect()
        };
        match (text.as_bytes().first(), last) {
            (Some(b'?'), b'h' | b'l') => {
                numbers(&text[1..]).into_iter().for_each(|mode| self.set_private(mode, last));
            }
            (Some(b'?'), b's') => {
                for mode in numbers(&text[1..]) {
                    if self.private.contains(&mode) {
                        self.saved.insert(mode);
                    } else {
                        self.saved.remove(&mode);
                    }
                }
            }
            (Some(b'?'), b'r') => {
                for mode in numbers(&text[1..]) {
                    if self.saved.contains(&mode) {
                        self.private.insert(mode);
                    } else {
                        self.private.remove(&mode);
                    }
                }
            }
            (Some(b'?'), b'i') => self.printing = text == "?5",
            (Some(b'>'), b'm') => {
                let numbers = numbers(&text[1..]);
                match (numbers.first(), numbers.get(1).is_some_and(|&value| value != 0)) {
                    (Some(&key), true) if key < 16 => drop(self.modified_keys.insert(key)),
                    (Some(key), _) => drop(self.modified_keys.remove(key)),
                    (None, _) => {}
                }
            }
            (Some(&kind @ (b'>' | b'<' | b'=')), b'u') => {
                let number = numbers(&text[1..]).first().copied().unwrap_or(0);
                self.set_keyboard(kind, number);
            }
            (_, b'h' | b'l') => {
                for mode in numbers(&text) {
                    // Local echo (12) is off by default, which is "set".
                    let changed = (last == b'h') == (mode != 12);
                    match mode {
                        2 | 4 | 12 | 20 if changed => drop(self.ansi.insert(mode)),
                        _ => drop(self.ansi.remove(&mode)),
                    }
                }
            }
            (_, b'i') => self.printing = text == "5",
            (_, b'm') => self.drawn = !text.is_empty() && numbers(&text).last() != Some(&0),
            (_, b'r') => self.margins = !text.is_empty(),
            (_, b'q') if text.ends_with(' ') => {
                self.cursor_shape = text.trim().parse() != Ok(0_u16) && text != " ";
            }
            (_, b'p') if text == "!" => self.soft_reset(),
            _ => {}
        }
    }

    fn set_private(&mut self, mode: u16, last: u8) {
        if mode == 2 {
            self.vt52 = last == b'l';
        }
        if LEFT_ALONE.contains(&mode) || mode >= MAX_TRACKED_MODE {
            return;
        }
        if ALTERNATE.contains(&mode) && last == b'l' {
            self.keyboard[1] = (0, false);
        }
        if (last == b'h') != ON_BY_DEFAULT.contains(&mode) {
            self.private.insert(mode);
        } else {
            self.private.remove(&mode);
        }
    }

    fn is_alternate(&self) -> bool {
        ALTERNATE.iter().any(|mode| self.private.contains(mode))
    }

    fn set_keyboard(&mut self, kind: u8, number: u16) {
        let screen = usize::from(self.is_alternate());
        let (depth, set) = &mut self.keyboard[screen];
        match kind {
            b'>' => *depth = depth.saturating_add(1),
            b'<' => *depth = depth.saturating_sub(number.max(1)),
            _ => *set = number != 0,
        }
    }

    fn soft_reset(&mut self) {
        for mode in [1, 6, 7, 25, 66, 69] {
            self.private.remove(&mode);
        }
        self.ansi.remove(&4);
        (self.keypad, self.charset, self.margins, self.drawn) = (false, false, false, false);
    }

    fn end_text(&mut self) {
        let osc = matches!(self.state, State::Text(true) | State::TextEscape(true));
        self.state = State::Ground;
        let sequence = std::mem::take(&mut self.sequence);
        if !osc {
            return;
        }
        let text = String::from_utf8_lossy(&sequence).into_owned();
        let (command, rest) = text.split_once(';').unwrap_or((&text, ""));
        match command {
            "8" => self.hyperlink = rest.split_once(';').is_some_and(|(_, uri)| !uri.is_empty()),
            "9" if rest.starts_with("4;") => self.progress = !rest.starts_with("4;0"),
            "22" => self.pointer = !rest.is_empty(),
            _ => {
                if let Some((_, reset)) = COLOURS.iter().find(|(set, _)| *set == command)
                    && !rest.ends_with('?')
                {
                    self.colours.insert(*reset);
                }
                if let Ok(reset) = command.parse() {
                    self.colours.remove(&reset);
                }
            }
        }
    }

    /// The bytes that bring the terminal back; nothing is switched on afterwards.
    pub(crate) fn undo(&mut self) -> String {
        let Self { state, keyboard, private, ansi, .. } = &*self;
        let mut out = String::new();
        // What was cut in the middle would swallow the rest.
        out.push_str(match state {
            State::Ground => "",
            State::Text(_) => "\x1b\\",
            State::TextEscape(_) => "\\",
            State::Escape | State::Intermediate(_) | State::Control => "\x18",
        });
        let keys = |(depth, set): (u16, bool)| {
            let pop = if depth > 0 { format!("\x1b[<{depth}u") } else { String::new() };
            pop + if set { "\x1b[=0u" } else { "" }
        };
        let set = |modes: &BTreeSet<u16>, on: &[u16], mark: &str| {
            let letter = |mode: &u16| if on.contains(mode) { 'h' } else { 'l' };
            let one = |mode: &u16| format!("\x1b[{mark}{mode}{}", letter(mode));
            modes.iter().map(one).collect::<String>()
        };
        let when = |changed: bool, text: &'static str| if changed { text } else { "" };
        out += when(self.vt52, "\x1b<");
        out += when(self.printing, "\x1b[4i\x1b[?4i");
        out += &keys(keyboard[1]);
        // The margins first: without them, and only then, the cursor is where it was.
        out += when(self.margins, "\x1b7\x1b[r\x1b8");
        out += &set(private, &ON_BY_DEFAULT, "?");
        out += &set(ansi, &[12], "");
        out += &keys(keyboard[0]);
        self.modified_keys.iter().for_each(|key| out += &format!("\x1b[>{key}m"));
        out += when(self.keypad, "\x1b>");
        out += when(self.other_coding, "\x1b%G");
        out += when(self.charset, "\x0f\x1b(B\x1b)B\x1b*B\x1b+B");
        out += when(self.drawn, "\x1b[0m");
        out += when(self.cursor_shape, "\x1b[0 q");
        self.colours.iter().for_each(|reset| out += &format!("\x1b]{reset}\x1b\\"));
        out += when(self.hyperlink, "\x1b]8;;\x1b\\");
        out += when(self.progress, "\x1b]9;4;0\x1b\\");
        out += when(self.pointer, "\x1b]22;\x1b\\");
        *self = Self::new();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(output: &str, undone: &str) {
        for size in [1, 2, 3, output.len().max(1)] {
            let mut modes = Modes::new();
            output.as_bytes().chunks(size).for_each(|chunk| modes.push(chunk));
            assert_eq!(modes.undo(), undone, "{output:?} in chunks of {size}");
            assert_eq!(modes.undo(), "", "once");
        }
    }

    #[test]
    fn what_an_editor_switched_on_is_switched_off() {
        check(
            "\x1b[?1049h\x1b[?1h\x1b=\x1b[?25l\x1b[?1000;1006h\x1b[?2004h\x1b[?1004hhello",
            "\x1b[?1l\x1b[?25h\x1b[?1000l\x1b[?1004l\x1b[?1006l\x1b[?1049l\x1b[?2004l\x1b>",
        );
    }

    #[test]
    fn what_the_session_switched_off_itself_is_left_alone() {
        check("text\r\n", "");
        check("\x1b[?1049h\x1b[?25l\x1b[31mred\x1b[0m\x1b[?25h\x1b[?1049l\x1b=\x1b>", "");
        check("\x1b[?25l\x1b[?1000h\x1b(0\x1bc", "");
        check("\x1b[?25l\x1b[4h\x1b[!p", "");
        check("\x1b[?25h\x1b[?7h", "");
    }

    #[test]
    fn charsets_margins_colours_and_shapes_are_undone() {
        check("\x1b(0lqqk", "\x0f\x1b(B\x1b)B\x1b*B\x1b+B");
        check("\x0e", "\x0f\x1b(B\x1b)B\x1b*B\x1b+B");
        check("\x1b[5;10r", "\x1b7\x1b[r\x1b8");
        check("\x1b[1;31m", "\x1b[0m");
        check("\x1b[4 q", "\x1b[0 q");
        check("\x1b]11;#000000\x07", "\x1b]111\x1b\\");
        check("\x1b]11;?\x07", "");
        check("\x1b]8;;https://example.com\x1b\\", "\x1b]8;;\x1b\\");
        check("\x1b[4h\x1b[12l", "\x1b[4l\x1b[12h");
    }

    #[test]
    fn modes_that_were_restored_other_codings_and_a_vt52_are_undone() {
        check("\x1b[?1000h\x1b[?1000s\x1b[?1000l\x1b[?1000r", "\x1b[?1000l");
        check("\x1b[?1000s\x1b[?1000h\x1b[?1000r", "");
        check("\x1b%@", "\x1b%G");
        check("\x1b%@text\x1b%G", "");
        check("\x1b[?25l\x1b[?2l", "\x1b<\x1b[?25h");
        check("\x1b[?2l\x1b<", "");
    }

    #[test]
    fn a_mode_is_undone_behind_any_number_of_others() {
        let many: String = (3000..4000).map(|mode| format!("\x1b[?{mode}h")).collect();
        let mut modes = Modes::new();
        modes.push(many.as_bytes());
        modes.push(b"\x1b[?1003h\x1b[?9001h");
        let undone = modes.undo();
        assert!(undone.starts_with("\x1b[?1003l") && undone.ends_with("\x1b[?9001l"));
        let list: Vec<&str> = std::iter::repeat_n("2004", 60).collect();
        check(&format!("\x1b[?{};1000h", list.join(";")), "\x1b[?1000l\x1b[?2004l");
    }

    #[test]
    fn keyboards_are_put_back_on_the_screen_they_belong_to() {
        check("\x1b[>1u", "\x1b[<1u");
        check("\x1b[>1u\x1b[?1049h\x1b[>3u\x1b[>5u", "\x1b[<2u\x1b[?1049l\x1b[<1u");
        check("\x1b[=1u\x1b[>4;2m", "\x1b[=0u\x1b[>4m");
        check("\x1b[>1u\x1b[<u\x1b[>4;2m\x1b[>4m", "");
    }

    #[test]
    fn a_sequence_that_was_cut_does_not_swallow_what_follows() {
        check("\x1b[?25l\x1b[?100", "\x18\x1b[?25h");
        check("\x1b[?25l\x1b]0;tit", "\x1b\\\x1b[?25h");
        check("\x1bPq#0;2", "\x1b\\");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_and_undone_once(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut modes = Modes::new();
            modes.push(&bytes);
            modes.undo();
            prop_assert_eq!(modes.undo(), "");
        }
    }
}
