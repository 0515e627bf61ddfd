//! One agent's link as the rest of the gateway sees it: who it is, what waits for it, which
//! sessions its streams carry.
//!
//! The link's own task (`drive`) holds the socket; everybody else holds an `Arc<Link>` and
//! never waits.
//!
//! # Invariants
//! - Locks here are leaves: nothing else is locked while one is held.
//! - A closed link stays closed; what is pushed to it is dropped (and said again on the next link).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, oneshot};
use towline_ssm::ids::DeviceId;
use towline_wire::epoch::Epoch;
use towline_wire::extension;
use towline_wire::frame::{Frame, StreamId};
use towline_wire::grant::SignedTime;
use towline_wire::lane::Lane;
use towline_wire::message::{ToAgent, encode};
use towline_wire::{HAS_RESERVE, KEEPS_OFF_LINKS, TELLS_ECHO};

use super::link_clock::LinkClock;
use super::order::Grants;
use super::outbox::Outbox;
use super::texts::reported;
use crate::lock::lock;
use crate::plane::{RotateError, StartError};
use crate::sessions::{ConnectionId, Order, Session};

/// What became of a wish for a new key: its fingerprint.
pub(super) type Rotated = Result<String, RotateError>;

/// One agent's link.
pub(super) struct Link {
    /// Whose link.
    pub(super) device: DeviceId,
    /// Which process and which of its connections.
    pub(super) epoch: Epoch,
    /// Random bytes of the agent's hello; a new key signs them.
    pub(super) challenge: [u8; 16],
    /// The connection's number among all of this process.
    number: ConnectionId,
    /// The wire version that both speak.
    version: u16,
    /// Signs the orders to this device.
    pub(super) grants: Arc<Grants>,
    /// Sessions that the device allows; 0 while it has not said.
    most_sessions: AtomicU32,
    /// How the agent is separated; `None` while it has not said.
    separation: Mutex<Option<Box<str>>>,
    /// The authority's time on this link.
    clock: Mutex<LinkClock>,
    /// Who waits for a new key of this device.
    rotation: Mutex<Option<oneshot::Sender<Rotated>>>,
    outbox: Mutex<Outbox>,
    /// Wakes the link's task when something waits.
    pub(super) ready: Notify,
    streams: Mutex<HashMap<StreamId, (Arc<Session>, Lane)>>,
    next_stream: AtomicU32,
    /// The agent has named all sessions that it holds, and with them the streams in use.
    settled: AtomicBool,
    closed: AtomicBool,
    why_closed: Mutex<Option<String>>,
    /// Wakes the link's task when it is to end.
    pub(super) closing: Notify,
    /// Counts frames heard; a probe waits for it to move.
    heard: AtomicU64,
    /// Counts pings that were queued.
    asked: AtomicU64,
    /// Counts pongs that were heard: pings are answered in order.
    answered: AtomicU64,
    pub(super) heard_changed: Notify,
}

impl Link {
    /// A link with nothing on it.
    pub(super) fn new(
        device: DeviceId,
        epoch: Epoch,
        challenge: [u8; 16],
        version: u16,
        grants: Arc<Grants>,
    ) -> Self {
        let clock = Mutex::new(LinkClock::start(&grants.clock));
        Self {
            device,
            epoch,
            challenge,
            number: ConnectionId::fresh(),
            version,
            grants,
            most_sessions: AtomicU32::new(0),
            separation: Mutex::default(),
            clock,
            rotation: Mutex::default(),
            outbox: Mutex::default(),
            ready: Notify::new(),
            streams: Mutex::default(),
            next_stream: AtomicU32::new(1),
            settled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            why_closed: Mutex::default(),
            closing: Notify::new(),
            heard: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            heard_changed: Notify::new(),
        }
    }

    /// The connection's number.
    #[must_use]
    pub(super) const fn number(&self) -> ConnectionId {
        self.number
    }

    /// The wire version that both speak.
    pub(super) const fn version(&self) -> u16 {
        self.version
    }

    /// Whether the agent can be asked what its terminals do with input.
    #[must_use]
    pub(super) const fn tells_echo(&self) -> bool {
        self.version >= TELLS_ECHO
    }

    /// Whether the agent has a place for a repair.
    #[must_use]
    pub(super) const fn has_reserve(&self) -> bool {
        self.version >= HAS_RESERVE
    }

    /// The device says how many sessions it allows.
    pub(super) fn allows(&self, sessions: u32) {
        self.most_sessions.store(sessions, Ordering::Relaxed);
    }

    /// Sessions that the device allows, if it has said so.
    pub(super) fn most_sessions(&self) -> Option<u32> {
        Some(self.most_sessions.load(Ordering::Relaxed)).filter(|most| *most > 0)
    }

    /// The agent says what an older gateway does without. What this one cannot read, it skips.
    pub(super) fn extended(&self, tag: u16, body: &[u8]) {
        if tag == extension::SEPARATION
            && let Some(told) = extension::Separation::read(body)
        {
            let text = match told {
                extension::Separation::Off => "off".into(),
                extension::Separation::Separate => "separate".into(),
                extension::Separation::Impossible(why) => format!("impossible: {}", reported(why)),
            };
            *lock(&self.separation) = Some(text.into());
        }
    }

    /// How the agent is separated, if it has said so.
    pub(super) fn separation(&self) -> Option<String> {
        lock(&self.separation).as_deref().map(str::to_owned)
    }

    /// The authority's time, signed for a challenge of the agent.
    pub(super) fn signed_time(&self, challenge: &[u8; 16]) -> SignedTime {
        let unix_ms = lock(&self.clock).tell(&self.grants.clock);
        let signed = SignedTime::signed_bytes(challenge, unix_ms);
        SignedTime { unix_ms, signature: self.grants.authority.sign(&signed).to_vec() }
    }

    /// Answers an agent that asks for the time once more.
    pub(super) fn tell_time(&self, challenge: &[u8; 16]) {
        let may = lock(&self.clock).may_ask(&self.grants.clock);
        if may {
            self.send(&ToAgent::Time(self.signed_time(challenge)));
        }
    }

    /// The time that a grant for this link is issued at.
    ///
    /// # Errors
    /// [`StartError::TooManyGrants`]: of this principal, or of all, too many are alive.
    pub(super) fn grant_time(&self, order: &Order<'_>) -> Result<u64, StartError> {
        lock(&self.clock).grant(&self.grants.clock, order).ok_or(StartError::TooManyGrants)
    }

    /// Whether a copy on the device follows links only when it is told to.
    #[must_use]
    pub(super) const fn keeps_off_links(&self) -> bool {
        self.version >= KEEPS_OFF_LINKS
    }

    /// Two stream numbers that this link has not used.
    pub(super) fn new_streams(&self) -> (StreamId, StreamId) {
        let first = self.next_stream.fetch_add(2, Ordering::Relaxed);
        (first, first + 1)
    }

    /// Makes the streams of a session known; numbers given out later are higher.
    pub(super) fn bind(&self, session: &Arc<Session>, io: StreamId, err: Option<StreamId>) {
        let mut streams = lock(&self.streams);
        streams.insert(io, (Arc::clone(session), Lane::Io));
        if let Some(err) = err {
            streams.insert(err, (Arc::clone(session), Lane::Err));
        }
        self.next_stream.fetch_max(io.max(err.unwrap_or(0)).saturating_add(1), Ordering::Relaxed);
    }

    /// Forgets streams and what waits for them.
    pub(super) fn unbind(&self, io: StreamId, err: Option<StreamId>) {
        for stream in [Some(io), err].into_iter().flatten() {
            lock(&self.streams).remove(&stream);
            lock(&self.outbox).clear_stream(stream);
        }
    }

    /// The session that a stream belongs to.
    #[must_use]
    pub(super) fn session(&self, stream: StreamId) -> Option<(Arc<Session>, Lane)> {
        lock(&self.streams).get(&stream).cloned()
    }

    /// Takes all sessions off a link that has ended.
    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        let streams = std::mem::take(&mut *lock(&self.streams));
        streams
            .into_values()
            .filter(|(_, lane)| *lane == Lane::Io)
            .map(|(session, _)| session)
            .collect()
    }

    /// Queues a control message.
    pub(super) fn send(&self, message: &ToAgent) {
        match encode(message) {
            Ok(body) => self.push(|outbox| outbox.push_control(&Frame::Control(&body))),
            Err(error) => self.close(&format!("a message could not be encoded: {error}")),
        }
    }

    /// Queues a control message of a client, unless what waits leaves too little room for the
    /// gateway's own. False: it was not queued. A closed link takes nothing, and that is no fault
    /// of the client.
    #[must_use]
    pub(super) fn offer(&self, message: &ToAgent) -> bool {
        let Ok(body) = encode(message) else { return false };
        if self.is_closed() {
            return true;
        }
        let taken = lock(&self.outbox).offer_control(&Frame::Control(&body));
        if taken {
            self.ready.notify_one();
        }
        taken
    }

    /// Queues a ping, an answer to one, or a version.
    pub(super) fn send_frame(&self, frame: &Frame<'_>) {
        self.push(|outbox| outbox.push_control(frame));
    }

    /// Queues stream bytes or the end of a stream.
    pub(super) fn send_data(&self, stream: StreamId, frame: &Frame<'_>) {
        self.push(|outbox| outbox.push_data(stream, frame));
    }

    /// Passes a receiver's credit on.
    pub(super) fn send_credit(&self, stream: StreamId, acked: u64, limit: u64) {
        self.push(|outbox| {
            outbox.push_credit(stream, acked, limit);
            Ok(())
        });
    }

    /// Drops what waits for a stream.
    pub(super) fn clear_stream(&self, stream: StreamId) {
        lock(&self.outbox).clear_stream(stream);
    }

    fn push(&self, push: impl FnOnce(&mut Outbox) -> Result<(), super::outbox::Overflow>) {
        if self.is_closed() {
            return;
        }
        let pushed = push(&mut lock(&self.outbox));
        match pushed {
            Ok(()) => self.ready.notify_one(),
            Err(overflow) => self.close(&overflow.to_string()),
        }
    }

    /// Moves what waits into `out`, about `most` bytes.
    pub(super) fn take(&self, out: &mut Vec<u8>, most: usize) {
        lock(&self.outbox).take(out, most);
    }

    /// Ends the link; the first reason is kept.
    pub(super) fn close(&self, why: &str) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            *lock(&self.why_closed) = Some(why.to_owned());
            lock(&self.rotation).take(); // the caller that waits hears that the link is gone
            self.closing.notify_one();
            self.heard_changed.notify_waiters();
        }
    }

    /// True once [`Link::close`] was called.
    #[must_use]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Why it was closed.
    #[must_use]
    pub(super) fn why_closed(&self) -> Option<String> {
        lock(&self.why_closed).clone()
    }

    /// Asks the agent for a new key; `None` while somebody waits for one already.
    pub(super) fn ask_new_key(&self) -> Option<oneshot::Receiver<Rotated>> {
        let mut rotation = lock(&self.rotation);
        if rotation.as_ref().is_some_and(|asked| !asked.is_closed()) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        *rotation = Some(answer);
        drop(rotation);
        self.send(&ToAgent::RotateKey);
        Some(answered)
    }

    /// The caller that asked for a new key, if one still waits; taken once.
    pub(super) fn take_rotation(&self) -> Option<oneshot::Sender<Rotated>> {
        lock(&self.rotation).take().filter(|asked| !asked.is_closed())
    }

    /// Answers the caller that asked for a new key.
    pub(super) fn answer_rotation(&self, answer: Rotated) {
        if let Some(asked) = self.take_rotation() {
            let _ = asked.send(answer); // gone just now: nobody is left to tell
        }
    }

    /// The agent has named all sessions that it holds.
    pub(super) fn settle(&self) {
        self.settled.store(true, Ordering::Release);
        self.heard_changed.notify_waiters();
    }

    /// Whether the agent has named all sessions that it holds.
    #[must_use]
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Waits for that, at most `patience`; false: not in time, or the link is over.
    pub(super) async fn settles(&self, patience: std::time::Duration) -> bool {
        let settled = async {
            loop {
                let changed = self.heard_changed.notified();
                if self.is_settled() || self.is_closed() {
                    return self.is_settled();
                }
                changed.await;
            }
        };
        tokio::time::timeout(patience, settled).await.unwrap_or(false)
    }

    /// Something was heard from the agent.
    pub(super) fn hear(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        self.heard_changed.notify_waiters();
    }

    /// Queues a ping; its number.
    fn ping(&self) -> u64 {
        let number = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.send_frame(&Frame::Ping { next_in: 0 });
        number
    }

    /// A ping was answered.
    pub(super) fn pong(&self) {
        self.answered.fetch_add(1, Ordering::AcqRel);
        self.heard_changed.notify_waiters();
    }

    /// Whether the agent has taken, within `patience`, all that was queued before this call.
    pub(super) async fn has_heard(&self, patience: std::time::Duration) -> bool {
        let number = self.ping();
        let answered = async {
            loop {
                let changed = self.heard_changed.notified();
                if self.answered.load(Ordering::Acquire) >= number {
                    return true;
                }
                if self.is_closed() {
                    return false;
                }
                changed.await;
            }
        };
        tokio::time::timeout(patience, answered).await.unwrap_or(false)
    }

    /// Asks the agent for a sign of life and waits for one, at most `patience`.
    pub(super) async fn answers(&self, patience: std::time::Duration) -> bool {
        let before = self.heard.load(Ordering::Relaxed);
        self.ping();
        let asked = async {
            loop {
                let changed = self.heard_changed.notified();
                if self.heard.load(Ordering::Relaxed) != before {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(patience, asked).await.is_ok()
    }
}
