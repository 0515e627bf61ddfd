//! A viewer's websocket: the screen as it is, then what comes. Nothing that the viewer sends
//! reaches the session.
//!
//! Data flow: [`Session::take_for`] -> frames -> messages. Positions on stream 0 are those of the
//! session: a viewer who takes the seat goes on where its screen ends.
//!
//! # Invariants
//! - A viewer that takes nothing for a while is hung up on; until then it misses bytes, and is
//!   told.

use axum::extract::ws::Message;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use towline_wire::client::{IO, ToClient};
use towline_wire::frame::{Frame, MAX_DATA};
use towline_wire::message::Size;

use super::towline::{Sink, Stream, word};
use crate::limits::{CHANNEL_PING_EVERY, CHANNEL_STALLED};
use crate::sessions::{Session, ToViewer, Viewer};

/// Carries a session's output to a viewer, until one of them ends.
pub(super) async fn carry(
    session: &Session,
    viewer: &Viewer,
    size: Option<Size>,
    sink: &mut Sink,
    stream: &mut Stream,
) {
    let (mut unflushed, mut over, mut silent) = (false, false, 0_u8);
    let mut first = word(&ToClient::Watching { size });
    let tick = tokio::time::sleep(CHANNEL_PING_EVERY);
    tokio::pin!(tick);
    loop {
        if !unflushed {
            if over {
                return;
            }
            let (items, last) = session.take_for(viewer);
            over = last;
            let items = items.iter().flat_map(messages);
            for message in first.take().into_iter().chain(items) {
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
            message = stream.next() => match message {
                // Whatever a viewer says, it changes nothing.
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => silent = 0,
            },
            flushed = tokio::time::timeout(CHANNEL_STALLED, sink.flush()), if unflushed => {
                match flushed {
                    Ok(Ok(())) => unflushed = false,
                    Ok(Err(_)) | Err(_) => return,
                }
            }
            () = viewer.ready(), if !unflushed => {}
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

/// What waits for a viewer, as messages.
fn messages(item: &ToViewer) -> Vec<Message> {
    let one = |message: &ToClient| word(message).into_iter().collect();
    match item {
        ToViewer::Output(from, bytes) => {
            let positions = (*from..).step_by(MAX_DATA);
            bytes.chunks(MAX_DATA).zip(positions).map(|(data, at)| output(at, data)).collect()
        }
        ToViewer::Missed(bytes) => one(&ToClient::Missed { bytes: *bytes }),
        ToViewer::Resized(size) => one(&ToClient::Resized(*size)),
        ToViewer::Last(last) => one(last),
    }
}

fn output(offset: u64, data: &[u8]) -> Message {
    let mut body = Vec::new();
    Frame::Data { stream: IO, offset, data }.encode_body(&mut body);
    Message::Binary(body.into())
}
