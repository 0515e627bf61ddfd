//! The seat of a session: who types into it, and how another user gets it.
//!
//! Data flow: the API asks for another user -> the client is asked, if its consent is needed -> a
//! token -> the other user's client attaches with it, and the former client is told.
//!
//! # Invariants
//! - One client has the seat: positions of input are counted between one client and the device.
//! - One request waits for an answer at a time, and ends with the client that was asked.
//! - A seat is its user's by ids: who loses her rights loses it, and nobody inherits it by a name.
//! - The recording says who types from which position on, each time that another user begins.
//! - Who has it outlives the gateway: the session's row says so ([`crate::sessions::Hub`] writes
//!   it), and a session that is taken up again begins with it.

use std::sync::Arc;

use tokio::sync::oneshot;
use towline_wire::client::ToClient;

use super::session::{Core, Phase, Session};
use crate::plane::{SeatError, Sitter};
use crate::sessions::queue::ClientQueue;
use crate::sessions::token::Token;

/// The seat of a session.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// The user who has it; `None`: the owner.
    holder: Option<Sitter>,
    /// The user of the session's token; `None`: the owner.
    next: Option<Sitter>,
    /// Who the store says has it.
    stored: Option<Sitter>,
    /// Another user has taken it, and the recording does not say so yet.
    changed: bool,
    request: u32,
    asked: Option<oneshot::Sender<bool>>,
}

impl Session {
    /// Keeps a token that opens the data channel once, for the owner.
    pub fn set_token(&self, token: Token) {
        self.set_token_of(token, None);
    }

    /// Whether a token opens the data channel now.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.lock().token.is_some()
    }

    /// Keeps a token for this user; `None`: the owner.
    pub fn set_token_of(&self, token: Token, user: Option<Sitter>) {
        let mut core = self.lock();
        let former = core.token.replace(token);
        core.earlier = former.filter(|_| core.seat.next == user);
        core.seat.next = user;
    }

    /// Whether another user may be given the seat at all.
    ///
    /// # Errors
    /// [`SeatError`].
    pub fn has_seat(&self) -> Result<(), SeatError> {
        if !self.meta.has_terminal() {
            return Err(SeatError::NoTerminal);
        }
        let over = matches!(self.lock().phase, Phase::Ended);
        if over { Err(SeatError::Over) } else { Ok(()) }
    }

    /// A session that is taken up again: who had the seat has it.
    pub(in crate::sessions) fn restore_seat(&self, holder: Sitter) {
        let seat = &mut self.lock().seat;
        seat.stored = Some(holder.clone());
        seat.holder = Some(holder);
    }

    /// Who has the seat, unless the store says so: `Some(None)`: the owner.
    pub(in crate::sessions) fn unstored_seat(&self) -> Option<Option<Sitter>> {
        let seat = &self.lock().seat;
        (seat.holder != seat.stored).then(|| seat.holder.clone())
    }

    /// The store says who has it.
    pub(in crate::sessions) fn seat_stored(&self, holder: Option<Sitter>) {
        self.lock().seat.stored = holder;
    }

    /// Whether this user has the seat: she herself, and not one who has got her name since.
    #[must_use]
    pub fn is_held_by(&self, user: &Sitter) -> bool {
        self.lock().seat.holder.as_ref() == Some(user)
    }

    /// Whether a principal or person of these ids has the seat without being the owner, or holds a
    /// token for it. `end`: her client is sent away, and the token opens nothing.
    #[must_use]
    pub fn leave_seat(&self, ids: &[String], end: bool) -> bool {
        let mut core = self.lock();
        let is_hers = |user: &Option<Sitter>| user.as_ref().is_some_and(|user| user.is_of(ids));
        let (sits, waits) = (is_hers(&core.seat.holder), is_hers(&core.seat.next));
        let has = (sits && core.client.is_some()) || (waits && core.token.is_some());
        if !end || matches!(core.phase, Phase::Ended) {
            return has;
        }
        if waits {
            (core.token, core.earlier, core.seat.next) = (None, None, None);
        }
        if sits {
            (core.seat.holder, core.seat.changed, core.seat.asked) = (None, true, None);
            if let Some(client) = core.client.take() {
                let text = "your rights to this session were removed".to_owned();
                client.close(ToClient::Refused { text, taken_over: true });
                core.lost_client();
            }
        }
        drop(core);
        self.changed.notify_one();
        has
    }

    /// Asks the client to give its seat to this user.
    ///
    /// # Errors
    /// [`SeatError`]: there is no client that can be asked now.
    pub fn ask_for_seat(&self, user: &str) -> Result<oneshot::Receiver<bool>, SeatError> {
        let mut core = self.lock();
        let Some(client) = core.client.clone().filter(|_| core.hears) else {
            return Err(SeatError::NobodyToAsk);
        };
        if core.seat.asked.as_ref().is_some_and(|asked| !asked.is_closed()) {
            return Err(SeatError::Busy);
        }
        core.seat.request = core.seat.request.wrapping_add(1);
        let request = core.seat.request;
        if !client.notice(ToClient::SeatAsked { request, by: user.to_owned() }) {
            return Err(SeatError::NobodyToAsk);
        }
        let (answer, answered) = oneshot::channel();
        core.seat.asked = Some(answer);
        Ok(answered)
    }

    /// The client answers a request for its seat. Answers to other requests mean nothing.
    pub fn answer_seat(&self, queue: &Arc<ClientQueue>, request: u32, give: bool) {
        let mut core = self.lock();
        if core.is_client(queue)
            && core.seat.request == request
            && let Some(asked) = core.seat.asked.take()
        {
            let _ = asked.send(give);
        }
    }

    /// Gives a message of this user to the client. False: there is no client that takes messages.
    #[must_use]
    pub fn message(&self, from: &str, text: &str) -> bool {
        let core = self.lock();
        let message = ToClient::Message { from: from.to_owned(), text: text.to_owned() };
        core.client.as_ref().filter(|_| core.hears).is_some_and(|client| client.notice(message))
    }
}

impl Core {
    /// A client has attached with the session's token. What a client before it is told.
    pub(super) fn take_seat(&mut self, owner: &str) -> String {
        let next = self.seat.next.take();
        self.seat.asked = None;
        if next == self.seat.holder {
            return "another client has taken the session over".to_owned();
        }
        let user = next.as_ref().map_or(owner, |user| &user.arn);
        let text = format!("{user} has taken the session over");
        (self.seat.holder, self.seat.changed) = (next, true);
        text
    }

    /// Bytes flow, and input begins at this position.
    pub(super) fn record_seat(&mut self, owner: &str, input: u64) {
        if std::mem::take(&mut self.seat.changed)
            && let Some(tape) = &self.tape
        {
            let user = self.seat.holder.as_ref().map_or(owner, |user| &user.arn);
            tape.marker(&format!("input from byte {input} on is typed by {user}"));
        }
    }
}
