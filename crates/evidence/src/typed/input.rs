//! What was typed, put to what the device said of its terminal and to what came back.

use std::collections::VecDeque;

use towline_wire::echo::Echo;

use super::line::{Fate, Line};
use super::screen::{Screen, Shown};
use crate::text::Decoder;

/// Bytes that wait for the device's word, and bytes that wait for their echo: as much as a device
/// takes ahead.
pub const MOST: usize = 64 * 1024;
/// Stretches that wait: one for each keystroke that was not echoed yet.
pub(super) const STRETCHES: usize = 4096;

/// A marker: something was typed that is not recorded.
pub const HIDDEN: &str =
    "input: something was typed that the screen did not show; it is not recorded";

/// What a device says of a stretch of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Position of the first byte.
    pub from: u64,
    /// Position behind the last.
    pub until: u64,
    /// Output that came before it was taken, bytes.
    pub output: u64,
    /// How the terminal stood.
    pub echo: Echo,
}

/// Something for the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Input that was shown.
    Input(String),
    /// See [`HIDDEN`].
    Hidden,
    /// Input is missing for another reason.
    Missing(&'static str),
}

#[derive(Debug)]
pub(super) struct Stretch {
    output: u64,
    echo: Echo,
    bytes: VecDeque<u8>,
}

/// The input that waits, and what is known of it.
#[derive(Debug, Default)]
pub struct Typed {
    /// Position of the first byte that waits for the device's word; unknown until some came.
    start: Option<u64>,
    pub(super) waiting: VecDeque<u8>,
    pub(super) stretches: VecDeque<Stretch>,
    /// Bytes in the stretches.
    pub(super) held: usize,
    line: Line,
    screen: Screen,
    /// Output seen so far; unknown until the device spoke for the first time.
    seen: Option<u64>,
    decoder: Decoder,
    /// [`HIDDEN`] was said, and nothing was shown since.
    told: bool,
    found: Vec<Found>,
}

impl Typed {
    /// Input on its way to the device; a repetition is trimmed.
    pub fn input(&mut self, offset: u64, bytes: &[u8]) {
        let next = self.start.map_or(offset, |start| self.behind(start));
        let mut begin = self.start.unwrap_or(offset);
        if offset > next {
            self.lose("the recorder was too slow");
            begin = offset;
        }
        self.start = Some(begin);
        let known = usize::try_from(next.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.waiting.extend(bytes.get(known..).unwrap_or_default());
        if self.waiting.len() > MOST {
            self.start = Some(self.behind(begin));
            self.lose("the device did not say in time whether it was shown");
        }
    }

    /// The device's word for a stretch.
    pub fn said(&mut self, said: Said) {
        self.seen.get_or_insert(said.output);
        let Some(start) = self.start else { return };
        let end = self.behind(start);
        let (from, until) = (said.from.clamp(start, end), said.until.clamp(start, end));
        if until <= from {
            return;
        }
        let count = |from: u64, until: u64| usize::try_from(until - from).unwrap_or(usize::MAX);
        if from > start {
            self.waiting.drain(..count(start, from));
            self.lose_some("the device's link was lost before it said whether it was shown");
        }
        let bytes: VecDeque<u8> = self.waiting.drain(..count(from, until)).collect();
        self.start = Some(until);
        if self.held + bytes.len() > MOST || self.stretches.len() >= STRETCHES {
            self.hide_all(); // what came before it does not come back any more
            return self.hide();
        }
        self.held += bytes.len();
        self.stretches.push_back(Stretch { output: said.output, echo: said.echo, bytes });
        self.work();
    }

    /// The position behind what waits.
    fn behind(&self, start: u64) -> u64 {
        start.saturating_add(self.waiting.len() as u64)
    }

    /// True once the device spoke: before, nothing needs to be known of the output.
    #[must_use]
    pub const fn is_awake(&self) -> bool {
        self.seen.is_some()
    }

    /// Output of the terminal at its position; a repetition is trimmed.
    pub fn output(&mut self, offset: u64, bytes: &[u8]) {
        let mut seen = self.seen.unwrap_or(offset);
        if offset > seen {
            self.line.missed();
            self.screen = Screen::default();
            seen = offset;
        }
        let known = usize::try_from(seen - offset).unwrap_or(usize::MAX);
        for byte in bytes.get(known..).unwrap_or_default() {
            match self.screen.byte(*byte) {
                Some(Shown::Character(character)) => self.line.shown(character, seen),
                Some(Shown::Blank) => self.line.blank(seen),
                Some(Shown::NewLine) => self.line.new_line(seen),
                Some(Shown::ScreenLeft) if self.line.restart() => self.hide(),
                Some(Shown::ScreenLeft) => {}
                None => {}
            }
            seen = seen.saturating_add(1);
            if !self.stretches.is_empty() || self.line.has_ended() {
                self.work();
            }
        }
        self.seen = Some(seen);
    }

    /// Nothing is recorded for now: what waits will not be.
    pub fn forget(&mut self) {
        *self = Self { seen: self.seen, ..Self::default() };
    }

    /// The session is over.
    pub fn finish(&mut self) {
        self.work();
        if self.line.is_shown() && self.stretches.is_empty() {
            self.close();
        } else {
            self.hide_all();
        }
        if !self.waiting.is_empty() {
            self.lose("the session ended before the device said whether it was shown");
        }
    }

    /// What was found since.
    pub fn take(&mut self) -> Vec<Found> {
        std::mem::take(&mut self.found)
    }

    /// Goes on with what can be decided.
    fn work(&mut self) {
        loop {
            if self.line.has_ended() {
                if self.line.is_undecided() {
                    return; // its echo is on the way
                }
                self.close();
            }
            let Some(stretch) = self.stretches.front_mut() else { return };
            if stretch.echo == Echo::Hidden {
                if self.line.is_undecided() {
                    return;
                }
                self.held -= stretch.bytes.len();
                self.stretches.pop_front();
                self.close();
                self.hide();
                continue;
            }
            match stretch.bytes.pop_front() {
                Some(byte) => {
                    self.held -= 1;
                    let output = stretch.output;
                    if self.line.typed(byte, output) {
                        self.close();
                    }
                }
                None => drop(self.stretches.pop_front()),
            }
        }
    }

    /// The line is decided: given out, or left out.
    fn close(&mut self) {
        match self.line.close() {
            Fate::Empty => {}
            Fate::Shown(bytes) => {
                let text = self.decoder.push(&bytes);
                if !text.is_empty() {
                    self.told = false;
                    self.found.push(Found::Input(text));
                }
            }
            Fate::Hidden => self.hide(),
        }
    }

    fn hide(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.found.push(Found::Hidden);
        }
    }

    /// Leaves out all that the device spoke of.
    fn hide_all(&mut self) {
        if self.held > 0 || self.line.is_begun() {
            self.hide();
        }
        self.stretches.clear();
        self.held = 0;
        self.line = Line::default();
    }

    /// Leaves out all that waits for the device's word.
    fn lose(&mut self, why: &'static str) {
        self.waiting.clear();
        self.lose_some(why);
    }

    fn lose_some(&mut self, why: &'static str) {
        self.hide_all();
        self.found.push(Found::Missing(why));
    }
}
