//! What a node does for the cluster with each renewal of its lease: it releases what other nodes
//! carry now, declares dead nodes dead, and takes over their sessions.
//!
//! # Invariants
//! - While the database is away nothing is released and nobody is judged.

use std::sync::Arc;

use towline_store::limits::NODE_RENEW;

use super::directory::Directory;
use crate::sessions::Hub;

/// The setting that names the node which does the chores of the cluster.
pub const CHORES: &str = "cluster.chores";

/// Does so as long as the process lives.
pub async fn keep(hub: Arc<Hub>, directory: Arc<Directory>) {
    loop {
        if let Err(error) = directory.refresh().await {
            tracing::warn!(%error, "the nodes cannot be read; nobody is judged meanwhile");
        } else {
            hub.release_lost().await;
            hub.take_over_from_the_dead().await;
        }
        tokio::time::sleep(NODE_RENEW).await;
    }
}

/// Says which node does the chores, once it is this one.
pub async fn announce_chores(hub: Arc<Hub>) {
    let store = hub.store();
    store.has_chores().await;
    let Some(node) = store.node() else { return };
    while let Err(error) = store.settings().set(CHORES, node).await {
        tracing::warn!(%error, "the other gateways do not know yet who does the chores; retrying");
        tokio::time::sleep(NODE_RENEW).await;
    }
    tracing::info!(
        node,
        "this gateway exports, notifies and keeps the standings of commands for the cluster"
    );
}
