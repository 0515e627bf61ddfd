//! An agent's link as the hub sees it: the implementation of [`Device`].
//!
//! # Invariants
//! - A script's bytes follow their order on the same link at once, within the room that an agent
//!   has before any credit.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use towline_wire::extension;
use towline_wire::frame::{Frame, MAX_DATA};
use towline_wire::message::ToAgent;

use super::link::Link;
use super::streams::SessionStreams;
use crate::plane::{RotateError, StartError};
use crate::sessions::{ConnectionId, Device, Order, Session, Work};

impl Device for Link {
    fn id(&self) -> &str {
        self.device.as_str()
    }

    fn connection(&self) -> ConnectionId {
        self.number()
    }

    fn boot(&self) -> [u8; 16] {
        self.epoch.boot
    }

    fn most_sessions(&self) -> Option<u32> {
        Link::most_sessions(self)
    }

    fn separation(&self) -> Option<String> {
        Link::separation(self)
    }

    fn open(self: Arc<Self>, order: &Order<'_>, session: &Arc<Session>) -> Result<(), StartError> {
        let open = self.grants.open(&self, order)?;
        let reserved = order.reserved && self.has_reserve();
        let io = open.io;
        SessionStreams::connect(&self, session, io, open.err);
        self.send(&if reserved { ToAgent::OpenReserved(open) } else { ToAgent::Open(open) });
        if let Work::Script(script) = order.work {
            let mut offset = 0;
            for data in script.bytes.chunks(MAX_DATA) {
                self.send_data(io, &Frame::Data { stream: io, offset, data });
                offset += data.len() as u64;
            }
        }
        Ok(())
    }

    fn take_sessions(&self) -> Vec<Arc<Session>> {
        self.sessions()
    }

    fn rotate_key(&self) -> BoxFuture<'_, Result<String, RotateError>> {
        Box::pin(self.new_key())
    }

    fn go_away(&self, retry_after: u32, elsewhere: &[String]) {
        if !elsewhere.is_empty() {
            let body = extension::elsewhere_bytes(elsewhere);
            self.send_frame(&Frame::Extension { tag: extension::ELSEWHERE, body: &body });
        }
        self.send(&ToAgent::GoAway { retry_after });
    }

    fn close(&self, why: &str) {
        Link::close(self, why);
    }

    fn is_settled(&self) -> bool {
        Link::is_settled(self)
    }

    fn settles(&self, patience: Duration) -> BoxFuture<'_, bool> {
        Box::pin(Link::settles(self, patience))
    }

    fn has_heard(&self, patience: Duration) -> BoxFuture<'_, bool> {
        Box::pin(Link::has_heard(self, patience))
    }

    fn is_closed(&self) -> bool {
        Link::is_closed(self)
    }
}

/// The agent's link behind a device, when it is one.
pub(super) fn link_of(device: Arc<dyn Device>) -> Option<Arc<Link>> {
    (device as Arc<dyn Any + Send + Sync>).downcast().ok()
}
