//! What another node wants ended here and could not tell this one.
//!
//! Data flow: the store names sessions and devices ([`towline_store::WantedEnds`]) -> they end here
//! as if they had been ended by a call.
//!
//! # Invariants
//! - It is asked for with each renewal of the lease: a node that cannot reach this one over the
//!   network waits for that at the most.

use std::sync::Arc;

use towline_store::StoreError;

use super::hub::Hub;
use crate::plane::EndReason;

/// What a device's link says at its end.
const REMOVED: &str = "the device was removed or quarantined, or lost its key, at another gateway";

impl Hub {
    /// Ends it.
    ///
    /// # Errors
    /// The store's; the next look goes on.
    pub async fn end_wanted(self: &Arc<Self>) -> Result<(), StoreError> {
        let ends = self.store().wanted_ends();
        for (id, sentence) in ends.sessions_here().await? {
            // One that is not here has just been taken, or its end is on the way to the store.
            if let Some(session) = self.session(&id) {
                tracing::info!(session = id, "session ended for another gateway");
                self.end(&session, EndReason::Terminated, &sentence);
            }
        }
        for device in ends.devices_here().await? {
            let hub = Arc::clone(self);
            tokio::spawn(async move {
                if hub.drop_device(&device, REMOVED).await.is_some() {
                    tracing::info!(device, "{REMOVED}");
                }
            });
        }
        Ok(())
    }
}
