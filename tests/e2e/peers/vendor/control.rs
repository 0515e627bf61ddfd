//! The agent's control channel: opened by its keys, orders taken, ends of sessions told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use serde_json::{Value, json};
use towline_ssm::message::{AgentMessage, MessageId, MessageIds, MessageType, PayloadType};
use towline_testkit::Outcome;
use towline_testkit::trouble::ensure;
use tungstenite::Message;

use super::stream::{frame_of, look};
use super::{Socket, VendorAgent, job, lock, session, token_of};

/// How long one look for a message waits.
const LOOK: Duration = Duration::from_millis(20);

/// Pause after a first failure to open the control channel again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Messages that may wait to go up.
const WAITING: usize = 1024;

/// What goes up: type and payload.
pub(crate) type Up = (MessageType, Value);

impl VendorAgent {
    /// Keys, health, and the control channel; its threads end with the agent's `stop`.
    pub(crate) fn start(self: &Arc<Self>) -> Outcome {
        let answer = self.renew()?;
        ensure(answer.status == 200, || format!("no keys: {answer:?}"))?;
        self.report()?;
        let socket = self.open_control()?;
        self.stop.store(false, Ordering::Relaxed);
        let (up, comes) = mpsc::sync_channel(WAITING);
        self.goes_up(up.clone());
        let agent = Arc::clone(self);
        std::thread::spawn(move || agent.control(socket, &up, &comes));
        Ok(())
    }

    /// Opens the control channel.
    pub(crate) fn open_control(&self) -> Outcome<Socket> {
        let path = format!("/v1/control-channel/{}", self.id());
        let request = "11111111-2222-4333-8444-555555555555";
        let body = json!({ "MessageSchemaVersion": "1.0", "RequestId": request });
        let token = token_of(&self.ask_channel(&path, &body)?)?;
        let mut socket = self.upgrade(&path, "role=subscribe&stream=input")?;
        let opening = json!({
            "Cookie": null, "MessageSchemaVersion": "1.0", "RequestId": request,
            "TokenValue": token, "AgentVersion": "3.3.0.0", "PlatformType": self.platform.frame,
        });
        socket.send(Message::text(opening.to_string()))?;
        Ok(socket)
    }

    /// The control channel, one socket after the other.
    fn control(self: Arc<Self>, socket: Socket, up: &SyncSender<Up>, comes: &Receiver<Up>) {
        let mut next = Some(socket);
        while let Some(socket) = next.take() {
            self.carry(socket, up, comes);
            if self.faults.comes_back.load(Ordering::Relaxed) {
                next = self.opened_again();
            }
        }
    }

    /// As the real one does it: at once, and after a failure with a pause that doubles. The first
    /// pause of the real one is 5 to 10 s.
    fn opened_again(&self) -> Option<Socket> {
        let mut pause = FIRST_PAUSE;
        while !self.is_stopped() {
            match self.open_control() {
                Ok(socket) => {
                    self.note("control channel opened again");
                    return Some(socket);
                }
                Err(trouble) => self.note(format!("no control channel: {trouble}")),
            }
            towline_testkit::trouble::pause(pause);
            pause *= 2;
        }
        None
    }

    fn carry(self: &Arc<Self>, mut socket: Socket, up: &SyncSender<Up>, comes: &Receiver<Up>) {
        let mut ids = MessageIds::new([9; 16]);
        let _ = socket.get_ref().sock.set_read_timeout(Some(LOOK));
        while !self.is_stopped() {
            while let Ok((message_type, payload)) = comes.try_recv() {
                let id = self.id_of(&payload, &mut ids);
                let payload = payload.to_string();
                let what = (PayloadType::None, payload.as_bytes());
                let bytes = frame_of(id, message_type, (0, 0), what);
                if socket.send(Message::binary(bytes)).is_err() {
                    return self.note("control channel lost");
                }
            }
            match look(&mut socket) {
                Ok(Some(Message::Binary(bytes))) => self.order(&bytes, up),
                Ok(_) => {}
                Err(()) => return self.note("control channel lost"),
            }
        }
    }

    fn drops_job(&self) -> bool {
        let left = |left: u32| left.checked_sub(1);
        let (set, got) = (Ordering::Relaxed, Ordering::Relaxed);
        self.faults.drop_jobs.fetch_update(set, got, left).is_ok()
    }

    /// The last reply of a job has one id, whenever it is sent.
    fn id_of(&self, payload: &Value, ids: &mut MessageIds) -> MessageId {
        let content = payload["content"].as_str().unwrap_or_default();
        let fresh = ids.next_id();
        if content.is_empty() || content.contains("InProgress") {
            return fresh;
        }
        let job = payload["jobId"].as_str().unwrap_or_default().to_owned();
        *lock(&self.last).entry(job).or_insert(fresh)
    }

    fn order(self: &Arc<Self>, bytes: &[u8], up: &SyncSender<Up>) {
        let Ok(message) = AgentMessage::decode_control(bytes) else { return };
        let payload: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        match message.message_type {
            MessageType::InteractiveShell => {
                let (agent, up) = (Arc::clone(self), up.clone());
                std::thread::spawn(move || session::run(&agent, &payload, &up));
            }
            MessageType::AgentTaskAcknowledge => {
                self.note(format!("end of {} heard", payload["TaskId"].as_str().unwrap_or("?")));
            }
            MessageType::AgentJob if self.drops_job() => self.note("job dropped"),
            MessageType::AgentJob => job::take(self, &payload, up),
            MessageType::AgentJobReplyAck => {
                let job = payload["jobId"].as_str().unwrap_or_default();
                let kept = lock(&self.last).get(job).map(ToString::to_string);
                if kept.as_deref() == payload["acknowledgedMessageId"].as_str() {
                    self.note(format!("reply of {job} kept"));
                }
            }
            other => self.note(other.as_str()),
        }
    }
}

impl Drop for VendorAgent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
