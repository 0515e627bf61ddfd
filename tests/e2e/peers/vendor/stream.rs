//! The agent's end of a data channel: numbered messages of at most 1,024 bytes, sent again until
//! they are acknowledged; over one websocket after the other.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use towline_ssm::message::{AgentMessage, MessageId, MessageIds, MessageType, PayloadType};
use towline_testkit::{Outcome, eventually};
use tungstenite::Message;

use super::{Socket, VendorAgent, token_of};

/// The agent's resend timer, as it begins.
const RESEND: Duration = Duration::from_millis(200);
/// How long it tries to come back.
const RECONNECT: Duration = Duration::from_secs(5);
/// Bytes of a message.
const MOST: usize = 1024;
/// How long one look for a message waits.
pub(crate) const LOOK: Duration = Duration::from_millis(3);

/// One data channel.
pub(crate) struct Stream {
    agent: Arc<VendorAgent>,
    session: String,
    socket: Option<Socket>,
    ids: MessageIds,
    next: i64,
    sent: u32,
    unacknowledged: VecDeque<(i64, Instant, Vec<u8>)>,
    expected: i64,
    held: BTreeMap<i64, (PayloadType, Vec<u8>)>,
    /// The gateway has ended the session.
    pub(crate) closed: bool,
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(1)
}

/// One message as a frame.
pub(crate) fn frame(
    ids: &mut MessageIds,
    message_type: MessageType,
    place: (i64, u64),
    what: (PayloadType, &[u8]),
) -> Vec<u8> {
    frame_of(ids.next_id(), message_type, place, what)
}

/// The same with this id.
pub(crate) fn frame_of(
    id: MessageId,
    message_type: MessageType,
    (sequence, flags): (i64, u64),
    (payload_type, payload): (PayloadType, &[u8]),
) -> Vec<u8> {
    AgentMessage {
        message_type,
        created: now(),
        sequence,
        flags,
        id,
        payload_type,
        payload: payload.to_vec(),
    }
    .encode()
}

/// Reads a message, if one comes soon; `Err`: the socket is lost.
pub(crate) fn look(socket: &mut Socket) -> Result<Option<Message>, ()> {
    match socket.read() {
        Ok(Message::Close(_)) => Err(()),
        Ok(message) => Ok(Some(message)),
        Err(tungstenite::Error::Io(error))
            if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
        {
            Ok(None)
        }
        Err(_) => Err(()),
    }
}

impl Stream {
    /// Opens the data channel of a session.
    pub(crate) fn open(agent: &Arc<VendorAgent>, session: &str) -> Outcome<Self> {
        let mut seed = [7; 16];
        for (place, byte) in seed.iter_mut().zip(session.bytes().rev()) {
            *place = byte;
        }
        let mut stream = Self {
            agent: Arc::clone(agent),
            session: session.to_owned(),
            socket: None,
            ids: MessageIds::new(seed),
            next: 0,
            sent: 0,
            unacknowledged: VecDeque::new(),
            expected: 0,
            held: BTreeMap::new(),
            closed: false,
        };
        stream.connect()?;
        Ok(stream)
    }

    fn connect(&mut self) -> Outcome {
        let path = format!("/v1/data-channel/{}", self.session);
        let request = self.ids.next_id().to_string();
        let body = json!({ "MessageSchemaVersion": "1.0", "RequestId": request, "ClientId": "" });
        let token = token_of(&self.agent.ask_channel(&path, &body)?)?;
        let mut socket = self.agent.upgrade(&path, "role=publish_subscribe")?;
        let opening = json!({
            "MessageSchemaVersion": "1.0", "RequestId": request, "TokenValue": token,
            "ClientInstanceId": self.agent.id(), "ClientId": "",
        });
        socket.send(Message::text(opening.to_string()))?;
        socket.get_ref().sock.set_read_timeout(Some(LOOK))?;
        self.socket = Some(socket);
        self.state("Connected");
        for (_, at, _) in &mut self.unacknowledged {
            *at = Instant::now() - RESEND;
        }
        Ok(())
    }

    /// `agent_session_state`.
    pub(crate) fn state(&mut self, state: &str) {
        let payload: Value =
            json!({ "SchemaVersion": 1, "SessionState": state, "SessionId": self.session });
        let payload = payload.to_string();
        let kind = MessageType::AgentSessionState;
        let bytes = frame(&mut self.ids, kind, (0, 3), (PayloadType::None, payload.as_bytes()));
        self.put(bytes);
    }

    fn put(&mut self, bytes: Vec<u8>) {
        if let Some(socket) = &mut self.socket
            && socket.send(Message::binary(bytes)).is_err()
        {
            self.socket = None;
        }
    }

    /// Puts one frame of the numbered stream onto the wire, or loses it, or doubles it.
    fn put_numbered(&mut self, bytes: &[u8]) {
        self.sent += 1;
        let due = |every: u32| every > 0 && self.sent.is_multiple_of(every);
        let lost = due(self.agent.faults.lose.load(Ordering::Relaxed));
        let doubled = due(self.agent.faults.double.load(Ordering::Relaxed));
        if due(self.agent.faults.false_frames.load(Ordering::Relaxed)) {
            for frame in self.false_frames(bytes) {
                self.put(frame);
            }
        }
        if !lost {
            self.put(bytes.to_vec());
        }
        if doubled {
            self.put(bytes.to_vec());
        }
    }

    /// What goes beside a message of an agent that does not keep to the protocol: the same with
    /// another digest, cut and too long; numbers far ahead and below zero; an end with a wrong
    /// digest; acknowledgements of what was never sent, and one that cannot be read.
    fn false_frames(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut spoilt = bytes.to_vec();
        if let Some(last) = spoilt.last_mut() {
            *last ^= 0x55;
        }
        let cut = bytes[..bytes.len() - 1].to_vec();
        let long = [bytes, b"x"].concat();
        let ids = &mut self.ids;
        let mut numbered = |number: i64| {
            let what = (PayloadType::Output, &b"never to be seen"[..]);
            frame(ids, MessageType::OutputStreamData, (number, 0), what)
        };
        let numbered = [self.next + 1_000_000, -1, i64::MAX, i64::MIN].map(&mut numbered);
        let mut acknowledged = |number: &str| {
            let ack = format!(
                r#"{{"AcknowledgedMessageType":"input_stream_data","AcknowledgedMessageId":
                "00000000-0000-4000-8000-000000000000","AcknowledgedMessageSequenceNumber":{number},
                "IsSequentialMessage":true}}"#
            );
            let what = (PayloadType::None, ack.as_bytes());
            frame(ids, MessageType::Acknowledge, (0, 3), what)
        };
        let acknowledgements =
            ["99999999", "-7", "9223372036854775807", "-9223372036854775808", "{"]
                .map(&mut acknowledged);
        let state = br#"{"SchemaVersion":1,"SessionState":"Terminating","SessionId":"x"} "#;
        let kind = MessageType::AgentSessionState;
        let mut ended = frame(&mut self.ids, kind, (0, 3), (PayloadType::None, state));
        if let Some(last) = ended.last_mut() {
            *last = b'\n'; // the same JSON, with a digest that is wrong
        }
        [spoilt, cut, long, ended].into_iter().chain(numbered).chain(acknowledgements).collect()
    }

    /// Sends a payload, in messages.
    pub(crate) fn send(&mut self, kind: PayloadType, payload: &[u8]) {
        let most = match self.agent.faults.piece.load(Ordering::Relaxed) {
            0 => MOST,
            bytes => bytes as usize,
        };
        for piece in payload.chunks(most) {
            let place = (self.next, u64::from(self.next == 0));
            let bytes = frame(&mut self.ids, MessageType::OutputStreamData, place, (kind, piece));
            self.put_numbered(&bytes);
            self.unacknowledged.push_back((self.next, Instant::now(), bytes));
            self.next += 1;
        }
    }

    /// Whether more may be sent: the real agent sends one message a millisecond, into a buffer of
    /// 10,000.
    pub(crate) fn has_room(&self) -> bool {
        self.is_hurried() || self.unacknowledged.len() < 500
    }

    pub(crate) fn is_hurried(&self) -> bool {
        self.agent.faults.hurried.load(Ordering::Relaxed)
    }

    pub(crate) fn leaves_without_exit_code(&self) -> bool {
        self.agent.faults.no_exit_code.load(Ordering::Relaxed)
    }

    /// Says something to the test.
    pub(crate) fn note(&self, what: &str) {
        self.agent.note(what);
    }

    /// Whether everything was acknowledged.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.unacknowledged.is_empty()
    }

    /// Looks for messages, repeats what is due, comes back if the socket is lost. What came in
    /// order.
    pub(crate) fn turn(&mut self) -> Outcome<Vec<(PayloadType, Vec<u8>)>> {
        if self.socket.is_none() && !self.closed {
            self.agent.note(format!("data channel of {} lost", self.session));
            let stopped = Arc::clone(&self.agent);
            eventually("the data channel is there again", RECONNECT, || {
                (self.connect().is_ok() || stopped.is_stopped()).then_some(())
            })?;
        }
        let mut came = Vec::new();
        for _ in 0..32 {
            match self.socket.as_mut().map(look) {
                Some(Ok(Some(Message::Binary(bytes)))) => self.take(&bytes, &mut came)?,
                Some(Err(())) => self.socket = None,
                _ => break,
            }
        }
        let (among, together) = if self.is_hurried() { (1, 1) } else { (usize::MAX, 8) };
        let late: Vec<Vec<u8>> = self
            .unacknowledged
            .iter_mut()
            .take(among)
            .filter(|(_, at, _)| at.elapsed() >= RESEND)
            .take(together)
            .map(|(_, at, bytes)| {
                *at = Instant::now();
                bytes.clone()
            })
            .collect();
        for bytes in late {
            self.put_numbered(&bytes);
        }
        Ok(came)
    }

    fn take(&mut self, bytes: &[u8], came: &mut Vec<(PayloadType, Vec<u8>)>) -> Outcome {
        let message = AgentMessage::decode_checked(bytes)?;
        match message.message_type {
            MessageType::Acknowledge => {
                let ack: Value = serde_json::from_slice(&message.payload)?;
                let number = ack["AcknowledgedMessageSequenceNumber"].as_i64();
                self.unacknowledged.retain(|(sequence, ..)| Some(*sequence) != number);
            }
            MessageType::InputStreamData => {
                let silent = self.agent.faults.no_acknowledgements.load(Ordering::Relaxed);
                let ack = json!({
                    "AcknowledgedMessageType": "input_stream_data",
                    "AcknowledgedMessageId": message.id.to_string(),
                    "AcknowledgedMessageSequenceNumber": message.sequence,
                    "IsSequentialMessage": true,
                });
                let ack = ack.to_string();
                let kind = MessageType::Acknowledge;
                let bytes = frame(&mut self.ids, kind, (0, 3), (PayloadType::None, ack.as_bytes()));
                if !silent {
                    self.put(bytes);
                }
                if message.sequence >= self.expected {
                    self.held.insert(message.sequence, (message.payload_type, message.payload));
                }
                while let Some(next) = self.held.remove(&self.expected) {
                    self.expected += 1;
                    came.push(next);
                }
            }
            MessageType::ChannelClosed => self.closed = true,
            _ => {}
        }
        Ok(())
    }
}
