//! The pin of the server's next key, on a link.
//!
//! # Invariants
//! - Only links whose version has the message get it.
//! - What a device confirms is written down once, in store and audit trail.

use std::sync::Arc;

use towline_wire::TAKES_PINS;
use towline_wire::message::ToAgent;

use super::agents::Agents;
use super::link::Link;

impl Agents {
    /// Gives the last statement to a device.
    pub(super) fn give_pin(&self, link: &Link) {
        if link.version() >= TAKES_PINS
            && let Some(said) = self.pins.current()
        {
            link.send(&ToAgent::NextPin(said));
        }
    }

    /// A device has the pin, or needs none.
    pub(super) fn pin_kept(self: &Arc<Self>, link: &Arc<Link>, issued: u64, pinned: bool) {
        if self.pins.current().is_none_or(|said| said.issued != issued) {
            return; // an older one
        }
        let (agents, device) = (Arc::clone(self), link.device.to_string());
        tokio::spawn(async move {
            let issued = i64::try_from(issued).unwrap_or(i64::MAX);
            match agents.store.devices().confirm_pin(&device, issued).await {
                Ok(true) if pinned => {
                    agents.hub.device_event("DevicePinStored", &device, Vec::new());
                }
                Ok(_) => {}
                // The next link says it again.
                Err(error) => tracing::warn!(device, %error, "a confirmed pin could not be stored"),
            }
        });
    }
}
