//! All streams of one tunnel at one end: who may send, what is to be said, and what arrived.
//!
//! # Invariants
//! - A stream leaves the table when both directions are over, or it was reset; what still comes for
//!   it is ignored.
//! - The windows given by this end never exceed [`Rule::capacity`] together.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use super::parser::{Parser, Piece};
use super::window::{In, Out};
use super::{
    Broken, Command, HEADER, Header, INITIAL_WINDOW, MAX_CONTROL, MAX_DATA, MAX_REASON, Version,
};

/// A window is not made wider by less, bytes: it is not worth the frame that says so.
const LEAST_MORE: u32 = 4 * 1024;

/// How much this end takes in.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Streams at once.
    pub most: usize,
    /// Window that a new stream gets at once if there is room, bytes. It gets an eighth of what is
    /// left if that is more.
    pub first: u32,
    /// Widest window of one stream, bytes.
    pub widest: u32,
    /// All windows together, bytes; at least `most` times [`INITIAL_WINDOW`].
    pub capacity: u32,
}

/// What arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The client opened a stream.
    Opened(u32),
    /// The client opened one stream too many: it is being told so.
    Refused(u32),
    /// Bytes. Say [`Streams::consumed`] when they were passed on.
    Data(u32, &'a [u8]),
    /// No more bytes come on this stream. In version 1 none are taken either.
    Ended(u32),
    /// The stream is gone, for this reason.
    Reset(u32, String),
    /// There is room to send on this stream.
    Room(u32),
}

#[derive(Debug)]
struct Stream {
    id: u32,
    syn_due: bool,
    out: Out,
    input: In,
    finishing: bool,
    fin_sent: bool,
    ended: bool,
}

/// All streams of one tunnel at one of its two ends.
#[derive(Debug)]
pub struct Streams {
    rule: Rule,
    /// The end that opens streams; its next number.
    next: Option<u32>,
    parser: Parser,
    streams: Vec<Stream>,
    resets: VecDeque<(u32, String)>,
    /// All windows given.
    granted: u32,
}

impl Streams {
    /// The end that is opened to: the agent. The first frame says which version is spoken.
    #[must_use]
    pub fn server(rule: Rule) -> Self {
        Self {
            rule,
            next: None,
            parser: Parser::default(),
            streams: Vec::new(),
            resets: VecDeque::new(),
            granted: 0,
        }
    }

    /// The end that opens.
    #[must_use]
    pub fn client(rule: Rule, version: Version) -> Self {
        Self { next: Some(3), parser: Parser::of(version), ..Self::server(rule) }
    }

    /// What is spoken, once that is known.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.parser.version()
    }

    /// How many streams there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    fn is_two(&self) -> bool {
        self.version() == Some(Version::Two)
    }

    fn find(&mut self, id: u32) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    /// Opens a stream; `None` for a server, or when there are enough.
    pub fn open(&mut self) -> Option<u32> {
        let id = self.next.filter(|_| self.streams.len() < self.rule.most)?;
        self.next = id.checked_add(2);
        self.add(id, true);
        Some(id)
    }

    fn add(&mut self, id: u32, syn_due: bool) {
        let (out, input) = (Out::new(), In::new());
        self.streams.push(Stream {
            id,
            syn_due,
            out,
            input,
            finishing: false,
            fin_sent: false,
            ended: false,
        });
        self.granted += INITIAL_WINDOW;
        self.widen(id, self.rule.first.max(self.left() / 8));
    }

    /// What is not given yet, bytes.
    fn left(&self) -> u32 {
        self.rule.capacity.saturating_sub(self.granted)
    }

    /// Gives a wider window: as wide as this, but no more than half of what is left for all.
    fn widen(&mut self, id: u32, window: u32) {
        let (most, widest) = (self.left() / 2, self.rule.widest);
        let Some(stream) = self.find(id) else { return };
        let more = window.min(widest).saturating_sub(stream.input.window()).min(most);
        if more >= LEAST_MORE {
            stream.input.widen(stream.input.window() + more);
            self.granted += more;
        }
    }

    fn remove(&mut self, id: u32) -> bool {
        let Some(at) = self.streams.iter().position(|stream| stream.id == id) else { return false };
        let gone = self.streams.swap_remove(at);
        self.granted = self.granted.saturating_sub(gone.input.window());
        true
    }

    /// Takes bytes from `input` up to the next event; `None` when all were taken.
    ///
    /// # Errors
    /// [`Broken`]: the other end broke the rules, the session is over.
    pub fn on_bytes<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Broken> {
        while let Some(piece) = self.parser.next(input)? {
            let event = match piece {
                Piece::Syn(id) => Some(self.on_syn(id)?),
                Piece::Data(id, data) => self.on_data(id, data)?,
                Piece::Fin(id) => self.on_fin(id)?,
                Piece::Window { stream: id, consumed, window } => match self.find(id) {
                    Some(stream) => match stream.out.on_window(consumed, window) {
                        true => Some(Event::Room(id)),
                        false => return Err(Broken::Overrun(id)),
                    },
                    None => None,
                },
                Piece::Reset(id, text) => self.remove(id).then_some(Event::Reset(id, text)),
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn on_syn(&mut self, id: u32) -> Result<Event<'static>, Broken> {
        if self.next.is_some() || self.find(id).is_some() {
            return Err(Broken::Opened(id));
        }
        if self.streams.len() < self.rule.most {
            self.add(id, false);
            return Ok(Event::Opened(id));
        }
        if self.resets.len() >= self.rule.most {
            return Err(Broken::Flood);
        }
        self.resets.push_back((id, String::from("too many connections at once in this tunnel")));
        Ok(Event::Refused(id))
    }

    fn on_data<'a>(&mut self, id: u32, data: &'a [u8]) -> Result<Option<Event<'a>>, Broken> {
        let two = self.is_two();
        let Some(stream) = self.find(id) else { return Ok(None) };
        let n = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if stream.ended || (two && !stream.input.on_data(n)) {
            return Err(Broken::Overrun(id));
        }
        Ok(Some(Event::Data(id, data)))
    }

    fn on_fin(&mut self, id: u32) -> Result<Option<Event<'static>>, Broken> {
        let two = self.is_two();
        let Some(stream) = self.find(id) else { return Ok(None) };
        if stream.ended {
            return if two { Err(Broken::Overrun(id)) } else { Ok(None) };
        }
        stream.ended = true;
        if stream.fin_sent {
            self.remove(id);
        }
        Ok(Some(Event::Ended(id)))
    }

    /// Bytes of a stream that may be put into one frame now.
    #[must_use]
    pub fn quota(&self, id: u32) -> usize {
        let two = self.is_two();
        let Some(stream) = self.streams.iter().find(|stream| stream.id == id) else { return 0 };
        match stream.finishing || stream.syn_due || (stream.ended && !two) {
            true => 0,
            false if two => usize::try_from(stream.out.room()).unwrap_or(usize::MAX).min(MAX_DATA),
            false => MAX_DATA,
        }
    }

    /// The header of a frame with `n` bytes, at most the stream's quota. The bytes must follow it
    /// at once.
    pub fn data_header(&mut self, id: u32, n: usize) -> [u8; HEADER] {
        let version = self.version().unwrap_or(Version::One);
        let length = u16::try_from(n).unwrap_or(u16::MAX);
        if let Some(stream) = self.find(id) {
            stream.out.sent(length.into());
        }
        Header { version, command: Command::Psh, length, stream: id }.encode()
    }

    /// Bytes that came were passed on.
    pub fn consumed(&mut self, id: u32, n: usize) {
        let Some(stream) = self.find(id) else { return };
        let window = stream.input.window();
        if stream.input.consumed(u32::try_from(n).unwrap_or(u32::MAX)) {
            self.widen(id, window.saturating_mul(2));
        }
    }

    /// No more bytes will be sent on this stream. In version 1 none are taken any more either.
    pub fn finish(&mut self, id: u32) {
        if let Some(stream) = self.find(id) {
            stream.finishing = true;
        }
    }

    /// Ends a stream at once. A text longer than [`MAX_REASON`] is cut.
    pub fn reset(&mut self, id: u32, why: &str) {
        if self.remove(id) {
            let end = (0..=why.len().min(MAX_REASON))
                .rev()
                .find(|&at| why.is_char_boundary(at))
                .unwrap_or(0);
            // Bounded: the stream was in the table, and its place there is what the next one needs.
            self.resets.push_back((id, String::from(&why[..end])));
        }
    }

    /// Writes the next frame without data into `out`, if one is due; its length, or 0. To be
    /// called, and its frames to be sent, before any data; a frame that was written must be sent
    /// whole.
    pub fn next_control(&mut self, out: &mut [u8; MAX_CONTROL]) -> usize {
        let Some(version) = self.version() else { return 0 };
        let two = version == Version::Two;
        let mut put = |command, stream, body: &[&[u8]]| {
            let mut at = HEADER;
            for part in body {
                out[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            let length = u16::try_from(at - HEADER).unwrap_or(0);
            out[..HEADER].copy_from_slice(&Header { version, command, length, stream }.encode());
            at
        };
        if let Some((id, why)) = self.resets.pop_front() {
            return if two {
                put(Command::Rst, id, &[why.as_bytes()])
            } else {
                put(Command::Fin, id, &[])
            };
        }
        for at in 0..self.streams.len() {
            let stream = &mut self.streams[at];
            let id = stream.id;
            if stream.syn_due {
                stream.syn_due = false;
                return put(Command::Syn, id, &[]);
            }
            if two && !stream.ended && stream.input.is_due() {
                let (consumed, window) = stream.input.tell();
                return put(Command::Upd, id, &[&consumed.to_le_bytes(), &window.to_le_bytes()]);
            }
            if stream.finishing && !stream.fin_sent {
                stream.fin_sent = true;
                if stream.ended || !two {
                    self.remove(id);
                }
                return put(Command::Fin, id, &[]);
            }
        }
        0
    }

    /// True when [`Streams::next_control`] has something.
    #[must_use]
    pub fn has_control(&self) -> bool {
        let two = self.is_two();
        let due = |s: &Stream| {
            s.syn_due || (s.finishing && !s.fin_sent) || (two && !s.ended && s.input.is_due())
        };
        self.version().is_some() && (!self.resets.is_empty() || self.streams.iter().any(due))
    }
}
