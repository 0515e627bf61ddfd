//! A model of the official plugin with all its quirks, and a pipe whose faults are decided by a
//! seed.
//!
//! Shared by the tests of the channel. Nothing here uses a clock: time is a number that the tests
//! move.
// each test uses its part of it
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use towline_ssm::channel::{
    AgentChannel, AgentConfig, AgentEvent, ChannelState, MAX_STATE, Stream, Transmit,
};
use towline_ssm::message::{AgentMessage, MessageIds, MessageType, PayloadType};

/// Where simulated time starts; any time will do, zero would hide a missing one.
pub(crate) const START: Duration = Duration::from_secs(1_767_607_872);

pub(crate) fn ms(millis: u64) -> Duration {
    START + Duration::from_millis(millis)
}

pub(crate) fn config(session_type: &'static str) -> AgentConfig {
    AgentConfig {
        session_id: "alice-0123456789abcdefg".into(),
        target: "mi-0123456789abcdef0".into(),
        session_type,
        properties: Value::Null,
        separate_output: true,
        prefixes: Default::default(),
        customer_message: String::new(),
        seed: [3; 16],
    }
}

/// A small generator, so that a failing seed can be run again.
#[derive(Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.roll() % 100 < chance
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.roll().to_le_bytes()[0]).collect()
    }
}

/// The official plugin as it was seen to behave: one acknowledgement a message, silent about
/// repeated ones, dropping without a word what comes before its handler is ready, repeating its own
/// oldest message every 100 ms.
pub(crate) struct Plugin {
    pub(crate) output: Vec<u8>,
    pub(crate) closed: Option<String>,
    /// The handler runs. Set by the first size for shells, by the tests for ports.
    pub(crate) ready: bool,
    pub(crate) shell: bool,
    expected: i64,
    buffer: BTreeMap<i64, AgentMessage>,
    sequence: i64,
    unacked: VecDeque<(i64, Vec<u8>, Duration)>,
    out: VecDeque<Vec<u8>>,
    ids: MessageIds,
    pub(crate) duplicates: usize,
    /// The websocket takes nothing any more, although messages that it has read still come.
    deaf: bool,
    /// Not the official one: what comes ahead of its turn is dropped.
    pub(crate) keeps_nothing: bool,
}

impl Plugin {
    pub(crate) fn new(shell: bool) -> Self {
        Self {
            output: Vec::new(),
            closed: None,
            ready: false,
            shell,
            expected: 0,
            buffer: BTreeMap::new(),
            sequence: 0,
            unacked: VecDeque::new(),
            out: VecDeque::new(),
            ids: MessageIds::new([9; 16]),
            duplicates: 0,
            deaf: false,
            keeps_nothing: false,
        }
    }

    pub(crate) fn send(&mut self, kind: PayloadType, payload: Vec<u8>, now: Duration) {
        let message = AgentMessage {
            message_type: MessageType::InputStreamData,
            created: u64::try_from(now.as_millis()).unwrap(),
            sequence: self.sequence,
            flags: 0,
            id: self.ids.next_id(),
            payload_type: kind,
            payload,
        };
        self.unacked.push_back((self.sequence, message.encode(), now));
        self.sequence += 1;
        self.out.push_back(message.encode());
    }

    pub(crate) fn unacked(&self) -> usize {
        self.unacked.len()
    }

    /// A new websocket: the plugin repeats nothing at once, its timer will.
    pub(crate) fn reconnect(&mut self) {
        self.out.clear();
        self.deaf = false;
    }

    pub(crate) fn tick(&mut self, now: Duration) {
        if let Some((_, frame, at)) = self.unacked.front_mut()
            && now.saturating_sub(*at) >= Duration::from_millis(200)
        {
            *at = now;
            self.out.push_back(frame.clone());
        }
    }

    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    pub(crate) fn on_frame(&mut self, frame: &[u8], now: Duration) {
        let message = AgentMessage::decode(frame).expect("our frames can be read");
        match message.message_type {
            MessageType::Acknowledge => {
                let ack: Value = serde_json::from_slice(&message.payload).unwrap();
                let number = ack["AcknowledgedMessageSequenceNumber"].as_i64().unwrap();
                self.unacked.retain(|(sequence, ..)| *sequence != number);
            }
            MessageType::ChannelClosed => {
                let closed: Value = serde_json::from_slice(&message.payload).unwrap();
                self.closed = Some(closed["Output"].as_str().unwrap().to_owned());
            }
            MessageType::OutputStreamData => self.on_output(message, now),
            other => panic!("{other:?} is nothing an agent sends"),
        }
    }

    fn on_output(&mut self, message: AgentMessage, now: Duration) {
        if message.sequence < self.expected {
            self.duplicates += 1;
        } else if message.sequence > self.expected {
            if !self.keeps_nothing && self.ack(&message, now) {
                self.buffer.insert(message.sequence, message);
                assert!(self.buffer.len() < 10_000);
            }
        } else if is_handshake(message.payload_type) {
            if self.ack(&message, now) {
                self.consume(&message, now);
            }
        } else if self.consume(&message, now) {
            if !self.ack(&message, now) {
                // It was handled, and its number does not count.
                self.expected -= 1;
                return;
            }
            while let Some(next) = self.buffer.remove(&self.expected) {
                assert!(
                    self.consume(&next, now),
                    "a buffered message was acknowledged and then dropped"
                );
            }
        }
    }

    fn consume(&mut self, message: &AgentMessage, now: Duration) -> bool {
        match message.payload_type {
            PayloadType::HandshakeRequest => {
                let answer = json!({"ClientVersion": "1.2.677.0", "Errors": null, "ProcessedClientActions":
                    [{"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": null, "Error": ""}]});
                self.expected += 1;
                self.send(PayloadType::HandshakeResponse, answer.to_string().into_bytes(), now);
                return true;
            }
            PayloadType::HandshakeComplete => {
                self.expected += 1;
                if self.shell {
                    self.ready = true;
                    self.send(PayloadType::Size, br#"{"cols":80,"rows":24}"#.to_vec(), now);
                }
                return true;
            }
            _ if !self.ready => return false,
            PayloadType::Output | PayloadType::StdErr | PayloadType::ExitCode => {
                self.output.extend_from_slice(&message.payload);
            }
            _ => {}
        }
        self.expected += 1;
        true
    }

    /// False: it cannot be sent.
    fn ack(&mut self, of: &AgentMessage, now: Duration) -> bool {
        if !self.deaf {
            self.out.push_back(ack_frame(of.sequence, "output_stream_data", &mut self.ids, now));
        }
        !self.deaf
    }
}

fn is_handshake(kind: PayloadType) -> bool {
    matches!(kind, PayloadType::HandshakeRequest | PayloadType::HandshakeComplete)
}

pub(crate) fn ack_frame(sequence: i64, of: &str, ids: &mut MessageIds, now: Duration) -> Vec<u8> {
    let payload = json!({"AcknowledgedMessageType": of, "AcknowledgedMessageId": ids.next_id().to_string(),
        "AcknowledgedMessageSequenceNumber": sequence, "IsSequentialMessage": true});
    AgentMessage {
        message_type: MessageType::Acknowledge,
        created: u64::try_from(now.as_millis()).unwrap(),
        sequence: 0,
        flags: 3,
        id: ids.next_id(),
        payload_type: PayloadType::None,
        payload: payload.to_string().into_bytes(),
    }
    .encode()
}

/// What is on the way to the plugin.
pub(crate) enum Down {
    Frame(Vec<u8>),
    Ping(Vec<u8>),
}

/// What is on the way to the agent.
pub(crate) enum Up {
    Frame(Vec<u8>),
    Pong(Vec<u8>),
}

/// An agent half and a plugin with a websocket between them: reliable and in order, until it is
/// cut.
pub(crate) struct Wire {
    pub(crate) agent: AgentChannel,
    pub(crate) plugin: Plugin,
    pub(crate) now: Duration,
    pub(crate) latency: Duration,
    down: VecDeque<(Duration, Down)>,
    up: VecDeque<(Duration, Up)>,
    connected: bool,
    pub(crate) input: Vec<u8>,
    pub(crate) events: Vec<AgentEvent>,
    /// Output that the agent has not taken yet.
    pub(crate) pending: VecDeque<u8>,
    pub(crate) most_buffered: usize,
    session_type: &'static str,
    /// Bytes of output given to the agent so far.
    written: usize,
    journal: Journal,
}

/// What the agent's process has written down before it sent anything.
#[derive(Default)]
struct Journal {
    state: Vec<u8>,
    /// Where the output begins that a successor needs.
    output: usize,
    /// Bytes of input that the owner has.
    input: usize,
}

impl Wire {
    pub(crate) fn new(session_type: &'static str, latency_ms: u64) -> Self {
        Self {
            agent: AgentChannel::new(config(session_type), START),
            plugin: Plugin::new(session_type != "Port"),
            now: START,
            latency: Duration::from_millis(latency_ms),
            down: VecDeque::new(),
            up: VecDeque::new(),
            connected: false,
            input: Vec::new(),
            events: Vec::new(),
            pending: VecDeque::new(),
            most_buffered: 0,
            session_type,
            written: 0,
            journal: Journal::default(),
        }
    }

    pub(crate) fn connect(&mut self) {
        self.connected = true;
        self.agent.attach(self.now);
    }

    /// Everything on the way is lost, in both directions.
    pub(crate) fn cut(&mut self) {
        self.connected = false;
        self.down.clear();
        self.up.clear();
        self.agent.detach();
        self.plugin.reconnect();
    }

    /// The plugin cannot answer any more, reads so many of the messages on the way, and then the
    /// websocket is lost.
    pub(crate) fn cut_after(&mut self, reads: usize) {
        self.plugin.deaf = true;
        for _ in 0..reads {
            if let Some((_, Down::Frame(frame))) = self.down.pop_front() {
                self.plugin.on_frame(&frame, self.now);
            }
        }
        self.cut();
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Lets `step` pass and does everything that is due.
    pub(crate) fn step(&mut self, step: Duration) {
        self.now += step;
        if self.connected {
            self.deliver();
            self.plugin.tick(self.now);
        }
        self.agent.tick(self.now);
        self.turn(false);
    }

    /// The agent's process is killed, in the middle of a turn if `within`, and another one takes
    /// its place. `source` is all output that there ever was: what is needed of it is read again.
    /// Input that was not written down is lost.
    pub(crate) fn kill(&mut self, within: bool, source: &[u8]) {
        if within {
            self.now += Duration::from_millis(1);
            if self.connected {
                self.deliver();
            }
            self.turn(true);
        }
        self.cut();
        if self.journal.state.is_empty() {
            self.agent = AgentChannel::new(config(self.session_type), self.now);
        } else {
            let state = ChannelState::decode(&self.journal.state).unwrap();
            self.agent = AgentChannel::resume(config(self.session_type), &state, self.now);
        }
        self.input.truncate(self.journal.input);
        self.written = self.journal.output;
        self.pending = source[self.written..].iter().copied().collect();
    }

    /// Everything that is due; a process that `dies` in it does so after it has changed and before
    /// it has written that down.
    fn turn(&mut self, dies: bool) {
        while let Some(event) = self.agent.poll_event(self.now) {
            match event {
                AgentEvent::Input(bytes) => self.input.extend(bytes),
                other => self.events.push(other),
            }
        }
        let taken = self.agent.write(Stream::Stdout, self.pending.make_contiguous(), self.now);
        self.pending.drain(..taken);
        self.written += taken;
        if dies {
            return;
        }
        if let Some(state) = self.agent.state() {
            // A test may have written beside `pending`; it does not kill the agent then.
            let output = self.written.saturating_sub(self.agent.outstanding(Stream::Stdout));
            let state = state.encode();
            assert!(state.len() <= MAX_STATE);
            self.journal = Journal { state, output, input: self.input.len() };
        }
        self.most_buffered = self.most_buffered.max(self.agent.buffered());
        while let Some(transmit) = self.agent.poll_transmit(self.now) {
            let down = match transmit {
                Transmit::Binary(frame) => Down::Frame(frame),
                Transmit::Ping(content) => Down::Ping(content),
                Transmit::Text(text) => panic!("an agent half sends no text: {text}"),
            };
            self.down.push_back((self.now + self.latency, down));
        }
        while let Some(frame) = self.connected.then(|| self.plugin.take()).flatten() {
            self.up.push_back((self.now + self.latency, Up::Frame(frame)));
        }
        while let Some(event) = self.agent.poll_event(self.now) {
            self.events.push(event);
        }
    }

    fn deliver(&mut self) {
        while self.down.front().is_some_and(|(at, _)| *at <= self.now) {
            match self.down.pop_front().unwrap().1 {
                Down::Frame(frame) => self.plugin.on_frame(&frame, self.now),
                Down::Ping(content) => {
                    // The websocket library answers in the order of reading: after the
                    // acknowledgements so far.
                    while let Some(frame) = self.plugin.take() {
                        self.up.push_back((self.now + self.latency, Up::Frame(frame)));
                    }
                    self.up.push_back((self.now + self.latency, Up::Pong(content)));
                }
            }
        }
        while self.up.front().is_some_and(|(at, _)| *at <= self.now) {
            match self.up.pop_front().unwrap().1 {
                Up::Frame(frame) => self.agent.on_frame(&frame, self.now).unwrap(),
                Up::Pong(content) => self.agent.on_pong(&content),
            }
        }
    }

    /// Steps of 5 ms until `done`, at most for `limit_ms` of simulated time.
    #[track_caller]
    pub(crate) fn run_until(&mut self, limit_ms: u64, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + Duration::from_millis(limit_ms);
        while !done(self) {
            assert!(
                self.now < end,
                "not done after {limit_ms} ms of simulated time: {:?}",
                self.events
            );
            self.step(Duration::from_millis(5));
        }
    }
}
