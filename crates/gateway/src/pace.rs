//! How fast devices can come back: measured while they come.
//!
//! Data flow: the listener tells the processor time of each device that it let in ([`metered`],
//! [`Pace::admitted`]) -> a mean -> [`Pace::returns`] spreads the devices that are sent away over
//! so many seconds that half of the workers' time is left for sessions.
//!
//! # Invariants
//! - Nobody is told to stay away for longer than [`LATEST_RECONNECT`]; beyond that, the devices of
//!   a second are more.
//!
//! # Not here
//! - The time that the store takes: it works on threads of its own, in batches.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::limits::{LATEST_RECONNECT, RECONNECTS_MEASURED, RECONNECTS_PER_SECOND};

/// One new measurement counts a sixteenth.
const WEIGHT: u64 = 16;

/// What it costs to let a device in.
#[derive(Debug)]
pub struct Pace {
    workers: u32,
    /// Mean processor time of one device, ns; 0: none has come.
    cost: AtomicU64,
}

impl Pace {
    /// On so many threads.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { workers: u32::try_from(workers).unwrap_or(1).max(1), cost: AtomicU64::new(0) }
    }

    /// A device was let in, and took so much of a thread.
    pub fn admitted(&self, spent: Duration) {
        let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mean = |old: u64| match old {
            0 => spent,
            old => old - old / WEIGHT + spent / WEIGHT,
        };
        let _ = self.cost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(mean(old)));
    }

    /// Devices a second that half of the workers' time is enough for.
    #[must_use]
    pub fn per_second(&self) -> u32 {
        let half = u64::from(self.workers) * 500_000_000;
        match half.checked_div(self.cost.load(Ordering::Relaxed)) {
            None => RECONNECTS_PER_SECOND,
            Some(number) => u32::try_from(number)
                .unwrap_or(u32::MAX)
                .clamp(*RECONNECTS_MEASURED.start(), *RECONNECTS_MEASURED.end()),
        }
    }

    /// When each of so many devices is to be back, in seconds from now, the first ones first.
    pub fn returns(&self, devices: usize) -> impl Iterator<Item = u32> + use<> {
        let devices = u64::try_from(devices).unwrap_or(u64::MAX).max(1);
        let all = devices.div_ceil(self.per_second().into()).clamp(1, LATEST_RECONNECT.into());
        (0..devices).map(move |nth| {
            u32::try_from(1 + nth.saturating_mul(all) / devices).unwrap_or(LATEST_RECONNECT)
        })
    }
}

/// Completes `work`, and says how long it has kept its thread.
pub async fn metered<F: Future + Unpin>(mut work: F) -> (F::Output, Duration) {
    let mut spent = Duration::ZERO;
    let output = poll_fn(|cx| {
        let begin = Instant::now();
        let polled = Pin::new(&mut work).poll(cx);
        spent += begin.elapsed();
        polled
    })
    .await;
    (output, spent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returns(pace: &Pace, devices: usize) -> (u32, u32, usize) {
        let all: Vec<u32> = pace.returns(devices).collect();
        assert!(all.is_sorted() && all.len() == devices.max(1));
        let in_first = all.iter().filter(|second| **second == 1).count();
        (all[0], all[all.len() - 1], in_first)
    }

    #[test]
    fn devices_return_as_fast_as_half_of_the_workers_lets_them_in() {
        let pace = Pace::new(1);
        assert_eq!(returns(&pace, 1000), (1, 5, 200), "nothing is measured yet");
        for _ in 0..200 {
            pace.admitted(Duration::from_millis(1));
        }
        assert_eq!(pace.per_second(), 500);
        assert_eq!(returns(&pace, 100_000), (1, 200, 500));
        assert_eq!(returns(&pace, 1), (1, 1, 1));
    }

    #[test]
    fn none_stays_away_for_longer_than_five_minutes_and_the_last_ones_are_no_crowd() {
        let pace = Pace::new(1);
        pace.admitted(Duration::from_millis(10));
        assert_eq!(pace.per_second(), 50);
        let all: Vec<u32> = pace.returns(100_000).collect();
        assert_eq!(all.last(), Some(&LATEST_RECONNECT));
        let last = all.iter().filter(|second| **second == LATEST_RECONNECT).count();
        assert_eq!(last, 100_000 / LATEST_RECONNECT as usize);
    }

    #[tokio::test]
    async fn waiting_costs_nothing() {
        let waits = Box::pin(tokio::time::sleep(Duration::from_secs(2)));
        let ((), spent) = metered(waits).await;
        assert!(spent < Duration::from_secs(1), "{spent:?}");
    }
}
