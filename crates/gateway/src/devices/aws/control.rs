//! The control channel of a device: orders go down, ends of sessions come up.
//!
//! Data flow: websocket -> opening frame -> [`VendorAgents::admit`] -> the hub -> [`serve`] until
//! its end. Orders: [`ControlChannel::send`] -> outbox -> websocket.
//!
//! # Invariants
//! - What waits has at most [`VENDOR_CONTROL_BYTES`]; what does not fit is handed back, and the
//!   channel goes on. It ends when the agent does not take a message for [`VENDOR_STALLED`].
//! - Which system the agent runs is the opening frame's word, else that of the device's row, and
//!   does not change while the channel lives. The row has the frame's word before the first order.
//! - A channel over which nothing is heard for [`VENDOR_SILENCE`] is dead: the agent pings each 54
//!   s.
//!
//! # Not here
//! - Which channel is the device's: [`super::admission`].

use std::any::Any;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::Instant;
use towline_host::entropy;
use towline_ssm::command_document::Platform;
use towline_ssm::ids::DeviceId;
use towline_ssm::message::{AgentMessage, MessageType, PayloadType};
use towline_ssm::vendor::control::{
    JobAck, JobReply, OpenControlChannel, TaskComplete, task_acknowledge,
};
use towline_store::{Connection, Device as Row, SignOfLife};
use towline_wire::text::plain;

use super::agents::{VendorAgents, message_id};
use super::news::News;
use super::ticket::Channel;
use crate::devices::arrival;
use crate::limits::{
    AWS_FIRST_MESSAGE, MAX_DEVICE_SENTENCE, VENDOR_CONTROL_BYTES, VENDOR_REPLY_WAIT,
    VENDOR_SILENCE, VENDOR_STALLED,
};
use crate::lock::lock;
use crate::sessions::ConnectionId;

/// What became of a message for the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queued {
    /// It waits for its turn.
    Yes,
    /// As much waits as may.
    Full,
    /// The channel is over.
    Closed,
}

/// One control channel.
pub(super) struct ControlChannel {
    pub(super) agents: Arc<VendorAgents>,
    pub(super) device: DeviceId,
    pub(super) number: ConnectionId,
    /// The agent tells its starts nowhere: for the gateway there is one.
    pub(super) boot: [u8; 16],
    /// Tells the channel from those at other gateways.
    own_number: [u8; 16],
    /// What the device has said that it runs; none: nothing yet.
    pub(super) platform: Option<Platform>,
    began: Instant,
    outbox: Mutex<VecDeque<Message>>,
    ready: Notify,
    closed: AtomicBool,
    why: Mutex<Option<String>>,
    /// Counts pongs; a probe waits for it to move.
    pongs: AtomicU64,
    ponged: Notify,
}

impl ControlChannel {
    pub(super) fn new(
        agents: &Arc<VendorAgents>,
        device: DeviceId,
        platform: Option<Platform>,
    ) -> Self {
        Self {
            agents: Arc::clone(agents),
            device,
            number: ConnectionId::fresh(),
            boot: [0; 16],
            own_number: entropy::random().unwrap_or_default(),
            platform,
            began: Instant::now(),
            outbox: Mutex::default(),
            ready: Notify::new(),
            closed: AtomicBool::new(false),
            why: Mutex::default(),
            pongs: AtomicU64::new(0),
            ponged: Notify::new(),
        }
    }

    /// The channel as presence has it: each one is a start of its own.
    pub(super) const fn link(&self) -> Connection {
        Connection { boot: self.own_number, number: 1 }
    }

    /// The device.
    pub(super) fn id(&self) -> &str {
        self.device.as_str()
    }

    /// Queues a message.
    pub(super) fn send(&self, message_type: MessageType, payload: Vec<u8>) -> Queued {
        let created = u64::try_from(self.agents.time().as_millis()).unwrap_or(u64::MAX);
        let message = AgentMessage {
            message_type,
            created,
            sequence: 0,
            flags: 0,
            id: message_id(),
            payload_type: PayloadType::None,
            payload,
        };
        self.push(Message::Binary(message.encode().into()))
    }

    fn push(&self, message: Message) -> Queued {
        let mut outbox = lock(&self.outbox);
        let waiting: usize = outbox.iter().map(bytes_of).sum();
        if self.is_closed() {
            return Queued::Closed;
        }
        if waiting + bytes_of(&message) > VENDOR_CONTROL_BYTES {
            return Queued::Full;
        }
        outbox.push_back(message);
        drop(outbox);
        self.ready.notify_one();
        Queued::Yes
    }

    /// Whether orders wait for the agent.
    pub(super) fn is_behind(&self) -> bool {
        lock(&self.outbox).iter().any(|message| bytes_of(message) > 0)
    }

    /// How many pings wait for the agent.
    #[cfg(test)]
    pub(super) fn waiting_pings(&self) -> usize {
        lock(&self.outbox).iter().filter(|message| matches!(message, Message::Ping(_))).count()
    }

    /// What waits for the agent.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Vec<AgentMessage> {
        let binary = |message| match message {
            Message::Binary(frame) => AgentMessage::decode_control(&frame).ok(),
            _ => None,
        };
        lock(&self.outbox).drain(..).filter_map(binary).collect()
    }

    /// Ends the channel; the first reason is kept.
    pub(super) fn close(&self, why: &str) {
        lock(&self.why).get_or_insert_with(|| why.to_owned());
        self.closed.store(true, Ordering::Relaxed);
        self.ready.notify_one();
    }

    /// True once it was ended.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether the other end answers a ping in time.
    pub(super) async fn answers(&self, patience: Duration) -> bool {
        let before = self.pongs.load(Ordering::Relaxed);
        let answered = async {
            while self.pongs.load(Ordering::Relaxed) == before && !self.is_closed() {
                self.ponged.notified().await;
            }
        };
        self.push(Message::Ping(Bytes::from_static(b"there?")));
        tokio::time::timeout(patience, answered).await.is_ok() && !self.is_closed()
    }

    /// Why it ended.
    async fn carry(&self, mut socket: WebSocket) -> String {
        loop {
            let next = lock(&self.outbox).pop_front();
            if let Some(message) = next {
                match tokio::time::timeout(VENDOR_STALLED, socket.send(message)).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(_)) => return "the connection was lost".into(),
                    Err(_) => return "the device takes no orders".into(),
                }
            }
            if self.is_closed() {
                return String::new();
            }
            tokio::select! {
                message = tokio::time::timeout(VENDOR_SILENCE, socket.next()) => match message {
                    Ok(Some(Ok(message))) => self.take(message),
                    Ok(Some(Err(_)) | None) => return "the connection was lost".into(),
                    Err(_) => return "nothing was heard for too long".into(),
                },
                () = self.ready.notified() => {}
            }
        }
    }

    /// Hears the agent while it is not known whether the channel is the device's; ends when it is
    /// over.
    async fn lost_while_waiting(&self, socket: &mut WebSocket) {
        while let Some(Ok(message)) = socket.next().await {
            self.take(message);
            if self.is_closed() {
                return;
            }
        }
    }

    /// Takes what the agent has sent.
    pub(super) fn take(&self, message: Message) {
        match message {
            Message::Binary(frame) => match AgentMessage::decode_control(&frame) {
                Ok(message) => self.hear(&message),
                Err(error) => tracing::debug!(device = self.id(), %error, "no message"),
            },
            Message::Pong(_) => {
                self.pongs.fetch_add(1, Ordering::Relaxed);
                self.ponged.notify_one();
            }
            Message::Close(_) => self.close("the device closed its control channel"),
            Message::Text(_) | Message::Ping(_) => {}
        }
    }

    fn hear(&self, message: &AgentMessage) {
        match &message.message_type {
            MessageType::AgentTaskComplete => {
                let Some(mut complete) = parsed::<TaskComplete>(message) else { return };
                let id = message.id.to_string();
                let acknowledged = task_acknowledge(&id, &complete.task_id);
                self.send(MessageType::AgentTaskAcknowledge, acknowledged);
                complete.output = plain(&complete.output, MAX_DEVICE_SENTENCE);
                if let Some(session) = self.agents.registry.get(self.id(), &complete.task_id) {
                    session.completed(complete);
                }
            }
            MessageType::AgentJobAck => {
                let Some(ack) = parsed::<JobAck>(message) else { return };
                if let Some(job) = self.agents.registry.job(self.id(), &ack.job_id) {
                    let words = plain(&ack.error_message, MAX_DEVICE_SENTENCE);
                    job.hears(News::Ack(ack.verdict(), words));
                }
            }
            MessageType::AgentJobReply => self.reply(message),
            other => {
                tracing::trace!(device = self.id(), ?other, "a message without a meaning here")
            }
        }
    }
}

impl ControlChannel {
    /// How a job stands. A reply to which nobody waits may be of a step that the scheduler is about
    /// to order again: it is acknowledged when that time is over.
    fn reply(&self, message: &AgentMessage) {
        let Some(reply) = parsed::<JobReply>(message) else { return };
        let id = message.id.to_string();
        let content = reply.parsed().unwrap_or_default();
        let is_last = !matches!(content.document_status.as_str(), "InProgress" | "Pending" | "");
        match self.agents.registry.job(self.id(), &reply.job_id) {
            Some(job) if is_last => job.hears(News::Ended(id, content)),
            None if is_last && self.began.elapsed() < VENDOR_REPLY_WAIT => {}
            _ => self.acknowledge_reply(&reply.job_id, &id),
        }
    }
}

/// What a message counts for the bound.
fn bytes_of(message: &Message) -> usize {
    match message {
        Message::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}

fn parsed<T: DeserializeOwned>(message: &AgentMessage) -> Option<T> {
    serde_json::from_slice(&message.payload).ok()
}

/// Serves one control channel of a device until its end.
pub(super) async fn serve(
    agents: Arc<VendorAgents>,
    device: Row,
    source: IpAddr,
    mut socket: WebSocket,
) {
    let opening = tokio::time::timeout(AWS_FIRST_MESSAGE, opening(&mut socket)).await;
    let Ok(Some(opening)) = opening else { return };
    let now = agents.parts.clock.now();
    if !agents.opens(&opening.token_value, &device.id, &Channel::Control, now) {
        tracing::info!(device = device.id, %source, "a control channel with a wrong token");
        return;
    }
    let Ok(id) = device.id.parse::<DeviceId>() else { return };
    let platform = agents.system_of(&device, &opening.platform_type).await;
    let channel = Arc::new(ControlChannel::new(&agents, id, platform));
    let admitted = tokio::select! {
        admitted = agents.admit(&channel, source) => admitted,
        // A channel that is over claims nothing: its agent may have opened the next one.
        () = channel.lost_while_waiting(&mut socket) => {
            agents.parts.hub.device_down(&*channel);
            arrival::leave(&agents.parts.hub, &channel.device, channel.link());
            false
        }
    };
    if !admitted {
        return;
    }
    let version = plain(&opening.agent_version, MAX_DEVICE_SENTENCE);
    tracing::info!(device = device.id, %source, version, "control channel up");
    agents.event("DeviceConnected", &device.id, source, vec![]).await;
    let held = agents.registry.of(&device.id);
    agents.parts.hub.device_settled(&*channel, &held);
    for job in agents.registry.jobs(&device.id) {
        job.hears(News::Back);
    }
    let why = channel.carry(socket).await;
    channel.close(&why);
    agents.parts.hub.device_down(&*channel);
    arrival::leave(&agents.parts.hub, &channel.device, channel.link());
    let (id, at) = (device.id.clone(), agents.parts.clock.now());
    let sign = SignOfLife { id, at, arrival: None, boot: None };
    agents.signs.write(sign).await; // a failure was logged
    let why = lock(&channel.why).clone().unwrap_or_default();
    tracing::info!(device = device.id, %source, why, "control channel ended");
    agents.event("DeviceDisconnected", &device.id, source, vec![("reason", why)]).await;
}

async fn opening(socket: &mut WebSocket) -> Option<OpenControlChannel> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return None,
        }
    }
}

impl VendorAgents {
    /// The live control channel of a device.
    pub(super) fn control_of(&self, device: &str) -> Option<Arc<ControlChannel>> {
        let held = self.parts.hub.device(device).filter(|held| !held.is_closed())?;
        (held as Arc<dyn Any + Send + Sync>).downcast().ok()
    }
}
