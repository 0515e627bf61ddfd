//! Requests that change something are taken once.
//!
//! A signature holds for the clock skew of five minutes; an attacker who captured a request could
//! send it again in that time. A signature that was seen is refused, but for the first moment
//! (`REPLAY_GRACE`): clients sign with whole seconds, so two equal requests of one second (a script
//! that starts eight sessions, a quick retry) have one signature and are both meant.
//!
//! # Invariants
//! - At most [`limits::MAX_SEEN_SIGNATURES`] are remembered; when full, the one that would be
//!   forgotten first leaves.
//!   The table behind it forgets none.
//! - Only signatures that were right come in here.
//! - What an earlier process has taken is refused without that grace.
//!
//! # Not here
//! - The table: written before the request changes anything, `towline_store::BegunRequests`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use towline_host::clock::UnixMillis;
use towline_ssm::sigv4::Verified;
use towline_store::SeenRequest;

use crate::limits;

/// The signatures of the last minutes.
#[derive(Debug, Default)]
pub(super) struct ReplayWindow {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    first: HashMap<[u8; 32], UnixMillis>,
    by_end: BTreeSet<(i64, [u8; 32])>,
}

impl ReplayWindow {
    /// A window that knows what an earlier process has taken.
    pub(super) fn restored(taken: &[SeenRequest]) -> Self {
        let window = Self::default();
        let mut seen = window.lock();
        for SeenRequest { signature, forget_at } in taken {
            seen.first.insert(*signature, UnixMillis(i64::MIN));
            seen.by_end.insert((*forget_at, *signature));
        }
        drop(seen);
        window
    }

    /// Whether it may have forgotten signatures that still count.
    pub(super) fn is_full(&self) -> bool {
        self.lock().first.len() + 1 >= limits::MAX_SEEN_SIGNATURES
    }

    /// Whether this signature is remembered.
    pub(super) fn knows(&self, signature: &[u8; 32]) -> bool {
        self.lock().first.contains_key(signature)
    }

    /// Whether the request may be taken; again within `grace` of the first time. Remembers it.
    pub(super) fn admit(&self, verified: &Verified, grace: Duration, now: UnixMillis) -> bool {
        let mut seen = self.lock();
        seen.forget(now);
        if let Some(first) = seen.first.get(&verified.replay_key) {
            return !grace.is_zero() && now <= first.plus(grace);
        }
        seen.first.insert(verified.replay_key, now);
        seen.by_end.insert((verified.forget_at, verified.replay_key));
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Seen {
    fn forget(&mut self, now: UnixMillis) {
        let now_seconds = now.0.div_euclid(1000);
        while let Some((end, key)) = self.by_end.first().copied() {
            if end > now_seconds && self.by_end.len() < limits::MAX_SEEN_SIGNATURES {
                return;
            }
            self.by_end.remove(&(end, key));
            self.first.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::REPLAY_GRACE;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn request(n: u32) -> Verified {
        let mut replay_key = [0; 32];
        replay_key[..4].copy_from_slice(&n.to_be_bytes());
        Verified { signed_at: 1_000, replay_key, forget_at: 1_300 }
    }

    #[test]
    fn a_signature_is_taken_again_only_at_once() {
        let window = ReplayWindow::default();
        assert!(window.admit(&request(1), REPLAY_GRACE, NOW));
        assert!(window.admit(&request(1), REPLAY_GRACE, NOW.plus(REPLAY_GRACE)));
        assert!(!window.admit(&request(1), REPLAY_GRACE, NOW.plus(REPLAY_GRACE * 2)));
        assert!(window.admit(&request(2), REPLAY_GRACE, NOW.plus(REPLAY_GRACE * 2)));
    }

    #[test]
    fn without_grace_an_equal_request_is_refused_at_once() {
        let window = ReplayWindow::default();
        assert!(window.admit(&request(1), Duration::ZERO, NOW));
        assert!(!window.admit(&request(1), Duration::ZERO, NOW));
    }

    #[test]
    fn what_an_earlier_process_has_taken_is_refused_at_once() {
        let taken = SeenRequest { signature: request(1).replay_key, forget_at: 1_300 };
        let window = ReplayWindow::restored(&[taken]);
        assert!(!window.admit(&request(1), REPLAY_GRACE, NOW));
        assert!(window.admit(&request(2), REPLAY_GRACE, NOW));
    }

    #[test]
    fn the_window_is_bounded_and_forgets_what_has_expired_anyway() {
        let window = ReplayWindow::default();
        for n in 0..u32::try_from(limits::MAX_SEEN_SIGNATURES).unwrap() + 100 {
            assert!(window.admit(&request(n), REPLAY_GRACE, NOW));
        }
        assert!(window.seen.lock().unwrap().first.len() <= limits::MAX_SEEN_SIGNATURES);
        window.admit(
            &Verified { forget_at: 2_000, ..request(7) },
            REPLAY_GRACE,
            UnixMillis(1_300_000),
        );
        assert_eq!(window.seen.lock().unwrap().first.len(), 1);
    }
}
