//! Presence is put right, where it says something else than the links that are here.
//!
//! Data flow: [`crate::cluster`] tells when it may -> rows and links are compared ([`Claims`]) ->
//! links without a row claim their device anew, rows without a link go.
//!
//! # Invariants
//! - A link claims its device as if it had just come: where another node has a later one, that one
//!   stays.

use std::sync::Arc;

use towline_store::{Arrival, StoreError};

use super::claims::{Claims, Differences};
use super::hub::Hub;

impl Hub {
    /// The links for which this node has claimed their device.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// A look at presence: what differed at the look before, too, is put right.
    ///
    /// # Errors
    /// The store's; the next look goes on.
    pub async fn restate_presence(self: &Arc<Self>) -> Result<(), StoreError> {
        let rows = self.store().presences().of_this_node().await?;
        let Differences { missing, left } = self.claims.differ(&rows);
        for (device, link) in left {
            self.store().presences().leave(&device, link).await?;
            tracing::info!(device, "the other gateways took a device for connected that is not");
        }
        for (device, link) in missing {
            if self.is_draining() || !self.claims.has(&device, link) {
                continue;
            }
            let (arrival, _) = self.arrive(&device, link, false).await?;
            if !matches!(arrival, Arrival::Here { .. }) {
                continue; // it is at another gateway meanwhile
            }
            tracing::info!(device, "the other gateways know again that a device is here");
            if !self.claims.has(&device, link) {
                self.store().presences().leave(&device, link).await?; // it went meanwhile
            }
        }
        Ok(())
    }
}
