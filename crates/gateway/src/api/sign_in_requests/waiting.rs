//! The pace of programs that poll for their sign-in. The requests themselves are in the store, so
//! that a restart of the gateway voids none.
//!
//! # Invariants
//! - Bounded: a pace is forgotten with its request.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use towline_host::clock::UnixMillis;

use crate::limits::SIGN_IN_POLL;
use crate::lock::lock;

/// When each program may ask again, and until when that is kept.
#[derive(Debug, Default)]
pub(in super::super) struct Paces(Mutex<HashMap<String, (UnixMillis, UnixMillis)>>);

impl Paces {
    /// Whether the program of an open request asks too often: then it has to wait longer.
    pub(super) fn is_too_soon(&self, digest: &str, now: UnixMillis) -> bool {
        let mut all = lock(&self.0);
        all.retain(|_, (_, forget_at)| now < *forget_at);
        let next = all.get(digest).map(|(next, _)| *next);
        // Half of the interval is forgiven: networks deliver unevenly.
        let is_soon = next.is_some_and(|next| now < next.minus(SIGN_IN_POLL / 2));
        let more = if is_soon { SIGN_IN_POLL } else { Duration::ZERO };
        let next = now.plus(SIGN_IN_POLL + more);
        all.insert(digest.to_owned(), (next, next.plus(SIGN_IN_POLL)));
        is_soon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn a_program_that_asks_too_often_waits_longer() {
        let paces = Paces::default();
        assert!(!paces.is_too_soon("d", NOW));
        let soon = NOW.plus(SIGN_IN_POLL / 4);
        assert!(paces.is_too_soon("d", soon));
        assert!(!paces.is_too_soon("other", soon));
        let at_pace = soon.plus(SIGN_IN_POLL);
        assert!(paces.is_too_soon("d", at_pace));
        let patient = at_pace.plus(SIGN_IN_POLL * 2);
        assert!(!paces.is_too_soon("d", patient));
    }

    #[test]
    fn a_pace_is_forgotten_when_nobody_polls() {
        let paces = Paces::default();
        for number in 0..100 {
            paces.is_too_soon(&number.to_string(), NOW);
        }
        paces.is_too_soon("d", NOW.plus(SIGN_IN_POLL * 3));
        assert_eq!(lock(&paces.0).len(), 1);
    }
}
