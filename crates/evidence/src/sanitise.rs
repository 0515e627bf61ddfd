//! Terminal output made harmless: what draws stays, what acts on the viewer's terminal is
//! taken out.
//!
//! A recording is written by programs that its viewer did not choose. Taken out are: strings for
//! the terminal's owner (titles, clipboard, hyperlinks, notifications: OSC, DCS, APC, PM, SOS),
//! questions that the terminal would answer as if somebody typed (device attributes, reports),
//! mouse and paste modes, resizing of windows, resets, and 8-bit controls.
//!
//! # Invariants
//! - What is let through is on a list; what is not known is taken out.
//! - A sequence may be cut anywhere between two pieces; one that never ends is taken out until
//!   `LONGEST` and then given up.
//! - Nothing is taken out that a terminal shows: CAN, SUB, ESC and 8-bit controls end a string and
//!   a sequence, other controls act within a sequence, and text behind its beginning is text.
//! - Who reads a recording sees where something long was taken out: `[512 characters left out]`.
//!   Titles, folders and links below `COMMON`, and other strings below `SHORT`, leave no mark.
//! - In a transcript, a character that only reorders others is named (`[U+202E]`): who reads a file
//!   reads the characters in the order in which they came.
//!
//! # Not here
//! - A terminal: positions and screens are the viewer's own terminal's business.

/// Longest sequence that is followed, characters; real ones are below a hundred, strings apart.
const LONGEST: usize = 4096;

/// Final characters of CSI sequences that only draw: cursor, erase, scroll, colours, margins. Not
/// `g`, which takes the viewer's tab stops away for good.
const DRAWING: &str = "@ABCDEFGHIJKLMPSTXZ`abdefmr";
/// Modes (`CSI ? n h` and `l`) that only draw: cursor keys aside, wrap, cursor visible, alternate
/// screens.
const DRAWING_MODES: &[&str] = &["5", "6", "7", "12", "25", "47", "1047", "1048", "1049"];

/// Characters of a string from which on its place is marked.
const SHORT: usize = 32;
/// The same for strings that prompts and lists of files are full of: titles, folders, links, marks
/// of shells.
const COMMON: usize = 256;
/// Numbers of those operating system commands.
const COMMON_COMMANDS: &[u16] = &[0, 1, 2, 7, 8, 133, 633];

/// A string for the terminal's owner, while it is taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hidden {
    characters: usize,
    /// The number of an operating system command as far as it has come; `None` behind something
    /// else.
    number: Option<u16>,
    /// The number is whole.
    numbered: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Text,
    /// Behind ESC.
    Escape,
    /// Behind ESC and intermediate characters.
    Intermediate,
    /// Behind ESC [, with what came since.
    Csi(String),
    /// In a string that ends with BEL or a control that ends everything.
    Hidden(Hidden),
}

/// Makes the pieces of one stream harmless.
#[derive(Debug, Clone)]
pub struct Sanitiser {
    state: State,
    /// False: take out everything but text, line ends and tabs.
    drawing: bool,
    /// Say where something long was taken out.
    marks: bool,
}

impl Sanitiser {
    /// Lets drawing through: for a player.
    #[must_use]
    pub const fn drawing() -> Self {
        Self { state: State::Text, drawing: true, marks: true }
    }

    /// Lets drawing through and leaves no marks: for a picture, which has the size of the screen.
    #[must_use]
    pub const fn picture() -> Self {
        Self { state: State::Text, drawing: true, marks: false }
    }

    /// Lets nothing but text through: for a transcript.
    #[must_use]
    pub const fn text_only() -> Self {
        Self { state: State::Text, drawing: false, marks: true }
    }

    /// What is left of this piece.
    pub fn push(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        for c in piece.chars() {
            self.take(c, &mut out);
        }
        out
    }

    /// At the end: the mark of a sequence that did not come to its own.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        let state = std::mem::replace(&mut self.state, State::Text);
        self.ended(&state, &mut out);
        out
    }

    fn mark(&self, hidden: &Hidden, out: &mut String) {
        let common = hidden.number.is_some_and(|number| COMMON_COMMANDS.contains(&number));
        let least = if common && hidden.numbered { COMMON } else { SHORT };
        self.left_out(hidden.characters, least, out);
    }

    fn left_out(&self, characters: usize, least: usize, out: &mut String) {
        if self.marks && characters >= least {
            out.push_str(&format!("[{characters} characters left out]"));
        }
    }

    fn take(&mut self, c: char, out: &mut String) {
        let state = std::mem::replace(&mut self.state, State::Text);
        self.state = match (state, c) {
            (State::Text, _) => self.text(c, out),
            // ST is ESC and a backslash: it ends what ESC alone ends.
            (state, '\u{18}' | '\u{1a}' | '\u{1b}' | '\u{80}'..='\u{9f}') => {
                self.ended(&state, out);
                self.text(c, out)
            }
            (State::Hidden(hidden), _) => self.hidden(hidden, c, out),
            // A control acts at once, and the sequence goes on behind it.
            (state, '\0'..='\u{1f}' | '\u{7f}') => {
                self.text(c, out);
                state
            }
            (state, '\u{a0}'..) => {
                self.ended(&state, out);
                self.text(c, out)
            }
            (State::Escape, _) => self.escape(c, out),
            (State::Intermediate, ' '..='/') => State::Intermediate,
            (State::Intermediate, _) => State::Text,
            (State::Csi(so_far), _) => self.csi(so_far, c, out),
        };
    }

    /// The mark of what ends before its own end.
    fn ended(&self, state: &State, out: &mut String) {
        match state {
            State::Hidden(hidden) => self.mark(hidden, out),
            State::Csi(so_far) => self.left_out(so_far.len(), SHORT, out),
            State::Text | State::Escape | State::Intermediate => {}
        }
    }

    fn hidden(&self, mut hidden: Hidden, c: char, out: &mut String) -> State {
        if c == '\u{7}' || hidden.characters >= LONGEST {
            self.mark(&hidden, out);
            return State::Text;
        }
        hidden.characters += 1;
        if !hidden.numbered {
            match c {
                ';' => hidden.numbered = true,
                _ => {
                    let digit = c.to_digit(10).and_then(|digit| u16::try_from(digit).ok());
                    let before = hidden.number.and_then(|number| number.checked_mul(10));
                    hidden.number = before.zip(digit).and_then(|(n, digit)| n.checked_add(digit));
                }
            }
        }
        State::Hidden(hidden)
    }

    fn text(&self, c: char, out: &mut String) -> State {
        match c {
            '\u{1b}' => return State::Escape,
            '\n' | '\t' => out.push(c),
            '\r' | '\u{8}' | '\u{e}' | '\u{f}' if self.drawing => out.push(c),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {}
            _ if !self.drawing && is_reordering(c) => {
                out.push_str(&format!("[U+{:04X}]", u32::from(c)));
            }
            _ => out.push(c),
        }
        State::Text
    }

    fn escape(&self, c: char, out: &mut String) -> State {
        match c {
            '[' => State::Csi(String::new()),
            ']' | 'P' | 'X' | '^' | '_' => State::Hidden(Hidden {
                characters: 0,
                number: (c == ']').then_some(0),
                numbered: c != ']',
            }),
            ' '..='/' => State::Intermediate,
            // Save and restore the cursor, index, next line, reverse index, keypad.
            '7' | '8' | 'D' | 'E' | 'M' if self.drawing => {
                out.extend(['\u{1b}', c]);
                State::Text
            }
            _ => State::Text,
        }
    }

    fn csi(&self, mut so_far: String, c: char, out: &mut String) -> State {
        match c {
            '@'..='~' => {
                if self.drawing && harmless(&so_far, c) {
                    out.extend(["\u{1b}[", &so_far]);
                    out.push(c);
                } else if !harmless(&so_far, c) {
                    self.left_out(so_far.len(), SHORT, out);
                }
                return State::Text;
            }
            ' '..='?' if so_far.len() < LONGEST => so_far.push(c),
            _ => {
                self.left_out(so_far.len(), SHORT, out);
                return State::Text;
            }
        }
        State::Csi(so_far)
    }
}

fn harmless(parameters: &str, last: char) -> bool {
    match (last, parameters.strip_prefix('?')) {
        ('h' | 'l', Some(modes)) => modes.split(';').all(|mode| DRAWING_MODES.contains(&mode)),
        ('h' | 'l', None) => parameters == "4",
        ('J' | 'K', Some(rest)) => are_numbers(rest),
        (_, Some(_)) => false,
        (last, None) => DRAWING.contains(last) && are_numbers(parameters),
    }
}

/// Whether a character changes the order in which others are drawn, and draws nothing itself.
const fn is_reordering(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}'               // marks
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // embeddings, overrides, isolates
    )
}

fn are_numbers(parameters: &str) -> bool {
    parameters.bytes().all(|b| b.is_ascii_digit() || b == b';' || b == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, drawn: &str) {
        assert_eq!(Sanitiser::drawing().push(input), drawn);
        for cut in (0..=input.len()).filter(|cut| input.is_char_boundary(*cut)) {
            let mut sanitiser = Sanitiser::drawing();
            assert_eq!(
                sanitiser.push(&input[..cut]) + &sanitiser.push(&input[cut..]),
                drawn,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn what_draws_stays() {
        let screen = "a\u{1b}[1;31mred\u{1b}[0m\r\n\u{1b}[2J\u{1b}[10;20Hé\u{1b}[?25l\u{1b}[?1049h\u{1b}7\u{1b}8";
        check(screen, screen);
    }

    #[test]
    fn clipboard_titles_and_links_are_taken_out() {
        check("a\u{1b}]52;c;cm0gLXJmIC8=\u{7}b", "ab");
        check("a\u{1b}]0;title\u{1b}\\b\u{1b}]8;;http://x\u{1b}\\c", "abc");
        check("a\u{1b}P+q544e\u{1b}\\b\u{1b}_x\u{1b}\\c", "abc");
    }

    #[test]
    fn what_a_terminal_shows_behind_a_string_that_has_no_end_of_its_own_stays() {
        let shown = "$ cat /etc/shadow\r\nroot:secret\r\n";
        for end in ["\u{18}", "\u{1a}", "\u{9c}", "\u{85}", "\u{1b}\\", "\u{1b}[99t"] {
            for string in ["]0;", "]52;", "P", "X", "^", "_"] {
                check(&format!("a\u{1b}{string}{end}{shown}\u{7}"), &format!("a{shown}"));
            }
        }
        check(&format!("\u{1b}]0;\u{1b}[0m{shown}\u{7}"), &format!("\u{1b}[0m{shown}"));
        check("\u{1b}]0;title\u{1b}]2;other\u{7}a", "a");
    }

    #[test]
    fn controls_within_a_sequence_act_and_the_sequence_goes_on() {
        check("a\u{1b}[3\r\n1mb", "a\r\n\u{1b}[31mb");
        check("a\u{1b}[\u{8}\t6nb\u{1b}\n[1mc\u{1b}(\rBd", "a\u{8}\tb\n\u{1b}[1mc\rd");
        check("a\u{1b}[3\u{18}1m\u{1b}[3\u{1a}b\u{1b}\u{18}7", "a1mb7");
        check("a\u{1b}(\u{1b}[1mb\u{1b}[3\u{1b}[1mc", "a\u{1b}[1mb\u{1b}[1mc");
        check("\u{1b}[éa\u{1b}éb\u{1b}(éc", "éaébéc");
    }

    #[test]
    fn questions_that_a_terminal_answers_are_taken_out() {
        check("a\u{1b}[6nb\u{1b}[cc\u{1b}[>0qd\u{1b}[?2026$pe\u{1b}[21t", "abcde");
    }

    #[test]
    fn a_private_erase_with_anything_but_numbers_is_taken_out() {
        check("a\u{1b}[?2Jb\u{1b}[?K", "a\u{1b}[?2Jb\u{1b}[?K");
        check("a\u{1b}[??2Jb\u{1b}[?1$Kc\u{1b}[?>Kd", "abcd");
    }

    #[test]
    fn mouse_paste_resets_and_eight_bit_controls_are_taken_out() {
        check("a\u{1b}[?1000hb\u{1b}[?2004hc\u{1b}cd\u{9b}31me", "abcd31me");
        check("a\u{1b}[?25;1003hb\u{7}c\u{1b}[3gd", "abcd");
    }

    #[test]
    fn a_string_without_an_end_hides_no_more_than_its_bound() {
        let endless = format!("\u{1b}]0;{}shown", "x".repeat(LONGEST));
        let shown = Sanitiser::drawing().push(&endless);
        assert!(shown.starts_with("[4096 characters left out]") && shown.ends_with("shown"));
    }

    #[test]
    fn what_is_long_leaves_a_mark_where_it_was() {
        let long = "x".repeat(512);
        for string in [
            format!("\u{1b}]{long}\u{7}"),
            format!("\u{1b}P{long}\u{1b}\\"),
            format!("\u{1b}_{long}\u{1b}\\"),
            format!("\u{1b}]{long}\u{9c}"),
        ] {
            check(&format!("a{string}b"), "a[512 characters left out]b");
            assert_eq!(Sanitiser::text_only().push(&string), "[512 characters left out]");
            assert_eq!(Sanitiser::picture().push(&string), "");
        }
        check(&format!("a\u{1b}[{}zb", "1;".repeat(40)), "a[80 characters left out]b");
        let mut cut = Sanitiser::text_only();
        assert_eq!(
            cut.push(&format!("a\u{1b}]0;{long}")) + &cut.finish(),
            "a[514 characters left out]"
        );
    }

    #[test]
    fn titles_folders_and_links_of_usual_length_leave_none() {
        let path = "x".repeat(100);
        for number in ["0", "2", "7", "8;", "133"] {
            check(&format!("a\u{1b}]{number};{path}\u{7}b"), "ab");
        }
        let title = format!("\u{1b}]2;{}\u{7}", "x".repeat(300));
        check(&title, "[302 characters left out]");
        check(&format!("\u{1b}]52;c;{path}\u{7}"), "[105 characters left out]");
    }

    #[test]
    fn a_transcript_has_text_only() {
        assert_eq!(
            Sanitiser::text_only().push("\u{1b}[1mls\u{1b}[0m\r\n\tfile\u{8}\r\n"),
            "ls\n\tfile\n"
        );
    }

    #[test]
    fn a_transcript_names_what_reorders_text_and_a_drawing_keeps_it() {
        let hostile = "rm \u{202e}gpj.x\u{2066}y\u{2069}\u{200f} שלום\n";
        assert_eq!(
            Sanitiser::text_only().push(hostile),
            "rm [U+202E]gpj.x[U+2066]y[U+2069][U+200F] שלום\n"
        );
        check(hostile, hostile);
    }
}
