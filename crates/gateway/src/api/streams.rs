//! How many streams of events are open, by user.
//!
//! # Invariants
//! - At most [`limits::MAX_EVENT_STREAMS`], of one user [`limits::MAX_EVENT_STREAMS_OF_USER`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits;

/// Streams that are open, by user.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<HashMap<String, usize>>);

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, if there is one for this user.
    pub(super) fn take(&self, user: &str) -> bool {
        let mut open = self.lock();
        let all: usize = open.values().sum();
        let own = open.get(user).copied().unwrap_or_default();
        let fits = all < limits::MAX_EVENT_STREAMS && own < limits::MAX_EVENT_STREAMS_OF_USER;
        if fits {
            open.insert(user.to_owned(), own + 1);
        }
        fits
    }

    /// Gives a place back.
    pub(super) fn give_back(&self, user: &str) {
        let mut open = self.lock();
        if let Some(own) = open.get_mut(user) {
            *own -= 1;
            if *own == 0 {
                open.remove(user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_bounded_number_of_streams() {
        let streams = Streams::default();
        for _ in 0..limits::MAX_EVENT_STREAMS_OF_USER {
            assert!(streams.take("ann"));
        }
        assert!(!streams.take("ann") && streams.take("bob"));
        streams.give_back("ann");
        assert!(streams.take("ann"));
        streams.give_back("bob");
        assert!(!streams.lock().contains_key("bob"));
    }
}
