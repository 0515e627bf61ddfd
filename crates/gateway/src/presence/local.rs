//! Presence on a gateway of one node: a device is on this node or on none.

use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use towline_ssm::ids::DeviceId;

use crate::plane::{Found, Presence};
use crate::sessions::Hub;

/// Asks the hub of this process.
pub struct LocalPresence(pub Arc<Hub>);

impl Presence for LocalPresence {
    fn whereabouts(&self, device: &DeviceId) -> BoxFuture<'_, Found> {
        let connected = self.0.device(device.as_str()).filter(|device| !device.is_closed());
        Box::pin(ready(connected.map(drop).into()))
    }

    fn separation(&self, device: &str) -> Option<String> {
        self.0.device(device).filter(|device| !device.is_closed())?.separation()
    }
}
