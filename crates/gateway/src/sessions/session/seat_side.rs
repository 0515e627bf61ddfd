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
//!   place is another one's then.
//! - The recording says who types from which position on, each time that another user begins.
//! - Who has it outlives the gateway: the session's row says so ([`crate::sessions::Hub`] writes
//!   it), and a session that is taken up again begins with it ([`KeptSeat`]).

use std::collections::VecDeque;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::Instant;
use towline_wire::client::ToClient;

use super::session::{Core, Phase, Session};
use crate::limits::SEATS_LEFT;
use crate::plane::{Resumed, SeatError, Sitter};
use crate::sessions::queue::ClientQueue;
use crate::sessions::token::{FIRST_SEAT, Token};

/// The seat of a session.
#[derive(Debug)]
pub(super) struct Seat {
    /// Who has it.
    has: KeptSeat,
    /// What the store says of it.
    stored: KeptSeat,
    /// The place of the client that began the session.
    first: String,
    /// The user of the session's token; `None`: the owner.
    next: Option<Sitter>,
    /// Another user has taken it, and the recording does not say so yet.
    changed: bool,
    request: u32,
    asked: Option<oneshot::Sender<bool>>,
}

impl Default for Seat {
    fn default() -> Self {
        Self {
            has: KeptSeat::default(),
            stored: KeptSeat::default(),
            first: FIRST_SEAT.to_owned(),
            next: None,
            changed: false,
            request: 0,
            asked: None,
        }
    }
}

/// What outlives the gateway of a seat. The default is that of a session that nobody has taken
/// over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::sessions) struct KeptSeat {
    /// The user who has it; `None`: the owner.
    holder: Option<Sitter>,
    /// Whose it is among clients: of the one that attached last. `None`: of nobody.
    place: Option<String>,
    /// Clients of AWS's dialect that have lost it to another one, the latest last.
    left: VecDeque<String>,
}

impl Default for KeptSeat {
    fn default() -> Self {
        Self { holder: None, place: Some(FIRST_SEAT.to_owned()), left: VecDeque::new() }
    }
}

/// What the place of a client of AWS's dialect begins with; that of no token does.
const NAMED: char = '=';
/// Bytes that are kept of the digest of such a client's name.
const NAME_DIGEST: usize = 12;

/// By what a client is known when it returns: the seat of its token, or the name that it has in
/// AWS's dialect.
pub(super) fn place_of(token: &Token, name: Option<&str>) -> String {
    let Some(name) = name else { return token.seat().to_owned() };
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    format!("{NAMED}{}", URL_SAFE_NO_PAD.encode(&digest.as_ref()[..NAME_DIGEST]))
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

    /// What this user (`None`: the owner) is told who had this seat, when another client has it.
    #[must_use]
    pub fn taken_over(&self, user: Option<&Sitter>, seat: Option<&str>) -> Option<String> {
        let core = self.lock();
        let is_taken = match (seat, &core.seat.has.place) {
            (None, _) | (_, None) => false,
            (Some(seat), Some(place)) => place != seat,
        };
        is_taken.then(|| core.seat.words(&self.meta.owner, user))
    }

    /// A token for this user who returns to the session, or word of who has taken it over. `seat`:
    /// the seat that she had, unless she asks for that of any other client. `None`: the system has
    /// no randomness.
    #[must_use]
    pub fn resume(&self, user: Option<Sitter>, seat: Option<&str>) -> Option<Resumed> {
        if let Some(by) = self.taken_over(user.as_ref(), seat) {
            return Some(Resumed::TakenOver(by));
        }
        let is_hers = {
            let core = self.lock();
            core.seat.has.place.is_none() || core.seat.has.holder == user
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
    pub(in crate::sessions) fn restore_seat(&self, kept: KeptSeat) {
        let seat = &mut self.lock().seat;
        seat.stored = kept.clone();
        seat.has = kept;
    }

    /// Who has the seat, unless the store says so.
    pub(in crate::sessions) fn unstored_seat(&self) -> Option<KeptSeat> {
        let seat = &self.lock().seat;
        let kept = seat.kept();
        (kept != seat.stored).then_some(kept)
    }

    /// The store says who has it.
    pub(in crate::sessions) fn seat_stored(&self, kept: KeptSeat) {
        self.lock().seat.stored = kept;
    }

    /// Whether this user has the seat: she herself, and not one who has got her name since.
    #[must_use]
    pub fn is_held_by(&self, user: &Sitter) -> bool {
        self.lock().seat.has.holder.as_ref() == Some(user)
    }

    /// Whether a principal or person of these ids has the seat without being the owner, or holds a
    /// token for it. `end`: her client is sent away, and the token opens nothing.
    #[must_use]
    pub fn leave_seat(&self, ids: &[String], end: bool) -> bool {
        let mut core = self.lock();
        let is_hers = |user: &Option<Sitter>| user.as_ref().is_some_and(|user| user.is_of(ids));
        let (sits, waits) = (is_hers(&core.seat.has.holder), is_hers(&core.seat.next));
        let has = (sits && core.client.is_some()) || (waits && core.token.is_some());
        if !end || matches!(core.phase, Phase::Ended) {
            return has;
        }
        if waits {
            (core.token, core.earlier, core.seat.next) = (None, None, None);
        }
        if sits {
            (core.seat.has.holder, core.seat.changed, core.seat.asked) = (None, true, None);
            core.seat.has.place = None;
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
    /// Whether a client of AWS's dialect of this place has lost the seat to another one.
    pub(super) fn has_left(&self, place: &str) -> bool {
        self.seat.has.left.iter().any(|left| left == place)
    }

    /// A client has attached with the session's token, which names this seat. What a client before
    /// it is told.
    pub(super) fn take_seat(&mut self, owner: &str, place: String, is_first: bool) -> String {
        let seat = &mut self.seat;
        seat.asked = None;
        if is_first {
            seat.first.clone_from(&place);
        }
        let former = seat.has.place.take().filter(|former| *former != place);
        if let Some(former) = former.filter(|former| former.starts_with(NAMED)) {
            if seat.has.left.len() >= SEATS_LEFT {
                seat.has.left.pop_front();
            }
            seat.has.left.push_back(former);
        }
        seat.has.place = Some(place);
        let before = std::mem::replace(&mut seat.has.holder, seat.next.take());
        let text = seat.words(owner, before.as_ref());
        seat.changed |= before != seat.has.holder;
        text
    }

    /// Bytes flow, and input begins at this position.
    pub(super) fn record_seat(&mut self, owner: &str, input: u64) {
        if std::mem::take(&mut self.seat.changed)
            && let Some(tape) = &self.tape
        {
            let user = self.seat.has.holder.as_ref().map_or(owner, |user| &user.arn);
            tape.marker(&format!("input from byte {input} on is typed by {user}"));
        }
    }
}

impl Seat {
    /// What is stored: who began the session has the same place however it is called, so that the
    /// first attach is no write.
    fn kept(&self) -> KeptSeat {
        let mut kept = self.has.clone();
        if kept.place.as_ref() == Some(&self.first) {
            kept.place = Some(FIRST_SEAT.to_owned());
        }
        kept
    }

    /// What this user is told, who had it before.
    fn words(&self, owner: &str, before: Option<&Sitter>) -> String {
        if before == self.has.holder.as_ref() {
            return "another client has taken the session over".to_owned();
        }
        let user = self.has.holder.as_ref().map_or(owner, |user| &user.arn);
        format!("{user} has taken the session over")
    }
}
