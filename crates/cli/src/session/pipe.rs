//! A session as a pipe of bytes: what tunnels are made of, without a terminal, standard streams or
//! signals.
//!
//! # Invariants
//! - A lost websocket is made anew from within; the bytes go on where they were.
//! - [`Pipe::next`] may be dropped at any await without losing anything.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message;
use towline_wire::client::{FromClient, IO, ToClient};
use towline_wire::message::decode;
use towline_wire::smux::Version;

use super::begin::{Begin, Token};
use super::ending::Ending;
use super::error::SessionError;
use super::link::{self, Begun, Link, Source};
use super::patience::chance;
use super::streams::{Broken, Received, Streams};
use super::trouble;
use crate::api::{CallError, Client};
use crate::exit;
use crate::limits::TUNNEL_WINDOW;
use crate::output::complain;
use crate::terminal::printable;

/// What happened.
#[derive(Debug)]
pub(super) enum Happened {
    /// Bytes of the device. Say [`Pipe::consumed`] when they were passed on.
    Output(Bytes),
    /// The session is over.
    Ended(Ending),
    /// A change of the connection, for the operator.
    News(String),
    /// Bytes may have found room.
    Nothing,
}

impl Source for Streams {
    fn next_message(&mut self) -> Option<Message> {
        Self::next_message(self).map(Message::Binary)
    }
}

/// A session as a pipe of bytes.
pub(super) struct Pipe {
    session: String,
    link: Link,
    streams: Streams,
    said_lost: bool,
}

impl Pipe {
    /// Begins a session.
    ///
    /// # Errors
    /// As [`super::run()`].
    pub(super) async fn begin(client: Client, begin: Begin) -> Result<Self, SessionError> {
        let Begun { link, session, token, notice } = link::begin(client, begin).await?;
        if let Some(notice) = notice {
            complain(&notice);
        }
        let mut pipe = Self {
            link,
            session,
            streams: Streams::sized(TUNNEL_WINDOW, TUNNEL_WINDOW as usize),
            said_lost: false,
        };
        pipe.attach(token)?;
        Ok(pipe)
    }

    /// The session's id.
    pub(super) fn session(&self) -> &str {
        &self.session
    }

    /// The version of smux that the other end speaks.
    pub(super) fn smux(&self) -> Version {
        self.link.smux()
    }

    fn attach(&mut self, Token(token): Token) -> Result<(), Broken> {
        let received = self.streams.received().map(Into::into);
        let room = self.streams.room().into();
        self.streams.control(&FromClient::Attach { token, received, room, size: None })
    }

    /// Puts bytes in for the device; how many found room.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        if self.streams.wants_input() { self.streams.push_input(bytes) } else { 0 }
    }

    /// Output bytes were passed on.
    pub(super) fn consumed(&mut self, bytes: usize) {
        self.streams.consumed(IO, bytes);
    }

    /// No more bytes will be put in.
    pub(super) fn finish(&mut self) {
        self.streams.finish_input();
    }

    /// Tells the gateway to end the session; true when there is somebody to tell.
    pub(super) fn close(&mut self) -> bool {
        self.link.is_up() && self.streams.control(&FromClient::Close).is_ok()
    }

    /// What happens next.
    ///
    /// # Errors
    /// [`SessionError`] when the session cannot go on and has no end to report.
    pub(super) async fn next(&mut self) -> Result<Happened, SessionError> {
        match self.link.next(&mut self.streams).await {
            link::Event::Frame(frame) => self.on_frame(&frame),
            link::Event::Lost(why) => {
                self.streams.link_lost();
                let first = !std::mem::replace(&mut self.said_lost, true);
                self.retry(CallError::Broken { to: "the gateway".to_owned(), why: why.clone() })?;
                let news =
                    format!("connection to the gateway lost ({}): reconnecting", printable(&why));
                Ok(if first { Happened::News(news) } else { Happened::Nothing })
            }
            link::Event::PauseOver => {
                self.link.attempt();
                Ok(Happened::Nothing)
            }
            link::Event::Back(token) => {
                self.attach(token)?;
                Ok(Happened::Nothing)
            }
            link::Event::Failed(error) if error.may_heal() => {
                self.retry(error)?;
                Ok(Happened::Nothing)
            }
            link::Event::Failed(error) => match error {
                CallError::SessionOver { reason: Some(reason), .. } => {
                    Ok(Happened::Ended(Ending::stored(reason, &error)))
                }
                error => Err(SessionError::not_resumed(error)),
            },
        }
    }

    fn retry(&mut self, last: CallError) -> Result<(), SessionError> {
        if self.link.lost(chance()) {
            return Ok(());
        }
        Err(SessionError::NotBack { session: self.session.clone(), last })
    }

    fn on_frame(&mut self, frame: &Bytes) -> Result<Happened, SessionError> {
        match self.streams.on_message(frame)? {
            Received::Output(IO, data) => Ok(Happened::Output(frame.slice_ref(data))),
            Received::Control(body) => {
                let message = decode(body).map_err(Broken::from)?;
                self.on_control(message)
            }
            Received::Output(other, data) => {
                let n = data.len();
                self.streams.consumed(other, n);
                Ok(Happened::Nothing)
            }
            Received::Room | Received::Nothing => Ok(Happened::Nothing),
        }
    }

    fn on_control(&mut self, message: ToClient) -> Result<Happened, SessionError> {
        match message {
            ToClient::Attached { output, input, room } => {
                let missed = self.streams.attached(output.into(), input, room)?;
                self.link.recovered();
                if missed > 0 {
                    let line = format!("{missed} bytes were lost: the tunnel cannot continue");
                    return Ok(Happened::Ended(Ending::new(exit::TRANSPORT, line)));
                }
                let back = std::mem::take(&mut self.said_lost);
                Ok(if back { Happened::News("reconnected".to_owned()) } else { Happened::Nothing })
            }
            ToClient::Waiting { grace } => {
                self.said_lost = true;
                Ok(Happened::News(trouble::device_is_away(grace)))
            }
            ToClient::Ended { reason, text } => Ok(Happened::Ended(Ending::of(reason, &text))),
            ToClient::Refused { text, .. } => {
                Ok(Happened::Ended(Ending::new(exit::REFUSED, printable(&text))))
            }
            // The first version of smux closes a connection without a reason; of the second one,
            // the stream of the connection says the same.
            ToClient::NotConnected { text } if self.smux() == Version::One => {
                Ok(Happened::News(printable(&text)))
            }
            ToClient::NotConnected { .. }
            | ToClient::Watching { .. }
            | ToClient::Resized(_)
            | ToClient::Missed { .. }
            | ToClient::Watched { .. }
            | ToClient::Message { .. }
            | ToClient::SeatAsked { .. }
            | ToClient::AccessEnds { .. } => Ok(Happened::Nothing),
        }
    }
}
