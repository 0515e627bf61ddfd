//! The client's half: what our own session-manager-plugin speaks to AWS and to other gateways.
//!
//! Data flow: websocket up -> opening frame with the token -> handshake (or none) -> started ->
//! closed.
//!
//! # Invariants
//! - The opening frame is the first thing on every websocket.
//! - Output that came before `channel_closed` is handed out before [`ClientEvent::Closed`].
//! - Input that an agent ignores, because it shakes hands later, is sent again behind the
//!   handshake. At most [`EARLY_BYTES`] are kept for it; further input waits.
//! - Repeated messages are acknowledged again, so that no agent has to guess.
//!
//! # Not here
//! - No ResumeSession call and no terminal. No KMS encryption: it is answered as unsupported.

use core::time::Duration;
use std::collections::VecDeque;

use super::half::{Half, Seen};
use super::limits::{CLIENT_PAYLOAD, EARLY_BYTES, HANDSHAKE_TIMEOUT, MAX_HANDSHAKE_ACTIONS};
use super::receiver::{Promise, Receiver};
use super::sender::Sender;
use super::transmit::Transmit;
use crate::message::payload::{
    ACTION_SESSION_TYPE, ACTION_SUCCESS, ACTION_UNSUPPORTED, ChannelClosed, Flag,
    HandshakeComplete, HandshakeRequest, HandshakeResponse, JsonPayload, OPEN_SCHEMA_VERSION,
    OpenDataChannel, ProcessedAction, RequestedAction, SessionTypeParameters, Size,
};
use crate::message::{MessageError, MessageType, PayloadType};

/// Who we are.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Four dotted numbers; agents choose their ways by it.
    pub client_version: String,
    /// A UUID, the same for the life of the process.
    pub client_id: String,
    /// Random bytes for message ids.
    pub seed: [u8; 16],
}

/// What the owner has to know.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// The session runs.
    Started {
        /// For example `Standard_Stream`.
        session_type: String,
        /// Depends on the type.
        properties: serde_json::Value,
        /// As the agent says; empty without a handshake.
        agent_version: String,
        /// A line for the user, or nothing.
        customer_message: String,
    },
    /// Bytes of the terminal, of standard output or of the port.
    Output(Vec<u8>),
    /// Bytes of standard error.
    Stderr(Vec<u8>),
    /// Exit status of the remote command.
    ExitCode(i32),
    /// A signal of a port session.
    Flag(Flag),
    /// The agent wants something that is not spoken here; it will end the session.
    Unsupported(String),
    /// The session is over; the text says why, empty for an ordinary end.
    Closed(String),
}

#[derive(Debug)]
enum Stage {
    /// Nothing of the agent was seen.
    New,
    /// Answered; the end of the handshake is awaited.
    Answered {
        agent_version: String,
        session: SessionTypeParameters,
    },
    Started,
    Closed,
}

/// Input of a channel that began without a handshake. An agent that shakes hands all the same has
/// acknowledged and ignored it.
#[derive(Debug)]
struct Early {
    bytes: Vec<u8>,
    /// No handshake is awaited from then on.
    until: Duration,
}

/// Whether a channel that began without a handshake may still get one.
#[derive(Debug)]
enum Unshaken {
    /// It began with one, or has not begun.
    No,
    /// One may come: this is sent again behind it.
    Early(Early),
    /// The agent has sent output, or its time for a handshake is over.
    Settled {
        /// The agent was given input.
        told: bool,
    },
}

/// The client's half of one session's channel.
#[derive(Debug)]
pub struct ClientChannel {
    config: ClientConfig,
    half: Half,
    stage: Stage,
    opening: Option<String>,
    size: Option<Size>,
    /// The size that was sent last.
    sent_size: Option<Size>,
    unshaken: Unshaken,
    /// Early input that is to be sent once more, before any other.
    again: Vec<u8>,
    /// At most one start, one refusal, and the output that stood for a start.
    notices: VecDeque<ClientEvent>,
    ended: Option<String>,
}

impl ClientChannel {
    /// A channel without a websocket yet.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        let receiver = Receiver::new(Promise::Received, 0);
        let half =
            Half::new(Sender::to_agent(), receiver, MessageType::OutputStreamData, config.seed);
        Self {
            config,
            half,
            stage: Stage::New,
            opening: None,
            size: None,
            sent_size: None,
            unshaken: Unshaken::No,
            again: Vec::new(),
            notices: VecDeque::new(),
            ended: None,
        }
    }

    /// A websocket is up. `token` is of StartSession, or of ResumeSession for a later websocket.
    pub fn attach(&mut self, token: &str) {
        let open = OpenDataChannel {
            message_schema_version: OPEN_SCHEMA_VERSION.into(),
            request_id: self.half.ids.next_id().to_string(),
            token_value: token.to_owned(),
            client_id: self.config.client_id.clone(),
            client_version: Some(self.config.client_version.clone()),
        };
        self.opening = Some(String::from_utf8(open.to_payload()).unwrap_or_default());
        self.half.attach();
    }

    /// A websocket of the agent itself is up, at its service: nobody waits for an opening frame.
    pub fn attach_agent(&mut self) {
        self.half.attach();
    }

    /// The agent says that it is connected. A terminal of an official agent has no handshake: it
    /// takes input from here on. If a handshake follows all the same, the agent has ignored what
    /// came before it: it is sent again.
    pub fn begin_without_handshake(&mut self, now: Duration) {
        if matches!(self.stage, Stage::New) {
            self.stage = Stage::Started;
            let until = now.saturating_add(HANDSHAKE_TIMEOUT);
            self.unshaken = Unshaken::Early(Early { bytes: Vec::new(), until });
            self.send_size(now);
        }
    }

    /// Whether messages of the agent are better left on the websocket: official agents repeat what
    /// finds no room one by one, ten in a second.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.half.is_full()
    }

    /// The websocket is gone.
    pub fn detach(&mut self) {
        self.half.attached = false;
        self.opening = None;
    }

    /// A frame of the agent. Text frames are taken as binary ones, as the official plugin does.
    ///
    /// # Errors
    /// [`MessageError`] when the frame is no message; it changed nothing.
    pub fn on_frame(&mut self, frame: &[u8], now: Duration) -> Result<(), MessageError> {
        if let Seen::Closed(payload) = self.half.on_frame(frame, now)? {
            let text = ChannelClosed::from_payload(&payload)
                .map(|closed| closed.output)
                .unwrap_or_default();
            self.ended.get_or_insert(text);
        }
        Ok(())
    }

    /// Puts input in, as much as there is room for, and returns how many bytes that was. 0 before
    /// the start.
    #[must_use = "what was not taken must be kept and offered again"]
    pub fn write(&mut self, data: &[u8], now: Duration) -> usize {
        self.settle_in_time(now);
        self.write_again(now);
        if !matches!(self.stage, Stage::Started) || self.half.paused || !self.again.is_empty() {
            return 0;
        }
        let room = match &self.unshaken {
            Unshaken::Early(early) => EARLY_BYTES - early.bytes.len(),
            Unshaken::No | Unshaken::Settled { .. } => data.len(),
        };
        let part = &data[..data.len().min(room)];
        let taken = self.half.write(PayloadType::Output, None, part, CLIENT_PAYLOAD, now);
        match &mut self.unshaken {
            Unshaken::Early(early) => early.bytes.extend(&part[..taken]),
            Unshaken::Settled { told } => *told |= taken > 0,
            Unshaken::No => {}
        }
        taken
    }

    /// Sends early input once more, as far as there is room.
    fn write_again(&mut self, now: Duration) {
        if matches!(self.stage, Stage::Started) && !self.half.paused && !self.again.is_empty() {
            let all = &self.again;
            let taken = self.half.write(PayloadType::Output, None, all, CLIENT_PAYLOAD, now);
            self.again.drain(..taken);
        }
    }

    /// No handshake is awaited any more when its time is over.
    fn settle_in_time(&mut self, now: Duration) {
        if matches!(&self.unshaken, Unshaken::Early(early) if early.until <= now) {
            self.settle();
        }
    }

    /// No handshake is awaited any more.
    fn settle(&mut self) {
        if let Unshaken::Early(early) = &self.unshaken {
            self.unshaken = Unshaken::Settled { told: !early.bytes.is_empty() };
        }
    }

    /// The terminal has this size now. Before the start the latest one is kept.
    pub fn set_size(&mut self, size: Size, now: Duration) {
        self.size = Some(size);
        self.send_size(now);
    }

    fn send_size(&mut self, now: Duration) {
        if matches!(self.stage, Stage::Started)
            && self.half.sender.room() > 0
            && let Some(size) = self.size.take()
        {
            self.sent_size = Some(size);
            self.half.push(PayloadType::Size, size.to_payload(), now);
        }
    }

    /// Sends a signal of a port session.
    pub fn write_flag(&mut self, flag: Flag, now: Duration) {
        if matches!(self.stage, Stage::Started) && self.half.sender.room() > 0 {
            self.half.push(PayloadType::Flag, flag.to_payload().to_vec(), now);
        }
    }

    /// The next event. To be called until it returns nothing, before the next `on_frame`.
    pub fn poll_event(&mut self, now: Duration) -> Option<ClientEvent> {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return Some(notice);
            }
            if matches!(self.stage, Stage::Closed) {
                return None;
            }
            let Some((kind, payload)) = self.half.receive(now) else {
                let text = self.ended.take()?;
                self.stage = Stage::Closed;
                return Some(ClientEvent::Closed(text));
            };
            match kind {
                PayloadType::HandshakeRequest => self.on_request(&payload, now),
                PayloadType::HandshakeComplete => self.on_complete(&payload, now),
                PayloadType::EncChallengeRequest | PayloadType::EncChallengeResponse => {}
                kind => self.on_data(kind, payload, now),
            }
        }
    }

    fn on_request(&mut self, payload: &[u8], now: Duration) {
        let Ok(request) = HandshakeRequest::from_payload(payload) else { return };
        if request.requested_client_actions.len() > MAX_HANDSHAKE_ACTIONS {
            return self.refuse("more actions than a handshake may have");
        }
        if matches!(self.unshaken, Unshaken::Settled { told: true }) {
            return self.refuse("a handshake after it was given input");
        }
        // Who asks again and again, and takes no answer, gets none.
        if self.half.sender.room() == 0 {
            return;
        }
        let (response, session) = self.answer(request.requested_client_actions);
        self.half.push(PayloadType::HandshakeResponse, response.to_payload(), now);
        let unshaken = !matches!(self.unshaken, Unshaken::No);
        if let Some(session) = session.filter(|_| matches!(self.stage, Stage::New) || unshaken) {
            if unshaken {
                self.size = self.size.or(self.sent_size);
            }
            if let Unshaken::Early(early) = std::mem::replace(&mut self.unshaken, Unshaken::No) {
                self.again = early.bytes;
            }
            self.stage = Stage::Answered { agent_version: request.agent_version, session };
        }
    }

    fn refuse(&mut self, what: &str) {
        if self.notices.is_empty() {
            self.notices.push_back(ClientEvent::Unsupported(what.to_owned()));
        }
    }

    /// The answer to the actions of a handshake, and the session that one of them names. An answer
    /// names each action once.
    fn answer(
        &mut self,
        actions: Vec<RequestedAction>,
    ) -> (HandshakeResponse, Option<SessionTypeParameters>) {
        let mut session = None;
        let mut processed = Vec::new();
        for RequestedAction { action_type, action_parameters } in actions {
            let parameters = serde_json::from_value(action_parameters).ok();
            let known = action_type == ACTION_SESSION_TYPE && parameters.is_some();
            if known {
                session = parameters;
            } else {
                self.refuse(&action_type);
            }
            processed.push(ProcessedAction {
                action_type,
                action_status: if known { ACTION_SUCCESS } else { ACTION_UNSUPPORTED },
                action_result: serde_json::Value::Null,
                error: if known { String::new() } else { "not supported by this client".into() },
            });
        }
        let response = HandshakeResponse {
            client_version: self.config.client_version.clone(),
            processed_client_actions: processed,
            errors: None,
        };
        (response, session)
    }

    fn on_complete(&mut self, payload: &[u8], now: Duration) {
        let Stage::Answered { agent_version, session } = &self.stage else { return };
        let complete = HandshakeComplete::from_payload(payload);
        self.notices.push_back(ClientEvent::Started {
            session_type: session.session_type.clone(),
            properties: session.properties.clone(),
            agent_version: agent_version.clone(),
            customer_message: complete.map(|c| c.customer_message).unwrap_or_default(),
        });
        self.stage = Stage::Started;
        self.send_size(now);
        self.write_again(now);
    }

    fn on_data(&mut self, kind: PayloadType, payload: Vec<u8>, now: Duration) {
        self.settle();
        if matches!(self.stage, Stage::New) && kind == PayloadType::Output {
            // An official agent starts plain shells without a handshake.
            self.notices.push_back(ClientEvent::Started {
                session_type: "Standard_Stream".into(),
                properties: serde_json::Value::Null,
                agent_version: String::new(),
                customer_message: String::new(),
            });
            self.stage = Stage::Started;
            self.send_size(now);
        }
        let event = match kind {
            PayloadType::Output if !payload.is_empty() => ClientEvent::Output(payload),
            PayloadType::StdErr if !payload.is_empty() => ClientEvent::Stderr(payload),
            PayloadType::ExitCode => match exit_code(&payload) {
                Some(code) => ClientEvent::ExitCode(code),
                None => return,
            },
            PayloadType::Flag => match Flag::from_payload(&payload) {
                Ok(flag) => ClientEvent::Flag(flag),
                Err(_) => return,
            },
            _ => return,
        };
        self.notices.push_back(event);
    }

    /// The next thing to put on the websocket. To be called until it returns nothing.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Transmit> {
        if self.half.attached
            && let Some(opening) = self.opening.take()
        {
            return Some(Transmit::Text(opening));
        }
        self.settle_in_time(now);
        self.send_size(now);
        self.write_again(now);
        self.half.poll_transmit(now)
    }

    /// When `poll_transmit` wants to be called next, because something is to be repeated, or
    /// `write`, because input that had no room has some then.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let room = match &self.unshaken {
            Unshaken::Early(early) if early.bytes.len() >= EARLY_BYTES => Some(early.until),
            _ => None,
        };
        [self.half.repeat_at(), room].into_iter().flatten().min()
    }

    /// Whether all input was acknowledged.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.half.sender.is_empty() && self.again.is_empty()
    }

    /// Payload bytes kept for both directions; bounded by the constants of this module.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let early = match &self.unshaken {
            Unshaken::Early(early) => early.bytes.len(),
            Unshaken::No | Unshaken::Settled { .. } => 0,
        };
        self.half.bytes() + early + self.again.len()
    }
}

/// Reads `EXIT_CODE: <number>`.
fn exit_code(payload: &[u8]) -> Option<i32> {
    core::str::from_utf8(payload).ok()?.trim().strip_prefix("EXIT_CODE:")?.trim().parse().ok()
}
