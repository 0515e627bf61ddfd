//! Sessions of these devices that begin or run, by name.
//!
//! # Invariants
//! - A session is in here from its order until its task ends.
//! - Of one device at most [`VENDOR_SESSIONS`].

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::session::VendorSession;
use crate::limits::VENDOR_SESSIONS;
use crate::lock::lock;

/// What is under way.
#[derive(Default)]
pub(super) struct Registry {
    sessions: Mutex<HashMap<String, Arc<VendorSession>>>,
}

impl Registry {
    /// Adds a session; false when its device has all that it may have.
    pub(super) fn add(&self, session: &Arc<VendorSession>) -> bool {
        let mut sessions = lock(&self.sessions);
        let own = sessions.values().filter(|other| other.device == session.device).count();
        if own >= VENDOR_SESSIONS as usize {
            return false;
        }
        sessions.insert(session.name().to_owned(), Arc::clone(session));
        true
    }

    /// Takes this very session out.
    pub(super) fn remove(&self, session: &Arc<VendorSession>) {
        let mut sessions = lock(&self.sessions);
        if sessions.get(session.name()).is_some_and(|held| Arc::ptr_eq(held, session)) {
            sessions.remove(session.name());
        }
    }

    /// The session of this name, if it is this device's.
    pub(super) fn get(&self, device: &str, name: &str) -> Option<Arc<VendorSession>> {
        lock(&self.sessions).get(name).filter(|session| session.device == device).cloned()
    }

    /// The step of a command that this job of a device is.
    pub(super) fn job(&self, device: &str, job: &str) -> Option<Arc<VendorSession>> {
        let is_it = |session: &&Arc<VendorSession>| {
            session.device == device && session.job.as_ref().is_some_and(|own| own.id == job)
        };
        lock(&self.sessions).values().find(is_it).cloned()
    }

    /// The steps of commands on a device.
    pub(super) fn jobs(&self, device: &str) -> Vec<Arc<VendorSession>> {
        let is_job =
            |session: &&Arc<VendorSession>| session.device == device && session.job.is_some();
        lock(&self.sessions).values().filter(is_job).cloned().collect()
    }

    /// Whether a session of a device is to end and has not ended there yet.
    pub(super) fn has_ending(&self, device: &str) -> bool {
        let is_ending =
            |session: &Arc<VendorSession>| session.device == device && session.is_ending();
        lock(&self.sessions).values().any(is_ending)
    }

    /// Names of the sessions of a device.
    pub(super) fn of(&self, device: &str) -> HashSet<String> {
        let sessions = lock(&self.sessions);
        let own = sessions.values().filter(|session| session.device == device);
        own.map(|session| session.name().to_owned()).collect()
    }
}
