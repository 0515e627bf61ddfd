//! The task that carries one session: the channel's state machine between the agent's websockets
//! and the session.
//!
//! Data flow: agent -> websocket -> `ClientChannel` -> [`Output`] -> session; session -> `Told` ->
//! `ClientChannel` -> websocket -> agent.
//!
//! # Invariants
//! - The task outlives websockets: the agent comes back with another one, and both ends repeat what
//!   was not acknowledged.
//! - A session on a terminal is opened when the agent says that it is connected: its program may
//!   wait for a key in silence. Others are opened when the agent has shaken hands.
//! - A session is over when the agent has said so and its output was taken, or when the gateway
//!   ends it.
//! - Reading never waits for writing: both ends may have much to say. It waits for room: what the
//!   agent sends beyond it stays on the websocket, and the agent's program waits.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use towline_host::entropy;
use towline_ssm::channel::{ClientChannel, ClientConfig, ClientEvent, Transmit};
use towline_ssm::clock::format_iso8601;
use towline_ssm::message::payload::{ChannelClosed, Flag, JsonPayload as _};
use towline_ssm::message::{AgentMessage, FLAGS_FIN, FLAGS_SYN, MessageType, PayloadType};
use towline_ssm::vendor::control::TaskComplete;
use towline_wire::lane::Lane;
use towline_wire::message::ExitStatus;

use super::agents::{VendorAgents, message_id};
use super::output::Output;
use super::session::{Kind, Told, VendorSession};
use crate::limits::{
    AWS_FIRST_MESSAGE, VENDOR_END_MOST, VENDOR_END_WAIT, VENDOR_INPUT, VENDOR_LOST_WAIT,
    VENDOR_SIGNALS, VENDOR_SILENCE, VENDOR_STALLED,
};
use crate::plane::{EndReason, StartError};

/// The bytes that an official client sends for these signals; the agent knows no others.
const KEYS: [(u8, u8); 3] = [(2, 0x03), (3, 0x1c), (20, 0x1a)];
/// What the agent puts between its words and an error, with dashes around it.
const ERROR_MARK: &str = "ERROR";
/// What stands for every other signal.
const INTERRUPT: u8 = 0x03;
/// What ends the input of a terminal: Ctrl-D.
const END_OF_FILE: u8 = 0x04;
/// What stands for an exit code that the agent sends behind the output, and which did not come.
const NOT_WHOLE: &str = "ended: amazon-ssm-agent left before all output was sent, as it does 2 \
                         seconds \
                         after the end of a program: the rest of the output and the exit code are \
                         lost";
/// The version that this gateway has as a client: new enough for ports with many connections.
const CLIENT_VERSION: &str = "1.2.677.0";

type Sink = SplitSink<WebSocket, Message>;
type Stream = SplitStream<WebSocket>;

/// Payload of `agent_session_state`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SessionState {
    session_state: String,
}

/// Carries a session until it is over.
pub(super) async fn carry(
    agents: Arc<VendorAgents>,
    session: Arc<VendorSession>,
    arrivals: mpsc::Receiver<WebSocket>,
) {
    let mut carrier = Carrier::new(Arc::clone(&agents), Arc::clone(&session));
    carrier.run(arrivals).await;
    agents.registry.remove(&session);
}

/// How far the end is.
#[derive(Default)]
struct Ending {
    /// The agent said on the data channel that it ends.
    terminating: bool,
    /// What it said on the control channel.
    completed: Option<TaskComplete>,
    exit: Option<i32>,
    /// From when on it is over whatever is missing.
    at: Option<Instant>,
    /// How long it may be put off in all, as far as that is not used up.
    left: Option<Duration>,
    /// The session was told.
    told: bool,
}

impl Ending {
    /// A message came: what is missing may follow it. The agent alone cannot put it off for ever.
    fn put_off(&mut self) {
        let now = Instant::now();
        if let Some(at) = self.at {
            let left = self.left.get_or_insert(VENDOR_END_MOST);
            let longer = (now + VENDOR_END_WAIT).saturating_duration_since(at).min(*left);
            *left -= longer;
            self.at = Some(at + longer);
        }
    }

    /// The client takes no output, so nothing can come.
    fn hold(&mut self) {
        if self.at.is_some() {
            self.at = Some(Instant::now() + VENDOR_END_WAIT);
        }
    }
}

struct Carrier {
    agents: Arc<VendorAgents>,
    own: Arc<VendorSession>,
    channel: ClientChannel,
    output: Output,
    /// Input that went into the channel.
    taken: u64,
    opened: bool,
    /// The agent has no websocket, since then.
    apart: Option<Instant>,
    /// The session waits for the device.
    lost: bool,
    ending: Ending,
}

impl Carrier {
    fn new(agents: Arc<VendorAgents>, own: Arc<VendorSession>) -> Self {
        let config = ClientConfig {
            client_version: CLIENT_VERSION.into(),
            client_id: entropy::uuid().unwrap_or_default(),
            seed: entropy::random().unwrap_or_default(),
        };
        let output = Output::new(own.separate);
        Self {
            agents,
            own,
            channel: ClientChannel::new(config),
            output,
            taken: 0,
            opened: false,
            apart: None,
            lost: false,
            ending: Ending::default(),
        }
    }

    async fn run(&mut self, mut arrivals: mpsc::Receiver<WebSocket>) {
        let (mut sink, mut stream): (Option<Sink>, Option<Stream>) = (None, None);
        let (mut heard, mut unflushed) = (Instant::now(), false);
        loop {
            if self.step() {
                if let (Some(mut sink), Some(mut stream)) = (sink, stream) {
                    self.part(&mut sink, &mut stream).await;
                }
                return;
            }
            let mut lost = false;
            if let Some(sink) = sink.as_mut().filter(|_| !unflushed) {
                match self.feed(sink).await {
                    Some(fed) => unflushed = fed,
                    None => lost = true,
                }
            }
            let full = self.channel.is_full();
            if full {
                heard = Instant::now();
                self.ending.hold();
            }
            let wake = self.wake(heard, sink.is_some());
            tokio::select! {
                message = next(&mut stream), if !lost && !full => match message {
                    Some(Ok(message)) => {
                        heard = Instant::now();
                        self.hear(message);
                    }
                    Some(Err(_)) | None => lost = true,
                },
                flushed = flush(&mut sink), if unflushed && !lost => {
                    unflushed = false;
                    lost = !flushed;
                }
                Some(fresh) = arrivals.recv(), if !lost => {
                    let (fresh_sink, fresh_stream) = fresh.split();
                    (sink, stream) = (Some(fresh_sink), Some(fresh_stream));
                    (heard, unflushed) = (Instant::now(), false);
                    self.socket_up();
                }
                () = self.own.ready.notified(), if !lost => {}
                () = tokio::time::sleep_until(wake), if !lost => {
                    lost = sink.is_some() && !full && heard.elapsed() >= VENDOR_SILENCE;
                }
                () = std::future::ready(()), if lost => {}
            }
            if lost {
                (sink, stream, unflushed) = (None, None, false);
                self.socket_lost();
            }
        }
    }

    /// When something is due.
    fn wake(&self, heard: Instant, attached: bool) -> Instant {
        let now = Instant::now();
        let mut wake = now + VENDOR_SILENCE;
        if attached {
            wake = wake.min(heard + VENDOR_SILENCE);
            if let Some(at) = self.channel.next_timeout() {
                wake = wake.min(now + at.saturating_sub(self.agents.time()));
            }
        }
        if let Some(at) = self.ending.at.filter(|_| !self.ending.told) {
            wake = wake.min(at);
        }
        if let Some(at) = self.lost_at() {
            wake = wake.min(at);
        }
        wake.max(now)
    }

    fn socket_up(&mut self) {
        self.channel.attach_agent();
        self.apart = None;
        if std::mem::take(&mut self.lost) {
            let end = Arc::clone(&self.own);
            self.own.session.device_up(end);
        }
    }

    fn socket_lost(&mut self) {
        self.channel.detach();
        self.apart.get_or_insert_with(Instant::now);
    }

    /// When the session is to be told that its device is away: an agent that ends without a word on
    /// the data channel says so on the other one a moment later.
    fn lost_at(&self) -> Option<Instant> {
        let waits = self.opened && !self.lost && !self.ending.terminating && !self.ending.told;
        self.apart.filter(|_| waits).map(|apart| apart + VENDOR_LOST_WAIT)
    }

    fn lose(&mut self) {
        if self.lost_at().is_some_and(|at| Instant::now() >= at) {
            self.lost = true;
            self.output.detach();
            self.own.session.device_lost(crate::sessions::DeviceEnd::connection(&*self.own));
        }
    }

    /// Moves everything that can be moved. True: the session is over.
    fn step(&mut self) -> bool {
        let told = self.own.told(|told| {
            let input = std::mem::take(&mut told.input);
            Told { input, ..std::mem::take(told) }
        });
        if self.own.is_ending() || self.is_gone() {
            return true;
        }
        self.follow(told);
        self.events();
        self.settle();
        self.lose();
        self.output.flow(&self.own.session);
        false
    }

    /// The session ended while no connection of the device carried it.
    fn is_gone(&self) -> bool {
        let held = self.agents.parts.hub.session(self.own.name());
        !held.is_some_and(|held| Arc::ptr_eq(&held, &self.own.session))
    }

    /// Does what the session told.
    fn follow(&mut self, mut told: Told) {
        let now = self.agents.time();
        if let Some(complete) = told.completed.take() {
            self.ending.completed = Some(complete);
        }
        if let Some(attach) = told.attach.take() {
            match self.output.attach(&attach) {
                Ok(from) => {
                    self.own.session.attached(attach.number, from, self.taken, VENDOR_INPUT);
                }
                Err(violation) => {
                    self.end(EndReason::Violation, &violation.to_string());
                    return;
                }
            }
        }
        if told.detach {
            self.output.detach();
        }
        for lane in Lane::ALL {
            if let Some((acked, limit)) = told.credit[lane]
                && let Err(violation) = self.output.credit(lane, acked, limit)
            {
                tracing::warn!(session = self.own.name(), %violation, "a client's credit");
            }
        }
        if let Some(size) = told.size.filter(|_| self.own.kind != Kind::Command) {
            self.channel.set_size(size, now);
        }
        self.signals(&mut told, now);
        self.input(told, now);
    }

    /// Passes signals on as keys; those that find no room wait, as input does.
    fn signals(&mut self, told: &mut Told, now: Duration) {
        while let Some(signal) = told.signals.front() {
            let key = KEYS.iter().find(|(number, _)| number == signal);
            if self.channel.write(&[key.map_or(INTERRUPT, |(_, key)| *key)], now) == 0 {
                break;
            }
            told.signals.pop_front();
        }
        if !told.signals.is_empty() {
            let waiting = std::mem::take(&mut told.signals);
            self.own.told(|told| {
                let fresh = std::mem::replace(&mut told.signals, waiting);
                told.signals.extend(fresh);
                told.signals.truncate(VENDOR_SIGNALS);
            });
        }
    }

    /// Passes input on; what finds no room goes back in front of what came meanwhile.
    fn input(&mut self, mut told: Told, now: Duration) {
        if told.input.is_empty() {
            return;
        }
        if self.own.kind == Kind::Command {
            // A client that took the session for a terminal's ends its input so: there is none to
            // end.
            if told.input.iter().all(|byte| *byte == END_OF_FILE) {
                return;
            }
            let text = "ended: amazon-ssm-agent passes no input to a command without a terminal; \
                        give it none (`</dev/null`), or use a shell";
            self.end(EndReason::Terminated, text);
            return;
        }
        let taken = self.channel.write(told.input.make_contiguous(), now);
        told.input.drain(..taken);
        if !told.input.is_empty() {
            let rest = told.input;
            self.own.told(|told| {
                for byte in rest.into_iter().rev() {
                    told.input.push_front(byte);
                }
            });
        }
        if taken > 0 {
            self.taken += taken as u64;
            self.own.session.input_credit(self.taken, self.taken + u64::from(VENDOR_INPUT));
        }
    }

    fn events(&mut self) {
        let now = self.agents.time();
        while self.output.has_room()
            && let Some(event) = self.channel.poll_event(now)
        {
            match event {
                ClientEvent::Started { .. } => self.open(),
                ClientEvent::Output(bytes) => self.output.push(Lane::Io, &bytes),
                ClientEvent::Stderr(bytes) => self.output.push(Lane::Err, &bytes),
                ClientEvent::ExitCode(code) => self.ending.exit = Some(code),
                ClientEvent::Flag(Flag::ConnectToPortError) => {
                    self.own.session.not_connected("the device could not connect to the port");
                }
                ClientEvent::Flag(_) => {}
                ClientEvent::Unsupported(what) => {
                    let text = format!("the device asks for {what:?}, which is not served here");
                    self.end(EndReason::NotOpened, &text);
                }
                ClientEvent::Closed(_) => self.ending.terminating = true,
            }
        }
    }

    fn open(&mut self) {
        if !std::mem::replace(&mut self.opened, true) {
            self.own.session.opened();
        }
    }

    fn end(&self, reason: EndReason, text: &str) {
        let session = &self.own.session;
        if !self.opened && session.not_opened(StartError::Refused { why: text.to_owned() }) {
            return;
        }
        self.agents.parts.hub.end(session, reason, text);
    }

    /// Tells the session that it is over, once everything that belongs to the end has come.
    fn settle(&mut self) {
        let ending = &mut self.ending;
        let begun = ending.terminating || ending.completed.is_some();
        if ending.told || !begun {
            return;
        }
        let at = *ending.at.get_or_insert_with(|| Instant::now() + VENDOR_END_WAIT);
        let known = ending.exit.is_some() || ending.completed.is_some();
        let hung_up = ending.terminating || self.apart.is_some();
        if !(hung_up && known) && Instant::now() < at || !self.output.has_room() {
            return;
        }
        ending.told = true;
        let (exit, completed) = (ending.exit, ending.completed.take());
        let failed = completed.filter(|how| exit.is_none() && how.final_task_status == "Failed");
        if let Some(how) = failed {
            let why = how.output.trim_start_matches([' ', '-']).trim_start_matches(ERROR_MARK);
            let text =
                format!("the device could not run it: {}", why.trim_start_matches([' ', '-']));
            self.end(EndReason::NotOpened, &text);
            return;
        }
        self.open();
        if self.own.tells_exit && exit.is_none() {
            self.end(EndReason::Terminated, NOT_WHOLE);
            return;
        }
        self.output.finish();
        let status = ExitStatus::Code(exit.map_or(0, |code| u8::try_from(code).unwrap_or(u8::MAX)));
        if let Some(reason) = self.own.session.exited(status) {
            self.agents.parts.hub.end_for(&self.own.session, reason);
        }
    }

    fn hear(&mut self, message: Message) {
        let now = self.agents.time();
        let Message::Binary(frame) = message else { return };
        // A frame with a wrong digest is none: the agent repeats what it numbers.
        let heard = AgentMessage::decode(&frame).and_then(|message| {
            if message.message_type != MessageType::AgentSessionState {
                return self.channel.on_frame(&frame, now);
            }
            let message = AgentMessage::decode_checked(&frame)?;
            self.state(&message.payload, now);
            Ok(())
        });
        match heard {
            Ok(()) => self.ending.put_off(),
            Err(error) => tracing::debug!(session = self.own.name(), %error, "no message"),
        }
    }

    fn state(&mut self, payload: &[u8], now: Duration) {
        let state = serde_json::from_slice::<SessionState>(payload);
        match state.as_ref().map(|state| state.session_state.as_str()) {
            Ok("Connected") if matches!(self.own.kind, Kind::Shell | Kind::Interactive) => {
                self.channel.begin_without_handshake(now);
                self.open();
            }
            Ok("Terminating") => self.ending.terminating = true,
            _ => {}
        }
    }

    /// Puts what is due onto the websocket, whose buffer is empty: whether that was anything.
    /// `None`: the websocket is lost.
    async fn feed(&mut self, sink: &mut Sink) -> Option<bool> {
        let mut fed = false;
        while let Some(transmit) = self.channel.poll_transmit(self.agents.time()) {
            let message = match transmit {
                Transmit::Text(text) => Message::Text(text.into()),
                Transmit::Binary(bytes) => Message::Binary(bytes.into()),
                Transmit::Ping(content) => Message::Ping(content.into()),
            };
            if !in_time(sink.feed(message)).await {
                return None;
            }
            fed = true;
        }
        Some(fed)
    }

    /// Tells the agent that the session is over, and waits a moment until it has hung up.
    async fn part(&self, sink: &mut Sink, stream: &mut Stream) {
        let closed = closed(&self.own.device, self.own.name(), self.agents.time());
        if in_time(sink.send(closed)).await {
            let gone = async { while let Some(Ok(_)) = stream.next().await {} };
            let _ = tokio::time::timeout(VENDOR_END_WAIT, gone).await;
        }
    }
}

async fn in_time<E>(sending: impl Future<Output = Result<(), E>>) -> bool {
    matches!(tokio::time::timeout(VENDOR_STALLED, sending).await, Ok(Ok(())))
}

/// The next message; without a websocket there is none, ever.
async fn next(stream: &mut Option<Stream>) -> Option<Result<Message, axum::Error>> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

/// Whether everything was written in time.
async fn flush(sink: &mut Option<Sink>) -> bool {
    match sink {
        Some(sink) => in_time(sink.flush()).await,
        None => std::future::pending().await,
    }
}

/// The message that ends a session on the device.
fn closed(device: &str, session: &str, now: Duration) -> Message {
    let id = message_id();
    let payload = ChannelClosed {
        message_type: MessageType::ChannelClosed.as_str().to_owned(),
        message_id: id.to_string(),
        created_date: format_iso8601(i64::try_from(now.as_secs()).unwrap_or(i64::MAX)),
        destination_id: device.to_owned(),
        session_id: session.to_owned(),
        schema_version: 1,
        output: String::new(),
    };
    let message = AgentMessage {
        message_type: MessageType::ChannelClosed,
        created: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        sequence: 0,
        flags: FLAGS_SYN | FLAGS_FIN,
        id,
        payload_type: PayloadType::None,
        payload: payload.to_payload(),
    };
    Message::Binary(message.encode().into())
}

/// Tells an agent on its websocket that a session is over.
pub(super) async fn say_closed(socket: &mut WebSocket, device: &str, session: &str, now: Duration) {
    let said = async {
        socket.send(closed(device, session, now)).await?;
        while let Some(Ok(_)) = socket.next().await {}
        Ok::<(), axum::Error>(())
    };
    let _ = tokio::time::timeout(AWS_FIRST_MESSAGE, said).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Seconds until the end of an agent that has said that it ends, and says something each
    /// second; the client takes nothing for so many of them.
    async fn ends_after(held: u64) -> u64 {
        let mut ending = Ending { at: Some(Instant::now() + VENDOR_END_WAIT), ..Ending::default() };
        let mut seconds = 0;
        while ending.at.is_some_and(|at| Instant::now() < at) {
            tokio::time::advance(SECOND).await;
            seconds += 1;
            if seconds <= held { ending.hold() } else { ending.put_off() }
        }
        seconds
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_goes_on_talking_after_its_end_puts_it_off_for_a_minute() {
        let most = (VENDOR_END_WAIT + VENDOR_END_MOST).as_secs();
        assert_eq!(ends_after(0).await, most);
        assert_eq!(ends_after(600).await, 600 + most, "a slow client's time counts");
    }
}
