//! The websockets of this dialect: opening frame, attachment, and the loop that carries messages.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::ws::{Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;
use towline_ssm::channel::{AgentConfig, Transmit};
use towline_ssm::message::payload::{JsonPayload as _, MAX_OPEN_FRAME, OpenDataChannel};
use towline_wire::frame::Frame;
use towline_wire::lane::Lane;

use super::endpoint::{AwsEndpoint, Order};
use super::registry::{Kept, Registry};
use crate::limits::{
    AWS_CHANNEL_BATCH, AWS_CHANNEL_STALLED, AWS_FIRST_MESSAGE, AWS_IDLE_TICK, AWS_JOURNAL_WRITERS,
    AWS_READ_PAUSE,
};
use crate::plane::{EndReason, Visitor};
use crate::sessions::{ClientQueue, Control, Hub, Session};

/// The clock of the state machines: time of day at the start, and monotonic since.
#[derive(Debug, Clone, Copy)]
struct Time {
    at_start: Duration,
    start: Instant,
}

impl Time {
    fn now(&self) -> Duration {
        self.at_start + self.start.elapsed()
    }
}

/// All ends of this gateway.
pub(in crate::channels) struct AwsChannels {
    hub: Arc<Hub>,
    time: Time,
    registry: Registry,
    writers: Semaphore,
}

impl AwsChannels {
    /// For the sessions of this hub; journals in this directory.
    pub(in crate::channels) fn new(hub: Arc<Hub>, directory: &Path) -> Self {
        let at_start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let registry = Registry::open(directory, |name| hub.session(name).is_some());
        Self {
            hub,
            time: Time { at_start, start: Instant::now() },
            registry,
            writers: Semaphore::new(AWS_JOURNAL_WRITERS),
        }
    }

    /// Serves one websocket.
    pub(in crate::channels) async fn serve(
        self: Arc<Self>,
        name: String,
        socket: WebSocket,
        visitor: Option<Visitor>,
    ) {
        let (mut sink, mut stream) = socket.split();
        let opening = tokio::time::timeout(AWS_FIRST_MESSAGE, opening(&mut stream)).await;
        let Ok(Some(opening)) = opening else { return };
        let attached = {
            let Ok(_writer) = self.writers.acquire().await else { return };
            block_in_place(|| self.attach(&name, &opening))
        };
        match attached {
            Ok((session, queue, end, turn)) => {
                self.hub.mark(&session);
                if let Some(Visitor(standing)) = &visitor {
                    standing.prove(Some(&session.meta.share_of));
                }
                tracing::info!("client attached");
                Carrier { channels: &self, session: &session, queue: &queue, end: &end, turn }
                    .carry(&mut sink, &mut stream)
                    .await;
                if session.client_gone(&queue) {
                    tracing::info!("client detached");
                    end.state().end.detach();
                    self.hub.mark(&session);
                }
                self.registry.remove_ended(|name| self.hub.session(name).is_some());
            }
            Err(why) => {
                tracing::info!(why, "client refused");
                self.registry.remove_ended(|name| self.hub.session(name).is_some());
                let mut end = AwsEndpoint::refusing(&name, why, self.time.now());
                while let Some(transmit) = end.poll_transmit(self.time.now()) {
                    let message = message_of(transmit);
                    if !matches!(
                        tokio::time::timeout(AWS_FIRST_MESSAGE, sink.send(message)).await,
                        Ok(Ok(()))
                    ) {
                        break;
                    }
                }
            }
        }
        let _ = tokio::time::timeout(AWS_FIRST_MESSAGE, sink.close()).await;
    }

    /// The session's end, attached with the token. May wait for the disk.
    #[allow(clippy::type_complexity)] // four things that belong together for one call
    fn attach(
        &self,
        name: &str,
        opening: &OpenDataChannel,
    ) -> Result<(Arc<Session>, Arc<ClientQueue>, Arc<Kept>, u64), &'static str> {
        let session = self.hub.session(name).ok_or("the session is over, or was never there")?;
        self.registry.remove_ended(|name| self.hub.session(name).is_some());
        let end =
            self.registry.take(&session, &opening.client_id, config(&session), self.time.now())?;
        let (received, room) = end.state().end.position();
        let (client, token) = (&opening.client_id, &opening.token_value);
        let queue = session.attach_named(client, token, received, room)?;
        // Only a client with a right token may replace an end that another client has left.
        self.registry.put(name, &end);
        let turn = {
            let mut state = end.state();
            state.turn += 1;
            state.end.attach(self.time.now());
            state.turn
        };
        Ok((session, queue, end, turn))
    }
}

/// What the protocol has to know of a session.
fn config(session: &Session) -> AgentConfig {
    let mut seed = [0; 16];
    // Without randomness message ids repeat those of another channel, which nobody compares.
    let _ = SystemRandom::new().fill(&mut seed);
    AgentConfig {
        session_id: session.meta.name.clone(),
        target: session.meta.device.clone(),
        session_type: session.meta.session_type,
        properties: session.meta.properties.clone(),
        separate_output: session.meta.separate_output,
        prefixes: session.meta.prefixes.clone(),
        customer_message: session.notice().to_owned(),
        seed,
    }
}

/// Waits for the opening frame. Pings may come before it.
async fn opening(stream: &mut SplitStream<WebSocket>) -> Option<OpenDataChannel> {
    loop {
        match stream.next().await?.ok()? {
            Message::Text(text) if text.len() <= MAX_OPEN_FRAME => {
                return OpenDataChannel::from_payload(text.as_bytes()).ok();
            }
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return None,
        }
    }
}

fn message_of(transmit: Transmit) -> Message {
    match transmit {
        Transmit::Text(text) => Message::Text(text.into()),
        Transmit::Binary(bytes) => Message::Binary(bytes.into()),
        Transmit::Ping(content) => Message::Ping(content.into()),
    }
}

/// One attached websocket.
struct Carrier<'a> {
    channels: &'a AwsChannels,
    session: &'a Arc<Session>,
    queue: &'a Arc<ClientQueue>,
    end: &'a Kept,
    turn: u64,
}

impl Carrier<'_> {
    async fn carry(
        &self,
        sink: &mut SplitSink<WebSocket, Message>,
        stream: &mut SplitStream<WebSocket>,
    ) {
        let (mut unflushed, mut paused) = (false, None);
        loop {
            let Ok(writer) = self.channels.writers.acquire().await else { return };
            let over = self.step();
            drop(writer);
            if !unflushed {
                // Taken one by one, so that no lock is held while something is sent.
                while let Some(message) = self.next_message() {
                    if sink.feed(message).await.is_err() {
                        return;
                    }
                    unflushed = true;
                }
            }
            if over && !unflushed {
                return;
            }
            let pause = self.pause(&mut paused);
            let due = self
                .end
                .state()
                .end
                .next_timeout()
                .map_or(AWS_IDLE_TICK, |at| at.saturating_sub(self.channels.time.now()));
            let wake = due.min(pause.unwrap_or(AWS_IDLE_TICK));
            tokio::select! {
                message = stream.next(), if pause.is_none() => {
                    paused = None;
                    match message {
                        Some(Ok(Message::Binary(frame))) => self.end.state().end.on_frame(&frame, self.channels.time.now()),
                        Some(Ok(Message::Pong(content))) => self.end.state().end.on_pong(&content),
                        Some(Ok(Message::Text(_) | Message::Ping(_))) => {}
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    }
                }
                flushed = tokio::time::timeout(AWS_CHANNEL_STALLED, sink.flush()), if unflushed => match flushed {
                    Ok(Ok(())) => unflushed = false,
                    Ok(Err(_)) | Err(_) => return,
                },
                () = self.queue.ready() => {}
                () = tokio::time::sleep(wake.min(AWS_IDLE_TICK)) => {}
            }
        }
    }

    /// What is left of a pause in reading; `None`: read.
    fn pause(&self, since: &mut Option<Instant>) -> Option<Duration> {
        if !self.end.state().end.is_congested() {
            *since = None;
            return None;
        }
        let left = AWS_READ_PAUSE.saturating_sub(since.get_or_insert_with(Instant::now).elapsed());
        (!left.is_zero()).then_some(left)
    }

    fn next_message(&self) -> Option<Message> {
        self.end.mine(self.turn)?.end.poll_transmit(self.channels.time.now()).map(message_of)
    }

    /// Moves bytes between session and end; true when everything was said.
    fn step(&self) -> bool {
        let (items, last) = self.queue.take(AWS_CHANNEL_BATCH);
        let (name, now) = (&self.session.meta.name, self.channels.time.now());
        let Some(orders) = self.end.step(self.turn, items, name, now) else { return true };
        let mut over = false;
        for order in orders {
            match order {
                Order::Resize(size) => over |= !self.control(Control::Resize(size)),
                Order::Signal(signal) => over |= !self.control(Control::Signal(signal)),
                Order::Close => {
                    let reason = EndReason::ClosedByClient;
                    self.channels.hub.end_for(self.session, reason);
                }
                Order::Over => over = true,
            }
        }
        self.forward();
        // An end that was told its session's last word still has to say it; one that was taken over
        // must not.
        over || (last && !self.end.state().end.is_finishing())
    }

    /// False: the client has to go. This dialect has no words for it, so they stand in the log; its
    /// session waits.
    fn control(&self, control: Control) -> bool {
        let passed = self.session.control(self.queue, control);
        if !passed {
            let session = &self.session.meta.name;
            tracing::info!(
                session,
                "a client sends sizes and signals faster than the device's link takes them"
            );
        }
        passed
    }

    /// Passes input and credit on to the session.
    fn forward(&self) {
        loop {
            let mut ended = None;
            let Some(mut state) = self.end.mine(self.turn) else { return };
            let more = state.end.next_frame(|frame| match frame {
                Frame::Data { offset, data, .. } => {
                    let _ = self.session.input(self.queue, offset, data);
                }
                Frame::Fin { length, .. } => self.session.input_ended(self.queue, length),
                Frame::Credit { stream, acked, limit } => {
                    let lane =
                        if stream == towline_wire::client::IO { Lane::Io } else { Lane::Err };
                    ended =
                        self.session.output_credit(self.queue, lane, acked, limit).unwrap_or(None);
                }
                _ => {}
            });
            drop(state);
            if let Some(reason) = ended {
                self.channels.hub.end_for(self.session, reason);
            }
            if !more {
                return;
            }
        }
    }
}
