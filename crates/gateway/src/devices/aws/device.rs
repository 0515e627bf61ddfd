//! A control channel as the hub sees it: the implementation of [`Device`].
//!
//! # Invariants
//! - Sessions have data channels of their own: they go on when the control channel is lost.
//! - The device has heard everything when the sessions that are to end have ended there, and its
//!   control channel answers. Sessions that go on do not count.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::control::ControlChannel;
use crate::limits::{VENDOR_SESSIONS, VENDOR_TICK};
use crate::plane::{RotateError, StartError};
use crate::sessions::{ConnectionId, Device, Order, Session};

impl Device for ControlChannel {
    fn id(&self) -> &str {
        ControlChannel::id(self)
    }

    fn connection(&self) -> ConnectionId {
        self.number
    }

    fn boot(&self) -> [u8; 16] {
        self.boot
    }

    fn most_sessions(&self) -> Option<u32> {
        Some(VENDOR_SESSIONS)
    }

    fn separation(&self) -> Option<String> {
        None
    }

    fn open(self: Arc<Self>, order: &Order<'_>, session: &Arc<Session>) -> Result<(), StartError> {
        self.order(order, session)
    }

    fn take_sessions(&self) -> Vec<Arc<Session>> {
        Vec::new()
    }

    fn rotate_key(&self) -> BoxFuture<'_, Result<String, RotateError>> {
        Box::pin(async {
            let why = match self.agents.parts.store.device_keys().want_new(self.id()).await {
                Ok(true) => {
                    "it runs amazon-ssm-agent, which replaces its key when it next asks for keys, \
                     within half an hour: `towline admin device keys` shows the new one then"
                }
                Ok(false) => "it is not registered any more",
                Err(error) => return Err(RotateError::Internal(error.to_string())),
            };
            Err(RotateError::Refused { why: why.into() })
        })
    }

    fn go_away(&self, _: u32, _: &[String]) {} // the agent knows no such word, and comes back by itself

    fn close(&self, why: &str) {
        ControlChannel::close(self, why);
    }

    fn has_heard(&self, patience: Duration) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let heard = async {
                while self.agents.registry.has_ending(self.id()) {
                    tokio::time::sleep(VENDOR_TICK).await;
                }
                self.answers(patience).await
            };
            tokio::time::timeout(patience, heard).await.unwrap_or(false)
        })
    }

    fn came_without(&self) -> String {
        "ended: its gateway was lost or restarted, or the device left it; a session of \
         amazon-ssm-agent does not outlive that"
            .to_owned()
    }

    fn is_closed(&self) -> bool {
        ControlChannel::is_closed(self)
    }
}
