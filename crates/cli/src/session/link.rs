//! The websocket of a session, and its return after a loss.
//!
//! Way: [`Link::next`] sends what the streams have, takes what comes, watches the silence; [`Link::lost`] begins the
//! return: a pause, ResumeSession, a new websocket ([`Event::Back`]).
//!
//! # Invariants
//! - [`Link::next`] may be dropped at any await without losing anything.
//! - Sending never keeps from receiving: both go on in the same poll, so two full sockets cannot wait for each other.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use towline_ssm::Operation;
use towline_ssm::api::session::{ResumeSessionRequest, ResumeSessionResponse, StartSessionResponse};

use super::patience::{Backoff, Liveness, Verdict};
use super::{Begin, SessionError};
use crate::api::{CallError, Client, Socket};

/// What the link sends.
pub(super) trait Source {
    /// The next message for the websocket, if there is one.
    fn next_message(&mut self) -> Option<Message>;
}

/// A session with its first websocket.
pub(super) struct Begun {
    pub(super) client: Client,
    pub(super) session: String,
    pub(super) socket: Socket,
    pub(super) token: Token,
}

/// Asks for a session, or takes up the one that there is.
pub(super) async fn begin(mut client: Client, begin: Begin) -> Result<Begun, SessionError> {
    let (session, socket, token) = match begin {
        Begin::Start(request) => {
            let answer: StartSessionResponse = client.call(Operation::StartSession, &request).await?;
            let socket = client.upgrade(&answer.stream_url).await?;
            (answer.session_id, socket, Token(answer.token_value))
        }
        Begin::Resume(session_id) => {
            let request = ResumeSessionRequest { session_id };
            let (socket, token) = resume(&mut client, &request).await?;
            (request.session_id, socket, token)
        }
        Begin::Given { session, stream_url, token } => {
            let socket = client.upgrade(&stream_url).await?;
            (session, socket, token)
        }
    };
    Ok(Begun { client, session, socket, token })
}

/// What the link has to say.
#[derive(Debug)]
pub(super) enum Event {
    /// A frame of the gateway.
    Frame(Bytes),
    /// The websocket is gone, for this reason.
    Lost(String),
    /// The pause is over.
    PauseOver,
    /// There is a new websocket; this is its token, a secret, for the first message.
    Back(Token),
    /// A try has failed.
    Failed(CallError),
}

/// The one-session token. A secret.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

type Try = Pin<Box<dyn Future<Output = (Box<Client>, Result<(Socket, Token), CallError>)>>>;

enum State {
    Up(Box<Up>),
    Pause(Instant),
    Trying(Try),
    /// Between two of the others, and at the end.
    Down,
}

struct Up {
    socket: Socket,
    liveness: Liveness,
    flush: bool,
    ping: bool,
}

/// See the module.
pub(super) struct Link {
    state: State,
    /// Away while a try has it.
    client: Option<Box<Client>>,
    session: String,
    outage: Option<Backoff>,
}

impl Link {
    /// A link with an open websocket.
    #[must_use]
    pub(super) fn new(client: Client, session: String, socket: Socket) -> Self {
        Self { state: State::Up(Box::new(Up::new(socket))), client: Some(Box::new(client)), session, outage: None }
    }

    /// Whether messages can leave now.
    #[must_use]
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// How long the link has been down.
    #[must_use]
    pub(super) fn down_for(&self) -> Duration {
        self.outage.map_or(Duration::ZERO, |outage| outage.lasted(Instant::now()))
    }

    /// What happens next.
    pub(super) async fn next(&mut self, streams: &mut impl Source) -> Event {
        match &mut self.state {
            State::Up(up) => up.next(streams).await,
            State::Pause(until) => {
                sleep_until(*until).await;
                Event::PauseOver
            }
            State::Trying(attempt) => {
                let (client, result) = attempt.await;
                self.client = Some(client);
                self.state = State::Down;
                match result {
                    Ok((socket, token)) => {
                        self.state = State::Up(Box::new(Up::new(socket)));
                        Event::Back(token)
                    }
                    Err(error) => Event::Failed(error),
                }
            }
            State::Down => std::future::pending().await,
        }
    }

    /// The websocket is of no more use: plans the next try. False when it is time to give up.
    pub(super) fn lost(&mut self, chance: f64) -> bool {
        let now = Instant::now();
        let first = self.outage.is_none();
        let pause = self.outage.get_or_insert_with(|| Backoff::new(now)).next_pause(now, chance);
        self.state = match pause {
            // The first try is at once: most losses are short.
            Some(_) if first => State::Pause(now),
            Some(pause) => State::Pause(now + pause),
            None => State::Down,
        };
        pause.is_some()
    }

    /// The device is attached again: the outage is over.
    pub(super) fn recovered(&mut self) {
        self.outage = None;
    }

    /// Begins a try.
    pub(super) fn attempt(&mut self) {
        let Some(mut client) = self.client.take() else { return };
        let request = ResumeSessionRequest { session_id: self.session.clone() };
        self.state = State::Trying(Box::pin(async move {
            let result = resume(&mut client, &request).await;
            (client, result)
        }));
    }
}

/// Asks for a new token and opens a websocket for it.
///
/// # Errors
/// [`CallError`].
pub(super) async fn resume(client: &mut Client, request: &ResumeSessionRequest) -> Result<(Socket, Token), CallError> {
    let answer: ResumeSessionResponse = client.call(Operation::ResumeSession, request).await?;
    let socket = client.upgrade(&answer.stream_url).await?;
    Ok((socket, Token(answer.token_value)))
}

/// In few words: the line about it has one line.
fn reason(error: &WsError) -> String {
    match error {
        WsError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => "it was closed".to_owned(),
        WsError::Io(error) => error.to_string(),
        WsError::ConnectionClosed | WsError::AlreadyClosed | WsError::Protocol(_) => "it was closed".to_owned(),
        other => other.to_string(),
    }
}

impl Up {
    fn new(socket: Socket) -> Self {
        Self { socket, liveness: Liveness::new(Instant::now()), flush: false, ping: false }
    }

    async fn next(&mut self, streams: &mut impl Source) -> Event {
        loop {
            let silence = sleep_until(self.liveness.deadline());
            tokio::select! {
                biased;
                event = poll_fn(|cx| self.poll(cx, streams)) => return event,
                () = silence => match self.liveness.judge(Instant::now()) {
                    Verdict::Wait => {}
                    Verdict::Ping => self.ping = true,
                    Verdict::Dead => return Event::Lost("the gateway is silent".to_owned()),
                },
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, streams: &mut impl Source) -> Poll<Event> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx, streams) {
            return Poll::Ready(Event::Lost(reason(&error)));
        }
        loop {
            let message = match self.socket.poll_next_unpin(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(message) => message,
            };
            self.liveness.heard(Instant::now());
            match message {
                Some(Ok(Message::Binary(frame))) => return Poll::Ready(Event::Frame(frame)),
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Event::Lost("it was closed".to_owned())),
                Some(Err(error)) => return Poll::Ready(Event::Lost(reason(&error))),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Gives the socket what there is, as far as it takes it. Pending means only that it took not all.
    fn poll_send(&mut self, cx: &mut Context<'_>, streams: &mut impl Source) -> Poll<Result<(), WsError>> {
        loop {
            std::task::ready!(self.socket.poll_ready_unpin(cx))?;
            let message = if std::mem::take(&mut self.ping) {
                Message::Ping(Bytes::new())
            } else if let Some(message) = streams.next_message() {
                self.liveness.sent(Instant::now());
                message
            } else {
                break;
            };
            self.socket.start_send_unpin(message)?;
            self.flush = true;
        }
        if self.flush {
            std::task::ready!(self.socket.poll_flush_unpin(cx))?;
            self.flush = false;
        }
        Poll::Ready(Ok(()))
    }
}
