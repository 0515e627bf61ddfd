//! Gateways that speak the dialect of AWS only: a translator between them and the rest of this
//! program, which knows our own.
//!
//! Data flow out: frames of [`Streams`](super::streams::Streams) -> [`Aws::take_local`] ->
//! `ClientChannel` -> [`Aws::next_message`] -> websocket. Data flow in: websocket ->
//! [`Aws::take_message`] -> [`Aws::next_frame`], as frames again. To the rest this is a gateway: it
//! answers the attach, gives credit, and says the last word after the last byte was taken.
//!
//! # Invariants
//! - Output waits in at most [`AWS_WINDOW`] and what the channel bounds; what finds no room is not
//!   acknowledged to the gateway.
//! - Bytes come once and in order over any number of websockets: the channel numbers its messages.
//!
//! # Not here
//! - No KMS encryption, no ports of agents older than smux. Both end the session with a message.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use tokio_tungstenite::tungstenite::Message;
use towline_ssm::channel::{ClientChannel, ClientConfig, ClientEvent, Transmit};
use towline_ssm::message::MessageIds;
use towline_ssm::message::payload::{Flag, Size as Cells};
use towline_wire::client::{ERR, FromClient, IO, ToClient};
use towline_wire::frame::{Frame, MAX_DATA, StreamId};
use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::{EndReason, ExitStatus, Size, decode, encode};
use towline_wire::mux::{Incoming, Mux};
use towline_wire::stream::{Receiver, Sender};

use super::streams::Broken;
use crate::limits::{AWS_ASSUMED_SIZE, AWS_INPUT_WINDOW, AWS_WINDOW};
use crate::terminal::printable;

/// What we say to be: agents choose their ways by it.
pub(crate) const CLIENT_VERSION: &str = "1.2.835.0";
/// From this agent on ports are smux without keep-alive; before it they are something else.
const MULTIPLEXED: [u32; 4] = [3, 1, 1511, 1];
/// Signals as the bytes that stand for them in this dialect; for any other the first is the
/// nearest.
const SIGNALS: [(u8, u8); 3] = [(2, 0x03), (3, 0x1c), (20, 0x1a)];

/// What a session is to its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Not told yet.
    Unknown,
    /// A terminal or a command.
    Shell,
    /// Connections, in smux.
    Ports,
    /// One connection.
    Raw,
}

/// The translator between the two dialects.
pub(super) struct Aws {
    channel: ClientChannel,
    /// Our side towards the rest of this program: it sends output and takes input.
    mux: Mux,
    at_start: Duration,
    start: Instant,
    kind: Kind,
    sized: bool,
    /// Output that the rest has no room for yet.
    held: Option<(StreamId, Vec<u8>)>,
    /// Input that the channel has not taken yet.
    input: VecDeque<u8>,
    input_over: bool,
    exit: Option<i32>,
    /// The last word of the gateway.
    closed: Option<String>,
    told: bool,
    /// The gateway is to be told by its API that the session ends.
    terminate: bool,
}

impl Aws {
    /// Before the first websocket.
    pub(super) fn new() -> Self {
        let mut seed = [0; 16];
        // Without randomness message ids repeat those of another session, which nobody compares.
        let _ = SystemRandom::new().fill(&mut seed);
        let client_id = MessageIds::new(seed).next_id().to_string();
        let config = ClientConfig { client_version: CLIENT_VERSION.into(), client_id, seed };
        let mut mux = Mux::new(2, 4 * AWS_WINDOW);
        for id in [IO, ERR] {
            // Two streams in a new mux of two: there is room, and the numbers differ.
            let _ = mux.add(id, Sender::new(AWS_WINDOW), Receiver::new(AWS_INPUT_WINDOW));
        }
        Self {
            channel: ClientChannel::new(config),
            mux,
            at_start: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            start: Instant::now(),
            kind: Kind::Unknown,
            sized: false,
            held: None,
            input: VecDeque::new(),
            input_over: false,
            exit: None,
            closed: None,
            told: false,
            terminate: false,
        }
    }

    fn now(&self) -> Duration {
        self.at_start + self.start.elapsed()
    }

    /// The websocket is gone.
    pub(super) fn link_lost(&mut self) {
        self.channel.detach();
        self.mux.link_lost();
    }

    /// A frame of the rest of this program.
    pub(super) fn take_local(&mut self, frame: &[u8]) -> Result<(), Broken> {
        match self
            .mux
            .on_frame(Frame::decode(frame)?)
            .map_err(|(id, violation)| Broken::Stream(id, violation))?
        {
            Incoming::Control(body) => {
                let message = decode(body)?;
                self.on_control(message)?;
            }
            Incoming::Data(_, data) => self.input.extend(data),
            Incoming::End(_) => self.input_over = true,
            Incoming::Credit(_) | Incoming::Ping(_) | Incoming::Pong | Incoming::Nothing => {}
        }
        self.pump()
    }

    fn on_control(&mut self, message: FromClient) -> Result<(), Broken> {
        match message {
            FromClient::Attach { token, received, room, size } => {
                self.channel.attach(&token);
                self.resize(size.or((!self.sized).then_some(AWS_ASSUMED_SIZE)));
                let mut output = Lanes::default();
                for (lane, id) in [(Lane::Io, IO), (Lane::Err, ERR)] {
                    if let Some((stream, budget)) = self.mux.stream(id) {
                        let from = received.map(|received| received[lane]);
                        output[lane] = stream
                            .tx
                            .attach(from, room[lane], budget)
                            .map_err(|why| Broken::Stream(id, why))?;
                    }
                }
                let (input, room) =
                    self.mux.ends(IO).map_or((0, 0), |(_, rx)| (rx.received(), rx.room()));
                self.say(&ToClient::Attached { output, input, room })
            }
            FromClient::Resize(size) => {
                self.resize(Some(size));
                Ok(())
            }
            FromClient::Signal(number) => {
                let byte = SIGNALS
                    .iter()
                    .find(|(signal, _)| *signal == number)
                    .map_or(SIGNALS[0].1, |(_, byte)| *byte);
                self.input.push_back(byte);
                Ok(())
            }
            FromClient::Close => {
                self.end();
                Ok(())
            }
            // AWS's dialect has no viewers and no requests for a seat: nothing of ours sends these.
            FromClient::Watch { .. } | FromClient::AnswerSeat { .. } => Ok(()),
        }
    }

    fn resize(&mut self, size: Option<Size>) {
        if let Some(Size { rows, cols }) = size {
            self.sized = true;
            let now = self.now();
            self.channel.set_size(Cells { cols: cols.into(), rows: rows.into() }, now);
        }
    }

    /// Ends the session on purpose: ports have a word for it, for the rest there is the API.
    fn end(&mut self) {
        match self.kind {
            Kind::Ports | Kind::Raw => self.channel.write_flag(Flag::TerminateSession, self.now()),
            Kind::Shell | Kind::Unknown => self.terminate = true,
        }
    }

    /// True once: the gateway's API is to be asked to end the session.
    pub(super) fn take_terminate(&mut self) -> bool {
        std::mem::take(&mut self.terminate)
    }

    fn say(&mut self, message: &ToClient) -> Result<(), Broken> {
        Ok(self.mux.push_control(encode(message)?)?)
    }

    /// A message of the gateway. One that cannot be read is ignored, as the official ends do.
    pub(super) fn take_message(&mut self, message: &[u8]) -> Result<(), Broken> {
        let _ = self.channel.on_frame(message, self.now());
        self.pump()
    }

    /// Moves everything on that can move.
    fn pump(&mut self) -> Result<(), Broken> {
        self.move_input();
        while self.move_held() {
            let Some(event) = self.channel.poll_event(self.now()) else { break };
            self.on_event(event)?;
        }
        Ok(())
    }

    fn move_input(&mut self) {
        let now = self.now();
        let taken = self.channel.write(self.input.make_contiguous(), now);
        self.input.drain(..taken);
        if let Some((stream, _)) = self.mux.stream(IO) {
            let waiting = usize::try_from(stream.rx.unconsumed()).unwrap_or(usize::MAX);
            stream.rx.consumed(waiting.saturating_sub(self.input.len()));
        }
        // The program that reads the one connection's bytes has closed its side: this dialect knows
        // no half.
        if self.input_over
            && self.kind == Kind::Raw
            && self.input.is_empty()
            && self.channel.is_flushed()
        {
            self.input_over = false;
            self.channel.write_flag(Flag::TerminateSession, now);
        }
    }

    /// True when nothing is held any more.
    fn move_held(&mut self) -> bool {
        let Some((id, bytes)) = &mut self.held else { return true };
        if let Some((stream, budget)) = self.mux.stream(*id) {
            let taken = stream.tx.push(bytes, budget);
            bytes.drain(..taken);
        }
        if bytes.is_empty() {
            self.held = None;
        }
        self.held.is_none()
    }

    fn on_event(&mut self, event: ClientEvent) -> Result<(), Broken> {
        match event {
            ClientEvent::Output(bytes) => self.held = Some((IO, bytes)),
            ClientEvent::Stderr(bytes) => self.held = Some((ERR, bytes)),
            ClientEvent::ExitCode(code) => self.exit = Some(code),
            ClientEvent::Closed(text) => self.closed = Some(text),
            ClientEvent::Flag(Flag::ConnectToPortError) => {
                self.say(&ToClient::NotConnected {
                    text: "the device could not connect to the port".to_owned(),
                })?;
            }
            ClientEvent::Flag(_) => {}
            ClientEvent::Unsupported(what) => {
                let text = format!(
                    "the other side requires {}, which towline does not support",
                    printable(&what)
                );
                self.say(&ToClient::NotConnected { text })?;
            }
            ClientEvent::Started { session_type, properties, agent_version, customer_message } => {
                let forwarding = properties["type"] == "LocalPortForwarding";
                self.kind = match session_type.as_str() {
                    "Port" if forwarding => Kind::Ports,
                    "Port" => Kind::Raw,
                    _ => Kind::Shell,
                };
                if self.kind == Kind::Ports && !is_multiplexed(&agent_version) {
                    self.closed = Some(format!(
                        "port forwarding needs an agent newer than 3.1.1511.0; this device has {}",
                        printable(&agent_version)
                    ));
                    self.end();
                }
                if !customer_message.is_empty() {
                    self.say(&ToClient::NotConnected { text: printable(&customer_message) })?;
                }
                self.move_input();
            }
        }
        Ok(())
    }

    /// The last word, once all output was handed over.
    fn last_word(&mut self) -> Option<ToClient> {
        let text = self.closed.as_ref().filter(|_| !self.told && self.held.is_none())?;
        let handed_over = |id| self.mux.ends(id).is_none_or(|(tx, _)| tx.state().sent == tx.end());
        if !handed_over(IO) || !handed_over(ERR) {
            return None;
        }
        let code = self.exit.map_or(0, |code| u8::try_from(code).unwrap_or(u8::MAX));
        let (reason, text) = match text.is_empty() {
            true => (EndReason::Exited(ExitStatus::Code(code)), String::new()),
            false => (EndReason::ClosedByOperator, printable(text)),
        };
        self.told = true;
        Some(ToClient::Ended { reason, text })
    }

    /// The next frame for the rest of this program.
    pub(super) fn next_frame(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        if self.mux.next_frame(MAX_DATA, |frame| frame.encode_body(&mut out)) {
            return Some(out.into());
        }
        let body = encode(&self.last_word()?).ok()?;
        Frame::Control(&body).encode_body(&mut out);
        Some(out.into())
    }

    /// The next message for the websocket.
    pub(super) fn next_message(&mut self) -> Option<Message> {
        let now = self.now();
        self.channel.poll_transmit(now).map(|transmit| match transmit {
            Transmit::Text(text) => Message::Text(text.into()),
            Transmit::Binary(bytes) => Message::Binary(bytes.into()),
            Transmit::Ping(content) => Message::Ping(content.into()),
        })
    }

    /// How long until [`Aws::next_message`] has something to repeat.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.channel.next_timeout().map(|at| at.saturating_sub(self.now()))
    }
}

/// Compared as official clients do: four numbers, or it counts as old.
fn is_multiplexed(version: &str) -> bool {
    let numbers: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    numbers.is_some_and(|numbers| numbers.len() == 4 && numbers[..] >= MULTIPLEXED[..])
}

#[cfg(test)]
mod tests {
    use super::super::streams::{Received, Streams};
    use super::*;
    use towline_ssm::channel::{AgentChannel, AgentConfig, AgentEvent, Stream};

    /// The rest of this program, the translator, and an agent's half behind a websocket.
    struct World {
        streams: Streams,
        aws: Aws,
        agent: AgentChannel,
        out: Vec<u8>,
        err: Vec<u8>,
        said: Vec<ToClient>,
        at_agent: Vec<u8>,
        events: Vec<AgentEvent>,
    }

    impl World {
        fn new(session_type: &'static str) -> Self {
            let mut aws = Aws::new();
            let config = AgentConfig {
                session_id: "ann-0123456789abcdefg".into(),
                target: "mi-0123456789abcdef0".into(),
                session_type,
                properties: serde_json::json!({ "portNumber": "22" }),
                separate_output: true,
                prefixes: Default::default(),
                customer_message: String::new(),
                seed: [1; 16],
            };
            let agent = AgentChannel::new(config, aws.now());
            aws.start = Instant::now();
            let (out, err, said, at_agent, events) = Default::default();
            Self { streams: Streams::new(), aws, agent, out, err, said, at_agent, events }
        }

        fn attach(&mut self, size: Option<Size>) {
            let received = self.streams.received().map(Into::into);
            let room = self.streams.room().into();
            self.streams
                .control(&FromClient::Attach { token: "t".into(), received, room, size })
                .unwrap();
            self.agent.attach(self.aws.now());
        }

        fn cut(&mut self) {
            self.streams.link_lost();
            self.aws.link_lost();
            self.agent.detach();
        }

        /// Until nothing moves any more.
        fn settle(&mut self) {
            while self.step() {}
        }

        fn step(&mut self) -> bool {
            let mut moved = false;
            while let Some(frame) = self.streams.next_message() {
                self.aws.take_local(&frame).unwrap();
                moved = true;
            }
            while let Some(message) = self.aws.next_message() {
                if let Message::Binary(frame) = message {
                    self.agent.on_frame(&frame, self.aws.now()).unwrap();
                }
                moved = true;
            }
            while let Some(event) = self.agent.poll_event(self.aws.now()) {
                match event {
                    AgentEvent::Input(bytes) => self.at_agent.extend(bytes),
                    other => self.events.push(other),
                }
                moved = true;
            }
            while let Some(transmit) = self.agent.poll_transmit(self.aws.now()) {
                if let Transmit::Binary(frame) = transmit {
                    self.aws.take_message(&frame).unwrap();
                }
                moved = true;
            }
            while let Some(frame) = self.aws.next_frame() {
                self.take(&frame);
                moved = true;
            }
            moved
        }

        fn take(&mut self, frame: &[u8]) {
            match self.streams.on_message(frame).unwrap() {
                Received::Output(id, data) => {
                    let n = data.len();
                    if id == ERR { &mut self.err } else { &mut self.out }.extend(data);
                    self.streams.consumed(id, n);
                }
                Received::Control(body) => {
                    let message = decode(body).unwrap();
                    if let ToClient::Attached { output, input, room } = message {
                        assert_eq!(self.streams.attached(output.into(), input, room).unwrap(), 0);
                    }
                    self.said.push(message);
                }
                Received::Room | Received::Nothing => {}
            }
        }
    }

    #[test]
    fn a_shell_of_a_foreign_gateway_is_as_one_of_ours() {
        let mut world = World::new("Standard_Stream");
        world.attach(Some(Size { rows: 33, cols: 99 }));
        world.settle();
        assert!(
            world.events.contains(&AgentEvent::Size(Cells { cols: 99, rows: 33 })),
            "{:?}",
            world.events
        );
        assert_eq!(world.agent.write(Stream::Stdout, b"$ ", world.aws.now()), 2);
        world.streams.push_input(b"ls\r");
        world.settle();
        assert_eq!((&world.out[..], &world.at_agent[..]), (&b"$ "[..], &b"ls\r"[..]));
        world.agent.finish("idle for too long", world.aws.now());
        world.settle();
        let ended = ToClient::Ended {
            reason: EndReason::ClosedByOperator,
            text: "idle for too long".into(),
        };
        assert_eq!(world.said.last(), Some(&ended));
    }

    #[test]
    fn output_that_nobody_takes_waits_and_none_is_lost_when_the_websocket_is() {
        let mut world = World::new("NonInteractiveCommands");
        world.attach(None);
        world.settle();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut written = 0;
        for round in 0..4000 {
            written += world.agent.write(Stream::Stdout, &bytes[written..], world.aws.now());
            world.step();
            if round % 7 == 6 && world.out.len() < bytes.len() {
                world.cut();
                world.attach(None);
            }
            if world.out.len() == bytes.len() {
                break;
            }
        }
        assert!(world.out == bytes, "{} of {}", world.out.len(), bytes.len());
        assert_eq!(world.agent.write(Stream::Stderr, b"oops", world.aws.now()), 4);
        world.agent.write_exit_code(7, world.aws.now());
        world.agent.finish("", world.aws.now());
        world.settle();
        assert_eq!(world.err, b"oops");
        let reason = EndReason::Exited(ExitStatus::Code(7));
        assert_eq!(world.said.last(), Some(&ToClient::Ended { reason, text: String::new() }));
    }

    #[test]
    fn the_end_of_one_connection_s_input_ends_the_session() {
        let mut world = World::new("Port");
        world.attach(None);
        world.settle();
        world.streams.push_input(b"bye");
        world.streams.finish_input();
        world.settle();
        assert_eq!(world.at_agent, b"bye");
        assert!(
            world.events.contains(&AgentEvent::Flag(Flag::TerminateSession)),
            "{:?}",
            world.events
        );
    }

    #[test]
    fn signals_are_bytes_and_a_shell_is_ended_by_the_api() {
        let mut world = World::new("NonInteractiveCommands");
        world.attach(None);
        world.settle();
        for signal in [2, 3, 15] {
            world.streams.control(&FromClient::Signal(signal)).unwrap();
        }
        world.streams.control(&FromClient::Close).unwrap();
        world.settle();
        assert_eq!(world.at_agent, [0x03, 0x1c, 0x03]);
        assert!(world.aws.take_terminate() && !world.aws.take_terminate());
    }

    #[test]
    fn agents_without_smux_are_told_apart() {
        for (version, is) in [
            ("3.3.0.0", true),
            ("3.1.1511.0", false),
            ("3.1.1512.0", true),
            ("4.0", false),
            ("", false),
        ] {
            assert_eq!(is_multiplexed(version), is, "{version}");
        }
    }
}
