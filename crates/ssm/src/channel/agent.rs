//! The agent's half: what our gateway speaks to clients of AWS.
//!
//! Data flow: new -> handshake -> (first size of the terminal) -> open -> closing -> closed. Lost
//! websockets change nothing in that.
//!
//! # Invariants
//! - No output leaves before the handshake is complete; for terminals, not before the first size or
//!   [`SIZE_WAIT`]. A client of a plain shell that sends a size or data instead of its answer is
//!   served without a handshake.
//! - `channel_closed` is sent once, as the last thing.
//!
//! # Not here
//! - No grace time for a client that is away, no idle time-out: the owner of the session has those.

use core::time::Duration;
use std::collections::VecDeque;

use serde_json::json;

use super::half::{Half, Seen};
use super::limits::{AGENT_PAYLOAD, ANNOUNCED_AGENT_VERSION, HANDSHAKE_TIMEOUT, LINGER, SIZE_WAIT};
use super::muxed::Muxed;
use super::receiver::{Promise, Receiver};
use super::sender::Sender;
use super::state::{ChannelState, CutKind, Reached};
use super::stream::Stream;
use super::transmit::{Transmit, millis, unnumbered};
use crate::clock::format_iso8601;
use crate::message::payload::{
    ACTION_SESSION_TYPE, ACTION_SUCCESS, ChannelClosed, Flag, HandshakeComplete, HandshakeRequest,
    HandshakeResponse, JsonPayload, RequestedAction, Size,
};
use crate::message::{MessageError, MessageType, PayloadType};

/// The first four numbers of a client to which messages go ahead of their turn.
const AHEAD_FROM: [u32; 4] = [1, 2, 0, 0];
/// A signal of a port session that no end knows.
const NO_FLAG: [u8; 4] = [0; 4];

/// What a channel is for.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The session.
    pub session_id: String,
    /// The device.
    pub target: String,
    /// For example `Standard_Stream`; `SessionPlan::session_type` knows it.
    pub session_type: &'static str,
    /// Properties for the client's handler; it reads them for ports only.
    pub properties: serde_json::Value,
    /// Standard error has a kind of message of its own, and the exit status is told; else both
    /// streams are one.
    pub separate_output: bool,
    /// What stands before the text of standard output and standard error, where they are separate.
    pub prefixes: [String; 2],
    /// A line for the user, or nothing.
    pub customer_message: String,
    /// Random bytes for message ids.
    pub seed: [u8; 16],
}

/// What the owner has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// The handshake is complete.
    Started {
        /// As the client says; may be empty.
        client_version: String,
    },
    /// Bytes of the client.
    Input(Vec<u8>),
    /// The client's terminal has this size now.
    Size(Size),
    /// A signal of a port session.
    Flag(Flag),
    /// The handshake failed; the user is told the same, and the channel closes itself.
    Failed(String),
    /// The peer closed the session.
    PeerClosed,
    /// `channel_closed` was handed out: nothing follows, the websocket can be closed.
    Closed,
}

#[derive(Debug)]
enum Stage {
    /// Waits for the client's answer; `since` restarts with each websocket.
    Handshake {
        asked: Duration,
        since: Duration,
    },
    /// Waits for the first size.
    AwaitingSize {
        since: Duration,
    },
    Open,
    /// Output goes out, nothing more comes in.
    Closing {
        text: String,
        progress: Duration,
    },
    Closed,
}

/// The agent's half of one session's channel.
#[derive(Debug)]
pub struct AgentChannel {
    config: AgentConfig,
    half: Half,
    stage: Stage,
    /// At most one of each kind of notice.
    notices: VecDeque<AgentEvent>,
    peer_closed: bool,
    /// A size has come.
    sized: bool,
}

impl AgentChannel {
    /// A channel that nobody is attached to yet.
    #[must_use]
    pub fn new(config: AgentConfig, now: Duration) -> Self {
        let receiver = Receiver::new(Promise::Taken, 0);
        let mut half =
            Half::new(Sender::to_client(), receiver, MessageType::InputStreamData, config.seed);
        half.push(PayloadType::HandshakeRequest, request(&config), now);
        let stage = Stage::Handshake { asked: now, since: now };
        Self { config, half, stage, notices: VecDeque::new(), peer_closed: false, sized: false }
    }

    /// A channel that takes the place of one which had this state. The bytes of the messages in it
    /// are to be written again, from the oldest on.
    #[must_use]
    pub fn resume(config: AgentConfig, state: &ChannelState, now: Duration) -> Self {
        let (sender, receiver) =
            (Sender::resumed(state.base), Receiver::new(Promise::Taken, state.taken));
        let mut half = Half::new(sender, receiver, MessageType::InputStreamData, config.seed);
        // The openers among them come from the cuts: until then the client counts as not ready.
        set_ahead(&mut half, &config);
        for cut in &state.cuts {
            match cut.kind {
                CutKind::Opener => half.sender.push_opener(&mut half.ids, now),
                CutKind::HandshakeRequest => {
                    half.push(PayloadType::HandshakeRequest, request(&config), now)
                }
                CutKind::HandshakeComplete => {
                    half.push(
                        PayloadType::HandshakeComplete,
                        complete(&config, Duration::ZERO),
                        now,
                    );
                }
                CutKind::Flag => half.push(
                    PayloadType::Flag,
                    Flag::ConnectToPortError.to_payload().to_vec(),
                    now,
                ),
                CutKind::Prefix(stream) => {
                    half.push(kind_of(&config, stream), prefix_of(&config, stream), now);
                }
                CutKind::Bytes(stream) => {
                    half.sender.push_awaited(kind_of(&config, stream), stream, cut.len as usize);
                }
            }
        }
        half.sender.set_sent();
        if state.ready {
            half.sender.set_ready();
        }
        if !state.ahead {
            half.sender.set_in_turn();
        }
        let stage = match state.reached {
            Reached::Handshake => Stage::Handshake { asked: now, since: now },
            Reached::Size => Stage::AwaitingSize { since: now },
            Reached::Open => Stage::Open,
        };
        Self {
            config,
            half,
            stage,
            notices: VecDeque::new(),
            peer_closed: false,
            sized: state.sized,
        }
    }

    /// What a successor needs; nothing once the session is ending, since there is nothing to go on
    /// with.
    #[must_use]
    pub fn state(&self) -> Option<ChannelState> {
        let reached = match self.stage {
            Stage::Handshake { .. } => Reached::Handshake,
            Stage::AwaitingSize { .. } => Reached::Size,
            Stage::Open => Reached::Open,
            Stage::Closing { .. } | Stage::Closed => return None,
        };
        let Half { sender, receiver, .. } = &self.half;
        Some(ChannelState {
            reached,
            sized: self.sized,
            ready: sender.is_ready(),
            ahead: sender.is_ahead(),
            base: sender.base(),
            taken: receiver.taken(),
            cuts: sender.cuts(),
        })
    }

    /// A websocket is up and its token was right. What is not acknowledged goes out again.
    pub fn attach(&mut self, now: Duration) {
        self.half.attach();
        match &mut self.stage {
            Stage::Handshake { since, .. } | Stage::AwaitingSize { since } => *since = now,
            Stage::Closing { progress, .. } => *progress = now,
            Stage::Open | Stage::Closed => {}
        }
    }

    /// The websocket is gone. Nothing is sent until the next `attach`.
    pub fn detach(&mut self) {
        self.half.attached = false;
    }

    /// A binary frame of the client.
    ///
    /// # Errors
    /// [`MessageError`] when the frame is no message. It changed nothing; the owner may ignore it
    /// or hang up.
    pub fn on_frame(&mut self, frame: &[u8], now: Duration) -> Result<(), MessageError> {
        if matches!(self.stage, Stage::Closed) {
            return Ok(());
        }
        match self.half.on_frame(frame, now)? {
            Seen::Handled => {}
            Seen::Progress => {
                if let Stage::Closing { progress, .. } = &mut self.stage {
                    *progress = now;
                }
            }
            Seen::Closed(_) if !self.peer_closed => {
                self.peer_closed = true;
                self.notices.push_back(AgentEvent::PeerClosed);
            }
            Seen::Closed(_) => {}
        }
        Ok(())
    }

    /// The pong of a [`Transmit::Ping`]. Pongs of other pings do no harm.
    pub fn on_pong(&mut self, content: &[u8]) {
        self.half.sender.on_pong(content);
    }

    /// Puts output in, as much as there is room for, and returns how many bytes that was. 0 means:
    /// wait for the next acknowledgement, or for the channel to open.
    #[must_use = "what was not taken must be kept and offered again"]
    pub fn write(&mut self, stream: Stream, data: &[u8], now: Duration) -> usize {
        if !matches!(self.stage, Stage::Open) || self.half.paused {
            return 0;
        }
        let Half { sender, ids, .. } = &mut self.half;
        let mut taken = sender.fill(stream, data, ids, now);
        let kind = kind_of(&self.config, stream);
        if !self.half.sender.is_muxed() {
            return taken + self.half.write(kind, Some(stream), &data[taken..], AGENT_PAYLOAD, now);
        }
        while self.half.sender.room() > 0
            && let Some(whole) = Muxed::whole(&data[taken..], AGENT_PAYLOAD)
        {
            let payload = &data[taken..taken + whole];
            self.half.write(kind, Some(stream), payload, AGENT_PAYLOAD, now);
            taken += whole;
        }
        taken
    }

    /// The output is frames of smux from now on. Each message holds whole frames, and what a client
    /// may have handled before a websocket was lost is sent again as something that does no harm.
    pub fn set_muxed(&mut self) {
        self.half.sender.set_muxed();
    }

    /// Bytes of a stream that complete messages of an earlier life: they were written before.
    #[must_use]
    pub fn awaited(&self, stream: Stream) -> usize {
        self.half.sender.awaited(stream)
    }

    /// Puts the stream's prefix in, as a message of its own. False: there is no room yet.
    pub fn write_prefix(&mut self, stream: Stream, now: Duration) -> bool {
        if self.room() == 0 {
            return false;
        }
        let prefix = prefix_of(&self.config, stream);
        if !prefix.is_empty() {
            self.half.push(kind_of(&self.config, stream), prefix, now);
        }
        true
    }

    /// Bytes that `write` would take now.
    #[must_use]
    pub fn room(&self) -> usize {
        if matches!(self.stage, Stage::Open) && !self.half.paused {
            self.half.sender.room()
        } else {
            0
        }
    }

    /// Tells the exit status of a session with separate output. To be called once, after all output
    /// was written.
    pub fn write_exit_code(&mut self, code: i32, now: Duration) {
        if matches!(self.stage, Stage::Open) {
            self.half.push(PayloadType::ExitCode, format!("EXIT_CODE: {code}").into_bytes(), now);
        }
    }

    /// Sends a signal of a port session.
    pub fn write_flag(&mut self, flag: Flag, now: Duration) {
        if matches!(self.stage, Stage::Open) && self.half.sender.room() > 0 {
            self.half.push(PayloadType::Flag, flag.to_payload().to_vec(), now);
        }
    }

    /// Ends the session once all output was acknowledged. `text` is shown to the user; empty for an
    /// ordinary end.
    pub fn finish(&mut self, text: &str, now: Duration) {
        if !matches!(self.stage, Stage::Closing { .. } | Stage::Closed) {
            self.stage = Stage::Closing { text: text.to_owned(), progress: now };
        }
    }

    /// Refuses a client that was never let in: the first thing it hears is why, and the channel is
    /// over.
    pub fn abort(&mut self, why: &str, now: Duration) {
        self.half.attach();
        self.half.sender.clear();
        self.finish(why, now);
    }

    /// The next event. To be called until it returns nothing.
    pub fn poll_event(&mut self, now: Duration) -> Option<AgentEvent> {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return Some(notice);
            }
            if matches!(self.stage, Stage::Closed) {
                return None;
            }
            let (kind, payload) = self.half.receive(now)?;
            match kind {
                PayloadType::HandshakeResponse => self.on_response(&payload, now),
                PayloadType::Output if !payload.is_empty() => {
                    self.on_life();
                    return Some(AgentEvent::Input(payload));
                }
                PayloadType::Size => {
                    if let Ok(size) = Size::from_payload(&payload) {
                        self.on_size();
                        return Some(AgentEvent::Size(size));
                    }
                }
                PayloadType::Flag => {
                    if let Ok(flag) = Flag::from_payload(&payload) {
                        return Some(AgentEvent::Flag(flag));
                    }
                }
                _ => {}
            }
        }
    }

    fn on_size(&mut self) {
        self.sized = true;
        self.on_life();
        if matches!(self.stage, Stage::AwaitingSize { .. }) {
            self.stage = Stage::Open;
        }
    }

    /// Data or a size came: the client's handler runs, and takes data as well. A client that sends
    /// either without an answer to the handshake has none to give; official agents start plain
    /// shells without, so it can do without.
    fn on_life(&mut self) {
        self.half.sender.set_ready();
        if matches!(self.stage, Stage::Handshake { .. })
            && self.config.session_type == "Standard_Stream"
        {
            self.stage = Stage::Open;
            self.notices.push_back(AgentEvent::Started { client_version: String::new() });
        }
    }

    fn on_response(&mut self, payload: &[u8], now: Duration) {
        let Stage::Handshake { asked, .. } = self.stage else { return };
        // It is the answer to our first message, whose own acknowledgement may be lost.
        self.half.sender.settle_first(PayloadType::HandshakeRequest);
        let Ok(response) = HandshakeResponse::from_payload(payload) else {
            self.fail("the client's answer to the handshake cannot be read", now);
            return;
        };
        let good = |action: &str| {
            let mut done = response.processed_client_actions.iter();
            done.any(|a| a.action_type == action && a.action_status == ACTION_SUCCESS)
        };
        if !good(ACTION_SESSION_TYPE) {
            self.fail("the client cannot take part in a session of this type", now);
            return;
        }
        let complete = complete(&self.config, now.saturating_sub(asked));
        self.half.push(PayloadType::HandshakeComplete, complete, now);
        if keeps_what_comes_ahead(&response.client_version) {
            set_ahead(&mut self.half, &self.config);
        }
        let open = self.sized || self.config.session_type == "Port";
        self.stage = if open { Stage::Open } else { Stage::AwaitingSize { since: now } };
        self.notices.push_back(AgentEvent::Started { client_version: response.client_version });
    }

    fn fail(&mut self, why: &str, now: Duration) {
        self.notices.push_back(AgentEvent::Failed(why.to_owned()));
        self.finish(why, now);
    }

    /// The next thing to put on the websocket. To be called until it returns nothing.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Transmit> {
        if let Some(transmit) = self.half.poll_transmit(now) {
            return Some(transmit);
        }
        let Stage::Closing { text, progress } = &self.stage else { return None };
        let over = self.half.sender.is_empty() || progress.saturating_add(LINGER) <= now;
        if !self.half.attached || !over {
            return None;
        }
        let payload = self.closed_payload(text, now);
        let message = unnumbered(MessageType::ChannelClosed, payload, &mut self.half.ids, now);
        self.stage = Stage::Closed;
        self.notices.push_back(AgentEvent::Closed);
        Some(Transmit::Binary(message.encode()))
    }

    fn closed_payload(&self, text: &str, now: Duration) -> Vec<u8> {
        let closed = ChannelClosed {
            message_type: MessageType::ChannelClosed.as_str().to_owned(),
            message_id: self.half.ids.clone().next_id().to_string(),
            created_date: format_iso8601(i64::try_from(millis(now) / 1000).unwrap_or(i64::MAX)),
            destination_id: self.config.target.clone(),
            session_id: self.config.session_id.clone(),
            schema_version: 1,
            output: text.to_owned(),
        };
        closed.to_payload()
    }

    /// When `tick` wants to be called next; nothing while no websocket is up.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        if !self.half.attached {
            return None;
        }
        let stage = match &self.stage {
            Stage::Handshake { since, .. } => Some(since.saturating_add(HANDSHAKE_TIMEOUT)),
            Stage::AwaitingSize { since } => Some(since.saturating_add(SIZE_WAIT)),
            Stage::Closing { progress, .. } => Some(progress.saturating_add(LINGER)),
            Stage::Open => None,
            Stage::Closed => return None,
        };
        [stage, self.half.repeat_at()].into_iter().flatten().min()
    }

    /// The time of `next_timeout` has come. Early calls do no harm.
    pub fn tick(&mut self, now: Duration) {
        match &self.stage {
            Stage::Handshake { since, .. }
                if self.half.attached && since.saturating_add(HANDSHAKE_TIMEOUT) <= now =>
            {
                self.fail("the client did not answer the handshake in time", now);
            }
            Stage::AwaitingSize { since }
                if self.half.attached && since.saturating_add(SIZE_WAIT) <= now =>
            {
                self.stage = Stage::Open;
            }
            _ => {}
        }
    }

    /// Bytes of a stream that were written and are needed again by a successor: from the oldest
    /// message on that is not acknowledged. What was written before has reached the client for
    /// good.
    #[must_use]
    pub fn outstanding(&self, stream: Stream) -> usize {
        self.half.sender.outstanding(stream)
    }

    /// Payload bytes kept for both directions; bounded by the constants of this module.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.half.bytes()
    }

    /// Messages taken for consumed although no acknowledgement came (see the sender's rule), since
    /// start.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.half.sender.forgotten()
    }
}

/// The first message.
fn request(config: &AgentConfig) -> Vec<u8> {
    let request = HandshakeRequest {
        agent_version: ANNOUNCED_AGENT_VERSION.into(),
        requested_client_actions: vec![RequestedAction {
            action_type: ACTION_SESSION_TYPE.into(),
            action_parameters: json!({
                "SessionType": config.session_type,
                "Properties": config.properties,
            }),
        }],
    };
    request.to_payload()
}

/// The go-ahead.
fn complete(config: &AgentConfig, took: Duration) -> Vec<u8> {
    let complete = HandshakeComplete {
        handshake_time_to_complete: i64::try_from(took.as_nanos()).unwrap_or(i64::MAX),
        customer_message: config.customer_message.clone(),
    };
    complete.to_payload()
}

/// Versions of the official client that were seen to acknowledge, keep and handle once what comes
/// ahead of its turn. Older ones have a single connection in a port, which may not be ready.
fn keeps_what_comes_ahead(version: &str) -> bool {
    let numbers: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    numbers.is_some_and(|numbers| numbers.len() == 4 && numbers[..] >= AHEAD_FROM[..])
}

/// An opener says nothing: to many connections a signal that stands for nothing, and no bytes to a
/// client that writes out whatever it gets.
fn set_ahead(half: &mut Half, config: &AgentConfig) {
    if config.session_type == "Port" && config.properties["type"] == "LocalPortForwarding" {
        half.sender.set_ahead(PayloadType::Flag, NO_FLAG.to_vec());
    } else {
        half.sender.set_ahead(PayloadType::Output, Vec::new());
    }
}

fn prefix_of(config: &AgentConfig, stream: Stream) -> Vec<u8> {
    let [stdout, stderr] = &config.prefixes;
    let prefix = match stream {
        Stream::Stdout => stdout,
        Stream::Stderr => stderr,
    };
    prefix.clone().into_bytes()
}

fn kind_of(config: &AgentConfig, stream: Stream) -> PayloadType {
    match stream {
        Stream::Stderr if config.separate_output => PayloadType::StdErr,
        Stream::Stdout | Stream::Stderr => PayloadType::Output,
    }
}
