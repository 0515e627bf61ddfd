//! Failures counted per source, so that guessing costs time: failed signatures, failed enrollments.
//!
//! # Invariants
//! - At most [`limits::MAX_SOURCES`] sources are remembered; when the table is full, the one whose
//!   window ends first leaves.
//! - Only failures count. A source that succeeds is never slowed by its own number of requests.
//! - IPv6 sources count by their /64: one subscriber has that many addresses for free.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;

use towline_host::clock::UnixMillis;

use crate::limits;

/// The failures of each source in its current window.
#[derive(Debug, Default)]
pub struct Throttle {
    sources: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends: UnixMillis,
    failures: u32,
}

impl Throttle {
    /// Whether this source is to be turned away now.
    pub fn blocks(&self, source: IpAddr, now: UnixMillis) -> bool {
        let sources = self.lock();
        sources
            .get(&subscriber(source))
            .is_some_and(|w| w.ends > now && w.failures >= limits::MAX_FAILURES)
    }

    /// Counts a failure. `true` when it is the one that closes the door.
    pub fn failed(&self, source: IpAddr, now: UnixMillis) -> bool {
        let mut sources = self.lock();
        let source = subscriber(source);
        let fresh = Window { ends: now.plus(limits::FAILURE_WINDOW), failures: 0 };
        if !sources.contains_key(&source) && sources.len() >= limits::MAX_SOURCES {
            make_room(&mut sources, now);
        }
        let window = sources.entry(source).or_insert(fresh);
        if window.ends <= now {
            *window = fresh;
        }
        window.failures = window.failures.saturating_add(1);
        window.failures == limits::MAX_FAILURES
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Window>> {
        // A panic while the lock was held leaves numbers that are at worst one too small.
        self.sources.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn make_room(sources: &mut HashMap<IpAddr, Window>, now: UnixMillis) {
    sources.retain(|_, window| window.ends > now);
    if sources.len() < limits::MAX_SOURCES {
        return;
    }
    let first = sources
        .iter()
        .min_by_key(|(_, window)| (window.failures, window.ends))
        .map(|(source, _)| *source);
    if let Some(first) = first {
        sources.remove(&first);
    }
}

fn subscriber(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn fail(throttle: &Throttle, source: &str, times: u32) {
        for _ in 0..times {
            throttle.failed(source.parse().unwrap(), NOW);
        }
    }

    #[test]
    fn a_source_is_turned_away_after_its_last_failure_until_its_window_ends() {
        let throttle = Throttle::default();
        let source = "192.0.2.1".parse().unwrap();
        fail(&throttle, "192.0.2.1", limits::MAX_FAILURES - 1);
        assert!(!throttle.blocks(source, NOW));
        assert!(throttle.failed(source, NOW), "this one closes the door");
        assert!(throttle.blocks(source, NOW));
        assert!(!throttle.blocks("192.0.2.2".parse().unwrap(), NOW));
        assert!(!throttle.blocks(source, NOW.plus(limits::FAILURE_WINDOW)));
    }

    #[test]
    fn addresses_of_one_ipv6_subscriber_count_together() {
        let throttle = Throttle::default();
        fail(&throttle, "2001:db8::1", limits::MAX_FAILURES);
        assert!(throttle.blocks("2001:db8::ffff".parse().unwrap(), NOW));
        assert!(!throttle.blocks("2001:db8:0:1::1".parse().unwrap(), NOW));
    }

    #[test]
    fn the_table_stays_bounded_and_keeps_the_worst() {
        let throttle = Throttle::default();
        fail(&throttle, "192.0.2.1", limits::MAX_FAILURES);
        for n in 0..u32::try_from(limits::MAX_SOURCES).unwrap() + 10 {
            throttle.failed(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), NOW);
        }
        assert_eq!(throttle.lock().len(), limits::MAX_SOURCES);
        assert!(throttle.blocks("192.0.2.1".parse().unwrap(), NOW));
    }
}
