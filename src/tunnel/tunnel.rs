//! One tunnel: its stream, and the connections behind it.

use std::task::{Context, Poll};
use std::time::Instant;

use towline_wire::frame::StreamId;
use towline_wire::message::{ExitStatus, Framing};
use towline_wire::mux::Mux;

use super::many::Many;
use super::news::News;
use super::place::Place;
use super::single::Single;

#[derive(Debug)]
enum Kind {
    Single(Box<Single>),
    Many(Box<Many>),
}

/// One tunnel, of one connection or many.
#[derive(Debug)]
pub struct Tunnel {
    /// Name of the session.
    pub name: String,
    /// Its stream.
    pub io: StreamId,
    /// Set when it has ended by itself.
    pub exited: Option<ExitStatus>,
    room: u32,
    kind: Kind,
}

impl Tunnel {
    /// A tunnel that begins to dial with the next poll, or with its first connection. `room` is
    /// what its receiver holds.
    #[must_use]
    pub fn new(name: String, io: StreamId, place: Place, room: u32) -> Self {
        let kind = match place.framing() {
            Framing::Single => Kind::Single(Box::new(Single::new(place))),
            Framing::Smux => Kind::Many(Box::new(Many::new(place, room))),
        };
        Self { name, io, exited: None, room, kind }
    }

    /// True while no connection is open through it, so that its end costs nobody anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        match &self.kind {
            Kind::Single(_) => self.exited.is_some(),
            Kind::Many(many) => many.is_idle(),
        }
    }

    /// Where it leads.
    pub fn place(&mut self) -> &mut Place {
        match &mut self.kind {
            Kind::Single(single) => &mut single.place,
            Kind::Many(many) => &mut many.place,
        }
    }

    /// What its receiver holds, bytes.
    #[must_use]
    pub fn room(&self) -> u32 {
        self.room
    }

    /// Moves bytes. Ready with something to tell.
    pub fn poll(&mut self, cx: &mut Context<'_>, mux: &mut Mux) -> Poll<News> {
        let news = match &mut self.kind {
            Kind::Single(single) => single.poll(cx, self.io, mux),
            Kind::Many(many) => many.poll(cx, self.io, mux),
        };
        if let Poll::Ready(News::Ended(status)) = &news {
            self.exited = Some(*status);
        }
        news
    }

    /// Bytes of the operator, in order.
    pub fn on_input(&mut self, bytes: &[u8], mux: &mut Mux) {
        match &mut self.kind {
            Kind::Single(single) => single.on_input(bytes, self.io, mux),
            Kind::Many(many) => many.on_input(bytes, self.io, mux),
        }
    }

    /// The operator's bytes have ended.
    pub fn on_input_end(&mut self) {
        if let Kind::Single(single) = &mut self.kind {
            single.on_input_end();
        }
    }

    /// When [`Self::on_tick`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Single(_) => None,
            Kind::Many(many) => many.deadline(),
        }
    }

    /// Ends connections whose operator has gone and whose target takes nothing.
    pub fn on_tick(&mut self, now: Instant) {
        if let Kind::Many(many) = &mut self.kind {
            many.on_tick(now);
        }
    }
}
