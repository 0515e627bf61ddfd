//! The local end of a session: standard streams, the raw terminal, signals, and the line about the
//! connection.
//!
//! # Invariants
//! - A pipe or a file is read only while the session takes it. A terminal is always read: the
//!   escapes work whether or not the device takes input.
//! - Bytes read and not yet taken by the session are kept, at most [`MAX_TYPED_AHEAD`] of a
//!   terminal and one buffer of anything else. What a terminal sends beyond it is discarded and
//!   counted.

use std::io::{self, Stderr};

use tokio::time::Instant;
use towline_wire::frame::StreamId;
use towline_wire::message::Size;

use super::begin::Manner;
use super::end_of_input::EndOfInput;
use super::error::SessionError;
use super::streams::Streams;
use super::writer::LocalWriter;
use crate::limits::{INPUT_READ, MAX_TYPED_AHEAD, TYPED_AHEAD_STUCK};
use crate::output::complain;
use crate::platform::{self, Access, LocalStream, RawMode, Signals, is_terminal, size_of};
use crate::terminal::escape::{Action, Escapes};
use crate::terminal::status::StatusLine;

/// Ctrl-D: VEOF of a terminal that was not set otherwise.
const END_OF_FILE: u8 = 4;
/// Ctrl-C: VINTR of a terminal that was not set otherwise.
const INTERRUPT: u8 = 3;

/// The local end of a session.
pub(super) struct Local {
    /// None once it has ended, or when it is not to be read.
    pub(super) input: Option<LocalStream>,
    pub(super) buffer: Vec<u8>,
    /// By stream number: stdout, stderr.
    pub(super) writers: [LocalWriter; 2],
    pub(super) signals: Signals,
    pub(super) status: StatusLine<Stderr>,
    pub(super) raw: Option<RawMode>,
    /// Piped input has ended before the terminal on the device.
    pub(super) ended: Option<EndOfInput>,
    pub(super) escapes: Escapes,
    /// Read, freed of escapes, and not yet taken.
    held: Vec<u8>,
    /// Read, and not yet looked at: what came behind an escape.
    behind: Vec<u8>,
    /// Since when no more can be kept; nothing while there is room.
    full_since: Option<Instant>,
    /// Typed bytes that found no room, since they were last asked for.
    discarded: usize,
    /// The session is returned to, and the device was not told a size yet.
    returns: bool,
}

impl Local {
    /// Opens all of it; makes the terminal raw if the session has one and standard input is one.
    pub(super) fn open(manner: Manner) -> Result<Self, SessionError> {
        let stdin = io::stdin();
        let on_terminal = manner.terminal && manner.input && is_terminal(&stdin);
        if let Some(notice) = platform::notice(&stdin).filter(|_| manner.terminal && manner.input) {
            complain(notice);
        }
        let failed = |what| move |why: io::Error| SessionError::Local { what, why };
        let signals = Signals::listen(on_terminal, manner.guest)
            .map_err(failed("cannot listen to signals"))?;
        let input = if manner.input { LocalStream::open(&stdin, Access::Read).ok() } else { None };
        let out = LocalStream::open(io::stdout(), Access::Write)
            .map_err(failed("cannot use standard output"))?;
        let err = match manner.joined {
            true => LocalStream::open(io::stdout(), Access::Write).ok(),
            false => LocalStream::open(io::stderr(), Access::Write).ok(),
        };
        let raw = match on_terminal {
            true => Some(RawMode::enter(&stdin).map_err(failed("cannot set the terminal"))?),
            false => None,
        };
        let drawn = raw.is_some() && is_terminal(io::stderr());
        let out = match manner.terminal && is_terminal(io::stdout()) {
            true => LocalWriter::of_terminal(Some(out)),
            false => LocalWriter::new(Some(out)),
        };
        Ok(Self {
            input,
            buffer: vec![0; INPUT_READ],
            writers: [out, LocalWriter::new(err)],
            signals,
            status: StatusLine::new(io::stderr(), drawn),
            escapes: Escapes::new(manner.escape.filter(|_| raw.is_some())),
            raw,
            ended: None,
            held: Vec::new(),
            behind: Vec::new(),
            full_since: None,
            discarded: 0,
            returns: false,
        })
    }

    /// The session was shown by another client before.
    pub(super) fn return_to_it(&mut self) {
        let [out, _] = &mut self.writers;
        out.return_to_it();
        self.returns = true;
    }

    /// The size that the device is told with an attach. A program draws anew when its terminal has
    /// another size than before: one that is returned to is told a line less, and the right size
    /// once it is attached.
    pub(super) fn size_to_attach(&mut self) -> Option<Size> {
        let mut size = self.size()?;
        if std::mem::take(&mut self.returns) && size.rows > 1 {
            size.rows -= 1;
        }
        Some(size)
    }

    /// The device is attached: what it has kept comes.
    pub(super) fn attached(&mut self) {
        if let [LocalWriter { old: Some(old), .. }, _] = &mut self.writers {
            old.comes(Instant::now());
        }
    }

    /// The terminal's size, when the session has one here.
    pub(super) fn size(&self) -> Option<Size> {
        size_of(io::stdin()).or_else(|| size_of(io::stdout()))
    }

    /// Whether standard input should be read now: a terminal for its escapes, anything else only
    /// while the session takes it. A terminal waits only for a device that takes its input slowly.
    pub(super) fn wants_input(&self, streams: &mut Streams, attached: bool) -> bool {
        if self.input.is_none() || !self.behind.is_empty() {
            return false;
        }
        match &self.raw {
            Some(_) => !attached || self.stuck_at().is_none_or(|at| at <= Instant::now()),
            None => attached && self.held.is_empty() && streams.wants_input(),
        }
    }

    /// From when on a terminal is read although no more can be kept.
    pub(super) fn stuck_at(&self) -> Option<Instant> {
        self.full_since.map(|since| since + TYPED_AHEAD_STUCK)
    }

    /// Whether an interrupt is among the first `n` bytes of the buffer, from a terminal.
    pub(super) fn is_interrupt(&self, n: usize) -> bool {
        self.raw.is_some() && self.buffer[..n].contains(&INTERRUPT)
    }

    /// Passes on the first `n` bytes of the buffer, up to an escape.
    pub(super) fn take(&mut self, n: usize, streams: &mut Streams) -> Option<Action> {
        if let [LocalWriter { old: Some(old), .. }, _] = &mut self.writers {
            old.typed(Instant::now());
        }
        self.behind.extend_from_slice(&self.buffer[..n]);
        self.pass_on(streams)
    }

    /// Passes on what is kept, up to an escape.
    pub(super) fn pass_on(&mut self, streams: &mut Streams) -> Option<Action> {
        let mut met = None;
        if !self.behind.is_empty() {
            let (taken, action) = self.escapes.feed(&self.behind, &mut self.held);
            self.behind.drain(..taken);
            met = action;
        }
        self.push_held(streams);
        met
    }

    fn push_held(&mut self, streams: &mut Streams) {
        let taken = streams.push_input(&self.held);
        self.held.drain(..taken);
        if taken > 0 || self.held.len() < MAX_TYPED_AHEAD {
            self.full_since = None;
        }
        if self.raw.is_some() && self.held.len() >= MAX_TYPED_AHEAD {
            self.full_since.get_or_insert_with(Instant::now);
            // One read more than is asked for: nothing is lost while a device is only slow.
            let most = MAX_TYPED_AHEAD + INPUT_READ;
            self.discarded += self.held.len().saturating_sub(most);
            self.held.truncate(most);
        }
    }

    /// Typed bytes that were discarded since this was last asked.
    pub(super) fn take_discarded(&mut self) -> usize {
        std::mem::take(&mut self.discarded)
    }

    /// Stops this program as the job control of the local shell does; returns after SIGCONT.
    pub(super) fn suspend(&mut self) {
        if let Some(raw) = &self.raw {
            raw.pause();
        }
        platform::suspend();
        self.resumed();
    }

    /// After a stop of any kind: the terminal is taken again.
    pub(super) fn resumed(&mut self) {
        if let Some(raw) = &self.raw {
            raw.resume();
        }
    }

    /// Standard input has ended. A terminal on the device is told so by its own end-of-file
    /// character, more than once if need be (see [`EndOfInput`]), and its stream stays open for
    /// that.
    pub(super) fn end_input(&mut self, streams: &mut Streams, terminal: bool) {
        self.input = None;
        self.held.extend(self.escapes.finish());
        if terminal {
            self.held.push(END_OF_FILE);
            self.ended = Some(EndOfInput::said());
        }
        self.finish_if_passed_on(streams);
    }

    /// Tells the terminal on the device once more.
    pub(super) fn end_input_again(&mut self, streams: &mut Streams) {
        if let Some(ended) = &mut self.ended {
            ended.on_said();
        }
        // What still waits ends with it already.
        if self.held.is_empty() {
            self.held.push(END_OF_FILE);
        }
        self.finish_if_passed_on(streams);
    }

    /// Ends the input of the session once nothing is kept any more.
    pub(super) fn finish_if_passed_on(&mut self, streams: &mut Streams) {
        self.push_held(streams);
        if self.input.is_none()
            && self.ended.is_none()
            && self.held.is_empty()
            && self.behind.is_empty()
        {
            streams.finish_input();
        }
    }

    /// The writer of a stream.
    pub(super) fn writer(&mut self, id: StreamId) -> &mut LocalWriter {
        let [out, err] = &mut self.writers;
        if id == towline_wire::client::ERR { err } else { out }
    }
}

/// Reads standard input; waits for ever when there is none.
pub(super) async fn read(input: Option<&LocalStream>, buffer: &mut [u8]) -> io::Result<usize> {
    match input {
        Some(input) => input.read(buffer).await,
        None => std::future::pending().await,
    }
}
