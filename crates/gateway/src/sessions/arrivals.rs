//! Devices that have come and were not looked at yet, for the scheduler of commands.
//!
//! # Invariants
//! - At most as many names as there are devices; a device that comes twice is one name.

use std::collections::HashSet;
use std::sync::Mutex;

use tokio::sync::Notify;

use crate::lock::lock;

/// Devices that have come.
#[derive(Debug, Default)]
pub struct Arrivals {
    devices: Mutex<HashSet<String>>,
    ready: Notify,
}

impl Arrivals {
    /// A device has come, and it is known what it holds.
    pub(super) fn add(&self, device: &str) {
        lock(&self.devices).insert(device.to_owned());
        self.ready.notify_one();
    }

    /// Takes all that have come.
    #[must_use]
    pub fn take(&self) -> HashSet<String> {
        std::mem::take(&mut *lock(&self.devices))
    }

    /// Waits until some may have come. For one waiter.
    pub async fn ready(&self) {
        self.ready.notified().await;
    }
}
