//! Failures counted per source, so that guessing costs time: failed signatures, failed enrollments.
//!
//! # Invariants
//! - At most [`limits::MAX_SOURCES`] sources are remembered; when the table is full, the one whose
//!   window ends first leaves.
//! - Only failures count. A source that succeeds is never slowed by its own number of requests.
//! - IPv6 sources count by their /64: one subscriber has that many addresses for free.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;

use towline_host::clock::UnixMillis;

use crate::limits;

/// The failures of each source (an address, an activation) in its current window.
#[derive(Debug)]
pub struct Throttle<K> {
    sources: Mutex<HashMap<K, Window>>,
    most: u32,
}

impl<K> Default for Throttle<K> {
    fn default() -> Self {
        Self::of(limits::MAX_FAILURES)
    }
}

impl<K> Throttle<K> {
    /// One that turns a source away after so many failures.
    #[must_use]
    pub fn of(most: u32) -> Self {
        Self { sources: Mutex::default(), most }
    }
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends: UnixMillis,
    failures: u32,
}

impl Window {
    /// Whether it lasts. One that ends later than any that begins now is of a clock that was set
    /// back since: it must not keep a source away.
    fn is_open(&self, now: UnixMillis) -> bool {
        self.ends > now && self.ends <= now.plus(limits::FAILURE_WINDOW)
    }
}

/// What failures are counted by.
pub trait Source: Clone + Eq + Hash {
    /// The key that it is counted under.
    #[must_use]
    fn counted(self) -> Self;
}

impl Source for IpAddr {
    fn counted(self) -> Self {
        subscriber(self)
    }
}

impl Source for String {
    fn counted(self) -> Self {
        self
    }
}

impl<K: Source> Throttle<K> {
    /// Whether this source is to be turned away now.
    pub fn blocks(&self, source: K, now: UnixMillis) -> bool {
        let sources = self.lock();
        let window = sources.get(&source.counted());
        window.is_some_and(|window| window.is_open(now) && window.failures >= self.most)
    }

    /// Counts a failure. `true` when it is the one that blocks the source.
    pub fn failed(&self, source: K, now: UnixMillis) -> bool {
        let mut sources = self.lock();
        let source = source.counted();
        let fresh = Window { ends: now.plus(limits::FAILURE_WINDOW), failures: 0 };
        if !sources.contains_key(&source) && sources.len() >= limits::MAX_SOURCES {
            make_room(&mut sources, now);
        }
        let window = sources.entry(source).or_insert(fresh);
        if !window.is_open(now) {
            *window = fresh;
        }
        window.failures = window.failures.saturating_add(1);
        window.failures == self.most
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Window>> {
        // A panic while the lock was held leaves numbers that are at worst one too small.
        self.sources.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn make_room<K: Source>(sources: &mut HashMap<K, Window>, now: UnixMillis) {
    sources.retain(|_, window| window.is_open(now));
    if sources.len() < limits::MAX_SOURCES {
        return;
    }
    let first = sources
        .iter()
        .min_by_key(|(_, window)| (window.failures, window.ends))
        .map(|(source, _)| source.clone());
    if let Some(first) = first {
        sources.remove(&first);
    }
}

/// How many lines about failures of strangers the log gets: what one peer can cause must not fill
/// a disk.
#[derive(Debug)]
pub struct LogBudget {
    /// When it began, and its lines.
    window: Mutex<(UnixMillis, u32)>,
}

impl Default for LogBudget {
    fn default() -> Self {
        Self { window: Mutex::new((UnixMillis(0), 0)) }
    }
}

impl LogBudget {
    /// Whether a line may be written now. When a window is over, says how many were left out.
    pub fn admits(&self, now: UnixMillis) -> bool {
        let mut window = self.window.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (began, lines) = *window;
        if now < began || now >= began.plus(limits::FAILURE_WINDOW) {
            let left_out = lines.saturating_sub(limits::FAILURE_LINES);
            if left_out > 0 {
                tracing::warn!(left_out, "lines about failures of strangers were left out");
            }
            *window = (now, 0);
        }
        window.1 = window.1.saturating_add(1);
        window.1 <= limits::FAILURE_LINES
    }
}

/// The address by which a source is counted: of IPv6 the /64.
#[must_use]
pub fn subscriber(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn fail(throttle: &Throttle<IpAddr>, source: &str, times: u32) {
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
        assert!(throttle.failed(source, NOW), "this one blocks the source");
        assert!(throttle.blocks(source, NOW));
        assert!(!throttle.blocks("192.0.2.2".parse().unwrap(), NOW));
        assert!(!throttle.blocks(source, NOW.plus(limits::FAILURE_WINDOW)));
        let set_back = NOW.minus(limits::FAILURE_WINDOW);
        assert!(!throttle.blocks(source, set_back), "a clock that was set back keeps nobody away");
    }

    #[test]
    fn sources_of_a_clock_that_was_set_back_make_room_for_those_of_now() {
        let throttle = Throttle::default();
        let ahead = NOW.plus(limits::FAILURE_WINDOW * 1000);
        for n in 0..u32::try_from(limits::MAX_SOURCES).unwrap() {
            for _ in 0..2 {
                throttle.failed(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), ahead);
            }
        }
        for n in 0..10_u8 {
            throttle.failed(IpAddr::from([192, 0, 2, n]), NOW);
        }
        assert_eq!(throttle.lock().len(), 10, "each of them is counted");
    }

    #[test]
    fn the_log_gets_a_bounded_number_of_lines_in_each_window() {
        let budget = LogBudget::default();
        let written = (0..1000).filter(|_| budget.admits(NOW)).count();
        assert_eq!(written, limits::FAILURE_LINES as usize);
        assert!(budget.admits(NOW.plus(limits::FAILURE_WINDOW)));
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
