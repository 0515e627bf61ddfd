//! Parsed policies by principal, so that a request does not parse them anew.
//!
//! # Invariants
//! - The cache holds what the store holds: every change through the API empties it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use towline_policy::PolicySet;

use crate::limits::MAX_CACHED_POLICIES;
use crate::lock::lock;

/// Parsed policies by principal.
#[derive(Debug, Default)]
pub(super) struct PolicyCache {
    inner: Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    /// Counts the changes: what was read before one must not be kept after it.
    changes: u64,
    sets: HashMap<String, Arc<PolicySet>>,
}

impl PolicyCache {
    /// Principals or policies have changed.
    pub(super) fn changed(&self) {
        let mut inner = lock(&self.inner);
        inner.changes += 1;
        inner.sets.clear();
    }

    /// The set of a principal, and the number of changes so far.
    pub(super) fn get(&self, principal: &str) -> (Option<Arc<PolicySet>>, u64) {
        let inner = lock(&self.inner);
        (inner.sets.get(principal).cloned(), inner.changes)
    }

    /// Keeps a set that was read when there had been so many changes.
    pub(super) fn put(&self, principal: &str, set: Arc<PolicySet>, as_of: u64) {
        let mut inner = lock(&self.inner);
        if inner.changes != as_of {
            return;
        }
        if inner.sets.len() >= MAX_CACHED_POLICIES {
            inner.sets.clear();
        }
        inner.sets.insert(principal.to_owned(), set);
    }
}
