//! What a client's channel tells a session: it attaches and leaves, types, takes output, has
//! another size.
//!
//! Data flow: the channel's task -> one of these -> the device's connection. Nothing here waits.
//!
//! # Invariants
//! - A client is known by its queue: what comes from one that was replaced is ignored.
//! - The device gets credit for what the client has taken, and not before the recorder has taken it
//!   as well.

use std::sync::Arc;

use tokio::time::Instant;
use towline_wire::client::ToClient;
use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::Size;

use super::seat_side::place_of;
use super::session::{Core, Phase, Session};
use crate::plane::EndReason;
use crate::sessions::device_end::Control;
use crate::sessions::positions::Broken;
use crate::sessions::queue::{ClientQueue, ToChannel};
use crate::sessions::token::{FIRST_SEAT, Token};

impl Session {
    /// A client with a token wants to be attached; its queue from now on.
    ///
    /// # Errors
    /// Words for the client.
    pub fn attach(
        &self,
        token: &str,
        received: Option<Lanes<u64>>,
        room: Lanes<u32>,
        size: Option<Size>,
    ) -> Result<Arc<ClientQueue>, &'static str> {
        self.attach_to(None, token, received, room, size)
    }

    /// The same for a client of AWS's dialect, which is known by a name of its own and names no
    /// seat when it returns.
    ///
    /// # Errors
    /// Words for the client.
    pub fn attach_named(
        &self,
        name: &str,
        token: &str,
        received: Option<Lanes<u64>>,
        room: Lanes<u32>,
    ) -> Result<Arc<ClientQueue>, &'static str> {
        self.attach_to(Some(name), token, received, room, None)
    }

    fn attach_to(
        &self,
        name: Option<&str>,
        token: &str,
        received: Option<Lanes<u64>>,
        room: Lanes<u32>,
        size: Option<Size>,
    ) -> Result<Arc<ClientQueue>, &'static str> {
        let mut core = self.lock();
        if matches!(core.phase, Phase::Ended) {
            return Err("the session is over");
        }
        let token = core.use_token(token)?;
        let is_first = token.seat() == FIRST_SEAT;
        let place = place_of(&token, name);
        if core.has_left(&place) {
            return Err("another client has taken the session over: to take it back, start again \
                        with `towline attach`");
        }
        let queue = Arc::new(ClientQueue::default());
        let text = core.take_seat(&self.meta.owner, place, is_first);
        if let Some(older) = core.client.replace(Arc::clone(&queue)) {
            older.close(ToClient::Refused { text, taken_over: true });
        }
        core.hears = false;
        core.since.no_client = None;
        core.since.ever_attached = true;
        core.since.activity = Instant::now();
        core.positions.want(received, room);
        if let Some(size) = size {
            core.resized(size);
        }
        match (&core.device, size) {
            (Some(device), Some(size)) => device.control(Control::Resize(size)),
            (None, _) => {
                let grace = u32::try_from(self.meta.grace.as_secs()).unwrap_or(u32::MAX);
                let _ = queue.push(ToChannel::Word(ToClient::Waiting { grace }));
            }
            (Some(_), None) => {}
        }
        if matches!(core.phase, Phase::Running) {
            core.attach();
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
        core.lost_client();
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
        match core.positions.input(offset, data.len()) {
            Ok(Some(known)) => {
                if let Some(device) = &core.device {
                    let (offset, data) = (offset + known as u64, &data[known..]);
                    device.input(offset, data);
                    if let Some(tape) =
                        core.tape.as_ref().filter(|_| self.meta.input && device.tells_echo())
                    {
                        tape.input(offset, data);
                    }
                }
                true
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// The client's input ends at this length.
    pub fn input_ended(&self, queue: &Arc<ClientQueue>, length: u64) {
        let mut core = self.lock();
        if core.is_client(queue)
            && core.positions.input_ended(length)
            && let Some(device) = &core.device
        {
            device.input_end(length);
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
        if !core.is_client(queue) || !core.positions.flows() {
            return Ok(None);
        }
        let limit = core.positions.output_credit(lane, acked, limit)?;
        // What the client has taken is not yet what the recorder has taken: the slower of the two
        // sets the pace.
        if core.is_behind() {
            core.held[lane] = Some((acked, limit));
        } else {
            core.held[lane] = None;
            core.credit(lane, acked, limit);
        }
        Ok(core.complete())
    }

    /// The recorder has caught up, or may have: the device gets the credit that was held back.
    pub(in crate::sessions) fn release_credit(&self) {
        self.lock().release_credit();
    }

    /// The client has another terminal size or sends a signal. False: too many such messages wait
    /// already, and the client has to go; the device's other sessions are not affected.
    #[must_use]
    pub fn control(&self, queue: &Arc<ClientQueue>, control: Control) -> bool {
        let mut core = self.lock();
        if !core.is_client(queue) {
            return true;
        }
        let Some(device) = core.device.clone() else { return true };
        if let Control::Resize(size) = control {
            core.resized(size);
        }
        device.offer(control)
    }
}

impl Core {
    /// The token of this text, which opens nothing any more.
    fn use_token(&mut self, text: &str) -> Result<Token, &'static str> {
        let now = Instant::now();
        let newest = self.token.take_if(|held| held.opens(text, now));
        let earlier = self.earlier.take_if(|held| newest.is_some() || held.opens(text, now));
        let wrong = "the token is wrong, used, or too old: call ResumeSession for a new one";
        newest.or(earlier).ok_or(wrong)
    }

    /// There is no client any more: output stops.
    pub(super) fn lost_client(&mut self) {
        self.positions.stop();
        self.since.no_client = Some(Instant::now());
        if let Some(device) = &self.device {
            device.control(Control::Detach);
        }
    }
}
