//! The sessions that are alive: by name, and by device.
//!
//! # Invariants
//! - Both indexes hold the same sessions. A device without a session has no entry.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::session::Session;

/// Sessions by name and by device.
#[derive(Default)]
pub(super) struct SessionMap {
    by_name: HashMap<String, Arc<Session>>,
    by_device: HashMap<String, HashSet<String>>,
}

impl SessionMap {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Session>> {
        self.by_name.get(name)
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Adds a session; it may replace one of its name.
    pub(super) fn insert(&mut self, session: &Arc<Session>) {
        let (name, device) = (&session.meta.name, &session.meta.device);
        self.remove(name);
        self.by_device.entry(device.clone()).or_default().insert(name.clone());
        self.by_name.insert(name.clone(), Arc::clone(session));
    }

    /// Takes the session of this name out.
    pub(super) fn remove(&mut self, name: &str) {
        let Some(session) = self.by_name.remove(name) else { return };
        if let Some(names) = self.by_device.get_mut(&session.meta.device) {
            names.remove(name);
            if names.is_empty() {
                self.by_device.remove(&session.meta.device);
            }
        }
    }

    /// The sessions of a device.
    pub(super) fn of(&self, device: &str) -> impl Iterator<Item = &Arc<Session>> {
        let names = self.by_device.get(device).into_iter().flatten();
        names.filter_map(|name| self.by_name.get(name))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.by_name.values()
    }

    /// Whether a device has any.
    pub(super) fn has(&self, device: &str) -> bool {
        self.by_device.contains_key(device)
    }
}
