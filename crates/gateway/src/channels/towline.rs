//! The dialects `towline.stream.1` and `towline.stream.2`: frames of the wire, one in each binary
//! message.
//!
//! Data flow in: message -> frame -> [`Session::input`] and its siblings. Way out: client's queue
//! -> frames -> messages.
//!
//! # Invariants
//! - Reading never waits for writing: Ctrl-C gets through while output is on its way over a slow
//!   line.
//! - A client that breaks the rules is told and hung up on; its session waits for another one. One
//!   whose session changes gateways is hung up on without a word, and comes again.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use towline_wire::client::{ERR, FromClient, IO, ToClient};
use towline_wire::frame::{Frame, StreamId};
use towline_wire::lane::Lane;
use towline_wire::message::{Size, decode, encode};

use super::viewer;
use crate::limits::{CHANNEL_BATCH, CHANNEL_FIRST_MESSAGE, CHANNEL_PING_EVERY, CHANNEL_STALLED};
use crate::plane::{EndReason, Visitor};
use crate::sessions::{ClientQueue, Control, Hub, Session, ToChannel, Viewer};

pub(super) type Sink = SplitSink<WebSocket, Message>;
pub(super) type Stream = SplitStream<WebSocket>;

/// What the loop does next.
enum Next {
    GoOn,
    Leave,
    Refuse(&'static str),
}

/// Serves one websocket.
pub(super) async fn serve(
    hub: Arc<Hub>,
    name: String,
    socket: WebSocket,
    visitor: Option<Visitor>,
    hears: bool,
) {
    let (mut sink, mut stream) = socket.split();
    let prove = |who: &str| {
        if let Some(Visitor(standing)) = &visitor {
            standing.prove(Some(who));
        }
    };
    match first_word(&mut stream).await.and_then(|body| welcome(&hub, &name, &body)) {
        Ok(Welcome::Viewer(session, viewer, size)) => {
            prove(&viewer.who.person);
            tracing::info!(who = viewer.who.arn, "viewer attached");
            viewer::carry(&session, &viewer, size, &mut sink, &mut stream).await;
            session.viewer_gone(&viewer);
            tracing::info!(who = viewer.who.arn, "viewer detached");
        }
        Ok(Welcome::Client(session, queue)) => {
            prove(&session.meta.share_of);
            if hears {
                session.hears_notices(&queue);
            }
            hub.mark(&session);
            tracing::info!("client attached");
            let client = Client { hub: &hub, session: &session, queue: &queue };
            client.carry(&mut sink, &mut stream).await;
            if session.client_gone(&queue) {
                tracing::info!("client detached");
                hub.mark(&session);
            }
        }
        Err(Unwelcome::Gone) => return,
        Err(Unwelcome::NotHere(why)) if is_under_way(&hub, &name).await => {
            tracing::info!(why, "client hung up on: its session comes from another gateway");
        }
        Err(Unwelcome::NotHere(text) | Unwelcome::Wrong(text)) => {
            tracing::info!(why = text, "client refused");
            let refusal = ToClient::Refused { text: text.to_owned(), taken_over: false };
            if let Some(message) = word(&refusal) {
                let _ = tokio::time::timeout(CHANNEL_FIRST_MESSAGE, sink.send(message)).await;
            }
        }
    }
    let _ = tokio::time::timeout(CHANNEL_FIRST_MESSAGE, sink.close()).await;
}

/// Who has come.
enum Welcome {
    Client(Arc<Session>, Arc<ClientQueue>),
    Viewer(Arc<Session>, Arc<Viewer>, Option<Size>),
}

/// Why nobody is served.
enum Unwelcome {
    /// The client has gone.
    Gone,
    /// It breaks the rules.
    Wrong(&'static str),
    /// The session is not here, or nothing here has given it this token.
    NotHere(&'static str),
}

/// What the first message asks for.
fn welcome(hub: &Hub, name: &str, body: &[u8]) -> Result<Welcome, Unwelcome> {
    let Ok(Frame::Control(message)) = Frame::decode(body) else {
        return Err(Unwelcome::Wrong("the first message must be a control frame"));
    };
    let gone = Unwelcome::NotHere("there is no such session, or it is over");
    let session = || hub.session(name).ok_or(gone);
    match decode::<FromClient>(message) {
        Ok(FromClient::Attach { token, received, room, size }) => {
            let session = session()?;
            let attached = session.attach(&token, received, room, size);
            let queue = attached.map_err(Unwelcome::NotHere)?;
            Ok(Welcome::Client(session, queue))
        }
        Ok(FromClient::Watch { token }) => {
            let session = session()?;
            let (viewer, size) = session.watch(&token).map_err(Unwelcome::NotHere)?;
            Ok(Welcome::Viewer(session, viewer, size))
        }
        _ => Err(Unwelcome::Wrong("the first message must be an attach")),
    }
}

/// Whether a session is alive and cannot have been opened by a token here: it changes gateways, and
/// its client has to ask once more where it is.
async fn is_under_way(hub: &Hub, name: &str) -> bool {
    if hub.store().node().is_none() || hub.session(name).is_some_and(|it| it.has_token()) {
        return false;
    }
    let row = hub.store().sessions().get(name).await;
    row.map_or(true, |row| row.is_some_and(|row| row.ended_at.is_none()))
}

/// The first message.
async fn first_word(stream: &mut Stream) -> Result<Bytes, Unwelcome> {
    let word = async {
        loop {
            return match stream.next().await {
                Some(Ok(Message::Binary(body))) => Ok(body),
                Some(Ok(Message::Text(_))) => Err(Unwelcome::Wrong(
                    "the first message must be binary: a control frame with an attach",
                )),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Unwelcome::Gone),
            };
        }
    };
    let late = Unwelcome::Wrong("the first message must be an attach, and come within 10 s");
    tokio::time::timeout(CHANNEL_FIRST_MESSAGE, word).await.unwrap_or(Err(late))
}

/// One attached client.
struct Client<'a> {
    hub: &'a Arc<Hub>,
    session: &'a Arc<Session>,
    queue: &'a Arc<ClientQueue>,
}

impl Client<'_> {
    async fn carry(&self, sink: &mut Sink, stream: &mut Stream) {
        let (mut unflushed, mut over, mut silent) = (false, false, 0_u8);
        let tick = tokio::time::sleep(CHANNEL_PING_EVERY);
        tokio::pin!(tick);
        loop {
            if !unflushed {
                if over {
                    return;
                }
                let (items, last) = self.queue.take(CHANNEL_BATCH);
                over = last;
                for item in items {
                    let Some(message) = encode_item(&item) else { return };
                    if sink.feed(message).await.is_err() {
                        return;
                    }
                    unflushed = true;
                }
                if over && !unflushed {
                    return;
                }
            }
            tokio::select! {
                message = stream.next() => {
                    silent = 0;
                    match self.take(message) {
                        Next::GoOn => {}
                        Next::Leave => return,
                        Next::Refuse(text) => {
                            self.queue.close(ToClient::Refused { text: text.to_owned(), taken_over: false });
                        }
                    }
                }
                flushed = tokio::time::timeout(CHANNEL_STALLED, sink.flush()), if unflushed => match flushed {
                    Ok(Ok(())) => unflushed = false,
                    Ok(Err(_)) | Err(_) => return,
                },
                () = self.queue.ready(), if !unflushed => {}
                () = &mut tick => {
                    silent += 1;
                    if silent > 2 {
                        return;
                    }
                    if !unflushed && sink.feed(Message::Ping(Bytes::new())).await.is_ok() {
                        unflushed = true;
                    }
                    tick.as_mut().reset(tokio::time::Instant::now() + CHANNEL_PING_EVERY);
                }
            }
        }
    }

    fn take(&self, message: Option<Result<Message, axum::Error>>) -> Next {
        let body = match message {
            Some(Ok(Message::Binary(body))) => body,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Next::GoOn,
            Some(Ok(Message::Text(_))) => return Next::Refuse("text messages mean nothing here"),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Next::Leave,
        };
        match Frame::decode(&body) {
            Ok(Frame::Data { stream: IO, offset, data }) => {
                if self.session.input(self.queue, offset, data) {
                    Next::GoOn
                } else {
                    Next::Refuse("input was sent beyond the credit")
                }
            }
            Ok(Frame::Fin { stream: IO, length }) => {
                self.session.input_ended(self.queue, length);
                Next::GoOn
            }
            Ok(Frame::Credit { stream, acked, limit }) => self.credit(stream, acked, limit),
            Ok(Frame::Control(body)) => match decode::<FromClient>(body) {
                Ok(message) => self.control(&message),
                Err(_) => Next::Refuse("a control message is malformed"),
            },
            Ok(
                Frame::Ping { .. }
                | Frame::Pong
                | Frame::Version { .. }
                | Frame::Extension { .. }
                | Frame::Unknown(_),
            ) => Next::GoOn,
            Ok(Frame::Data { .. } | Frame::Fin { .. }) => {
                Next::Refuse("there is no input on that stream")
            }
            Err(_) => Next::Refuse("a frame is malformed"),
        }
    }

    fn credit(&self, stream: StreamId, acked: u64, limit: u64) -> Next {
        let lane = match stream {
            IO => Lane::Io,
            ERR => Lane::Err,
            _ => return Next::Refuse("there is no such stream"),
        };
        match self.session.output_credit(self.queue, lane, acked, limit) {
            Ok(Some(reason)) => {
                self.hub.end_for(self.session, reason);
                Next::GoOn // the last word is in the queue now
            }
            Ok(None) => Next::GoOn,
            Err(_) => Next::Refuse("output was acknowledged that was never sent"),
        }
    }

    fn control_device(&self, control: Control) -> Next {
        if self.session.control(self.queue, control) {
            Next::GoOn
        } else {
            Next::Refuse("sizes and signals come faster than the device's link takes them")
        }
    }

    fn control(&self, message: &FromClient) -> Next {
        match *message {
            FromClient::Resize(size) => self.control_device(Control::Resize(size)),
            FromClient::Signal(signal) => self.control_device(Control::Signal(signal)),
            FromClient::Close => {
                let reason = EndReason::ClosedByClient;
                self.hub.end_for(self.session, reason);
                Next::GoOn
            }
            FromClient::Attach { .. } | FromClient::Watch { .. } => {
                Next::Refuse("a client attaches once")
            }
            FromClient::AnswerSeat { request, give } => {
                self.session.answer_seat(self.queue, request, give);
                Next::GoOn
            }
        }
    }
}

fn encode_item(item: &ToChannel) -> Option<Message> {
    let mut body = Vec::new();
    match item {
        ToChannel::Data(lane, offset, data) => {
            Frame::Data { stream: stream_of(*lane), offset: *offset, data }.encode_body(&mut body);
        }
        ToChannel::Fin(lane, length) => {
            Frame::Fin { stream: stream_of(*lane), length: *length }.encode_body(&mut body);
        }
        ToChannel::Credit { acked, limit } => {
            Frame::Credit { stream: IO, acked: *acked, limit: *limit }.encode_body(&mut body);
        }
        ToChannel::Word(message) => return word(message),
    }
    Some(Message::Binary(body.into()))
}

pub(super) fn word(message: &ToClient) -> Option<Message> {
    let control = encode(message).ok()?;
    let mut body = Vec::new();
    Frame::Control(&control).encode_body(&mut body);
    Some(Message::Binary(body.into()))
}

const fn stream_of(lane: Lane) -> StreamId {
    match lane {
        Lane::Io => IO,
        Lane::Err => ERR,
    }
}
