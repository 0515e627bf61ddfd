//! What a node does for the cluster with each renewal of its lease: it releases what other nodes
//! carry now, declares dead nodes dead, takes over their sessions, ends what others want ended, and
//! puts presence right.
//!
//! # Invariants
//! - While the database is away nothing is released and nobody is judged.
//! - Presence is compared with the links that are here only when it may differ: another server has
//!   taken the database's place, or the numbers differ for some looks.

use std::sync::Arc;

use towline_store::limits::NODE_RENEW;

use super::directory::Directory;
use crate::limits::PRESENCE_DIFFERS;
use crate::sessions::Hub;

/// The setting that names the node which does the chores of the cluster.
pub const CHORES: &str = "cluster.chores";

/// Does so as long as the process lives.
pub async fn keep(hub: Arc<Hub>, directory: Arc<Directory>) {
    let mut presence = PresenceWatch::default();
    loop {
        if let Err(error) = directory.refresh().await {
            tracing::warn!(%error, "the nodes cannot be read; nobody is judged meanwhile");
        } else {
            hub.release_lost().await;
            hub.take_over_from_the_dead().await;
            if let Err(error) = hub.end_wanted().await {
                tracing::warn!(%error, "it is not known what other gateways want ended here");
            }
            if presence.may_differ(&hub, &directory).await
                && let Err(error) = hub.restate_presence().await
            {
                tracing::warn!(%error, "the other gateways may not know which devices are here");
            }
        }
        tokio::time::sleep(NODE_RENEW).await;
    }
}

/// Whether presence may say something else than the links that are here.
#[derive(Default)]
struct PresenceWatch {
    /// Of the database's server, at the latest look.
    timeline: Option<String>,
    /// Looks in a row at which the numbers differed.
    different: u32,
    /// Comparisons that are left.
    left: u32,
}

impl PresenceWatch {
    async fn may_differ(&mut self, hub: &Hub, directory: &Directory) -> bool {
        let timeline = hub.store().timeline().await.unwrap_or_default();
        let (rows, links) = (directory.own_devices(), hub.claims().len());
        self.looked(timeline, rows == Some(links))
    }

    /// What the look found; whether to compare now.
    fn looked(&mut self, timeline: Option<String>, is_same_number: bool) -> bool {
        if timeline.is_some() && timeline != self.timeline {
            if self.timeline.is_some() {
                self.left = COMPARISONS;
            }
            self.timeline = timeline;
        }
        self.different = if is_same_number { 0 } else { self.different + 1 };
        if self.different >= PRESENCE_DIFFERS {
            (self.different, self.left) = (0, COMPARISONS);
        }
        let compares = self.left > 0;
        self.left = self.left.saturating_sub(1);
        compares
    }
}

/// One difference takes two, and a row that was just being written one more.
const COMPARISONS: u32 = 3;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_is_compared_after_a_failover_and_when_numbers_differ_for_long() {
        let timeline = |number: &str| Some(number.to_owned());
        let mut watch = PresenceWatch::default();
        assert!(!watch.looked(timeline("1"), true), "the first one is no other one");
        assert!(!watch.looked(None, true), "the store did not tell");
        for _ in 0..PRESENCE_DIFFERS - 1 {
            assert!(!watch.looked(timeline("1"), false), "devices come and go");
        }
        assert!(!watch.looked(timeline("1"), true));
        let looks = |watch: &mut PresenceWatch, number, same| {
            (0..5).map(|_| watch.looked(timeline(number), same)).collect::<Vec<_>>()
        };
        assert_eq!(looks(&mut watch, "2", true), [true, true, true, false, false]);
        for _ in 0..PRESENCE_DIFFERS - 1 {
            assert!(!watch.looked(timeline("2"), false));
        }
        assert!(watch.looked(timeline("2"), false));
        assert_eq!(looks(&mut watch, "2", true), [true, true, false, false, false]);
    }
}
