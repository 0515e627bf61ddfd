//! The viewers that users have now.
//!
//! # Invariants
//! - Viewers that are over are forgotten at the next count, and so are users without a viewer.

use std::collections::HashMap;
use std::sync::{Mutex, Weak};

use crate::lock::lock;
use crate::plane::Watching;

/// What each user watches, by the user's id.
#[derive(Default)]
pub(super) struct Watches(Mutex<HashMap<String, Vec<Weak<dyn Watching>>>>);

impl Watches {
    /// How many sessions a user watches now.
    pub(super) fn count(&self, user: &str) -> usize {
        let mut watches = lock(&self.0);
        watches.retain(|_, of_user| {
            of_user.retain(is_alive);
            !of_user.is_empty()
        });
        watches.get(user).map_or(0, Vec::len)
    }

    /// One more.
    pub(super) fn add(&self, user: &str, watching: Weak<dyn Watching>) {
        lock(&self.0).entry(user.to_owned()).or_default().push(watching);
    }
}

/// Whether a viewer goes on, or may still come.
pub(super) fn is_alive(watching: &Weak<dyn Watching>) -> bool {
    watching.upgrade().is_some_and(|watching| !watching.is_over())
}
