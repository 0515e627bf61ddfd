//! Time of day in whole milliseconds since the epoch, from a clock that tests can set.
//!
//! # Invariants
//! - Only this module asks the system for the time of day. All others take a [`Clock`] or an
//!   instant as an argument.
//! - [`Clock::since_boot`] is not affected by a step of the time of day, and counts suspended time.
//!
//! # Not here
//! - Monotonic time for timeouts: tokio's clock, which tests can pause.
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use towline_host::clock::{Clock, UnixMillis};
//!
//! let clock = Clock::manual(UnixMillis(0));
//! clock.advance(Duration::from_secs(60));
//! assert_eq!(clock.now().to_rfc3339(), "1970-01-01T00:01:00Z");
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds since 1970-01-01T00:00:00Z; negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The AWS JSON form of a time: seconds since the epoch, with a fraction.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // 2^53 ms lie beyond the year 280,000
    pub fn as_epoch_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// This instant moved forward; stops at the greatest value.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This instant moved back; stops at the smallest value.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The beginning of the second that this instant is in.
    #[must_use]
    pub const fn whole_seconds(self) -> Self {
        Self(self.0.div_euclid(1000).saturating_mul(1000))
    }

    /// The instant as a calendar time. A value out of the calendar's range becomes the epoch.
    #[must_use]
    pub fn to_datetime(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// The RFC 3339 form in UTC, as audit lines carry it.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        self.to_datetime().format(&Rfc3339).unwrap_or_default()
    }

    /// From the seconds of an AWS request. Values out of range stop at the ends of [`i64`].
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // `as` saturates, as the doc says
    pub fn from_epoch_seconds(seconds: f64) -> Self {
        Self((seconds * 1000.0) as i64)
    }
}

impl From<OffsetDateTime> for UnixMillis {
    fn from(at: OffsetDateTime) -> Self {
        Self(i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX))
    }
}

/// A source of the time of day. Cheap to clone; all clones of a manual clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

/// Milliseconds that only a test moves.
#[derive(Debug)]
struct Manual {
    time_of_day: AtomicI64,
    since_boot: AtomicI64,
}

impl Clock {
    /// The host's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that only [`Clock::advance`] moves, for tests.
    #[must_use]
    pub fn manual(start: UnixMillis) -> Self {
        let (time_of_day, since_boot) = (AtomicI64::new(start.0), AtomicI64::new(0));
        Self(Source::Manual(Arc::new(Manual { time_of_day, since_boot })))
    }

    /// Moves a manual clock. The host's clock stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(at) = &self.0 {
            for clock in [&at.time_of_day, &at.since_boot] {
                clock.store(UnixMillis(clock.load(Ordering::SeqCst)).plus(by).0, Ordering::SeqCst);
            }
        }
    }

    /// Sets the time of day of a manual clock this many milliseconds forward or back, as an
    /// administrator or a time server does. [`Clock::since_boot`] does not change.
    pub fn step(&self, by_ms: i64) {
        if let Source::Manual(at) = &self.0 {
            at.time_of_day.fetch_add(by_ms, Ordering::SeqCst);
        }
    }

    /// The time since the machine was started, with the time it was suspended.
    #[must_use]
    pub fn since_boot(&self) -> Duration {
        match &self.0 {
            Source::Manual(at) => {
                Duration::from_millis(at.since_boot.load(Ordering::SeqCst).unsigned_abs())
            }
            // A kernel without CLOCK_BOOTTIME (before Linux 2.6.39) has CLOCK_MONOTONIC.
            Source::System => clock_gettime(ClockId::CLOCK_BOOTTIME)
                .or_else(|_| clock_gettime(ClockId::CLOCK_MONOTONIC))
                .map(Duration::from)
                .unwrap_or_default(),
        }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        match &self.0 {
            Source::Manual(at) => UnixMillis(at.time_of_day.load(Ordering::SeqCst)),
            Source::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_for_all_who_hold_it() {
        let clock = Clock::manual(UnixMillis(1_000));
        let other = clock.clone();
        clock.advance(Duration::from_secs(2));
        assert_eq!(other.now(), UnixMillis(3_000));
    }

    #[test]
    fn a_step_moves_the_time_of_day_and_not_the_time_since_boot() {
        let clock = Clock::manual(UnixMillis(100_000));
        clock.advance(Duration::from_secs(3));
        clock.step(-65_000);
        assert_eq!(clock.now(), UnixMillis(38_000));
        assert_eq!(clock.since_boot(), Duration::from_secs(3));
    }

    #[test]
    fn the_time_since_boot_of_the_system_advances() {
        let clock = Clock::system();
        let before = clock.since_boot();
        assert!(!before.is_zero() && clock.since_boot() >= before);
    }

    #[test]
    fn aws_seconds_keep_their_milliseconds() {
        let at = UnixMillis(1_700_000_000_123);
        assert_eq!(UnixMillis::from_epoch_seconds(at.as_epoch_seconds()), at);
        assert_eq!(at.to_rfc3339(), "2023-11-14T22:13:20.123Z");
    }
}
