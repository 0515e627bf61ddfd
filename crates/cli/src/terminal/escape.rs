//! The operator's escapes: what is typed to this program and not to the device.
//!
//! Data flow: bytes from the keyboard -> [`Escapes::feed`] -> bytes for the device, and now and
//! then an [`Action`]. An escape begins after a line end (or at the very beginning) with the escape
//! character, `~` unless told otherwise.
//!
//! # Invariants
//! - Bytes that belong to no escape come out unchanged and in order.
//! - At most one byte is held back: the escape character itself, until the next byte says what it
//!   meant.
//!
//! # Not here
//! - Actions: the session performs them.

/// The usual escape character.
pub(crate) const DEFAULT: u8 = b'~';
const CTRL_Z: u8 = 0x1a;

/// What an escape does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// `~.`: end the session.
    Disconnect,
    /// `~?`: say which escapes there are.
    Help,
    /// `~^Z`: stop this program, as the job control of the local shell does.
    Suspend,
    /// `~y`, `~n`: the answer to a question that this program asks.
    Answer(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A line has just begun.
    LineStart,
    /// Within a line: nothing is an escape.
    Line,
    /// The escape character came at a line start.
    Escaped,
}

/// Finds escapes in typed bytes.
#[derive(Debug)]
pub(crate) struct Escapes {
    character: Option<u8>,
    state: State,
    /// A question waits for an answer; else `~y` and `~n` are no escapes.
    asks: bool,
}

impl Escapes {
    /// With this escape character; `None` makes everything pass.
    #[must_use]
    pub(crate) fn new(character: Option<u8>) -> Self {
        Self { character, state: State::LineStart, asks: false }
    }

    /// Passes bytes on into `out` until an action is met. Returns how many bytes were taken, and
    /// the action.
    pub(crate) fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, Option<Action>) {
        let Some(escape) = self.character else {
            out.extend_from_slice(input);
            return (input.len(), None);
        };
        for (index, &byte) in input.iter().enumerate() {
            match self.state {
                State::LineStart if byte == escape => self.state = State::Escaped,
                State::LineStart | State::Line => self.pass(byte, out),
                State::Escaped => {
                    if let Some(action) = action(byte).or_else(|| self.answer(byte)) {
                        self.state = State::LineStart;
                        return (index + 1, Some(action));
                    }
                    out.push(escape);
                    // Twice the escape character is the character itself.
                    if byte == escape { self.state = State::Line } else { self.pass(byte, out) }
                }
            }
        }
        (input.len(), None)
    }

    /// The held back byte at the end of the input, when there is one.
    pub(crate) fn finish(&mut self) -> Option<u8> {
        let held = self.state == State::Escaped;
        self.state = State::Line;
        self.character.filter(|_| held)
    }

    /// A question waits for an answer, or no longer.
    pub(crate) fn ask(&mut self, asks: bool) {
        self.asks = asks;
    }

    fn answer(&self, byte: u8) -> Option<Action> {
        match byte {
            b'y' if self.asks => Some(Action::Answer(true)),
            b'n' if self.asks => Some(Action::Answer(false)),
            _ => None,
        }
    }

    fn pass(&mut self, byte: u8, out: &mut Vec<u8>) {
        out.push(byte);
        self.state = if matches!(byte, b'\r' | b'\n') { State::LineStart } else { State::Line };
    }
}

fn action(byte: u8) -> Option<Action> {
    match byte {
        b'.' => Some(Action::Disconnect),
        b'?' => Some(Action::Help),
        CTRL_Z => Some(Action::Suspend),
        _ => None,
    }
}

/// The text for [`Action::Help`], one escape a line.
#[must_use]
pub(crate) fn help(character: u8) -> Vec<String> {
    let c = char::from(character);
    vec![
        "Escapes, after a newline:".to_owned(),
        format!("  {c}.   end the session"),
        format!("  {c}^Z  suspend towline (the session continues)"),
        format!("  {c}{c}   send {c}"),
        format!("  {c}?   show this help"),
    ]
}

/// Reads the value of `--escape-char`: one ASCII character, `^` and a letter, or `none`.
///
/// # Errors
/// What is expected, as a sentence.
pub(crate) fn parse_character(text: &str) -> Result<Option<u8>, String> {
    match text.as_bytes() {
        b"none" => Ok(None),
        [byte] if byte.is_ascii_graphic() => Ok(Some(*byte)),
        [b'^', letter @ (b'a'..=b'z' | b'@'..=b'_')] => Ok(Some(letter & 0x1f)),
        _ => {
            Err("expected one character such as ~, a control character such as ^A, or none"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_an_escape_only_while_a_question_waits() {
        let (mut escapes, mut out) = (Escapes::new(Some(DEFAULT)), Vec::new());
        assert_eq!(escapes.feed(b"~yvonne/run\r", &mut out).1, None);
        assert_eq!(out, b"~yvonne/run\r");
        escapes.ask(true);
        assert_eq!(escapes.feed(b"~y", &mut out).1, Some(Action::Answer(true)));
        assert_eq!(escapes.feed(b"~n", &mut out).1, Some(Action::Answer(false)));
    }

    #[track_caller]
    fn check(input: &[u8], sent: &[u8], actions: &[Action]) {
        // The same whether the bytes come at once or one by one.
        for size in [1, 2, input.len().max(1)] {
            let (mut escapes, mut out, mut met) =
                (Escapes::new(Some(DEFAULT)), Vec::new(), Vec::new());
            for chunk in input.chunks(size) {
                let mut rest = chunk;
                while !rest.is_empty() {
                    let (taken, action) = escapes.feed(rest, &mut out);
                    met.extend(action);
                    rest = &rest[taken..];
                }
            }
            out.extend(escapes.finish());
            assert_eq!(
                (out.as_slice(), met.as_slice()),
                (sent, actions),
                "{input:?} in chunks of {size}"
            );
        }
    }

    #[test]
    fn an_escape_is_known_at_the_beginning_and_after_each_line_end() {
        check(b"~.", b"", &[Action::Disconnect]);
        check(b"ls\r~?", b"ls\r", &[Action::Help]);
        check(b"ls\n~\x1aecho", b"ls\necho", &[Action::Suspend]);
    }

    #[test]
    fn a_tilde_within_a_line_is_a_tilde() {
        check(b"cd ~.ssh", b"cd ~.ssh", &[]);
        check(b"a~?", b"a~?", &[]);
    }

    #[test]
    fn two_tildes_are_one_and_what_is_no_escape_passes_whole() {
        check(b"~~.", b"~.", &[]);
        check(b"~/bin\r", b"~/bin\r", &[]);
        check(b"~\r~.", b"~\r", &[Action::Disconnect]);
        check(b"~", b"~", &[]);
    }

    #[test]
    fn after_an_escape_the_line_has_still_only_begun() {
        check(b"~?~.", b"", &[Action::Help, Action::Disconnect]);
    }

    #[test]
    fn an_escape_character_is_a_character_a_control_character_or_none() {
        assert_eq!(parse_character("~"), Ok(Some(b'~')));
        assert_eq!(parse_character("^]"), Ok(Some(0x1d)));
        assert_eq!(parse_character("^a"), Ok(Some(1)));
        assert_eq!(parse_character("none"), Ok(None));
        assert!(parse_character("é").is_err());
    }

    proptest! {
        #[test]
        fn without_an_escape_character_everything_passes(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            prop_assert_eq!(Escapes::new(None).feed(&input, &mut out), (input.len(), None));
            prop_assert_eq!(out, input);
        }
    }
}
