//! What output puts onto a screen, as far as it matters for finding an echo: characters, blanks
//! that erase, new lines.
//!
//! # Invariants
//! - Constant memory; a sequence of any length, cut anywhere.
//!
//! # Not here
//! - Where the cursor is.

/// Longest parameters of a control sequence that are looked at.
const PARAMETERS: usize = 8;

/// Something that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// A character.
    Character(char),
    /// A blank right behind a step back: as a rule it erases.
    Blank,
    /// A new line.
    NewLine,
    /// A program that had taken the whole screen (an editor, a pager) gave it back.
    ScreenLeft,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Text,
    Escape,
    /// `ESC [`.
    Control,
    /// A string that ends with BEL or `ESC \`.
    Words,
    /// One byte that belongs to the sequence before.
    Skip,
}

/// Reads output byte by byte: characters that are drawn, steps back, line ends.
#[derive(Debug, Default)]
pub(super) struct Screen {
    state: State,
    parameters: Vec<u8>,
    /// The last thing was a step back.
    back: bool,
    partial: Vec<u8>,
}

impl Screen {
    /// The next byte of output.
    pub(super) fn byte(&mut self, byte: u8) -> Option<Shown> {
        match self.state {
            State::Text => return self.text(byte),
            State::Escape => {
                self.parameters.clear();
                self.state = match byte {
                    b'[' => State::Control,
                    b']' | b'P' | b'X' | b'^' | b'_' => State::Words,
                    b' '..=b'/' => State::Skip,
                    _ => State::Text,
                };
            }
            State::Control => match byte {
                0x40..=0x7e => {
                    self.state = State::Text;
                    let left =
                        byte == b'l' && matches!(&*self.parameters, b"?1049" | b"?1047" | b"?47");
                    return left.then_some(Shown::ScreenLeft);
                }
                _ if self.parameters.len() < PARAMETERS => self.parameters.push(byte),
                _ => {}
            },
            State::Words => match byte {
                0x07 => self.state = State::Text,
                0x1b => self.state = State::Skip,
                _ => {}
            },
            State::Skip => self.state = State::Text,
        }
        None
    }

    fn text(&mut self, byte: u8) -> Option<Shown> {
        let back = std::mem::replace(&mut self.back, byte == 0x08);
        if byte < 0x80 {
            self.partial.clear(); // half a character is none, whatever follows later
        }
        match byte {
            0x1b => self.state = State::Escape,
            b'\n' => return Some(Shown::NewLine),
            b' ' if back => return Some(Shown::Blank),
            0x20..=0x7e => return Some(Shown::Character(char::from(byte))),
            0x80.. => return self.beyond_ascii(byte),
            _ => {}
        }
        None
    }

    fn beyond_ascii(&mut self, byte: u8) -> Option<Shown> {
        if byte & 0xc0 != 0x80 {
            self.partial.clear();
        }
        self.partial.push(byte);
        let character =
            std::str::from_utf8(&self.partial).ok().and_then(|text| text.chars().next());
        if character.is_some() || self.partial.len() >= 4 {
            self.partial.clear();
        }
        character.map(Shown::Character)
    }
}
