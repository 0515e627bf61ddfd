//! The seat of a session: who types into it, and how another user gets it.
//!
//! Data flow: the API asks for another user -> the client is asked, if its consent is needed -> a
//! token -> the other user's client attaches with it, and the former client is told.
//!
//! # Invariants
//! - One client has the seat: positions of input are counted between one client and the device.
//! - One request waits for an answer at a time, and ends with the client that was asked.
//! - A seat is its user's by ids: who loses her rights loses it, and nobody inherits it by a name.
//! - A client that was away does not get it back from another one unless somebody asks for it: its
//!   place is another one's then. A restart of the gateway forgets places.
//! - The recording says who types from which position on, each time that another user begins.
//! - Who has it outlives the gateway: the session's row says so ([`crate::sessions::Hub`] writes
//!   it), and a session that is taken up again begins with it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;
use towline_wire::client::ToClient;

use super::session::{Core, Phase, Session};
use crate::limits::SEATS_LEFT;
use crate::plane::{Resumed, SeatError, Sitter};
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
    /// Whose it is among clients: of the one that attached last.
    place: Option<Place>,
    /// Clients of AWS's dialect that have lost it to another one, the latest last.
    left: VecDeque<Place>,
}

/// By what a client is known when it returns.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The seat of its token.
    Token(String),
    /// The name that it has in AWS's dialect.
    Name(String),
}

impl Token {
    /// The place of a client that comes with it, and has this name in AWS's dialect.
    pub(super) fn place(self, name: Option<&str>) -> Place {
        name.map_or_else(|| Place::Token(self.into_seat()), |name| Place::Name(name.to_owned()))
    }
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

    /// What this user (`None`: the owner) is told who had this seat, when another client has it now.
    #[must_use]
    pub fn taken_over(&self, user: Option<&Sitter>, seat: Option<&str>) -> Option<String> {
        let core = self.lock();
        let is_taken = match (seat, &core.seat.place) {
            (None, _) | (_, None) => false,
            (Some(seat), Some(Place::Token(place))) => place != seat,
            (Some(_), Some(Place::Name(_))) => true,
        };
        is_taken.then(|| core.seat.words(&self.meta.owner, user))
    }

    /// A token for this user who returns to the session, or word of who has taken it over. `seat`:
    /// the seat that she had, unless she asks for it whoever has it. `None`: the system has no
    /// randomness.
    #[must_use]
    pub fn resume(&self, user: Option<Sitter>, seat: Option<&str>) -> Option<Resumed> {
        if let Some(by) = self.taken_over(user.as_ref(), seat) {
            return Some(Resumed::TakenOver(by));
        }
        let is_hers = {
            let core = self.lock();
            core.seat.place.is_none() || core.seat.holder == user
        };
        let (token, text) = match seat.filter(|_| is_hers) {
            Some(seat) => Token::of_seat(Instant::now(), seat.to_owned()),
            None => Token::fresh(Instant::now()),
        }?;
        self.set_token_of(token, user);
        Some(Resumed::Token(text))
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
            core.seat.place = None;
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
    /// Whether a client of this place has lost the seat to another one.
    pub(super) fn has_left(&self, place: &Place) -> bool {
        self.seat.left.contains(place)
    }

    /// A client has attached with the session's token. What a client before it is told.
    pub(super) fn take_seat(&mut self, owner: &str, place: Place) -> String {
        let next = self.seat.next.take();
        self.seat.asked = None;
        let former = self.seat.place.take().filter(|former| *former != place);
        if let Some(former @ Place::Name(_)) = former {
            if self.seat.left.len() >= SEATS_LEFT {
                self.seat.left.pop_front();
            }
            self.seat.left.push_back(former);
        }
        self.seat.place = Some(place);
        let before = std::mem::replace(&mut self.seat.holder, next);
        let text = self.seat.words(owner, before.as_ref());
        self.seat.changed |= before != self.seat.holder;
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

impl Seat {
    /// What this user is told, who had it before.
    fn words(&self, owner: &str, before: Option<&Sitter>) -> String {
        if before == self.holder.as_ref() {
            return "another client has taken the session over".to_owned();
        }
        let user = self.holder.as_ref().map_or(owner, |user| &user.arn);
        format!("{user} has taken the session over")
    }
}
