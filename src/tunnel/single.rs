//! A tunnel of one connection, whose bytes are the session's: what `ssh` expects of a proxy
//! command.
//!
//! # Invariants
//! - It is dialled when the session is opened: if the target refuses, the session is refused.
//! - The end of the target is the end of the session. The end of the operator's input closes one
//!   direction.

use crate::logger;
use std::io;
use std::task::{Context, Poll};

use towline_wire::frame::StreamId;
use towline_wire::message::ExitStatus;
use towline_wire::mux::Mux;

use super::connection::Connection;
use super::news::News;
use super::place::Place;
use crate::limits;

#[derive(Debug)]
enum Stage {
    Dialling,
    Open,
    Over,
}

/// A tunnel of one connection.
#[derive(Debug)]
pub(super) struct Single {
    pub(super) place: Place,
    connection: Connection,
    stage: Stage,
}

impl Single {
    pub(super) fn new(place: Place) -> Self {
        Self { place, connection: Connection::new(0), stage: Stage::Dialling }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>, io: StreamId, mux: &mut Mux) -> Poll<News> {
        match self.stage {
            Stage::Over => Poll::Pending,
            Stage::Dialling => {
                let outcome = std::task::ready!(self.connection.poll_open(cx, &mut self.place));
                self.stage = if outcome.is_ok() { Stage::Open } else { Stage::Over };
                Poll::Ready(News::Started(outcome))
            }
            Stage::Open => match self.move_bytes(cx, io, mux) {
                Ok(false) => Poll::Pending,
                Ok(true) => Poll::Ready(self.end(0, io, mux)),
                Err(error) => {
                    logger::info!("a connection through a tunnel broke: {error}");
                    Poll::Ready(self.end(1, io, mux))
                }
            },
        }
    }

    /// True at the target's end.
    fn move_bytes(
        &mut self,
        cx: &mut Context<'_>,
        io: StreamId,
        mux: &mut Mux,
    ) -> io::Result<bool> {
        let Some((stream, budget)) = mux.stream(io) else { return Ok(false) };
        stream.rx.consumed(self.connection.pump_input(cx));
        let mut turn = limits::READ_TURN;
        while stream.tx.wants_more(budget) {
            if turn == 0 {
                cx.waker().wake_by_ref(); // there is more, but others are waiting
                break;
            }
            let place = stream.tx.spare(budget);
            let most = place.len().min(turn);
            match self.connection.poll_read(cx, &mut place[..most]) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Ok(true),
                Poll::Ready(Ok(n)) => {
                    stream.tx.filled(n);
                    turn -= n;
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(false)
    }

    fn end(&mut self, code: u8, io: StreamId, mux: &mut Mux) -> News {
        self.connection = Connection::new(0); // the socket is closed here
        self.stage = Stage::Over;
        if let Some((stream, _)) = mux.stream(io) {
            stream.tx.finish();
        }
        self.discard(io, mux);
        News::Ended(ExitStatus::Code(code))
    }

    /// Nobody will take what has come.
    fn discard(&mut self, io: StreamId, mux: &mut Mux) {
        if let Some((stream, _)) = mux.stream(io) {
            let waiting = usize::try_from(stream.rx.unconsumed()).unwrap_or(usize::MAX);
            stream.rx.consumed(waiting);
        }
    }

    pub(super) fn on_input(&mut self, bytes: &[u8], io: StreamId, mux: &mut Mux) {
        if matches!(self.stage, Stage::Over) {
            return self.discard(io, mux);
        }
        let done = self.connection.put(bytes);
        if let Some((stream, _)) = mux.stream(io) {
            stream.rx.consumed(done);
        }
    }

    pub(super) fn on_input_end(&mut self) {
        self.connection.input.end();
    }
}
