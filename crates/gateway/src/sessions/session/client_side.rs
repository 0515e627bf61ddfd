//! What a client's channel tells a session: it attaches and leaves, types, takes output, has
//! another size.
//!
//! Way: the channel's task -> one of these -> the device's link. Nothing here waits.
//!
//! # Invariants
//! - A client is known by its queue: what comes from one that was replaced is ignored.
//! - The device gets credit for what the client has taken, and not before the recorder has taken it
//!   as well.

use std::sync::Arc;

use tokio::time::Instant;
use towline_wire::client::ToClient;
use towline_wire::frame::Frame;
use towline_wire::message::{EndReason, Size, ToAgent};

use super::session::{Carried, Phase, Session};
use crate::sessions::Lane;
use crate::sessions::lanes::Broken;
use crate::sessions::queue::{ClientQueue, ToChannel};
use crate::sessions::token::Token;

impl Session {
    /// Keeps a token that opens the data channel once.
    pub fn set_token(&self, token: Token) {
        self.lock().token = Some(token);
    }

    /// A client with a token wants to be attached; its queue from now on.
    ///
    /// # Errors
    /// Words for the client.
    pub fn attach(
        &self,
        token: &str,
        received: Option<[u64; 2]>,
        room: [u32; 2],
        size: Option<Size>,
    ) -> Result<Arc<ClientQueue>, &'static str> {
        let mut core = self.lock();
        if matches!(core.phase, Phase::Ended) {
            return Err("the session is over");
        }
        if core.token.take_if(|held| held.opens(token, Instant::now())).is_none() {
            return Err("the token is wrong, used, or too old: call ResumeSession for a new one");
        }
        let queue = Arc::new(ClientQueue::default());
        if let Some(older) = core.client.replace(Arc::clone(&queue)) {
            let text = "another client has taken the session over".to_owned();
            older.close(ToClient::Refused { text, taken_over: true });
        }
        core.since.no_client = None;
        core.since.ever_attached = true;
        core.since.activity = Instant::now();
        core.lanes.want(received, room);
        if let Some(size) = size {
            self.resized(size);
        }
        match (&core.carried, size) {
            (Some(carried), Some(size)) => {
                carried.link.send(&ToAgent::Resize { session: self.meta.name.clone(), size })
            }
            (None, _) => {
                let grace = u32::try_from(self.meta.grace.as_secs()).unwrap_or(u32::MAX);
                let _ = queue.push(ToChannel::Word(ToClient::Waiting { grace }));
            }
            (Some(_), None) => {}
        }
        if matches!(core.phase, Phase::Running) {
            core.attach(&self.meta.name);
        }
        self.changed.notify_one();
        Ok(queue)
    }

    /// The client is gone. Output stops; the session waits for another one. True when it was the
    /// attached one.
    pub fn client_gone(&self, queue: &Arc<ClientQueue>) -> bool {
        let mut core = self.lock();
        if !core.client.as_ref().is_some_and(|client| Arc::ptr_eq(client, queue)) {
            return false;
        }
        core.client = None;
        core.lanes.stop();
        core.since.no_client = Some(Instant::now());
        if let Some(carried) = &core.carried {
            carried.link.send(&ToAgent::Detach { session: self.meta.name.clone() });
        }
        self.changed.notify_one();
        true
    }

    /// Input from the client. False: it broke the rules and has to go.
    #[must_use]
    pub fn input(&self, queue: &Arc<ClientQueue>, offset: u64, data: &[u8]) -> bool {
        let mut core = self.lock();
        if !core.is_client(queue) {
            return true; // its successor is attached; the last word is on its way to it
        }
        core.since.activity = Instant::now();
        match core.lanes.input(offset, data.len()) {
            Ok(true) => {
                if let Some(Carried { link, io, .. }) = &core.carried {
                    link.send_data(*io, &Frame::Data { stream: *io, offset, data });
                    if let Some(tape) =
                        self.tape.get().filter(|_| self.meta.input && link.tells_echo())
                    {
                        tape.input(offset, data);
                    }
                }
                true
            }
            Ok(false) => true,
            Err(_) => false,
        }
    }

    /// The client's input ends at this length.
    pub fn input_ended(&self, queue: &Arc<ClientQueue>, length: u64) {
        let mut core = self.lock();
        if core.is_client(queue)
            && core.lanes.input_ended(length)
            && let Some(Carried { link, io, .. }) = &core.carried
        {
            link.send_data(*io, &Frame::Fin { stream: *io, length });
        }
    }

    /// The client took output and has room. Err: it broke the rules. Some: everything was
    /// delivered, end the session so.
    ///
    /// # Errors
    /// [`Broken`]: the client has to go.
    pub fn output_credit(
        &self,
        queue: &Arc<ClientQueue>,
        lane: Lane,
        acked: u64,
        limit: u64,
    ) -> Result<Option<EndReason>, Broken> {
        let mut core = self.lock();
        if !core.is_client(queue) || !core.lanes.flows() {
            return Ok(None);
        }
        let limit = core.lanes.output_credit(lane, acked, limit)?;
        // What the client has taken is not yet what the recorder has taken: the slower of the two
        // sets the pace.
        if self.tape.get().is_some_and(|tape| tape.is_behind()) {
            core.held[lane as usize] = Some((acked, limit));
        } else {
            core.held[lane as usize] = None;
            core.credit(lane, acked, limit);
        }
        Ok(core.complete())
    }

    /// The recorder has caught up: the agent gets the credit that was held back.
    pub(in crate::sessions) fn release_credit(&self) {
        let mut core = self.lock();
        for lane in [Lane::Io, Lane::Err] {
            if let Some((acked, limit)) = core.held[lane as usize].take()
                && core.lanes.flows()
            {
                core.credit(lane, acked, limit);
            }
        }
    }

    /// A control message for the agent that needs nothing but the session's name (size, signal).
    /// False: too many wait already, and the client has to go; the link with its other sessions
    /// must not suffer for it.
    #[must_use]
    pub fn to_agent(
        &self,
        queue: &Arc<ClientQueue>,
        message: impl FnOnce(String) -> ToAgent,
    ) -> bool {
        let core = self.lock();
        if core.is_client(queue)
            && let Some(carried) = &core.carried
        {
            let message = message(self.meta.name.clone());
            if let ToAgent::Resize { size, .. } = &message {
                self.resized(*size);
            }
            return carried.link.offer(&message);
        }
        true
    }
}
