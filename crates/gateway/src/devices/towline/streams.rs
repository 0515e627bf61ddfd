//! One session's streams on an agent's link: the session's end at its device.
//!
//! Data flow: session -> [`SessionStreams`] -> frames and messages in the link's outbox.

use std::sync::Arc;

use towline_wire::frame::{Frame, StreamId};
use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::ToAgent;

use super::link::Link;
use crate::sessions::{ConnectionId, Control, DeviceEnd, Session};

/// The streams that carry a session.
pub(super) struct SessionStreams {
    link: Arc<Link>,
    session: String,
    io: StreamId,
    err: Option<StreamId>,
}

impl SessionStreams {
    /// Puts a session onto these streams of a link.
    pub(super) fn connect(
        link: &Arc<Link>,
        session: &Arc<Session>,
        io: StreamId,
        err: Option<StreamId>,
    ) {
        link.bind(session, io, err);
        let name = session.meta.name.clone();
        session.device_up(Arc::new(Self { link: Arc::clone(link), session: name, io, err }));
    }

    fn message(&self, control: Control) -> ToAgent {
        let session = self.session.clone();
        match control {
            Control::Resize(size) => ToAgent::Resize { session, size },
            Control::Signal(signal) => ToAgent::Signal { session, signal },
            Control::Detach => ToAgent::Detach { session },
            Control::Close(reason) => ToAgent::Close { session, reason: reason.into() },
            Control::Forget => ToAgent::Forget { session },
            Control::TellEcho => ToAgent::TellEcho { session },
        }
    }
}

impl DeviceEnd for SessionStreams {
    fn connection(&self) -> ConnectionId {
        self.link.number()
    }

    fn separates_err(&self) -> bool {
        self.err.is_some()
    }

    fn tells_echo(&self) -> bool {
        self.link.tells_echo()
    }

    fn attach(&self, attachment: u32, received: Option<Lanes<u64>>, room: Lanes<u32>) {
        self.link.clear_stream(self.io);
        self.link.send(&ToAgent::Attach {
            session: self.session.clone(),
            attachment,
            received,
            room,
        });
    }

    fn input(&self, offset: u64, data: &[u8]) {
        self.link.send_data(self.io, &Frame::Data { stream: self.io, offset, data });
    }

    fn input_end(&self, length: u64) {
        self.link.send_data(self.io, &Frame::Fin { stream: self.io, length });
    }

    fn credit(&self, lane: Lane, acked: u64, limit: u64) {
        let stream = match lane {
            Lane::Io => Some(self.io),
            Lane::Err => self.err,
        };
        if let Some(stream) = stream {
            self.link.send_credit(stream, acked, limit);
        }
    }

    fn control(&self, control: Control) {
        self.link.send(&self.message(control));
    }

    fn offer(&self, control: Control) -> bool {
        self.link.offer(&self.message(control))
    }

    fn release(&self) {
        self.link.unbind(self.io, self.err);
    }

    fn violated(&self, why: &str) {
        self.link.close(why);
    }
}
