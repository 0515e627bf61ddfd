//! The sending side of a numbered stream: what was sent and not acknowledged, and when to send it
//! again.
//!
//! Data flow: payload -> [`Sender::push`] -> [`Sender::poll`] -> websocket; acknowledgement ->
//! [`Sender::on_ack`].
//!
//! # When a message may be forgotten without an acknowledgement
//! The official client is silent about a message that it has consumed before. So when a websocket
//! was lost together with acknowledgements, the repeated messages would never be acknowledged. A
//! websocket is reliable and in order: an acknowledgement of something sent later, or the pong of a
//! later ping, proves that a message was read. Read, and silent, means: consumed before, or the
//! client's handler is not ready and dropped it. Hence a message is forgotten when it was passed
//! over [`PASSES`] times, AND was sent on an earlier websocket already, AND the client is known to
//! be ready. A message that was first sent on this very websocket is never forgotten, only
//! repeated. Agents answer repeated messages as well, so towards an agent nothing is ever
//! forgotten.
//!
//! # Ahead of its turn
//! The official client handles a message whose turn it is, and acknowledges it then; when that
//! acknowledgement cannot be sent it handles the number once more. A message that comes ahead of
//! its turn it acknowledges first, keeps, and handles once. So, as soon as a client of its version
//! is ready, each message goes ahead of its turn: its number follows that of an empty one, the
//! opener, which is sent behind it. A client that does not keep what comes ahead is found out by
//! its acknowledgements, and gets everything in turn from then on.
//!
//! # When the owner has lost its memory
//! It kept the boundaries of what was not acknowledged ([`Cut`]); the bytes come from their source
//! once more. Until then such a message is awaited: it has its number, and is not sent. So each
//! number means the same bytes for ever.
//!
//! # Invariants
//! - At most [`SEND_WINDOW_MESSAGES`] messages and [`SEND_WINDOW_BYTES`] bytes (plus one payload)
//!   are kept.
//! - Only the oldest message is repeated by time; after a new websocket all are, once, in order.

use core::time::Duration;
use std::collections::VecDeque;

use super::limits::{SEND_WINDOW_BYTES, SEND_WINDOW_MESSAGES};
use super::muxed::Muxed;
use super::rtt::Rtt;
use super::state::{Cut, CutKind};
use super::stream::Stream;
use super::transmit::millis;
use crate::message::{AgentMessage, FLAGS_SYN, MessageIds, MessageType, PayloadType};

/// How often a message must be proven read and silent before it is forgotten. One would do for a
/// client that answers in order; clients that acknowledge from another thread get two more rounds.
pub(super) const PASSES: u8 = 3;

/// When a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// When the client expects its number.
    InTurn,
    /// Before that: its opener has the number in front.
    Ahead,
    /// Behind the message that follows it.
    Opener,
}

/// One transmission.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Duration,
    /// Counts all transmissions of this stream.
    turn: u64,
}

#[derive(Debug)]
struct Entry {
    frame: Vec<u8>,
    /// Bytes of payload; they count until the entry leaves the front, so that what a client has to
    /// hold back behind a message it does not take is bounded by the window too.
    len: usize,
    kind: PayloadType,
    way: Way,
    /// Whose bytes these are.
    stream: Option<Stream>,
    /// The bytes so far of a message whose owner lost its memory.
    awaited: Option<Vec<u8>>,
    /// The websocket on which it was sent first; 0 before that.
    first_socket: u32,
    /// First transmission on the present websocket: the one an acknowledgement proves at least.
    first_here: Option<Sent>,
    last: Option<Sent>,
    repeats: u32,
    passes: u8,
    acked: bool,
    due: bool,
    /// The client may have handled it.
    doubtful: bool,
}

impl Entry {
    fn new(frame: Vec<u8>, len: usize, kind: PayloadType, stream: Option<Stream>) -> Self {
        Self {
            frame,
            len,
            kind,
            way: Way::InTurn,
            stream,
            awaited: None,
            first_socket: 0,
            first_here: None,
            last: None,
            repeats: 0,
            passes: 0,
            acked: false,
            due: true,
            doubtful: false,
        }
    }
}

/// Gives a message that waits for its acknowledgement another payload under the same number.
fn rewrite(entry: &mut Entry, payload: impl FnOnce(&[u8]) -> Vec<u8>) {
    if entry.acked || entry.awaited.is_some() {
        return;
    }
    // What we encoded decodes.
    if let Ok(mut message) = AgentMessage::decode(&entry.frame) {
        message.payload = payload(&message.payload);
        entry.frame = message.encode();
    }
}

/// Sends one direction's numbered messages.
#[derive(Debug)]
pub(super) struct Sender {
    message_type: MessageType,
    /// The agent marks its first message, the client marks none.
    marks_first: bool,
    /// Number of the entry at the front.
    base: i64,
    entries: VecDeque<Entry>,
    bytes: usize,
    rtt: Rtt,
    socket: u32,
    turn: u64,
    /// The client is known to consume ordinary data.
    ready: bool,
    ping_wanted: bool,
    /// Whether the peer is one that is silent about repeated messages (a client), or answers always
    /// (an agent).
    silent_peer: bool,
    forgotten: u64,
    /// The bytes are frames of many connections.
    muxed: Option<Muxed>,
    /// Messages go ahead of their turn, with such an opener.
    opener: Option<(PayloadType, Vec<u8>)>,
}

/// What to send next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Frame(Vec<u8>),
    Ping(Vec<u8>),
    Nothing,
}

impl Sender {
    pub(super) fn to_client() -> Self {
        Self::new(MessageType::OutputStreamData, true)
    }

    pub(super) fn to_agent() -> Self {
        Self::new(MessageType::InputStreamData, false)
    }

    fn new(message_type: MessageType, towards_client: bool) -> Self {
        Self {
            message_type,
            marks_first: towards_client,
            base: 0,
            entries: VecDeque::new(),
            bytes: 0,
            rtt: Rtt::new(),
            socket: 0,
            turn: 0,
            ready: false,
            ping_wanted: false,
            silent_peer: towards_client,
            forgotten: 0,
            muxed: None,
            opener: None,
        }
    }

    /// A sender to a client that goes on behind message `base`. Its entries are pushed next.
    pub(super) fn resumed(base: i64) -> Self {
        // One websocket has been there: what was cut then was sent then.
        Self { base, socket: 1, ..Self::to_client() }
    }

    /// Whether the client is known to consume ordinary data.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Number of the oldest message that is not acknowledged.
    pub(super) fn base(&self) -> i64 {
        self.base
    }

    /// A new websocket: everything that is not acknowledged goes out again.
    pub(super) fn attach(&mut self) {
        self.socket = self.socket.saturating_add(1);
        self.ping_wanted = false;
        for entry in self.entries.iter_mut().filter(|entry| !entry.acked && entry.awaited.is_none())
        {
            entry.due = true;
            entry.repeats = 0;
            entry.first_here = None;
        }
        self.soften();
    }

    /// The bytes are frames of smux from now on: no message cuts one.
    pub(super) fn set_muxed(&mut self) {
        self.muxed.get_or_insert_default();
    }

    /// Whether they are.
    pub(super) fn is_muxed(&self) -> bool {
        self.muxed.is_some()
    }

    /// The client may have handled the oldest message and may handle it once more, unless it went
    /// ahead of its turn: of what was sent on an earlier websocket it can only be this one, for it
    /// handles in order. With many connections in it, it becomes one that does no harm.
    fn soften(&mut self) {
        let Some(muxed) = &mut self.muxed else { return };
        let doubtful = |entry: &&mut Entry| {
            let sent = entry.first_socket > 0 && entry.first_socket < self.socket;
            sent && !entry.acked && entry.stream.is_some() && entry.way == Way::InTurn
        };
        let Some(front) = self.entries.front_mut().filter(doubtful) else { return };
        front.doubtful = true;
        rewrite(front, |payload| muxed.harmless(payload));
        for entry in self.entries.iter_mut().skip(1).filter(|entry| entry.stream.is_some()) {
            rewrite(entry, |payload| muxed.passed(payload.to_vec()));
        }
    }

    /// The client keeps what comes ahead of its turn; once it is ready, messages do.
    pub(super) fn set_ahead(&mut self, kind: PayloadType, opener: Vec<u8>) {
        self.opener = Some((kind, opener));
    }

    /// It does not: everything that is pushed from now on goes in turn.
    pub(super) fn set_in_turn(&mut self) {
        self.opener = None;
    }

    /// Whether messages go ahead of their turn.
    pub(super) fn is_ahead(&self) -> bool {
        self.opener.is_some()
    }

    /// The client has shown that it consumes ordinary data.
    pub(super) fn set_ready(&mut self) {
        self.ready = true;
    }

    /// Bytes that may be pushed now. A payload of any size fits whenever this is not 0.
    pub(super) fn room(&self) -> usize {
        // One place more, for an opener.
        if self.entries.len() + 1 >= SEND_WINDOW_MESSAGES {
            0
        } else {
            SEND_WINDOW_BYTES.saturating_sub(self.bytes)
        }
    }

    /// Whether all that was pushed is acknowledged or forgotten.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drops everything unsent: nobody will ever acknowledge it.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Messages that were given up as consumed, since start.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Adds a message, and its opener in front. Payloads must not be empty: ends of AWS send none.
    pub(super) fn push(
        &mut self,
        kind: PayloadType,
        stream: Option<Stream>,
        payload: Vec<u8>,
        ids: &mut MessageIds,
        now: Duration,
    ) {
        let len = payload.len();
        let payload = match &self.muxed {
            Some(muxed) if stream.is_some() => muxed.passed(payload),
            _ => payload,
        };
        if self.ready && !is_handshake(kind) {
            self.push_opener(ids, now);
        }
        let way = self.way_of_next();
        let frame = self.frame(self.entries.len(), kind, payload, ids, now);
        self.keep(Entry { way, ..Entry::new(frame, len, kind, stream) });
    }

    /// Adds an opener, where messages go ahead of their turn; the message is pushed next.
    pub(super) fn push_opener(&mut self, ids: &mut MessageIds, now: Duration) {
        if let Some((kind, payload)) = self.opener.clone() {
            let frame = self.frame(self.entries.len(), kind, payload, ids, now);
            self.keep(Entry { way: Way::Opener, ..Entry::new(frame, 0, kind, None) });
        }
    }

    fn way_of_next(&self) -> Way {
        let opened = self.entries.back().is_some_and(|entry| entry.way == Way::Opener);
        if opened { Way::Ahead } else { Way::InTurn }
    }

    /// Bytes of this stream that messages of an earlier life wait for.
    pub(super) fn awaited(&self, stream: Stream) -> usize {
        let of_it = self.entries.iter().filter(|entry| entry.stream == Some(stream));
        of_it.filter_map(|entry| Some(entry.len - entry.awaited.as_ref()?.len())).sum()
    }

    /// Adds a message that was sent in an earlier life; its `len` bytes of this stream are still to
    /// come.
    pub(super) fn push_awaited(&mut self, kind: PayloadType, stream: Stream, len: usize) {
        self.keep(Entry {
            way: self.way_of_next(),
            awaited: Some(Vec::new()),
            first_socket: self.socket,
            due: false,
            ..Entry::new(Vec::new(), len, kind, Some(stream))
        });
    }

    /// The messages so far were sent in an earlier life.
    pub(super) fn set_sent(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.first_socket = self.socket);
    }

    fn keep(&mut self, entry: Entry) {
        self.bytes += entry.len;
        self.entries.push_back(entry);
    }

    fn frame(
        &self,
        index: usize,
        kind: PayloadType,
        payload: Vec<u8>,
        ids: &mut MessageIds,
        now: Duration,
    ) -> Vec<u8> {
        let sequence = self.base.saturating_add(i64::try_from(index).unwrap_or(i64::MAX));
        let flags = if self.marks_first && sequence == 0 { FLAGS_SYN } else { 0 };
        let message = AgentMessage {
            message_type: self.message_type.clone(),
            created: millis(now),
            sequence,
            flags,
            id: ids.next_id(),
            payload_type: kind,
            payload,
        };
        message.encode()
    }

    /// Gives bytes of a stream to the messages that wait for them, in order; how many bytes they
    /// took.
    pub(super) fn fill(
        &mut self,
        stream: Stream,
        data: &[u8],
        ids: &mut MessageIds,
        now: Duration,
    ) -> usize {
        let mut taken = 0;
        while taken < data.len() {
            let waits = |entry: &Entry| entry.awaited.is_some() && entry.stream == Some(stream);
            let Some(index) = self.entries.iter().position(waits) else { break };
            let entry = &mut self.entries[index];
            let (kind, len) = (entry.kind, entry.len);
            let mut bytes = entry.awaited.take().unwrap_or_default();
            let more = (len - bytes.len()).min(data.len() - taken);
            bytes.extend_from_slice(&data[taken..taken + more]);
            taken += more;
            if bytes.len() < len {
                entry.awaited = Some(bytes);
                break;
            }
            let doubtful = self.entries[index].doubtful;
            let bytes = match &mut self.muxed {
                Some(muxed) if doubtful => muxed.harmless(&bytes),
                Some(muxed) => muxed.passed(bytes),
                None => bytes,
            };
            let frame = self.frame(index, kind, bytes, ids, now);
            let entry = &mut self.entries[index];
            (entry.frame, entry.due) = (frame, true);
        }
        taken
    }

    /// The boundaries of what is not acknowledged, in order from [`Sender::base`].
    pub(super) fn cuts(&self) -> Vec<Cut> {
        let kind = |entry: &Entry| match (entry.stream, entry.kind) {
            _ if entry.way == Way::Opener => CutKind::Opener,
            (Some(stream), _) => CutKind::Bytes(stream),
            (None, PayloadType::HandshakeRequest) => CutKind::HandshakeRequest,
            (None, PayloadType::HandshakeComplete) => CutKind::HandshakeComplete,
            (None, PayloadType::Output) => CutKind::Prefix(Stream::Stdout),
            (None, PayloadType::StdErr) => CutKind::Prefix(Stream::Stderr),
            // The only flag that an agent sends: a connection was not made.
            (None, _) => CutKind::Flag,
        };
        let len = |entry: &Entry| u32::try_from(entry.len).unwrap_or(u32::MAX);
        self.entries.iter().map(|entry| Cut { kind: kind(entry), len: len(entry) }).collect()
    }

    /// An acknowledgement. Numbers that are not outstanding are ignored.
    pub(super) fn on_ack(&mut self, sequence: i64, now: Duration) {
        let Some(index) =
            sequence.checked_sub(self.base).and_then(|offset| usize::try_from(offset).ok())
        else {
            return;
        };
        let Some(entry) = self.entries.get_mut(index) else { return };
        let Some(last) = entry.last.filter(|_| !entry.acked) else { return };
        if entry.repeats == 0 && entry.first_socket == self.socket {
            self.rtt.sample(now.saturating_sub(last.at));
        }
        let proven = entry.first_here.map_or(0, |sent| sent.turn);
        let plain = !is_handshake(entry.kind);
        let opened = entry.way == Way::Opener;
        Self::settle(entry);
        if opened {
            self.on_opened(index + 1);
        }
        // In order at the front, ordinary data was consumed; behind a gap it may only wait.
        self.ready |= plain && index == 0;
        self.passed_over(proven);
        self.drop_settled();
    }

    /// The opener in front of this message was acknowledged. A client that keeps what comes ahead
    /// has acknowledged the message before; another one gets it again, and all others, in turn.
    fn on_opened(&mut self, index: usize) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        if !entry.acked && !entry.due && entry.awaited.is_none() {
            (entry.way, entry.due) = (Way::InTurn, true);
            self.set_in_turn();
        }
    }

    /// The pong of a ping of ours: everything sent before that ping was read.
    pub(super) fn on_pong(&mut self, content: &[u8]) {
        if let Ok(turn) = <[u8; 8]>::try_from(content) {
            let turn = u64::from_be_bytes(turn);
            if turn <= self.turn {
                self.passed_over(turn);
                self.drop_settled();
            }
        }
    }

    /// Forget a handshake message that the peer must have had, because it went on from there.
    pub(super) fn settle_first(&mut self, kind: PayloadType) {
        if let Some(entry) = self.entries.front_mut().filter(|entry| entry.kind == kind) {
            Self::settle(entry);
            self.drop_settled();
        }
    }

    fn settle(entry: &mut Entry) {
        entry.frame = Vec::new();
        entry.awaited = None;
        entry.acked = true;
        entry.due = false;
    }

    fn drop_settled(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.acked) {
            self.bytes -= self.entries.pop_front().map_or(0, |entry| entry.len);
            self.base = self.base.saturating_add(1);
        }
    }

    /// Notes that all transmissions before `turn` on this websocket were read without an answer so
    /// far.
    fn passed_over(&mut self, turn: u64) {
        if !self.silent_peer {
            return;
        }
        let (socket, ready) = (self.socket, self.ready);
        for entry in self.entries.iter_mut().filter(|entry| !entry.acked && !entry.due) {
            let read =
                entry.first_here.is_some() && entry.last.is_some_and(|last| last.turn < turn);
            let old = entry.first_socket < socket && (ready || is_handshake(entry.kind));
            if !read || !old {
                continue;
            }
            entry.passes += 1;
            if entry.passes >= PASSES {
                Self::settle(entry);
                self.forgotten += 1;
            } else {
                entry.due = true;
            }
        }
    }

    /// The next thing to put on the websocket.
    pub(super) fn poll(&mut self, now: Duration) -> Next {
        self.repeat_oldest(now);
        let Some(entry) = self.next_due().and_then(|index| self.entries.get_mut(index)) else {
            if core::mem::take(&mut self.ping_wanted) {
                self.turn += 1;
                return Next::Ping(self.turn.to_be_bytes().to_vec());
            }
            return Next::Nothing;
        };
        self.turn += 1;
        let sent = Sent { at: now, turn: self.turn };
        entry.due = false;
        if entry.first_socket == 0 {
            entry.first_socket = self.socket;
        } else {
            entry.repeats = entry.repeats.saturating_add(1);
        }
        entry.first_here.get_or_insert(sent);
        entry.last = Some(sent);
        self.ping_wanted |= self.silent_peer && entry.first_socket < self.socket;
        Next::Frame(entry.frame.clone())
    }

    /// The message to send: the first one, but each opener behind what it opens.
    fn next_due(&self) -> Option<usize> {
        let mut due = self.entries.iter().enumerate().filter(|(_, entry)| entry.due);
        due.find_map(|(index, entry)| {
            let next = self.entries.get(index + 1).filter(|_| entry.way == Way::Opener);
            match next {
                Some(next) if next.awaited.is_some() => None,
                Some(next) if next.due => Some(index + 1),
                _ => Some(index),
            }
        })
    }

    fn repeat_oldest(&mut self, now: Duration) {
        if self.repeat_at().is_some_and(|at| at <= now)
            && let Some(entry) = self.entries.front_mut()
        {
            entry.due = true;
        }
    }

    /// When the oldest message is to be repeated.
    pub(super) fn repeat_at(&self) -> Option<Duration> {
        let entry = self
            .entries
            .front()
            .filter(|entry| !entry.due && !entry.acked && entry.awaited.is_none())?;
        Some(entry.last?.at.saturating_add(self.rtt.timeout(entry.repeats)))
    }

    /// Bytes of a stream that are in messages and not behind us: everything from the oldest message
    /// on that nobody has acknowledged, later ones included that somebody has.
    pub(super) fn outstanding(&self, stream: Stream) -> usize {
        let of_it = self.entries.iter().filter(|entry| entry.stream == Some(stream));
        of_it.map(|entry| entry.awaited.as_ref().map_or(entry.len, Vec::len)).sum()
    }

    /// Payload bytes kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn is_handshake(kind: PayloadType) -> bool {
    matches!(
        kind,
        PayloadType::HandshakeRequest
            | PayloadType::HandshakeResponse
            | PayloadType::HandshakeComplete
    )
}
