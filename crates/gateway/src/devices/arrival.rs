//! A device arrives at this gateway, where several work on one store: it and its sessions are this
//! node's from now on, unless another link of it is better.
//!
//! # Invariants
//! - Nobody is judged a copy because a node was away: only a node that answers can say that the
//!   other link does.

use std::sync::Arc;

use towline_ssm::ids::DeviceId;
use towline_store::{Arrival, Connection, StoreError};

use crate::limits::ARRIVAL_AGAIN;
use crate::plane::Peers;
use crate::sessions::Hub;

/// What becomes of a device that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is here.
    Here,
    /// A later link of the same start is there.
    Stale,
    /// A link of another start is there, and answers: the key was copied.
    Copied,
    /// Whether it answers is not known: its gateway is silent, and not yet declared dead.
    Unknown,
    /// This gateway gives its devices to others.
    Draining,
}

/// Claims a device for this node. Alone, a gateway has it without asking.
pub(super) async fn claim(
    hub: &Arc<Hub>,
    peers: Option<&Arc<dyn Peers>>,
    device: &DeviceId,
    link: Connection,
) -> Result<Claim, StoreError> {
    let Some(peers) = peers else { return Ok(Claim::Here) };
    if hub.is_draining() {
        return Ok(Claim::Draining);
    }
    hub.claims().add(device.as_str(), link);
    let claimed = claim_from_others(hub, peers, device, link).await;
    if !matches!(claimed, Ok(Claim::Here)) {
        hub.claims().remove(device.as_str(), link);
    }
    claimed
}

async fn claim_from_others(
    hub: &Arc<Hub>,
    peers: &Arc<dyn Peers>,
    device: &DeviceId,
    link: Connection,
) -> Result<Claim, StoreError> {
    let (mut arrival, mut from) = hub.arrive(device.as_str(), link, false).await?;
    if let Arrival::OtherStart(node) = &arrival {
        match peers.answers(node, device).await {
            Some(true) => return Ok(Claim::Copied),
            None => return Ok(Claim::Unknown),
            Some(false) => {}
        }
        (arrival, from) = hub.arrive(device.as_str(), link, true).await?;
    }
    for node in from {
        let (peers, device) = (Arc::clone(peers), device.clone());
        tokio::spawn(async move { peers.moved(&node, &device).await });
    }
    Ok(match arrival {
        Arrival::Here { .. } => Claim::Here,
        Arrival::Stale => Claim::Stale,
        Arrival::OtherStart(_) => Claim::Unknown,
    })
}

/// A link of a device has ended. Tries again while the store is away.
pub(super) fn leave(hub: &Arc<Hub>, device: &DeviceId, link: Connection) {
    let store = hub.store().clone();
    if store.node().is_none() {
        return;
    }
    let device = device.to_string();
    hub.claims().remove(&device, link);
    tokio::spawn(async move {
        for pause in ARRIVAL_AGAIN {
            match store.presences().leave(&device, link).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(device, %error, "it is not stored that a link ended"),
            }
            tokio::time::sleep(pause).await;
        }
        tracing::warn!(device, "the other gateways take a device for connected that is not");
    });
}
