//! Parsed policies by principal, so that a request does not parse them anew.
//!
//! # Invariants
//! - The cache holds what the store holds: every change through the API empties it. Among several
//!   gateways it holds what the store held a moment ago, and a change that takes rights is answered
//!   when each of them has forgotten what it remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use towline_policy::PolicySet;

use crate::limits::MAX_CACHED_POLICIES;
use crate::lock::lock;

/// Parsed policies by principal.
#[derive(Debug, Default)]
pub(super) struct PolicyCache {
    inner: Mutex<Cached>,
    /// How long a set counts; for ever where no other gateway changes any.
    fresh: Option<Duration>,
}

/// When a set was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct AsOf {
    changes: u64,
    began: Instant,
}

#[derive(Debug, Default)]
struct Cached {
    /// Counts the changes: what was read before one must not be kept after it.
    changes: u64,
    sets: HashMap<String, (Arc<PolicySet>, Instant)>,
}

impl PolicyCache {
    /// A cache whose sets count for so long.
    pub(super) fn new(fresh: Option<Duration>) -> Self {
        Self { fresh, ..Self::default() }
    }

    /// Returns when no other gateway remembers what was read before this call.
    pub(super) async fn forgotten_elsewhere(&self) {
        if let Some(fresh) = self.fresh {
            tokio::time::sleep(fresh).await;
        }
    }

    /// Principals or policies have changed.
    pub(super) fn changed(&self) {
        let mut inner = lock(&self.inner);
        inner.changes += 1;
        inner.sets.clear();
    }

    /// The set of a principal, and when one that is read from now on was read.
    pub(super) fn get(&self, principal: &str) -> (Option<Arc<PolicySet>>, AsOf) {
        let (inner, began) = (lock(&self.inner), Instant::now());
        let counts = |began: &Instant| self.fresh.is_none_or(|fresh| began.elapsed() < fresh);
        let set = inner.sets.get(principal).filter(|(_, began)| counts(began));
        (set.map(|(set, _)| Arc::clone(set)), AsOf { changes: inner.changes, began })
    }

    /// Keeps a set that was read then.
    pub(super) fn put(&self, principal: &str, set: Arc<PolicySet>, as_of: AsOf) {
        let mut inner = lock(&self.inner);
        if inner.changes != as_of.changes {
            return;
        }
        if inner.sets.len() >= MAX_CACHED_POLICIES {
            inner.sets.clear();
        }
        inner.sets.insert(principal.to_owned(), (set, as_of.began));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn among_several_gateways_a_set_counts_for_a_second_from_when_it_was_read() {
        let set = || Arc::new(PolicySet::default());
        let fresh = Duration::from_secs(1);
        let (alone, several) = (PolicyCache::new(None), PolicyCache::new(Some(fresh)));
        for (cache, is_kept) in [(&alone, true), (&several, false)] {
            let (_, as_of) = cache.get("ann");
            tokio::time::advance(fresh / 2).await; // the store takes its time
            cache.put("ann", set(), as_of);
            assert!(cache.get("ann").0.is_some());
            tokio::time::advance(fresh / 2).await;
            assert_eq!(cache.get("ann").0.is_some(), is_kept);
            cache.changed();
            assert!(cache.get("ann").0.is_none());
        }
    }
}
