//! The websocket of a session, and its return after a loss. Where the gateway speaks AWS's dialect,
//! a translator ([`Aws`]) stands between the two.
//!
//! Data flow: [`Link::next`] sends what the streams have, takes what comes, watches the silence;
//! [`Link::lost`] begins the return: a pause, ResumeSession, a new websocket ([`Event::Back`]).
//! It names the seat that this client had: one that another client has taken meanwhile is not taken
//! back unasked.
//!
//! # Invariants
//! - [`Link::next`] may be dropped at any await without losing anything.
//! - Sending never keeps from receiving: both go on in the same poll, so two full sockets cannot
//!   wait for each other.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use towline_ssm::Operation;
use towline_ssm::api::session::{
    ResumeSessionRequest, StartSessionResponse, TerminateSessionRequest, TerminateSessionResponse,
    VENDOR_STREAM, seat_of,
};
use towline_wire::message::EndReason;
use towline_wire::smux::Version;

use super::aws::Aws;
use super::begin::{Begin, Token};
use super::error::SessionError;
use super::patience::{Backoff, Liveness, Verdict};
use crate::api::{CallError, Client, Dialect, Socket};
use crate::limits::CLOSE_TIMEOUT;
use crate::terminal::printable;

/// What the link sends.
pub(super) trait Source {
    /// The next message for the websocket, if there is one.
    fn next_message(&mut self) -> Option<Message>;
}

/// A session with its first websocket.
pub(super) struct Begun {
    pub(super) link: Link,
    pub(super) session: String,
    pub(super) token: Token,
    /// What the operator must know before the first byte.
    pub(super) notice: Option<String>,
}

/// Asks for a session, or takes up the one that there is.
pub(super) async fn begin(mut client: Client, begin: Begin) -> Result<Begun, SessionError> {
    let (mut notice, mut vendor) = (None, false);
    let is_new = matches!(begin, Begin::Start(_));
    let again = match begin {
        Begin::Join(_) => Operation::JoinSession,
        _ => Operation::ResumeSession,
    };
    let (session, url, token) = match begin {
        Begin::Start(request) => {
            let answer: StartSessionResponse =
                client.call(Operation::StartSession, &request).await?;
            if answer.towline_input_recorded == Some(true) {
                let text = "input is recorded in this session, as far as the screen shows it";
                notice = Some(text.to_owned());
            }
            if let Some(why) = answer.towline_not_recorded {
                notice = Some(format!("this session is not recorded: {why}"));
            }
            vendor = answer.towline_agent_kind.as_deref() == Some("vendor");
            (answer.session_id, answer.stream_url, Token(answer.token_value))
        }
        Begin::Resume(session_id) | Begin::Join(session_id) => {
            // Who asks for the session gets it, also from another client.
            let asked = ask_again(&mut client, &session_id, again, None).await?;
            let (url, token, session_type) = asked;
            if let Some(session_type) = session_type.filter(|kind| !has_terminal(kind)) {
                return Err(SessionError::NoTerminal { session: session_id, session_type });
            }
            (session_id, url.unwrap_or_default(), token)
        }
        Begin::Given { session, stream_url, token } => (session, stream_url, token),
    };
    let (socket, dialect) = match client.upgrade(&url).await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            if is_new {
                terminate(&mut client, &session).await;
            }
            return Err(error.into());
        }
    };
    vendor |= url.ends_with(VENDOR_STREAM);
    let aws = (dialect == Dialect::Aws).then(|| Box::new(Aws::new()));
    let state = State::Up(Box::new(Up::new(socket)));
    let link = Link {
        state,
        client: Some(Box::new(client)),
        session: session.clone(),
        url,
        again,
        aws,
        vendor,
        outage: None,
        seat: None,
        offered: seat_of(&token.0).map(str::to_owned),
    };
    Ok(Begun { link, session, token, notice })
}

/// Ends a session that has no stream. A failure is ignored: the gateway ends a session that nobody
/// attaches to.
async fn terminate(client: &mut Client, session: &str) {
    let request = TerminateSessionRequest { session_id: session.to_owned() };
    let asked = client.call::<TerminateSessionResponse>(Operation::TerminateSession, &request);
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, asked).await;
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

type Try = Pin<Box<dyn Future<Output = (Box<Client>, Result<(Socket, String, Token), CallError>)>>>;

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
    /// Why nothing can be sent any more. What has come is still read: it may be the last word.
    mute: Option<String>,
}

/// The websocket of a session.
pub(super) struct Link {
    state: State,
    /// Away while a try has it.
    client: Option<Box<Client>>,
    session: String,
    /// Where its stream was opened last.
    url: String,
    /// What gives a new token.
    again: Operation,
    /// Speaks for us where the gateway does not know our dialect.
    aws: Option<Box<Aws>>,
    /// The device runs amazon-ssm-agent.
    vendor: bool,
    outage: Option<Backoff>,
    /// The seat that this client has had.
    seat: Option<String>,
    /// The seat of the latest token, until the gateway has answered: nobody knows whether the
    /// attach has arrived.
    offered: Option<String>,
}

impl Link {
    /// Whether the gateway knows only AWS's dialect.
    pub(super) const fn speaks_aws(&self) -> bool {
        self.aws.is_some()
    }

    /// The version of smux that the other end of a tunnel speaks.
    #[must_use]
    pub(super) fn smux(&self) -> Version {
        if self.aws.is_some() || self.vendor { Version::One } else { Version::Two }
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
        self.terminate_if_wanted();
        match &mut self.state {
            State::Up(up) => {
                let traffic = &mut Traffic { streams, aws: self.aws.as_deref_mut() };
                let event = up.next(traffic).await;
                if matches!(event, Event::Frame(_)) && self.offered.is_some() {
                    self.seat = self.offered.take();
                }
                event
            }
            State::Pause(until) => {
                sleep_until(*until).await;
                Event::PauseOver
            }
            State::Trying(attempt) => {
                let (client, result) = attempt.await;
                self.client = Some(client);
                self.state = State::Down;
                match result {
                    Ok((socket, url, token)) => {
                        self.url = url;
                        self.offered = seat_of(&token.0).map(str::to_owned);
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
        if let Some(aws) = &mut self.aws {
            aws.link_lost();
        }
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
        let (session, old) = (self.session.clone(), self.url.clone());
        let (again, seat) = (self.again, self.seat.clone());
        let dialect = if self.aws.is_some() { Dialect::Aws } else { Dialect::Towline };
        self.state = State::Trying(Box::pin(async move {
            let result = resume(&mut client, (&session, seat), again, old, dialect).await;
            (client, result)
        }));
    }

    /// A gateway of AWS's dialect has no word for the end of a shell on the stream: it is asked by
    /// its API. Nobody waits for the answer but as long as for any other.
    fn terminate_if_wanted(&mut self) {
        if self.aws.as_deref_mut().is_some_and(Aws::take_terminate)
            && let Some(mut client) = self.client.take()
        {
            let request = TerminateSessionRequest { session_id: self.session.clone() };
            tokio::spawn(async move {
                let answer = client
                    .call::<TerminateSessionResponse>(Operation::TerminateSession, &request)
                    .await;
                // A failure, for example a missing key, is ignored: the gateway ends a session
                // without a client.
                drop(answer);
            });
        }
    }
}

/// The answer to ResumeSession from any gateway: only the token is always there.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Resumed {
    token_value: Option<String>,
    stream_url: Option<String>,
    towline_session_type: Option<String>,
    towline_ended: Option<String>,
    towline_end_code: Option<String>,
    towline_taken_over: Option<String>,
}

/// Whether a session of this type has a terminal that another client can go on with. A command, a
/// copy or a tunnel would get keystrokes as its data.
fn has_terminal(session_type: &str) -> bool {
    matches!(session_type, "Standard_Stream" | "InteractiveCommands")
}

/// Asks for a new token, and where to use it.
async fn ask_again(
    client: &mut Client,
    session: &str,
    operation: Operation,
    seat: Option<String>,
) -> Result<(Option<String>, Token, Option<String>), CallError> {
    let request = ResumeSessionRequest { session_id: session.to_owned(), towline_seat: seat };
    let answer: Resumed = client.call(operation, &request).await?;
    if let Some(by) = answer.towline_taken_over {
        return Err(CallError::TakenOver { by: printable(&by) });
    }
    let Some(token) = answer.token_value.filter(|token| !token.is_empty()) else {
        let why = answer.towline_ended.filter(|why| !why.is_empty());
        let why = why.unwrap_or_else(|| "the gateway does not say why".to_owned());
        let reason = answer.towline_end_code.as_deref().and_then(EndReason::of_code);
        return Err(CallError::SessionOver { why: printable(&why), reason });
    };
    let url = answer.stream_url.filter(|url| !url.is_empty());
    Ok((url, Token(token), answer.towline_session_type))
}

/// Asks for a new token and opens a websocket for it.
async fn resume(
    client: &mut Client,
    (session, seat): (&str, Option<String>),
    again: Operation,
    old: String,
    spoken: Dialect,
) -> Result<(Socket, String, Token), CallError> {
    let (url, token, _) = ask_again(client, session, again, seat).await?;
    let url = url.unwrap_or(old);
    let (socket, dialect) = client.upgrade(&url).await?;
    if dialect != spoken {
        let why =
            format!("the session used the dialect {spoken:?}, the gateway now offers {dialect:?}");
        return Err(CallError::NotAGateway { to: url, why });
    }
    Ok((socket, url, token))
}

/// What goes over the websocket: the streams' own frames, or what the translator makes of them.
struct Traffic<'a, S> {
    streams: &'a mut S,
    aws: Option<&'a mut Aws>,
}

impl<S: Source> Traffic<'_, S> {
    fn next_message(&mut self) -> Result<Option<Message>, String> {
        let Some(aws) = &mut self.aws else { return Ok(self.streams.next_message()) };
        while let Some(message) = self.streams.next_message() {
            aws.take_local(&message.into_data()).map_err(|why| why.to_string())?;
        }
        Ok(aws.next_message())
    }

    /// A frame for the streams that is there already.
    fn waiting(&mut self) -> Option<Bytes> {
        self.aws.as_mut()?.next_frame()
    }

    /// What came, as a frame for the streams if it is one.
    fn received(&mut self, message: Bytes) -> Result<Option<Bytes>, String> {
        let Some(aws) = &mut self.aws else { return Ok(Some(message)) };
        aws.take_message(&message).map_err(|why| why.to_string())?;
        Ok(aws.next_frame())
    }

    fn due_in(&self) -> Option<Duration> {
        self.aws.as_ref()?.due_in()
    }
}

/// Short, because the status line has one line.
fn reason(error: &WsError) -> String {
    match error {
        WsError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "it was closed".to_owned()
        }
        WsError::Io(error) => error.to_string(),
        WsError::ConnectionClosed | WsError::AlreadyClosed | WsError::Protocol(_) => {
            "it was closed".to_owned()
        }
        other => other.to_string(),
    }
}

impl Up {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            liveness: Liveness::new(Instant::now()),
            flush: false,
            ping: false,
            mute: None,
        }
    }

    async fn next(&mut self, traffic: &mut Traffic<'_, impl Source>) -> Event {
        loop {
            let silence = sleep_until(self.liveness.deadline());
            let due = traffic.due_in();
            tokio::select! {
                biased;
                event = poll_fn(|cx| self.poll(cx, traffic)) => return event,
                // Something is to be repeated; the next round does it.
                () = sleep(due.unwrap_or_default()), if due.is_some() => {}
                () = silence => match self.liveness.judge(Instant::now()) {
                    Verdict::Wait => {}
                    Verdict::Ping => self.ping = true,
                    Verdict::Dead => return Event::Lost("the gateway is silent".to_owned()),
                },
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        traffic: &mut Traffic<'_, impl Source>,
    ) -> Poll<Event> {
        loop {
            if self.mute.is_none()
                && let Poll::Ready(Err(why)) = self.poll_send(cx, traffic)
            {
                self.mute = Some(why);
            }
            if let Some(frame) = traffic.waiting() {
                return Poll::Ready(Event::Frame(frame));
            }
            let message = match self.socket.poll_next_unpin(cx) {
                Poll::Pending => {
                    return self
                        .mute
                        .take()
                        .map_or(Poll::Pending, |why| Poll::Ready(Event::Lost(why)));
                }
                Poll::Ready(message) => message,
            };
            self.liveness.heard(Instant::now());
            match message {
                Some(Ok(Message::Binary(message))) => match traffic.received(message) {
                    Ok(Some(frame)) => return Poll::Ready(Event::Frame(frame)),
                    // Translated, and nothing for the streams: an answer may have to be sent.
                    Ok(None) => {}
                    Err(why) => return Poll::Ready(Event::Lost(why)),
                },
                Some(Ok(Message::Close(_))) | None => {
                    return Poll::Ready(Event::Lost("it was closed".to_owned()));
                }
                Some(Err(error)) => return Poll::Ready(Event::Lost(reason(&error))),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Gives the socket what there is, as far as it takes it. Pending means only that it took not
    /// all.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        traffic: &mut Traffic<'_, impl Source>,
    ) -> Poll<Result<(), String>> {
        let lost = |error: WsError| reason(&error);
        loop {
            std::task::ready!(self.socket.poll_ready_unpin(cx)).map_err(lost)?;
            let message = if std::mem::take(&mut self.ping) {
                Message::Ping(Bytes::new())
            } else if let Some(message) = traffic.next_message()? {
                self.liveness.sent(Instant::now());
                message
            } else {
                break;
            };
            self.socket.start_send_unpin(message).map_err(lost)?;
            self.flush = true;
        }
        if self.flush {
            std::task::ready!(self.socket.poll_flush_unpin(cx)).map_err(lost)?;
            self.flush = false;
        }
        Poll::Ready(Ok(()))
    }
}
