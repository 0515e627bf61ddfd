//! When to repeat: the round trip as measured, with the start values and the cap of the official
//! ends.
//!
//! # Invariants
//! - The time-out lies between [`FLOOR`] above the round trip and [`CAP`].

use core::time::Duration;

/// Smallest distance between round trip and time-out.
const FLOOR: Duration = Duration::from_millis(10);
/// Longest time-out.
const CAP: Duration = Duration::from_secs(1);

/// Mean and variation of the round trip.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rtt {
    mean: Duration,
    variation: Duration,
    timeout: Duration,
}

impl Rtt {
    pub(super) const fn new() -> Self {
        Self {
            mean: Duration::from_millis(100),
            variation: Duration::ZERO,
            timeout: Duration::from_millis(200),
        }
    }

    /// One measured round trip. Messages that were repeated must not be measured: nobody knows
    /// which copy was meant.
    pub(super) fn sample(&mut self, sample: Duration) {
        let sample = sample.min(CAP * 60);
        self.variation = self.variation * 3 / 4 + self.mean.abs_diff(sample) / 4;
        self.mean = self.mean * 7 / 8 + sample / 8;
        self.timeout = (self.mean + FLOOR.max(self.variation * 4)).min(CAP);
    }

    /// How long to wait before the next repetition, after so many: it doubles up to the cap.
    pub(super) fn timeout(&self, repeats: u32) -> Duration {
        self.timeout.saturating_mul(1 << repeats.min(10)).min(CAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_out_follows_the_round_trip_and_keeps_its_bounds() {
        let mut rtt = Rtt::new();
        assert_eq!(rtt.timeout(0), Duration::from_millis(200));
        (0..200).for_each(|_| rtt.sample(Duration::from_millis(2)));
        let close = rtt.timeout(0);
        assert!(
            close >= Duration::from_millis(11) && close <= Duration::from_millis(15),
            "{close:?}"
        );
        (0..200).for_each(|_| rtt.sample(Duration::MAX));
        assert_eq!(rtt.timeout(0), CAP);
        assert_eq!(Rtt::new().timeout(u32::MAX), CAP);
    }
}
