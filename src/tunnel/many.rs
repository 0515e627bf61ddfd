//! A tunnel of many connections: the device's endpoint of smux, and the sockets of its streams.
//!
//! # Invariants
//! - A frame is put into the session's ring as a whole, or not at all.
//! - In each poll frames without data go first. Then each connection with data sends one frame,
//!   round by round, until this turn of the loop is used up.
//! - In version 2 each byte counts for the window of its own stream, and the session's receive
//!   buffer is free again at once. Version 1 has no windows, so the receive buffer bounds the
//!   bytes that targets have not taken.

use crate::logger;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use towline_wire::frame::StreamId;
use towline_wire::mux::Mux;
use towline_wire::smux::{
    Broken, Event, HEADER, INITIAL_WINDOW, MAX_CONTROL, Rule, Streams, Version,
};

use super::connection::Connection;
use super::news::News;
use super::place::Place;
use crate::limits;
use heapless::Deque;

/// A tunnel of many connections.
#[derive(Debug)]
pub(super) struct Many {
    pub(super) place: Place,
    streams: Streams,
    connections: Vec<Connection>,
    /// Whose turn is next.
    next: usize,
    started: bool,
    /// Failures to be reported, at most one for each connection there may be.
    untold: Deque<String, { limits::CONNECTIONS }>,
    broken: Option<Broken>,
}

impl Many {
    pub(super) fn new(place: Place, room: u32) -> Self {
        let most = usize::try_from(room / INITIAL_WINDOW)
            .unwrap_or(usize::MAX)
            .clamp(1, limits::CONNECTIONS);
        let (first, widest) = (limits::TUNNEL_WINDOW_FIRST, room / 4 * 3);
        let streams = Streams::server(Rule { most, first, widest, capacity: room });
        Self {
            place,
            streams,
            connections: Vec::new(),
            next: 0,
            started: false,
            untold: Deque::new(),
            broken: None,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.connections.is_empty()
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>, io: StreamId, mux: &mut Mux) -> Poll<News> {
        if !self.started {
            self.started = true;
            return Poll::Ready(News::Started(Ok(())));
        }
        if let Some(broken) = self.broken.take() {
            self.connections.clear();
            return Poll::Ready(News::Broken(broken));
        }
        self.pump_input(cx);
        self.settle(io, mux);
        let mut turn = limits::READ_TURN;
        loop {
            self.send_control(io, mux);
            match self.round(cx, io, mux) {
                0 => break,
                sent => turn = turn.saturating_sub(sent),
            }
            if turn == 0 {
                cx.waker().wake_by_ref(); // there is more, but others are waiting
                break;
            }
        }
        match self.untold.pop_front() {
            Some(why) => {
                cx.waker().wake_by_ref(); // perhaps there is another one
                Poll::Ready(News::NotConnected(why))
            }
            None => Poll::Pending,
        }
    }

    /// Dials and writes on.
    fn pump_input(&mut self, cx: &mut Context<'_>) {
        let mut at = 0;
        while at < self.connections.len() {
            let connection = &mut self.connections[at];
            let id = connection.id;
            match connection.poll_open(cx, &mut self.place) {
                Poll::Pending => at += 1,
                Poll::Ready(Err(why)) => {
                    self.drop_at(at, &why);
                    self.tell(why);
                }
                Poll::Ready(Ok(())) => {
                    let taken = connection.pump_input(cx);
                    self.streams.consumed(id, taken);
                    at += usize::from(!self.close_if_over(at));
                }
            }
        }
    }

    /// Closes a connection when nothing more can happen to it. True when it is gone.
    fn close_if_over(&mut self, at: usize) -> bool {
        let connection = &self.connections[at];
        let one = self.streams.version() == Some(Version::One);
        let over = match one {
            // Its FIN closes all: the operator's, once the target has the rest; or the target's.
            true if connection.until.is_some() => connection.is_input_over(),
            true => connection.output_over,
            false => connection.is_input_over() && connection.output_over,
        };
        if over {
            self.streams.finish(connection.id);
            self.connections.swap_remove(at);
        }
        over
    }

    /// Ends a connection whose bytes cannot all be delivered.
    fn drop_at(&mut self, at: usize, why: &str) {
        let gone = self.connections.swap_remove(at);
        self.streams.reset(gone.id, why);
    }

    fn tell(&mut self, why: String) {
        logger::info!("no connection through a tunnel: {why}");
        let _ = self.untold.push_back(why); // what does not fit is not reported
    }

    /// Gives back the room of what the targets have taken.
    fn settle(&self, io: StreamId, mux: &mut Mux) {
        let Some((stream, _)) = mux.stream(io) else { return };
        let held = match self.streams.version() {
            Some(Version::One) => {
                self.connections.iter().map(|connection| connection.input.len()).sum()
            }
            _ => 0,
        };
        let waiting = usize::try_from(stream.rx.unconsumed()).unwrap_or(usize::MAX);
        stream.rx.consumed(waiting.saturating_sub(held));
    }

    fn send_control(&mut self, io: StreamId, mux: &mut Mux) {
        let Some((stream, budget)) = mux.stream(io) else { return };
        let mut frame = [0; MAX_CONTROL];
        while self.streams.has_control() && stream.tx.room(budget) >= MAX_CONTROL {
            let n = self.streams.next_control(&mut frame);
            stream.tx.push(&frame[..n], budget);
        }
    }

    /// One frame of each connection that has something; how many bytes that were.
    fn round(&mut self, cx: &mut Context<'_>, io: StreamId, mux: &mut Mux) -> usize {
        let mut sent = 0;
        let n = self.connections.len();
        let first = self.next;
        for step in 0..n {
            let at = (first + step) % n;
            if at >= self.connections.len() || self.connections[at].output_over {
                continue;
            }
            match self.send_frame(at, cx, io, mux) {
                Poll::Pending => {}
                Poll::Ready(Ok(0)) => {
                    self.connections[at].output_over = true;
                    self.streams.finish(self.connections[at].id);
                    sent += HEADER;
                    self.close_if_over(at);
                }
                Poll::Ready(Ok(bytes)) => {
                    sent += bytes;
                    self.next = at + 1;
                }
                Poll::Ready(Err(error)) => self.drop_at(at, &broke(&error)),
            }
        }
        sent
    }

    /// Reads from a target straight into the ring, behind the place of the header.
    fn send_frame(
        &mut self,
        at: usize,
        cx: &mut Context<'_>,
        io: StreamId,
        mux: &mut Mux,
    ) -> Poll<io::Result<usize>> {
        let connection = &mut self.connections[at];
        let Some((stream, budget)) = mux.stream(io) else { return Poll::Pending };
        let quota = self.streams.quota(connection.id);
        let room = stream.tx.room(budget);
        if quota == 0 || room <= HEADER {
            return Poll::Pending;
        }
        let place = stream.tx.spare(budget);
        if place.len() >= HEADER + limits::TUNNEL_SMALL_READ.min(quota) {
            let most = quota.min(place.len() - HEADER);
            let n = std::task::ready!(connection.poll_read(cx, &mut place[HEADER..HEADER + most]))?;
            if n > 0 {
                place[..HEADER].copy_from_slice(&self.streams.data_header(connection.id, n));
                stream.tx.filled(HEADER + n);
            }
            return Poll::Ready(Ok(n));
        }
        let mut small = [0; limits::TUNNEL_SMALL_READ];
        let most = quota.min(limits::TUNNEL_SMALL_READ).min(room - HEADER);
        let n = std::task::ready!(connection.poll_read(cx, &mut small[..most]))?;
        if n > 0 {
            stream.tx.push(&self.streams.data_header(connection.id, n), budget);
            stream.tx.push(&small[..n], budget);
        }
        Poll::Ready(Ok(n))
    }

    pub(super) fn on_input(&mut self, mut bytes: &[u8], io: StreamId, mux: &mut Mux) {
        while self.broken.is_none() {
            match self.streams.on_bytes(&mut bytes) {
                Ok(None) => break,
                Ok(Some(Event::Opened(id))) => self.connections.push(Connection::new(id)),
                Ok(Some(Event::Refused(_))) => {
                    self.tell("too many connections at once in this tunnel".to_owned())
                }
                Ok(Some(Event::Data(id, data))) => self.on_data(id, data),
                Ok(Some(Event::Ended(id))) => self.on_end(id),
                Ok(Some(Event::Reset(id, _))) => {
                    self.connections.retain(|connection| connection.id != id)
                }
                Ok(Some(Event::Room(_))) => {}
                Err(broken) => self.broken = Some(broken),
            }
        }
        self.settle(io, mux);
    }

    fn position(&self, id: u32) -> Option<usize> {
        self.connections.iter().position(|connection| connection.id == id)
    }

    fn on_data(&mut self, id: u32, data: &[u8]) {
        let Some(at) = self.position(id) else {
            return self.streams.consumed(id, data.len());
        };
        let done = self.connections[at].put(data);
        self.streams.consumed(id, done);
    }

    fn on_end(&mut self, id: u32) {
        let Some(at) = self.position(id) else { return };
        self.connections[at].input.end();
        if self.streams.version() == Some(Version::One) {
            self.connections[at].output_over = true; // nobody would take it
            self.connections[at].until = Some(Instant::now() + limits::TUNNEL_LINGER);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.connections.iter().filter_map(|connection| connection.until).min()
    }

    pub(super) fn on_tick(&mut self, now: Instant) {
        for at in (0..self.connections.len()).rev() {
            if self.connections[at].until.is_some_and(|until| now >= until) {
                self.drop_at(at, "the operator has left and the target reads nothing");
            }
        }
    }
}

fn broke(error: &io::Error) -> String {
    format!("the connection to the target broke: {error}")
}
