//! Tokens for websockets of devices: what the `POST` before a websocket answers with.
//!
//! # Invariants
//! - A token is bound to one device and one channel, and good for [`TOKEN_LIFE`]. The upgrade
//!   itself is signed by the device as well.
//! - Nothing is stored: a token is sealed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use towline_host::clock::UnixMillis;

use super::agents::VendorAgents;
use crate::limits::{MAX_VENDOR_TOKEN, TOKEN_LIFE};

/// What a token is sealed for.
const NAME: &str = "channel of a device";

/// What a token opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Channel {
    /// The control channel.
    Control,
    /// The data channel of a session.
    Data(String),
}

#[derive(Serialize, Deserialize)]
struct Ticket {
    device: String,
    channel: Channel,
    until: i64,
}

impl VendorAgents {
    /// A token for a channel of a device; `None` when the system has no randomness.
    pub(super) fn ticket(&self, device: &str, channel: Channel, now: UnixMillis) -> Option<String> {
        let ticket = Ticket { device: device.to_owned(), channel, until: now.plus(TOKEN_LIFE).0 };
        let text = serde_json::to_vec(&ticket).ok()?;
        let vault = &self.parts.vault;
        Some(STANDARD_NO_PAD.encode(vault.seal(&vault.given_out(NAME), &text).ok()?))
    }

    /// Whether a token opens this channel of this device.
    pub(super) fn opens(
        &self,
        token: &str,
        device: &str,
        channel: &Channel,
        now: UnixMillis,
    ) -> bool {
        let ticket = || {
            let sealed = STANDARD_NO_PAD.decode(token).ok()?;
            let vault = &self.parts.vault;
            let text = vault.open(&vault.given_out(NAME), &sealed).ok()?;
            serde_json::from_slice::<Ticket>(&text).ok()
        };
        token.len() <= MAX_VENDOR_TOKEN
            && ticket().is_some_and(|ticket| {
                ticket.device == device && ticket.channel == *channel && now.0 < ticket.until
            })
    }
}
