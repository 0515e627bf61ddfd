//! The nodes as this one knows them: read from the store with each renewal of the lease.
//!
//! # Invariants
//! - A key or a name that is not known is looked for in the store once more before it is turned away.

use std::sync::Mutex;

use towline_store::{Node, Store, StoreError};

use crate::lock::lock;

/// The nodes of the latest look.
pub struct Directory {
    store: Store,
    nodes: Mutex<Vec<Node>>,
}

impl Directory {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, nodes: Mutex::default() }
    }

    /// Looks again.
    ///
    /// # Errors
    /// The store's.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let nodes = self.store.nodes().list().await?;
        *lock(&self.nodes) = nodes;
        Ok(())
    }

    /// Names of the other nodes that live, as of the latest look.
    #[must_use]
    pub fn others(&self) -> Vec<String> {
        let own = self.store.node().unwrap_or_default();
        let nodes = lock(&self.nodes);
        let others = nodes.iter().filter(|node| node.name != own && node.lives);
        others.map(|node| node.name.clone()).collect()
    }

    /// The node of this name.
    pub(super) async fn named(&self, name: &str) -> Option<Node> {
        self.find(|node| node.name == name).await
    }

    /// The other node that proves itself by this key.
    pub(super) async fn with_key(&self, spki: &[u8]) -> Option<Node> {
        let own = self.store.node().unwrap_or_default().to_owned();
        self.find(|node| node.spki == spki && node.name != own).await
    }

    async fn find(&self, is_meant: impl Fn(&Node) -> bool) -> Option<Node> {
        let known = lock(&self.nodes).iter().find(|node| is_meant(node)).cloned();
        if known.is_some() {
            return known;
        }
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "the nodes cannot be read");
        }
        lock(&self.nodes).iter().find(|node| is_meant(node)).cloned()
    }
}
