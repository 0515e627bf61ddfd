//! Keys, a device's word about them and a screen, in any order and with any holes: what is given
//! out as input was shown in that order, and nothing of it was typed into a hidden prompt. Keys
//! that are no characters (what begins with Escape) go with their line and need not be shown.
//!
//! Run by the fuzzer (`fuzz_targets/typed.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_evidence::typed::{Echo, Found, Said, Typed};

/// Typed at hidden prompts, and nowhere else.
const SECRET: u8 = b'#';

#[derive(Default)]
struct Session {
    typed: Typed,
    input: u64,
    output: u64,
    shown: Vec<u8>,
    given: String,
}

/// One run.
pub(crate) fn run(steps: Vec<(u8, u8, Vec<u8>)>) {
    let mut session = Session::default();
    for (kind, number, mut bytes) in steps {
        let typed = bytes.iter_mut().filter(|byte| **byte == SECRET);
        typed.for_each(|byte| *byte = b'!');
        session.step(kind, number, &bytes);
        session.take();
    }
    session.typed.finish();
    session.take();
    assert!(!session.given.as_bytes().contains(&SECRET), "a secret: {:?}", session.given);
    let shown = String::from_utf8_lossy(&session.shown);
    let mut shown = shown.chars();
    for letter in letters(&session.given).chars() {
        assert!(shown.any(|seen| seen == letter), "{letter:?} was not shown: {:?}", session.given);
    }
}

/// What was given out, without control characters and without the keys that Escape begins.
fn letters(given: &str) -> String {
    let (mut letters, mut rest) = (String::new(), given.chars());
    while let Some(letter) = rest.next() {
        match letter {
            '\u{1b}' => match rest.next() {
                Some('[') => drop(rest.by_ref().find(|c| !(' '..='?').contains(c))),
                Some('O') => drop(rest.next()),
                _ => {}
            },
            letter if letter.is_control() => {}
            letter => letters.push(letter),
        }
    }
    letters
}

impl Session {
    fn step(&mut self, kind: u8, number: u8, bytes: &[u8]) {
        let echo = [Echo::Terminal, Echo::Program][usize::from(number & 1)];
        match kind % 12 {
            0 | 1 => {
                self.keys(echo, bytes);
                self.shows(bytes);
            }
            2 => self.keys(echo, bytes),
            3 => self.keys(Echo::Hidden, &vec![SECRET; bytes.len()]),
            4 | 5 => self.shows(bytes),
            6 => self.input(bytes),
            7 => {
                let from = self.input.saturating_sub(number.into());
                let until = from.saturating_add(u64::from(number / 2));
                self.typed.said(Said { from, until, output: self.output, echo });
            }
            8 => self.input = self.input.saturating_add(number.into()),
            9 => self.output = self.output.saturating_add(number.into()),
            10 => self.shows_again(number),
            _ if number == 0 => self.typed.forget(),
            _ if number == 1 => self.far(bytes),
            _ => self.typed.input(self.input.saturating_sub(number.into()), &[]),
        }
    }

    fn input(&mut self, bytes: &[u8]) {
        self.typed.input(self.input, bytes);
        self.input = self.input.saturating_add(bytes.len() as u64);
    }

    fn keys(&mut self, echo: Echo, bytes: &[u8]) {
        let from = self.input;
        self.input(bytes);
        self.typed.said(Said { from, until: self.input, output: self.output, echo });
    }

    fn shows(&mut self, bytes: &[u8]) {
        self.shown.extend(bytes);
        self.typed.output(self.output, bytes);
        self.output = self.output.saturating_add(bytes.len() as u64);
    }

    /// A repetition after a lost link; behind a hole it is news.
    fn shows_again(&mut self, number: u8) {
        let n = usize::from(number).min(self.shown.len());
        let bytes = self.shown[self.shown.len() - n..].to_vec();
        self.typed.output(self.output.saturating_sub(n as u64), &bytes);
        self.shown.extend(bytes);
    }

    /// Positions at the end of what can be counted.
    fn far(&mut self, bytes: &[u8]) {
        (self.input, self.output) = (u64::MAX - 2, u64::MAX - 2);
        self.keys(Echo::Terminal, bytes);
        self.shows(bytes);
    }

    fn take(&mut self) {
        for found in self.typed.take() {
            if let Found::Input(text) = found {
                self.given.push_str(&text);
            }
        }
    }
}
