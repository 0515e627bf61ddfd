//! One session's recording, made line by line: positions checked, gaps named, blocks sealed.
//!
//! Data flow: output with its position -> [`Recording`] trims what was recorded before and names
//! what is missing -> asciicast lines -> the session's chain -> bytes for the writer of the file
//! ([`Recording::take`]).
//!
//! # Invariants
//! - A byte of output is recorded at most once, however often it is replayed after a lost link.
//! - A byte that was not recorded lies in a gap record with its range and reason.
//! - What [`Recording::take`] gives ends with a seal, or is asked for too early and is nothing: a
//!   file made of it can be cut after any of these pieces and goes on from there ([`Resuming`]).
//!
//! # Not here
//! - When to seal by time (the caller knows the clock), compression, files.

use crate::cast::{Code, Event, Header, event_line};
use crate::digest::Digest;
use crate::seal::{Seal, SessionChain};
use crate::text::{Decoder, split};

pub use towline_wire::lane::Lane;

/// Longest text of one event, bytes before escaping.
pub const MAX_TEXT: usize = 64 * 1024;
/// Longest marker, bytes: a command line that is longer is cut, with a mark.
const MAX_MARKER: usize = 4 * 1024;
/// How the text of a gap's marker begins.
pub const GAP: &str = "gap: ";

/// The name of a lane in the text of a gap.
const fn name(lane: Lane) -> &'static str {
    match lane {
        Lane::Io => "output",
        Lane::Err => "error output",
    }
}

/// A recording that is being written.
#[derive(Debug)]
pub struct Recording {
    chain: SessionChain,
    decoders: [Decoder; 2],
    positions: [u64; 2],
    last: u64,
    gaps: u64,
    ended: bool,
    bytes: Vec<u8>,
}

/// The lines before do not end with a seal that fits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lines before do not end with a seal that fits them")]
pub struct NotResumable;

/// A recording that an earlier writer left, while its lines are read. They have to be cut after
/// their last seal.
#[derive(Debug)]
pub struct Resuming {
    recording: Recording,
    broken: bool,
}

impl Resuming {
    /// Nothing read yet.
    #[must_use]
    pub fn new(session: &str) -> Self {
        Self { recording: Recording::empty(session), broken: false }
    }

    /// The next line, without newline.
    pub fn line(&mut self, line: &[u8]) {
        let recording = &mut self.recording;
        let event = if recording.chain.lines() == 0 { None } else { Event::parse(line).ok() };
        self.broken |= recording.ended; // nothing stands behind the last seal
        let Some(event) = event else { return recording.chain.add(line) };
        recording.last = recording.last.max(event.at);
        if event.code == Code::Marker && event.text.starts_with(GAP) {
            recording.gaps += 1;
        }
        match (event.code == Code::Seal).then(|| Seal::parse(&event.text)).flatten() {
            Some(seal) => {
                self.broken |= seal != recording.chain.seal(seal.end, seal.positions);
                recording.positions = seal.positions;
                recording.ended = seal.end;
                recording.chain.sealed(line);
            }
            None if recording.chain.is_full() => self.broken = true,
            None => recording.chain.add(line),
        }
    }

    /// The recording, to be gone on with (or, if it [is ended](Recording::is_ended), to be handed
    /// over).
    ///
    /// # Errors
    /// [`NotResumable`].
    pub fn finish(self) -> Result<Recording, NotResumable> {
        let chain = &self.recording.chain;
        if self.broken || chain.has_unsealed() || chain.lines() == 0 {
            Err(NotResumable)
        } else {
            Ok(self.recording)
        }
    }
}

impl Recording {
    /// A new recording of `session`, with its header line.
    #[must_use]
    pub fn start(session: &str, header: &Header) -> Self {
        let mut recording = Self::empty(session);
        recording.line(&header.line());
        recording
    }

    fn empty(session: &str) -> Self {
        Self {
            chain: SessionChain::new(session),
            decoders: Default::default(),
            positions: [0; 2],
            last: 0,
            gaps: 0,
            ended: false,
            bytes: Vec::new(),
        }
    }

    /// Output that begins at position `offset`, seen `at` microseconds after the start. `why`: the
    /// reason to name if bytes before it are missing.
    pub fn output(&mut self, at: u64, lane: Lane, offset: u64, bytes: &[u8], why: &str) {
        let next = self.positions[lane.index()];
        if offset > next {
            self.missing(at, lane, offset, why);
        }
        let known = usize::try_from(next.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) else { return };
        self.positions[lane.index()] = next.max(offset).saturating_add(fresh.len() as u64);
        for piece in fresh.chunks(MAX_TEXT) {
            let text = self.decoders[lane.index()].push(piece);
            if !text.is_empty() {
                self.event(at, Code::Output, &text);
            }
        }
    }

    /// Everything of a lane up to `position` that was not recorded is missing: a gap record.
    pub fn missing(&mut self, at: u64, lane: Lane, position: u64, why: &str) {
        let from = self.positions[lane.index()];
        if position <= from {
            return;
        }
        let rest = self.decoders[lane.index()].flush();
        if !rest.is_empty() {
            self.event(at, Code::Output, &rest);
        }
        self.positions[lane.index()] = position;
        let text = format!(
            "{} bytes of {} from {from} to {position} were not recorded: {why}",
            position - from,
            name(lane)
        );
        self.gap(at, &text);
    }

    /// A gap that is not a range of output (a lost marker, a time without recorder).
    pub fn gap(&mut self, at: u64, text: &str) {
        self.gaps += 1;
        self.marker(at, &format!("{GAP}{text}"));
    }

    /// A new size of the terminal.
    pub fn resize(&mut self, at: u64, cols: u16, rows: u16) {
        self.event(at, Code::Resize, &format!("{cols}x{rows}"));
    }

    /// A marker: the beginning of a command, an event of the session. Cut at 4 KiB.
    pub fn marker(&mut self, at: u64, text: &str) {
        if text.len() <= MAX_MARKER {
            return self.event(at, Code::Marker, text);
        }
        self.event(at, Code::Marker, &format!("{}…", split(text, MAX_MARKER).0));
    }

    /// Input; only for a caller whose policy asks for it and who knows that it was echoed.
    pub fn input(&mut self, at: u64, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, more) = split(rest, MAX_TEXT);
            self.event(at, Code::Input, piece);
            rest = more;
        }
    }

    /// The session is over for this reason: a last marker and the last seal.
    pub fn end(&mut self, at: u64, why: &str) {
        if self.ended {
            return;
        }
        for lane in 0..self.decoders.len() {
            let rest = self.decoders[lane].flush();
            if !rest.is_empty() {
                self.event(at, Code::Output, &rest);
            }
        }
        let replaced: u64 = self.decoders.iter().map(Decoder::replaced).sum();
        if replaced > 0 {
            self.marker(
                at,
                &format!("{replaced} pieces of output were no UTF-8 text and stand as U+FFFD"),
            );
        }
        self.marker(at, &format!("end: {why}"));
        self.seal(at, true);
        self.ended = true;
    }

    /// The lines since the last call, sealed: whole lines, each with its newline. Empty when there
    /// are none.
    pub fn take(&mut self, at: u64) -> Vec<u8> {
        if self.chain.has_unsealed() {
            self.seal(at, false);
        }
        std::mem::take(&mut self.bytes)
    }

    /// Whether it has its last seal.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that wait for [`Recording::take`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.bytes.len()
    }

    /// Lines so far and the chain's head after them.
    #[must_use]
    pub const fn state(&self) -> (u64, Digest) {
        (self.chain.lines(), self.chain.head())
    }

    /// Position up to which a lane is recorded or named as missing.
    #[must_use]
    pub const fn position(&self, lane: Lane) -> u64 {
        self.positions[lane.index()]
    }

    /// Gap records so far.
    #[must_use]
    pub const fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Time of the last event, microseconds since the start.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    fn event(&mut self, at: u64, code: Code, text: &str) {
        if self.ended {
            return;
        }
        if self.chain.is_full() {
            self.seal(at, false);
        }
        // an asciicast's time never runs back, whatever the host's clock does
        self.last = self.last.max(at);
        let line = event_line(self.last, code, text);
        self.line(&line);
    }

    fn seal(&mut self, at: u64, end: bool) {
        self.last = self.last.max(at);
        let line = event_line(self.last, Code::Seal, &self.chain.seal(end, self.positions).text());
        self.chain.sealed(line.as_bytes());
        self.push(&line);
    }

    fn line(&mut self, line: &str) {
        self.chain.add(line.as_bytes());
        self.push(line);
    }

    fn push(&mut self, line: &str) {
        self.bytes.extend_from_slice(line.as_bytes());
        self.bytes.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            version: 2,
            width: 80,
            height: 24,
            timestamp: 5,
            title: String::new(),
            env: Default::default(),
            towline: None,
        }
    }

    fn fresh() -> Recording {
        Recording::start("ann-1", &header())
    }

    fn resume(session: &str, bytes: &[u8]) -> Result<Recording, NotResumable> {
        let mut resuming = Resuming::new(session);
        bytes
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .for_each(|line| resuming.line(line));
        resuming.finish()
    }

    /// Codes and texts of the events, seals apart.
    fn events(bytes: &[u8]) -> Vec<(Code, String)> {
        let lines = bytes.split(|b| *b == b'\n').filter(|line| line.starts_with(b"["));
        let events = lines.map(|line| Event::parse(line).unwrap());
        events
            .filter(|event| event.code != Code::Seal)
            .map(|event| (event.code, event.text))
            .collect()
    }

    fn output(bytes: &[u8]) -> String {
        events(bytes)
            .into_iter()
            .filter(|(code, _)| *code == Code::Output)
            .map(|(_, text)| text)
            .collect()
    }

    #[test]
    fn output_that_is_replayed_after_a_reconnect_is_recorded_once() {
        let mut recording = fresh();
        recording.output(1, Lane::Io, 0, b"hello ", "");
        recording.output(2, Lane::Io, 0, b"hello wor", "");
        recording.output(3, Lane::Io, 3, b"lo w", "");
        recording.output(4, Lane::Io, 9, b"ld", "");
        assert_eq!(output(&recording.take(5)), "hello world");
        assert_eq!((recording.position(Lane::Io), recording.gaps()), (11, 0));
    }

    #[test]
    fn bytes_that_never_came_are_a_gap_record_with_range_and_reason() {
        let mut recording = fresh();
        recording.output(1, Lane::Io, 0, b"ab", "");
        recording.output(2, Lane::Io, 10, b"kl", "the recorder was too slow");
        let bytes = recording.take(3);
        assert_eq!(output(&bytes), "abkl");
        let (_, gap) = events(&bytes).into_iter().find(|(code, _)| *code == Code::Marker).unwrap();
        assert_eq!(
            gap,
            "gap: 8 bytes of output from 2 to 10 were not recorded: the recorder was too slow"
        );
        assert_eq!(recording.gaps(), 1);
    }

    #[test]
    fn the_two_outputs_of_a_command_have_positions_of_their_own() {
        let mut recording = fresh();
        recording.output(1, Lane::Io, 0, b"out", "");
        recording.output(1, Lane::Err, 0, b"err", "");
        recording.output(2, Lane::Err, 3, b"!", "");
        assert_eq!(output(&recording.take(3)), "outerr!");
    }

    #[test]
    fn a_character_that_is_cut_in_two_is_one_character() {
        let mut recording = fresh();
        recording.output(1, Lane::Io, 0, b"\xE2\x82", "");
        recording.output(2, Lane::Io, 2, b"\xAC", "");
        assert_eq!(output(&recording.take(3)), "€");
    }

    #[test]
    fn time_never_runs_back() {
        let mut recording = fresh();
        recording.marker(9, "late");
        recording.marker(3, "later");
        let bytes = recording.take(1);
        let times: Vec<u64> = bytes
            .split(|b| *b == b'\n')
            .filter_map(|line| Event::parse(line).ok())
            .map(|e| e.at)
            .collect();
        assert_eq!(times, [9, 9, 9]);
    }

    #[test]
    fn a_writer_that_was_killed_is_followed_by_one_that_goes_on() {
        let mut first = fresh();
        first.output(1, Lane::Io, 0, b"one ", "");
        let mut bytes = first.take(2);
        first.output(3, Lane::Io, 4, b"lost with the process", "");

        let mut second = resume("ann-1", &bytes).unwrap();
        assert_eq!((second.position(Lane::Io), second.last()), (4, 2));
        second.output(4, Lane::Io, 25, b"two", "the gateway was restarted");
        second.end(5, "the program ended");
        bytes.extend(second.take(5));
        assert_eq!(output(&bytes), "one two");
        assert_eq!(second.gaps(), 1);
        assert!(resume("ann-1", &bytes).unwrap().is_ended());
        assert_eq!(resume("bob-1", &bytes).unwrap_err(), NotResumable);
        bytes.extend(b"[9.0,\"o\",\"unsealed\"]\n");
        assert_eq!(resume("ann-1", &bytes).unwrap_err(), NotResumable);
    }

    #[test]
    fn nothing_is_added_behind_the_last_seal() {
        let mut recording = fresh();
        recording.end(1, "the program ended");
        let _ = recording.take(1);
        recording.marker(2, "late");
        recording.end(2, "again");
        assert!(recording.take(3).is_empty());
    }

    #[test]
    fn a_recording_with_lines_behind_its_last_seal_is_not_gone_on_with() {
        let mut recording = fresh();
        recording.end(1, "the program ended");
        let mut bytes = recording.take(1);
        let mut chain = SessionChain::new("ann-1");
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if line.windows(6).any(|word| word == b"\"1 end") {
                chain.sealed(line)
            } else {
                chain.add(line)
            }
        }
        let late = event_line(2, Code::Marker, "late");
        chain.add(late.as_bytes());
        let seal = event_line(2, Code::Seal, &chain.seal(false, [0, 0]).text());
        bytes.extend(format!("{late}\n{seal}\n").into_bytes());
        assert_eq!(resume("ann-1", &bytes).unwrap_err(), NotResumable);
    }

    #[test]
    fn positions_at_the_end_of_all_numbers_stay_there() {
        let mut recording = fresh();
        recording.output(1, Lane::Io, u64::MAX - 1, b"abc", "far");
        recording.output(2, Lane::Io, u64::MAX, b"d", "far");
        assert_eq!(recording.position(Lane::Io), u64::MAX);
    }

    #[test]
    fn a_long_marker_is_cut_and_a_long_output_becomes_several_events() {
        let mut recording = fresh();
        recording.marker(1, &"é".repeat(10_000));
        recording.output(1, Lane::Io, 0, &vec![0x1b; 3 * MAX_TEXT], "");
        let bytes = recording.take(2);
        assert!(bytes.split(|b| *b == b'\n').all(|line| line.len() <= crate::cast::MAX_LINE));
        assert_eq!(output(&bytes).len(), 3 * MAX_TEXT);
        assert!(events(&bytes)[0].1.ends_with("é…"));
    }
}
