//! What output asks a terminal for, taken out of output that another client had: that client has
//! answered it, and a second answer would be typed into the session.
//!
//! # Invariants
//! - Everything else passes unchanged and in order. A sequence is held until it is whole, at most
//!   [`LONGEST`] bytes; a longer one is no question, and passes.
//!
//! # Not here
//! - Output that is only drawn (`play`, `watch`): [`towline_evidence::sanitise`].

/// Longest question, bytes.
const LONGEST: usize = 4096;

const ENQUIRY: u8 = 0x05;
const BEL: u8 = 0x07;
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const ESC: u8 = 0x1b;
/// Before an 8-bit control in UTF-8.
const CONTROLS: u8 = 0xc2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Ground,
    /// Behind [`CONTROLS`].
    Controls,
    /// Behind an ESC.
    Escape,
    /// Behind an ESC and intermediate bytes.
    Intermediate,
    /// In a control sequence.
    Control,
    /// In a string that begins with this byte behind an ESC.
    Text(u8),
    /// Behind an ESC in one.
    TextEscape(u8),
}

/// The filter.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    state: State,
    held: Vec<u8>,
    /// Where what a sequence says begins in what is held.
    from: usize,
    /// The sequence is too long for a question: it passes.
    passes: bool,
}

impl Queries {
    /// Whether no sequence has begun that is not whole.
    pub(crate) fn is_between(&self) -> bool {
        self.state == State::Ground
    }

    /// What is left of these bytes.
    pub(crate) fn take_out(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.byte(byte, &mut out);
            let is_long = self.passes || self.held.len() > LONGEST;
            if is_long && !matches!(self.state, State::TextEscape(_)) {
                self.passes = self.state != State::Ground;
                out.append(&mut self.held);
            }
        }
        out
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match (self.state, byte) {
            (State::Text(b']'), BEL) => self.end(byte, out),
            (State::Text(kind), ESC) => self.hold(byte, State::TextEscape(kind)),
            (State::TextEscape(_), b'\\') => self.end(byte, out),
            // The string has ended without its terminator, and has no effect: this byte is behind
            // an ESC.
            (State::TextEscape(_), _) => {
                if self.passes {
                    out.extend([ESC, b'\\']);
                }
                self.take_away();
                self.hold(ESC, State::Escape);
                self.byte(byte, out);
            }
            (State::Ground | State::Control, ENQUIRY) => {}
            (State::Ground, CONTROLS) => self.hold(byte, State::Controls),
            (State::Ground, ESC) => self.hold(byte, State::Escape),
            (State::Ground, _) => out.push(byte),
            (State::Controls, ESC) => {
                self.give(out);
                self.hold(byte, State::Escape);
            }
            // It ends every sequence without an effect, and begins another one.
            (_, ESC) => {
                self.take_away();
                self.hold(byte, State::Escape);
            }
            (_, CANCEL | SUBSTITUTE) => {
                self.give(out);
                out.push(byte);
            }
            (State::Controls, 0x80..=0x9f) => self.begin(byte - 0x40, byte, out),
            (State::Controls, _) => {
                self.give(out);
                self.byte(byte, out);
            }
            (State::Escape, 0x20..=0x2f) | (State::Intermediate, 0x20..=0x2f) => {
                self.hold(byte, State::Intermediate);
            }
            (State::Escape, _) => self.begin(byte, byte, out),
            (State::Intermediate, _) | (State::Control, 0x40..=0x7e) => self.end(byte, out),
            // Other control characters act within a sequence.
            (State::Control, 0x00..=0x1f) => out.push(byte),
            (State::Control | State::Text(_), _) => self.hold(byte, self.state),
        }
    }

    fn hold(&mut self, byte: u8, state: State) {
        if matches!(state, State::Controls | State::Escape) {
            self.passes = false;
        }
        self.held.push(byte);
        self.state = state;
    }

    /// A sequence of this kind begins.
    fn begin(&mut self, kind: u8, byte: u8, out: &mut Vec<u8>) {
        self.from = self.held.len() + 1;
        match kind {
            b'[' => self.hold(byte, State::Control),
            b']' | b'P' | b'X' | b'^' | b'_' => self.hold(byte, State::Text(kind)),
            // DECID
            b'Z' => self.take_away(),
            _ => {
                self.held.push(byte);
                self.give(out);
            }
        }
    }

    /// The sequence ends with this byte.
    fn end(&mut self, byte: u8, out: &mut Vec<u8>) {
        let body = self.held.get(self.from..).unwrap_or_default();
        let asks = !self.passes
            && match self.state {
                State::Control => control_asks(body, byte),
                State::Text(kind) | State::TextEscape(kind) => {
                    text_asks(kind, body.strip_suffix(&[ESC]).unwrap_or(body))
                }
                _ => false,
            };
        if asks {
            return self.take_away();
        }
        self.held.push(byte);
        self.give(out);
    }

    fn give(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
        self.state = State::Ground;
    }

    fn take_away(&mut self) {
        self.held.clear();
        self.state = State::Ground;
    }
}

/// Whether a control sequence asks: device attributes, status, modes, positions, sizes, keyboards,
/// checksums.
fn control_asks(body: &[u8], last: u8) -> bool {
    let private = body.first().copied().filter(|byte| (b'<'..=b'?').contains(byte));
    let marks = |byte: &&u8| (0x20..=0x2f).contains(*byte);
    let mark = body.iter().rev().take_while(marks).last().copied();
    match (private, mark, last) {
        (None | Some(b'>' | b'='), None, b'c')
        | (None | Some(b'?'), None, b'n')
        | (None, None, b'x')
        | (Some(b'>'), None, b'q')
        | (Some(b'?'), None, b'u' | b'm' | b'g' | b'S')
        | (_, Some(b'$'), b'p' | b'w' | b'u')
        | (None, Some(b'&'), b'u')
        | (None, Some(b'*'), b'y')
        | (None, Some(b'#'), b'R' | b'|')
        | (None, Some(b'\''), b'|') => true,
        (None, None, b't') => {
            let number = body.split(|byte| *byte == b';').next().unwrap_or_default();
            matches!(number, b"11" | b"13" | b"14" | b"15" | b"16" | b"18" | b"19" | b"20" | b"21")
        }
        _ => false,
    }
}

/// Whether a string asks: colours, the clipboard, settings, capabilities, pictures.
fn text_asks(kind: u8, body: &[u8]) -> bool {
    match kind {
        b']' => {
            let mut fields = body.split(|byte| *byte == b';');
            let number = fields.next().unwrap_or_default();
            match number {
                b"1337" => fields.next().is_some_and(|field| field.starts_with(b"Report")),
                b"60" | b"61" => true,
                _ => fields.any(|field| field == b"?" || field.ends_with(b"=?")),
            }
        }
        b'P' => body.starts_with(b"$q") || body.starts_with(b"+q") || body.starts_with(b"+Q"),
        // Pictures: the terminal says whether it has shown them.
        b'_' => body.starts_with(b"G"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(text: &str) -> String {
        String::from_utf8(Queries::default().take_out(text.as_bytes())).unwrap()
    }

    const ASKED: [&str; 34] = [
        "\x05",
        "\x1bZ",
        "\x1b[c",
        "\x1b[0c",
        "\x1b[>c",
        "\x1b[>0c",
        "\x1b[=c",
        "\x1b[5n",
        "\x1b[6n",
        "\x1b[?6n",
        "\x1b[?996n",
        "\x1b[x",
        "\x1b[>q",
        "\x1b[>0q",
        "\x1b[?u",
        "\x1b[?4m",
        "\x1b[?1;1;0S",
        "\x1b[?2026$p",
        "\x1b[4$p",
        "\x1b[2$w",
        "\x1b[1$u",
        "\x1b[1;1;1;1;2;2*y",
        "\x1b[14t",
        "\x1b[21t",
        "\x1b]11;?\x07",
        "\x1b]4;1;?\x1b\\",
        "\x1b]52;c;?\x07",
        "\x1b]1337;ReportCellSize\x07",
        "\x1bP$qm\x1b\\",
        "\x1bP+q544e\x1b\\",
        "\x1b_Gi=31,a=q;AAAA\x1b\\",
        "\u{9b}6n",
        "\u{9d}10;?\x1b\\",
        "\u{9a}",
    ];

    const KEPT: [&str; 24] = [
        "plain é ü 漢\r\n",
        "\x1b[?2004h",
        "\x1b[?1049h\x1b[?1000;1006h",
        "\x1b[31m",
        "\x1b[2;5r",
        "\x1b[22;0t",
        "\x1b[8;24;80t",
        "\x1b[2 q",
        "\x1b[!p",
        "\x1b[>4;2m",
        "\x1b[>1u",
        "\x1b[<u",
        "\x1b[u",
        "\x1b[?1c",
        "\x1b[>4n",
        "\x1b]0;a title?\x07",
        "\x1b]11;#ff0000\x07",
        "\x1b]8;;http://x/?q=1\x1b\\",
        "\x1b]52;c;YQ==\x07",
        "\x1bP0;1|17/ab\x1b\\",
        "\x1b(B",
        "\x1b7\x1b8\x1bc",
        "\x1b%G",
        "\x1b[1;2;3;4;5;6$x",
    ];

    #[test]
    fn what_asks_is_taken_out_and_nothing_else_is_changed() {
        for asked in ASKED {
            assert_eq!(left(&format!("a{asked}b")), "ab", "{asked:?}");
        }
        for kept in KEPT {
            assert_eq!(left(&format!("a{kept}b")), format!("a{kept}b"), "{kept:?}");
        }
    }

    #[test]
    fn a_cut_at_any_place_changes_nothing() {
        let all: String =
            ASKED.iter().zip(KEPT.iter().cycle()).map(|(a, k)| format!("{a}{k}")).collect();
        let (whole, bytes) = (left(&all), all.as_bytes());
        for cut in 0..bytes.len() {
            let mut queries = Queries::default();
            let mut out = queries.take_out(&bytes[..cut]);
            out.extend(queries.take_out(&bytes[cut..]));
            assert_eq!(out, whole.as_bytes(), "cut at {cut}");
            assert!(queries.is_between());
        }
    }

    #[test]
    fn a_sequence_within_another_one_and_one_without_end_lose_nothing_but_questions() {
        assert_eq!(left("\x1b[3\x1b[6nx"), "x");
        assert_eq!(left("\x1b[6\x18n"), "\x1b[6\x18n");
        assert_eq!(left("\x1b[\r6nx"), "\rx");
        assert_eq!(left("\x1b]0;cut\x1b[6nx"), "x");
        let long = format!("\x1bPq{}\x1b\\\x1b[6nx", "#".repeat(3 * LONGEST));
        assert_eq!(left(&long), long.replace("\x1b[6n", ""));
        let endless = "\x1b]".to_owned() + &"9".repeat(2 * LONGEST);
        let mut queries = Queries::default();
        assert_eq!(queries.take_out(endless.as_bytes()), endless.as_bytes());
        assert!(queries.held.is_empty());
    }
}
