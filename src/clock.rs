//! The time, on a device that may not know it.
//!
//! A certificate is checked against [`reckon`]: the system clock while it is believable, else
//! the latest time that is certainly past. A grant is checked against [`AuthorityClock`]: the
//! authority's time, signed for this link and advanced by the time since boot, without the
//! device's clock. That time counts a suspended device, too.

use crate::limits;
use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When this binary was built, since the epoch.
#[must_use]
pub fn build_time() -> Duration {
    Duration::from_secs(env!("TOWLINE_BUILD_TIME").parse().unwrap_or(0))
}

/// The system clock since the epoch; zero for a clock before it.
#[must_use]
pub fn system_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time since the device was started, with the time it was suspended. A kernel without
/// CLOCK_BOOTTIME (before Linux 2.6.39) has CLOCK_MONOTONIC, which stops in suspend.
#[must_use]
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .or_else(|_| clock_gettime(ClockId::CLOCK_MONOTONIC))
        .map(Duration::from)
        .unwrap_or_default()
}

/// The time for checking certificates: `system` if it lies within ten years after `build`, else the
/// later of `build` and the last time an authority signed.
#[must_use]
pub fn reckon(system: Duration, build: Duration, signed: Option<Duration>) -> Duration {
    if system >= build && system <= build + limits::CLOCK_AHEAD {
        return system;
    }
    signed.map_or(build, |signed| signed.max(build))
}

/// The authority's time as this link learnt it.
#[derive(Debug, Clone, Copy)]
pub struct AuthorityClock {
    unix_ms: u64,
    learnt: Duration,
}

impl AuthorityClock {
    /// It was `unix_ms` at `learnt` since boot.
    #[must_use]
    pub fn new(unix_ms: u64, learnt: Duration) -> Self {
        Self { unix_ms, learnt }
    }

    /// Milliseconds since the epoch at `now` since boot.
    #[must_use]
    pub fn at(&self, now: Duration) -> u64 {
        let since = now.saturating_sub(self.learnt).as_millis();
        self.unix_ms.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}

/// Seconds since the epoch as `YYYY-MM-DDTHH:MM:SSZ` (days to date after Hinnant's
/// civil-from-days).
#[must_use]
pub fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_at_the_edges_of_years_and_leap_days() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }

    const BUILD: Duration = Duration::from_secs(1_800_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_believable_clock_is_believed() {
        assert_eq!(reckon(BUILD + DAY, BUILD, Some(BUILD + DAY * 9)), BUILD + DAY);
    }

    #[test]
    fn a_clock_in_1970_counts_as_the_time_of_the_build() {
        assert_eq!(reckon(DAY, BUILD, None), BUILD);
    }

    #[test]
    fn a_clock_far_beyond_2038_counts_as_the_last_signed_time() {
        assert_eq!(reckon(BUILD * 3, BUILD, Some(BUILD + DAY)), BUILD + DAY);
        assert_eq!(reckon(BUILD * 3, BUILD, Some(DAY)), BUILD);
    }

    #[test]
    fn the_authoritys_time_goes_on_by_the_time_since_boot() {
        let clock = AuthorityClock::new(1_000, DAY);
        assert_eq!(clock.at(DAY + Duration::from_millis(250)), 1_250);
    }

    #[test]
    fn the_time_since_boot_advances() {
        let before = since_boot();
        assert!(!before.is_zero() && since_boot() >= before);
    }
}
