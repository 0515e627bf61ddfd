//! A session's client end in the dialect of AWS. The plugin knows no positions of ours, so the
//! gateway is an end itself: it counts what the plugin has acknowledged, and keeps what the device
//! has not taken.
//!
//! Data flow of output: session's queue -> [`AwsEndpoint::take`] -> held until there is room ->
//! `AgentChannel` -> websocket; the device's ring is released only by the plugin's own
//! acknowledgements. Way of input: websocket -> `AgentChannel` -> replay ring -> session.
//!
//! # Invariants
//! - Output held and unacknowledged never exceeds [`AWS_WINDOW`] a lane: that is the credit which
//!   the device gets.
//! - Input held never exceeds [`AWS_INPUT_RING`] and one payload; what finds no room is not
//!   acknowledged to the plugin.
//! - The end outlives its websockets, as long as its session lives, and by its [`Record`] the
//!   process: what the device is told to forget, and what the client is told was taken, is in the
//!   record before.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use towline_ssm::channel::{AgentChannel, AgentConfig, AgentEvent, Stream};
use towline_ssm::message::payload::Flag;
use towline_wire::client::{ERR, IO, ToClient};
use towline_wire::frame::{Frame, StreamId};
use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::{ExitStatus, Size};
use towline_wire::mux::Mux;
use towline_wire::stream::{Budget, Receiver, Sender, SenderState};

use super::port::{self, Flow};
use super::record::Record;
use crate::limits::{AWS_INPUT_RING, AWS_WINDOW, MAX_AWS_CLIENT_ID};
use crate::plane::EndReason;
use crate::sessions::ToChannel;

/// What the plugin's signals become in a session without a terminal: the bytes it sends for them,
/// and their numbers.
const SIGNALS: [(u8, u8); 3] = [(0x03, 2), (0x1c, 3), (0x1a, 20)];

/// What the owner has to do after a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Tell the device the terminal's size.
    Resize(Size),
    /// Deliver a signal.
    Signal(u8),
    /// The client has closed the session.
    Close,
    /// Everything was said: hang up, and forget this end.
    Over,
}

/// One session's client, in the dialect of AWS.
pub(super) struct AwsEndpoint {
    /// Tells a resumption from a second client.
    pub(super) client_id: String,
    channel: AgentChannel,
    mux: Mux,
    /// No terminal: input means signals only, standard error may go its own way.
    commands: bool,
    separate_output: bool,
    prefixes: [String; 2],
    /// Whether the next text of a lane gets its prefix: it is the first, or follows a line's end.
    line_begins: Lanes<bool>,
    /// The first piece of `held` has its prefix already.
    prefixed: Lanes<bool>,
    /// What a port session's bytes are.
    flow: Flow,
    /// They are frames of smux that pass as they are.
    muxed: bool,
    properties: serde_json::Value,
    port: bool,
    /// Received from the device, not yet written to the channel.
    held: Lanes<VecDeque<Bytes>>,
    input_rest: Vec<u8>,
    attached_before: bool,
    /// What the room was counted with that the latest attach has stated.
    stated: Lanes<u64>,
    /// The terminal's size, as the client said it last.
    size: Option<Size>,
    /// The device is to be told the size although the client did not say it again.
    resize: bool,
    ended: Option<(EndReason, String)>,
    /// A connection of a port session was not made, for this reason.
    refused: Option<String>,
    finished: bool,
}

impl AwsEndpoint {
    /// An end that nobody is attached to yet.
    pub(super) fn new(client_id: String, config: &AgentConfig, now: Duration) -> Self {
        let mut end = Self::around(
            client_id,
            config,
            AgentChannel::new(config.clone(), now),
            Lanes::default(),
        );
        if end.commands
            && let Some((stream, _)) = end.mux.stream(IO)
        {
            stream.tx.finish(); // a command of this kind has no input
        }
        end
    }

    /// The end that another process had, with the input that its record names. Nothing when it
    /// cannot be gone on with.
    pub(super) fn resume(
        record: Record,
        input: &[u8],
        config: &AgentConfig,
        now: Duration,
    ) -> Option<Self> {
        let channel = AgentChannel::resume(config.clone(), &record.channel?, now);
        let mut end = Self::around(record.client_id, config, channel, record.output);
        let (ring, rest) = input.split_at(input.len().min(AWS_INPUT_RING));
        let (base, finished) = (record.input.start, end.commands);
        let last = base.checked_add(ring.len() as u64)?;
        let (stream, budget) = end.mux.stream(IO)?;
        let state = SenderState { base, end: last, sent: last, finished, fin_acked: false };
        if !stream.tx.succeed(&state, ring, budget) {
            return None;
        }
        end.input_rest = rest.to_vec();
        (end.attached_before, end.size, end.resize) =
            (record.attached, record.size, record.size.is_some());
        end.line_begins = record.line_begins;
        end.set_muxed();
        Some(end)
    }

    fn around(
        client_id: String,
        config: &AgentConfig,
        channel: AgentChannel,
        output: Lanes<u64>,
    ) -> Self {
        let mut mux = Mux::new(2, 2 * AWS_INPUT_RING);
        // Two streams in a new mux of two: there is room, and the numbers differ.
        let _ =
            mux.add(IO, Sender::new(AWS_INPUT_RING), Receiver::starting_at(output.io, AWS_WINDOW));
        let _ = mux.add(ERR, Sender::new(0), Receiver::starting_at(output.err, AWS_WINDOW));
        Self {
            client_id,
            channel,
            mux,
            commands: config.session_type == "NonInteractiveCommands",
            separate_output: config.separate_output,
            prefixes: config.prefixes.clone(),
            line_begins: Lanes::new(true, true),
            prefixed: Lanes::default(),
            flow: Flow::Opaque,
            muxed: false,
            properties: config.properties.clone(),
            port: config.session_type == "Port",
            held: Lanes::default(),
            input_rest: Vec::new(),
            attached_before: false,
            stated: Lanes::default(),
            size: None,
            resize: false,
            ended: None,
            refused: None,
            finished: false,
        }
    }

    /// What another process needs to go on with this client; nothing once the client is being told
    /// the end.
    pub(super) fn record(&self) -> Option<Record> {
        let channel = self.channel.state()?;
        let (input, _) = self.mux.ends(IO)?;
        let mut output = Lanes::default();
        for lane in Lane::ALL {
            let (_, receiver) = self.mux.ends(stream_of(lane))?;
            output[lane] = receiver.received() - self.open(lane) as u64;
        }
        // The one connection of an old client's port lives in this process alone.
        let whole = matches!(self.flow, Flow::Opaque) && self.client_id.len() <= MAX_AWS_CLIENT_ID;
        Some(Record {
            client_id: if whole { self.client_id.clone() } else { String::new() },
            attached: self.attached_before,
            separate_output: self.separate_output,
            prefixes: self.prefixes.clone(),
            line_begins: self.line_begins,
            size: self.size,
            output,
            input: input.base()..input.end() + self.input_rest.len() as u64,
            channel: whole.then_some(channel),
        })
    }

    /// Input that was taken from the client, from this position on.
    pub(super) fn input_from(&self, position: u64) -> Vec<u8> {
        let Some((input, _)) = self.mux.ends(IO) else { return Vec::new() };
        let skip = usize::try_from(position.saturating_sub(input.base())).unwrap_or(usize::MAX);
        let all = input.held().flatten().chain(&self.input_rest);
        all.skip(skip).copied().collect()
    }

    /// An end that only says why there is no session for it.
    pub(super) fn refusing(session: &str, why: &str, now: Duration) -> Self {
        let config = AgentConfig {
            session_id: session.to_owned(),
            target: String::new(),
            session_type: "Standard_Stream",
            properties: serde_json::Value::Null,
            separate_output: false,
            prefixes: Default::default(),
            customer_message: String::new(),
            seed: [0; 16],
        };
        let mut end = Self::new(String::new(), &config, now);
        end.channel.abort(why, now);
        end
    }

    /// True when the session is over and the client is being told.
    pub(super) fn is_finishing(&self) -> bool {
        self.ended.is_some()
    }

    /// True while the device takes no more input.
    pub(super) const fn is_congested(&self) -> bool {
        !self.input_rest.is_empty()
    }

    /// What an attach to the session says: positions (none for the first time) and room.
    pub(super) fn position(&mut self) -> (Option<Lanes<u64>>, Lanes<u32>) {
        let (mut received, mut room) = (Lanes::default(), Lanes::default());
        for lane in Lane::ALL {
            if let Some((stream, _)) = self.mux.stream(stream_of(lane)) {
                (received[lane], room[lane]) = (stream.rx.received(), stream.rx.room());
                self.stated[lane] = stream.rx.passed_on();
            }
        }
        (self.attached_before.then_some(received), room)
    }

    /// A websocket is up.
    pub(super) fn attach(&mut self, now: Duration) {
        self.channel.attach(now);
    }

    /// The websocket is gone.
    pub(super) fn detach(&mut self) {
        self.channel.detach();
        self.mux.link_lost();
    }

    /// Something from the session.
    pub(super) fn take(&mut self, item: ToChannel) {
        match item {
            ToChannel::Data(lane, offset, bytes) => {
                if let Some((stream, _)) = self.mux.stream(stream_of(lane))
                    && let Ok(new) = stream.rx.on_data(offset, &bytes)
                    && !new.is_empty()
                {
                    let new = bytes.slice_ref(new);
                    self.hold(lane, new);
                }
            }
            ToChannel::Fin(lane, length) => {
                if let Some((stream, _)) = self.mux.stream(stream_of(lane)) {
                    let _ = stream.rx.on_fin(length);
                }
            }
            ToChannel::Credit { acked, limit } => {
                if let Some((stream, budget)) = self.mux.stream(IO) {
                    let _ = stream.tx.on_credit(acked, limit, budget);
                }
            }
            ToChannel::Word(word) => self.take_word(word),
        }
    }

    fn take_word(&mut self, word: ToClient) {
        match word {
            ToClient::Attached { output, input, room } => {
                for lane in Lane::ALL {
                    let id = stream_of(lane);
                    let fresh = !self.attached_before;
                    if let Some((stream, budget)) = self.mux.stream(id) {
                        if fresh {
                            stream.rx = Receiver::starting_at(output[lane], AWS_WINDOW);
                        } else {
                            stream.rx.restate(self.stated[lane]);
                        }
                        if fresh && id == IO {
                            begin_at(&mut stream.tx, input, budget);
                        }
                        if id == IO {
                            // An end that does not fit is the device's violation; the session is
                            // told by what follows.
                            let _ = stream.tx.attach(Some(input), room, budget);
                        }
                    }
                }
                self.attached_before = true;
            }
            ToClient::Ended { reason, text } => self.ended = Some((reason.into(), text)),
            // Another websocket carries this session's client now; its end, perhaps this very one,
            // goes on there.
            ToClient::Refused { taken_over: true, .. } => {}
            ToClient::Refused { text, .. } => self.ended = Some((EndReason::Violation, text)),
            ToClient::Waiting { .. } => self.mux.link_lost(),
            ToClient::NotConnected { text } => self.refused = Some(text),
            // For viewers, and for clients that have asked for notices: never for this one.
            ToClient::Watching { .. }
            | ToClient::Resized(_)
            | ToClient::Missed { .. }
            | ToClient::Watched { .. }
            | ToClient::Message { .. }
            | ToClient::SeatAsked { .. }
            | ToClient::AccessEnds { .. } => {}
        }
    }

    /// Keeps output until the channel takes it.
    fn hold(&mut self, lane: Lane, new: Bytes) {
        let held = &mut self.held[lane];
        match &mut self.flow {
            Flow::Opaque => held.push_back(new),
            Flow::Basic(basic) => match basic.of_device(&new) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => held.push_back(bytes.into()),
                Err(error) => self.refused = Some(error.to_string()),
            },
        }
    }

    /// A binary message of the client. One that cannot be read is ignored, as the official ends do.
    pub(super) fn on_frame(&mut self, frame: &[u8], now: Duration) {
        if let Err(error) = self.channel.on_frame(frame, now) {
            tracing::debug!(%error, "a message of an AWS client cannot be read");
        }
    }

    /// The answer to a ping of the channel's.
    pub(super) fn on_pong(&mut self, content: &[u8]) {
        self.channel.on_pong(content);
    }

    /// Moves everything on that can move. Call after each of the above, then take frames for both
    /// sides.
    pub(super) fn step(&mut self, now: Duration) -> Vec<Order> {
        self.channel.tick(now);
        let mut orders = Vec::new();
        if std::mem::take(&mut self.resize) {
            orders.extend(self.size.map(Order::Resize));
        }
        self.move_input();
        while self.input_rest.is_empty() {
            let Some(event) = self.channel.poll_event(now) else { break };
            match event {
                AgentEvent::Input(bytes) if self.commands => {
                    let signal = SIGNALS.iter().find(|(byte, _)| bytes.first() == Some(byte));
                    orders.extend(signal.map(|&(_, number)| Order::Signal(number)));
                }
                AgentEvent::Input(bytes) => {
                    self.input_rest = match &mut self.flow {
                        Flow::Opaque => bytes,
                        Flow::Basic(basic) => basic.of_client(&bytes),
                    };
                    self.move_input();
                }
                AgentEvent::Size(size) => {
                    let cells = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
                    let size = Size { rows: cells(size.rows), cols: cells(size.cols) };
                    self.size = Some(size);
                    orders.push(Order::Resize(size));
                }
                AgentEvent::Flag(Flag::TerminateSession) => orders.push(Order::Close),
                AgentEvent::Flag(Flag::DisconnectToPort) => {
                    if let Flow::Basic(basic) = &mut self.flow {
                        self.input_rest = basic.disconnect();
                        self.move_input();
                    }
                }
                AgentEvent::Flag(Flag::ConnectToPortError) => {}
                AgentEvent::Started { client_version } => self.start(&client_version),
                AgentEvent::Failed(_) | AgentEvent::PeerClosed => orders.push(Order::Close),
                AgentEvent::Closed => orders.push(Order::Over),
            }
        }
        if let Some(text) = self.refused.take() {
            match self.flow {
                // Clients with many connections drop this one and go on.
                Flow::Opaque => self.channel.write_flag(Flag::ConnectToPortError, now),
                // For one with a single connection there is nothing to go on with.
                Flow::Basic(_) => {
                    self.ended.get_or_insert((EndReason::NotOpened, text));
                    orders.push(Order::Close);
                }
            }
        }
        self.move_output(now);
        self.finish(now);
        orders
    }

    /// The handshake is complete: it is known how a port's bytes are carried.
    fn start(&mut self, client_version: &str) {
        if self.port {
            self.flow = port::flow_of("Port", &self.properties, client_version);
            if let Flow::Basic(basic) = &mut self.flow {
                self.input_rest = basic.control();
                self.move_input();
            }
            self.set_muxed();
        }
    }

    /// The client speaks smux itself: no message cuts a frame.
    fn set_muxed(&mut self) {
        self.muxed = self.port
            && matches!(self.flow, Flow::Opaque)
            && self.properties["type"] == "LocalPortForwarding";
        if self.muxed {
            self.channel.set_muxed();
        }
    }

    fn move_input(&mut self) {
        if let Some((stream, budget)) = self.mux.stream(IO) {
            let taken = stream.tx.push(&self.input_rest, budget);
            self.input_rest.drain(..taken);
        }
    }

    fn move_output(&mut self, now: Duration) {
        for lane in Lane::ALL {
            while let Some(mut front) = self.held[lane].pop_front() {
                let taken = self.write(lane, &front, now);
                if taken < front.len() {
                    let _ = front.split_to(taken);
                    let next = if self.muxed { self.held[lane].pop_front() } else { None };
                    let waits = taken == 0 && next.is_none();
                    self.held[lane].push_front(joined(front, next));
                    if waits || self.channel.room() == 0 {
                        break;
                    }
                }
            }
            if self.muxed && self.ended.is_some() && self.channel.room() > 0 {
                self.held[lane].clear(); // half a frame, whose rest will not come
            }
            self.confirm(lane);
        }
    }

    /// Writes a piece of output into the channel, as much as there is room for. As the vendor's
    /// agent does, each piece that begins a line is preceded by the prefix.
    fn write(&mut self, lane: Lane, piece: &[u8], now: Duration) -> usize {
        let stream = channel_stream_of(lane);
        if !self.separate_output || self.prefixes.iter().all(String::is_empty) {
            return self.channel.write(stream, piece, now);
        }
        let awaited = self.channel.awaited(stream);
        if awaited > 0 {
            // It was written in an earlier life, and its prefix with it.
            let again = &piece[..awaited.min(piece.len())];
            return self.channel.write(stream, again, now);
        }
        if self.line_begins[lane] && !self.prefixed[lane] {
            if !self.channel.write_prefix(stream, now) {
                return 0;
            }
            (self.prefixed[lane], self.line_begins[lane]) = (true, false);
        }
        let taken = self.channel.write(stream, piece, now);
        if taken == piece.len() {
            self.prefixed[lane] = false;
            self.line_begins[lane] = piece.last() == Some(&b'\n');
        }
        taken
    }

    /// Bytes of a lane that the client has not acknowledged, from the oldest on.
    fn open(&self, lane: Lane) -> usize {
        let held = self.held[lane].iter().map(Bytes::len).sum::<usize>();
        self.channel.outstanding(channel_stream_of(lane)) + held
    }

    /// Gives the device's bytes free that the client has acknowledged.
    fn confirm(&mut self, lane: Lane) {
        let open = self.open(lane);
        if let Some((stream, _)) = self.mux.stream(stream_of(lane)) {
            let waiting = usize::try_from(stream.rx.unconsumed()).unwrap_or(usize::MAX);
            stream.rx.consumed(waiting.saturating_sub(open));
        }
    }

    /// Says goodbye when the session is over and all its output was written.
    fn finish(&mut self, now: Duration) {
        let Some((reason, text)) = &self.ended else { return };
        if self.finished
            || Lane::ALL.iter().any(|lane| !self.held[*lane].is_empty())
                && matches!(reason, EndReason::Exited(_))
        {
            return;
        }
        self.finished = true;
        if let (EndReason::Exited(status), true, true) =
            (reason, self.commands, self.separate_output)
        {
            let code = match *status {
                ExitStatus::Code(code) => i32::from(code),
                ExitStatus::Signal(signal) => 128 + i32::from(signal),
                ExitStatus::TimedOut => 124, // as timeout(1) says it
            };
            self.channel.write_exit_code(code, now);
        }
        let words = if matches!(reason, EndReason::Exited(_) | EndReason::ClosedByClient) {
            ""
        } else {
            text.as_str()
        };
        self.channel.finish(words, now);
    }

    /// The next thing for the websocket.
    pub(super) fn poll_transmit(
        &mut self,
        now: Duration,
    ) -> Option<towline_ssm::channel::Transmit> {
        self.channel.poll_transmit(now)
    }

    /// The next frame for the session: input and credit.
    pub(super) fn next_frame(&mut self, send: impl FnOnce(Frame<'_>)) -> bool {
        self.mux.next_frame(usize::MAX, send)
    }

    /// When [`AwsEndpoint::step`] wants to be called at the latest.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.channel.next_timeout()
    }
}

/// Half a frame with what comes behind it.
fn joined(front: Bytes, next: Option<Bytes>) -> Bytes {
    match next {
        Some(next) => [front, next].concat().into(),
        None => front,
    }
}

/// What was typed before the device said where its input stands has its place there.
fn begin_at(tx: &mut Sender, position: u64, budget: &mut Budget) {
    if position == tx.base() {
        return;
    }
    let bytes: Vec<u8> = tx.held().flatten().copied().collect();
    let end = position.saturating_add(bytes.len() as u64);
    let state = SenderState {
        base: position,
        end,
        sent: position,
        finished: tx.is_finished(),
        fin_acked: false,
    };
    tx.release(budget);
    *tx = Sender::new(AWS_INPUT_RING);
    // It fitted the ring before.
    let _ = tx.succeed(&state, &bytes, budget);
}

const fn stream_of(lane: Lane) -> StreamId {
    match lane {
        Lane::Io => IO,
        Lane::Err => ERR,
    }
}

const fn channel_stream_of(lane: Lane) -> Stream {
    match lane {
        Lane::Io => Stream::Stdout,
        Lane::Err => Stream::Stderr,
    }
}
