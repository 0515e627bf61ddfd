//! The local side of a forward: a listener, the connections that it accepted, and their streams in
//! the tunnel.
//!
//! Data flow out: local program -> frames of smux in [`Locals::out`] -> the session. Data flow in:
//! [`Locals::on_output`] -> the local program, or its connection's own buffer while it does not
//! read.
//!
//! # Invariants
//! - Each connection has its own window: one that is not read holds up no other. Memory is bounded
//!   by [`MAX_FORWARD_WINDOWS`].
//! - One direction's end is passed on by itself; a connection that broke at the far end is broken
//!   here as well, so that half of an answer is not taken for a whole one.
//! - With [`MAX_FORWARD_CONNECTIONS`] of them no more are accepted until one ends.

use std::io;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use towline_wire::smux::{Broken, Event, MAX_CONTROL, MAX_DATA, Rule, Streams, Version};

use super::listen::{Listener, Socket};
use crate::limits::{
    MAX_FORWARD_CONNECTIONS, MAX_FORWARD_KEPT, MAX_FORWARD_QUEUED, MAX_FORWARD_WINDOW,
    MAX_FORWARD_WINDOWS,
};
use crate::platform::is_short_of_descriptors;

struct Connection {
    id: u32,
    socket: Socket,
    pending: BytesMut,
    /// The far end sends no more.
    ended: bool,
    /// The local program knows that.
    shut: bool,
    /// The local program sends no more.
    read: bool,
}

/// The local connections of a forward.
pub(super) struct Locals {
    listener: Listener,
    streams: Streams,
    connections: Vec<Connection>,
    next: usize,
    /// Frames for the session.
    pub(super) out: BytesMut,
    buffer: Vec<u8>,
    version: Version,
    /// Accepted while there was no session.
    early: Option<Socket>,
}

fn fresh(version: Version) -> Streams {
    Streams::client(
        Rule {
            most: MAX_FORWARD_CONNECTIONS,
            first: MAX_FORWARD_WINDOW,
            widest: MAX_FORWARD_WINDOW,
            capacity: MAX_FORWARD_WINDOWS,
        },
        version,
    )
}

impl Locals {
    pub(super) fn new(listener: Listener, version: Version) -> Self {
        Self {
            listener,
            streams: fresh(version),
            connections: Vec::new(),
            next: 0,
            out: BytesMut::new(),
            buffer: vec![0; MAX_DATA],
            version,
            early: None,
        }
    }

    /// Where it listens.
    pub(super) fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Waits until a local program connects: a session is needed.
    pub(super) async fn wanted(&mut self) -> io::Result<()> {
        let socket = std::future::poll_fn(|cx| self.listener.poll_accept(cx)).await?;
        self.early = Some(socket);
        Ok(())
    }

    /// The session is over, or did not come about: all connections break.
    pub(super) fn reset(&mut self) {
        for connection in self.connections.drain(..) {
            connection.socket.break_off();
        }
        if let Some(socket) = self.early.take() {
            socket.break_off();
        }
        self.streams = fresh(self.version);
        self.out.clear();
    }

    /// Moves what can be moved. Ready when something was.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut moved = self.accept(cx)?;
        moved |= self.write(cx);
        loop {
            moved |= self.control();
            if self.out.len() >= MAX_FORWARD_QUEUED || !self.round(cx) {
                break;
            }
            moved = true;
        }
        if moved { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn accept(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut any = false;
        while self.connections.len() < MAX_FORWARD_CONNECTIONS {
            let socket = match self.early.take() {
                Some(socket) => socket,
                None => match self.listener.poll_accept(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(socket)) => socket,
                    // Who came has gone again, or descriptors are short for the moment: those that
                    // are there go on.
                    Poll::Ready(Err(error)) if may_pass(&error) => break,
                    Poll::Ready(Err(error)) => return Err(error),
                },
            };
            let Some(id) = self.streams.open() else { break };
            let (pending, ended, shut, read) = (BytesMut::new(), false, false, false);
            self.connections.push(Connection { id, socket, pending, ended, shut, read });
            any = true;
        }
        Ok(any)
    }

    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        for at in (0..self.connections.len()).rev() {
            let connection = &mut self.connections[at];
            match connection.write(cx) {
                Ok(0) => {}
                Ok(n) => {
                    self.streams.consumed(connection.id, n);
                    any = true;
                }
                Err(_) => {
                    self.streams.reset(connection.id, "the local program closed its connection");
                    self.connections.swap_remove(at);
                    any = true;
                    continue;
                }
            }
            self.drop_if_over(at);
        }
        any
    }

    fn drop_if_over(&mut self, at: usize) {
        let connection = &self.connections[at];
        // Version 1 knows one end only.
        let over = match self.version {
            Version::One => connection.shut || connection.read,
            Version::Two => connection.shut && connection.read,
        };
        if over {
            self.streams.finish(connection.id);
            self.connections.swap_remove(at);
        }
    }

    fn control(&mut self) -> bool {
        let (mut any, mut frame) = (false, [0; MAX_CONTROL]);
        while self.out.len() < MAX_FORWARD_QUEUED && self.streams.has_control() {
            let n = self.streams.next_control(&mut frame);
            self.out.extend_from_slice(&frame[..n]);
            any = true;
        }
        any
    }

    /// One frame of each connection that has something.
    fn round(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut any, n, first) = (false, self.connections.len(), self.next);
        for step in 0..n {
            let at = (first + step) % n;
            if self.out.len() >= MAX_FORWARD_QUEUED
                || at >= self.connections.len()
                || self.connections[at].read
            {
                continue;
            }
            let id = self.connections[at].id;
            let quota = self.streams.quota(id);
            if quota == 0 {
                continue;
            }
            match self.connections[at].socket.poll_read(cx, &mut self.buffer[..quota]) {
                Poll::Pending => continue,
                Poll::Ready(Ok(0)) => {
                    self.connections[at].read = true;
                    self.streams.finish(id);
                    self.drop_if_over(at);
                }
                Poll::Ready(Ok(n)) => {
                    self.out.extend_from_slice(&self.streams.data_header(id, n));
                    self.out.extend_from_slice(&self.buffer[..n]);
                    self.next = at + 1;
                }
                Poll::Ready(Err(_)) => {
                    self.streams.reset(id, "the local program reset its connection");
                    self.connections.swap_remove(at);
                }
            }
            any = true;
        }
        any
    }

    /// True while more is kept for local programs than may be: the first version of smux knows no
    /// windows, so all connections have to wait for the one that does not read.
    pub(super) fn is_full(&self) -> bool {
        let kept =
            || self.connections.iter().map(|connection| connection.pending.len()).sum::<usize>();
        self.version == Version::One && kept() >= MAX_FORWARD_KEPT
    }

    /// Bytes of the session. What is to be said about a connection goes to `say`.
    pub(super) fn on_output(
        &mut self,
        mut bytes: &[u8],
        say: &mut dyn FnMut(&str),
    ) -> Result<(), Broken> {
        while let Some(event) = self.streams.on_bytes(&mut bytes)? {
            match event {
                Event::Data(id, data) => match self.position(id) {
                    Some(at) => self.connections[at].pending.extend_from_slice(data),
                    None => self.streams.consumed(id, data.len()),
                },
                Event::Ended(id) => {
                    if let Some(at) = self.position(id) {
                        self.connections[at].ended = true;
                    }
                }
                Event::Reset(id, text) => {
                    if let Some(at) = self.position(id) {
                        self.connections[at].socket.break_off();
                        self.connections.swap_remove(at);
                    }
                    say(&text);
                }
                Event::Opened(_) | Event::Refused(_) | Event::Room(_) => {}
            }
        }
        Ok(())
    }

    fn position(&self, id: u32) -> Option<usize> {
        self.connections.iter().position(|connection| connection.id == id)
    }
}

impl Connection {
    /// Writes what is pending; how many bytes that were. Passes the end on behind them.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<usize> {
        let mut done = 0;
        while !self.pending.is_empty() {
            match self.socket.poll_write(cx, &self.pending)? {
                Poll::Pending => return Ok(done),
                Poll::Ready(n) => {
                    self.pending.advance(n);
                    done += n;
                }
            }
        }
        if self.ended && !self.shut {
            self.shut = true;
            self.socket.shut_write();
        }
        if self.pending.capacity() > 4 * MAX_DATA {
            self.pending = BytesMut::new();
        }
        Ok(done)
    }
}

fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
        || is_short_of_descriptors(error)
}
