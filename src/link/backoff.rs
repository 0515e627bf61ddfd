//! The wait before the next dial: full jitter under a cap.
//!
//! The wait is drawn evenly from zero to a bound, which doubles with each failure up to the cap
//! (5 minutes unless set otherwise). So the devices of a fleet that lost its gateway do not
//! return in step. There is no last dial.
//!
//! # Invariants
//! - With open sessions no wait is longer than [`limits::RECONNECT_WITH_SESSIONS`].
//! - A link that the gateway accepted begins the waits anew, unless links end at once many times
//!   in a row.
//! - A refusal that a person can lift is tried again soon for [`limits::REFUSED_OFTEN`].

use crate::limits;
use std::time::{Duration, Instant};

/// The waits between tries.
#[derive(Debug)]
pub struct Backoff {
    cap: Duration,
    bound: Duration,
    /// Accepted links in a row that ended at once.
    short_links: u32,
    /// Since when the gateway refuses this device for a reason that a person can mend.
    refused_since: Option<Instant>,
}

impl Backoff {
    /// Waits of at most `cap`.
    #[must_use]
    pub fn new(cap: Duration) -> Self {
        let cap = cap.max(limits::RECONNECT_SHORTEST);
        let bound = limits::RECONNECT_FIRST.min(cap);
        Self { cap, bound, short_links: 0, refused_since: None }
    }

    /// The wait after one more failure. `random` is any number, evenly distributed.
    pub fn next(&mut self, random: u64) -> Duration {
        let bound = self.bound;
        self.bound = (bound * 2).min(self.cap);
        let span = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random % span.saturating_add(1)).max(limits::RECONNECT_SHORTEST)
    }

    /// A wait the gateway asked for, spread by a tenth so that a fleet told the same does not do
    /// the same. None asked for is a failure as any other.
    pub fn asked(&mut self, wanted: Duration, random: u64) -> Duration {
        if wanted.is_zero() {
            return self.next(random);
        }
        let wanted = wanted.min(self.cap).max(limits::RECONNECT_SHORTEST);
        let spread = u64::try_from(wanted.as_millis() / 10).unwrap_or(u64::MAX);
        wanted + Duration::from_millis(random % spread.saturating_add(1))
    }

    /// The wait after a refusal that a person can mend at any moment: short for a while, so that a
    /// device which is approved, or whose quarantine is lifted, is there within seconds. Then the
    /// gateway's.
    pub fn refused(&mut self, wanted: Duration, now: Instant, random: u64) -> Duration {
        let since = *self.refused_since.get_or_insert(now);
        let soon = now < since + limits::REFUSED_OFTEN;
        self.asked(if soon { limits::REFUSED_PAUSE } else { wanted }, random)
    }

    /// A link that the gateway had accepted is over; `good` if it lasted or carried a session.
    pub fn link_ended(&mut self, good: bool) {
        self.refused_since = None;
        self.short_links = if good { 0 } else { self.short_links.saturating_add(1) };
        if self.short_links <= limits::SHORT_LINKS {
            self.reset();
        }
    }

    /// A link was accepted, or the world changed: begin anew.
    pub fn reset(&mut self) {
        self.bound = limits::RECONNECT_FIRST.min(self.cap);
    }
}

/// The wait, cut to the longest that people with open sessions are left waiting. What is cut is
/// drawn anew, so that the devices of a fleet do not return in step.
#[must_use]
pub fn bounded(wait: Duration, holds_sessions: bool, random: u64) -> Duration {
    let most = limits::RECONNECT_WITH_SESSIONS;
    if !holds_sessions || wait <= most {
        return wait;
    }
    let spread = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random % spread.saturating_add(1)).max(limits::RECONNECT_SHORTEST)
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
        let mut backoff = Backoff::new(CAP);
        assert_eq!(backoff.asked(Duration::from_secs(100), 0), Duration::from_secs(100));
        assert!(backoff.asked(Duration::from_secs(86_400), u64::MAX - 7) <= CAP + CAP / 10);
    }

    #[test]
    fn with_open_sessions_no_wait_is_longer_than_ten_seconds() {
        let mut backoff = Backoff::new(CAP);
        for random in (0..40).map(|n| u64::MAX / 41 * n) {
            let failed = backoff.next(random);
            let asked = backoff.asked(CAP, random);
            for wait in [failed, asked] {
                assert!(bounded(wait, true, random) <= limits::RECONNECT_WITH_SESSIONS);
                assert_eq!(bounded(wait, false, random), wait);
            }
        }
    }

    #[test]
    fn a_cut_wait_is_spread_and_never_at_once() {
        let waits = [0, 4_000, 10_000].map(|random| bounded(CAP, true, random));
        assert_eq!(waits.map(|wait| wait.as_millis()), [250, 4_000, 10_000]);
    }

    #[test]
    fn a_dozen_cut_links_that_lasted_leave_the_bound_at_its_first() {
        let mut backoff = Backoff::new(CAP);
        for _ in 0..12 {
            let _ = backoff.next(0);
            backoff.link_ended(true);
        }
        assert_eq!(backoff.bound, limits::RECONNECT_FIRST);
    }

    #[test]
    fn links_that_end_at_once_begin_anew_only_a_few_times() {
        let mut backoff = Backoff::new(CAP);
        for _ in 0..limits::SHORT_LINKS {
            let _ = backoff.next(0);
            backoff.link_ended(false);
            assert_eq!(backoff.bound, limits::RECONNECT_FIRST);
        }
        for _ in 0..12 {
            let _ = backoff.next(0);
            backoff.link_ended(false);
        }
        assert_eq!(backoff.bound, CAP);
        backoff.link_ended(true);
        assert_eq!(backoff.bound, limits::RECONNECT_FIRST);
    }

    #[test]
    fn a_refused_device_tries_often_for_five_minutes_and_then_as_the_gateway_says() {
        let mut backoff = Backoff::new(CAP);
        let start = Instant::now();
        let wanted = Duration::from_secs(3600);
        let soon = Duration::from_secs(15);
        for after in [0, 60, 299] {
            let wait = backoff.refused(wanted, start + Duration::from_secs(after), u64::MAX);
            assert!(wait < soon, "{after} s: {wait:?}");
        }
        assert!(backoff.refused(wanted, start + limits::REFUSED_OFTEN, 0) >= CAP);
        backoff.link_ended(true);
        assert!(backoff.refused(wanted, start + limits::REFUSED_OFTEN, 0) < soon);
    }
}
