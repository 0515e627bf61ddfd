//! The wait before the next dial: full jitter under a cap.
//!
//! The wait is drawn evenly from zero to a bound, which doubles with each failure up to the cap
//! (5 minutes unless set otherwise). So the devices of a fleet that lost its gateway do not
//! return in step. There is no last dial.

use crate::limits;
use std::time::Duration;

/// The waits between tries.
#[derive(Debug)]
pub struct Backoff {
    cap: Duration,
    bound: Duration,
}

impl Backoff {
    /// Waits of at most `cap`.
    #[must_use]
    pub fn new(cap: Duration) -> Self {
        let cap = cap.max(limits::RECONNECT_SHORTEST);
        Self { cap, bound: limits::RECONNECT_FIRST.min(cap) }
    }

    /// The wait after one more failure. `random` is any number, evenly distributed.
    pub fn next(&mut self, random: u64) -> Duration {
        let bound = self.bound;
        self.bound = (bound * 2).min(self.cap);
        let span = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random % span.saturating_add(1)).max(limits::RECONNECT_SHORTEST)
    }

    /// A wait the gateway asked for, spread by a tenth so that a fleet told the same does not do
    /// the same.
    #[must_use]
    pub fn asked(&self, wanted: Duration, random: u64) -> Duration {
        let wanted = wanted.min(self.cap).max(limits::RECONNECT_SHORTEST);
        let spread = u64::try_from(wanted.as_millis() / 10).unwrap_or(u64::MAX);
        wanted + Duration::from_millis(random % spread.saturating_add(1))
    }

    /// A link was accepted, or the world changed: begin anew.
    pub fn reset(&mut self) {
        self.bound = limits::RECONNECT_FIRST.min(self.cap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Duration = Duration::from_secs(300);

    #[test]
    fn the_bound_doubles_up_to_the_cap_and_stays_there() {
        let mut backoff = Backoff::new(CAP);
        // 10^12 - 1 is no multiple of the spans, so look at the bound instead of at one draw.
        let bounds: Vec<u64> = (0..12)
            .map(|_| {
                let bound = backoff.bound.as_secs();
                let _ = backoff.next(0);
                bound
            })
            .collect();
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    }

    #[test]
    fn a_wait_lies_between_the_shortest_and_the_bound() {
        let mut backoff = Backoff::new(CAP);
        for random in [0, 1, 999, 1_000, u64::MAX] {
            backoff.reset();
            let wait = backoff.next(random);
            assert!(
                wait >= limits::RECONNECT_SHORTEST && wait <= limits::RECONNECT_FIRST,
                "{wait:?}"
            );
        }
    }

    #[test]
    fn success_begins_anew() {
        let mut backoff = Backoff::new(CAP);
        for _ in 0..9 {
            let _ = backoff.next(0);
        }
        backoff.reset();
        assert_eq!(backoff.bound, limits::RECONNECT_FIRST);
    }

    #[test]
    fn what_the_gateway_asks_for_is_kept_within_the_cap_and_spread() {
        let backoff = Backoff::new(CAP);
        assert_eq!(backoff.asked(Duration::from_secs(100), 0), Duration::from_secs(100));
        assert!(backoff.asked(Duration::from_secs(86_400), u64::MAX - 7) <= CAP + CAP / 10);
    }
}
