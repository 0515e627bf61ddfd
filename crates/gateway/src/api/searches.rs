//! Turns of searches that read many rows: of the trail, of the command log, of whole tables.
//!
//! Data flow: a request -> the turn of its person ([`Searches::turn`]) -> one of the few places of
//! all -> the search.
//!
//! # Invariants
//! - One person has one request at a place or in the queue for it, however many she sends: those of
//!   others wait behind one request of hers, not behind all.
//! - Each waits [`SEARCH_WAIT`] at the most. The map holds the persons who search or wait, and
//!   those who did since the turn before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use towline_ssm::error::{ApiError, ErrorCode};

use super::call::Call;
use crate::limits::{MAX_SEARCHES, SEARCH_WAIT};
use crate::lock::lock;

/// Who searches, and the places for it.
pub(super) struct Searches {
    persons: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    places: Arc<Semaphore>,
}

/// The right to search until it is dropped.
pub(super) struct SearchTurn {
    _person: OwnedMutexGuard<()>,
    _place: OwnedSemaphorePermit,
}

impl Default for Searches {
    fn default() -> Self {
        Self { persons: Mutex::default(), places: Arc::new(Semaphore::new(MAX_SEARCHES)) }
    }
}

impl Searches {
    /// Waits until the caller of this request may search.
    ///
    /// # Errors
    /// `ThrottlingException` when that takes too long.
    pub(super) async fn turn(&self, call: &Call) -> Result<SearchTurn, ApiError> {
        let turn = tokio::time::timeout(SEARCH_WAIT, self.turn_of(&call.caller.person.id)).await;
        turn.ok().flatten().ok_or_else(|| {
            let message = "too many searches are under way: try again";
            ApiError::new(ErrorCode::ThrottlingException, message)
        })
    }

    async fn turn_of(&self, person: &str) -> Option<SearchTurn> {
        let own = {
            let mut all = lock(&self.persons);
            all.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(all.entry(person.to_owned()).or_default())
        };
        let person = own.lock_owned().await;
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(SearchTurn { _person: person, _place: place })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_sends_a_hundred_searches_has_one_turn_beside_others() {
        let searches = Arc::new(Searches::default());
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let searches = Arc::clone(&searches);
            all.spawn(async move {
                let turn = searches.turn_of("eve").await;
                tokio::time::sleep(Duration::from_millis(500)).await;
                drop(turn);
            });
        }
        tokio::task::yield_now().await;
        for _ in 0..10 {
            let turn = timeout(Duration::from_secs(1), searches.turn_of("ann")).await;
            assert!(turn.unwrap().is_some());
        }
        while all.join_next().await.is_some() {}
        assert!(searches.turn_of("bob").await.is_some());
        assert_eq!(lock(&searches.persons).len(), 1, "who is done is forgotten");
    }
}
