//! The nodes as this one knows them: read from the store with each renewal of the lease.
//!
//! # Invariants
//! - A key or a name that is not known is looked for in the store once more before it is turned
//!   away, but not more often than once in [`NODES_AGAIN`]: a caller with a key of its own making
//!   costs the store nothing.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;
use towline_host::clock::Clock;
use towline_store::{Node, NodeApproval, Store, StoreError};
use towline_wire::extension::MOST_ELSEWHERE;

use crate::limits::NODES_AGAIN;
use crate::lock::lock;

/// The nodes of the latest look.
pub struct Directory {
    store: Store,
    clock: Clock,
    nodes: Mutex<Vec<Node>>,
    /// When a stranger made it look last, since boot.
    looked: Mutex<Option<Duration>>,
}

impl Directory {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, nodes: Mutex::default(), looked: Mutex::default() }
    }

    /// Looks again.
    ///
    /// # Errors
    /// The store's.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let nodes = self.store.nodes().look().await?;
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

    /// Names of the other nodes that belong to the cluster and do not live, as of the latest look.
    #[must_use]
    pub fn dead(&self) -> Vec<String> {
        let own = self.store.node().unwrap_or_default();
        let nodes = lock(&self.nodes);
        let is_dead = |node: &&Node| {
            node.name != own && !node.lives && node.approval == NodeApproval::Approved
        };
        nodes.iter().filter(is_dead).map(|node| node.name.clone()).collect()
    }

    /// How many devices the store says are at this node, as of the latest look.
    #[must_use]
    pub fn own_devices(&self) -> Option<usize> {
        let own = self.store.node()?;
        let nodes = lock(&self.nodes);
        let node = nodes.iter().find(|node| node.name == own)?;
        usize::try_from(node.devices).ok()
    }

    /// The other nodes that live and take devices, as of the latest look.
    #[must_use]
    pub fn takers(&self) -> Vec<Node> {
        let own = self.store.node().unwrap_or_default();
        let nodes = lock(&self.nodes);
        let takers = nodes.iter().filter(|it| it.name != own && it.lives && !it.draining);
        takers.cloned().collect()
    }

    /// Where devices reach these, as far as they want to be named.
    #[must_use]
    pub fn elsewhere(&self) -> Vec<String> {
        let addresses = self.takers().into_iter().map(|node| node.device_address);
        addresses.filter(|address| !address.is_empty()).take(MOST_ELSEWHERE).collect()
    }

    /// The node of this name.
    pub(super) async fn named(&self, name: &str) -> Option<Node> {
        self.find(|node| node.name == name).await
    }

    /// The other node that proves itself by this key.
    pub(super) fn with_key<'a>(&'a self, spki: &'a [u8]) -> BoxFuture<'a, Option<Node>> {
        let own = self.store.node().unwrap_or_default();
        Box::pin(self.find(move |node| {
            let is_node = node.approval == NodeApproval::Approved;
            is_node && node.spki == spki && node.name != own
        }))
    }

    async fn find(&self, is_meant: impl Fn(&Node) -> bool) -> Option<Node> {
        let known = lock(&self.nodes).iter().find(|node| is_meant(node)).cloned();
        if known.is_some() || !self.may_look() {
            return known;
        }
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "the nodes cannot be read");
        }
        lock(&self.nodes).iter().find(|node| is_meant(node)).cloned()
    }

    /// Whether it is time for another look. Takes the turn.
    fn may_look(&self) -> bool {
        let now = self.clock.since_boot();
        let mut looked = lock(&self.looked);
        let is_due = looked.is_none_or(|at| now.saturating_sub(at) >= NODES_AGAIN);
        if is_due {
            *looked = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use towline_host::clock::UnixMillis;
    use towline_store::testing::{joined, new_database};
    use towline_testkit::postgres::Postgres;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn callers_with_unknown_keys_cost_one_query_a_second_and_a_new_node_is_found() {
        let server = Postgres::start(&["fsync = off"]).unwrap();
        let address = new_database(&server.address("postgres")).await;
        let made = Store::create_on(&address).await.unwrap();
        made.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
        made.close().await;
        let clock = Clock::manual(UnixMillis(1_000_000));
        let directory = Directory::new(joined(&address, "a").await, clock.clone());
        assert!(directory.with_key(b"b").await.is_none(), "it has looked");
        let _b = joined(&address, "b").await;
        for _ in 0..100 {
            assert!(directory.with_key(b"b").await.is_none(), "it has not looked again");
        }
        clock.advance(NODES_AGAIN);
        assert_eq!(directory.with_key(b"b").await.unwrap().name, "b");
        assert!(directory.with_key(b"stranger").await.is_none());
    }
}
