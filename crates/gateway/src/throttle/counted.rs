//! Failures counted per source, so that guessing costs time: failed signatures, failed enrollments.
//!
//! Data flow: [`Throttle::failed`] counts -> [`Throttle::blocks`] judges. Where several gateways
//! work together, [`Shared::tell`] says what the others do not know, and [`Shared::hear`] takes
//! what they counted.
//!
//! # Invariants
//! - Who tries at several gateways has no more tries than at one: a failure that the others may not
//!   know yet counts as often as there are gateways, as far as a source has
//!   [`limits::FEWEST_TRIES`] at each of them. One that was told for [`limits::FAILURES_SETTLE`] is
//!   known to all that heard within that time.
//! - A gateway that has not heard for longer, because the store does not answer it, counts all its
//!   failures so, beside what it heard last: meanwhile a source has its part of the tries there.
//! - At most [`limits::MAX_SOURCES`] sources are remembered; when the table is full, the one whose
//!   window ends first leaves.
//! - Only failures count. A source that succeeds is never slowed by its own number of requests.
//! - IPv6 sources count by their /64: one subscriber has that many addresses for free.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use towline_host::clock::UnixMillis;

use crate::limits;

/// The failures of each source (an address, an activation) in its current window.
#[derive(Debug)]
pub struct Throttle<K> {
    sources: Mutex<HashMap<K, Counted>>,
    /// What the other gateways counted together.
    others: Mutex<HashMap<K, Window>>,
    gateways: AtomicU32,
    /// When it heard the others last, ms.
    heard_at: AtomicI64,
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
        let (sources, others) = (Mutex::default(), Mutex::default());
        let (gateways, heard_at) = (AtomicU32::new(1), AtomicI64::new(0));
        Self { sources, others, gateways, heard_at, most }
    }
}

/// Failures in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When it ends.
    pub ends: UnixMillis,
    /// How many there were.
    pub failures: u32,
}

/// What this gateway has counted.
#[derive(Debug, Clone, Copy)]
struct Counted {
    window: Window,
    /// How many it has told the others.
    told: u32,
    /// How many of these are about to be settled.
    pending: u32,
    /// Since when the others could hear of those.
    pending_since: UnixMillis,
    /// How many all gateways know that are not late; it has heard what they told when they learnt
    /// of these.
    settled: u32,
}

impl Counted {
    fn fresh(now: UnixMillis) -> Self {
        let window = Window { ends: now.plus(limits::FAILURE_WINDOW), failures: 0 };
        Self { window, told: 0, pending: 0, pending_since: now, settled: 0 }
    }

    /// The others could hear until now of all that was told before.
    fn settle(&mut self, now: UnixMillis) {
        if is_within(self.pending_since, now, limits::FAILURES_SETTLE) {
            return;
        }
        self.settled = self.pending;
        (self.pending, self.pending_since) = (self.told, now);
    }
}

/// Whether `now` is at or after `at`, and at most so much later.
fn is_within(at: UnixMillis, now: UnixMillis, time: Duration) -> bool {
    at <= now && now <= at.plus(time)
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
    /// The key as other gateways read it.
    fn text(&self) -> String;
    /// And back.
    fn of_text(text: &str) -> Option<Self>;
}

impl Source for IpAddr {
    fn counted(self) -> Self {
        subscriber(self)
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Source for String {
    fn counted(self) -> Self {
        self
    }

    fn text(&self) -> String {
        self.clone()
    }

    fn of_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

/// A throttle whose failures count at several gateways together.
pub trait Shared: Send + Sync {
    /// Up to `most` sources of which the others do not know all failures, those that failed most.
    fn tell(&self, most: usize, now: UnixMillis) -> Vec<(String, Window)>;
    /// This was told by now, and what the others told before that was heard.
    fn told(&self, all: &[(String, Window)], now: UnixMillis);
    /// What the others had counted at this moment, in place of what was heard before.
    fn hear(&self, all: Vec<(String, Window)>, now: UnixMillis);
    /// So many gateways work together.
    fn among(&self, gateways: u32);
}

impl<K: Source> Throttle<K> {
    /// Whether this source is to be turned away now.
    pub fn blocks(&self, source: K, now: UnixMillis) -> bool {
        self.count(&source.counted(), now) >= self.most
    }

    /// Counts a failure. `true` when it is the one that blocks the source.
    pub fn failed(&self, source: K, now: UnixMillis) -> bool {
        let source = source.counted();
        let before = self.count(&source, now);
        let mut sources = self.lock();
        let fresh = Counted::fresh(now);
        if !sources.contains_key(&source) && sources.len() >= limits::MAX_SOURCES {
            make_room(&mut sources, now);
        }
        let counted = sources.entry(source.clone()).or_insert(fresh);
        if !counted.window.is_open(now) {
            *counted = fresh;
        }
        counted.window.failures = counted.window.failures.saturating_add(1);
        drop(sources);
        before < self.most && self.count(&source, now) >= self.most
    }

    /// Seconds until the failures of a source that is turned away count no more, 1 at the least.
    /// Those that count once only the others know of them: until then.
    pub fn again_in(&self, source: K, now: UnixMillis) -> i64 {
        let source = source.counted();
        let others = self.heard().get(&source).copied();
        let own = self.lock().get(&source).map(|counted| counted.window);
        let open = || [own, others].into_iter().flatten().filter(|window| window.is_open(now));
        let mut ends = open().map(|window| window.ends.0).max().unwrap_or(now.0);
        if open().map(|window| window.failures).fold(0, u32::saturating_add) < self.most {
            let settled = limits::FAILURES_SETTLE * 2 + limits::FAILURES_AGAIN * 2;
            ends = ends.min(now.plus(settled).0);
        }
        // Up to the next whole second.
        ends.saturating_sub(now.0).saturating_add(999).div_euclid(1000).max(1)
    }

    /// All failures of a source, as far as they are known here.
    fn count(&self, source: &K, now: UnixMillis) -> u32 {
        let others = self.heard().get(source).filter(|window| window.is_open(now)).copied();
        let others = others.map_or(0, |window| window.failures);
        let own = self.lock().get(source).filter(|counted| counted.window.is_open(now)).copied();
        let Some(Counted { window, settled, .. }) = own else { return others };
        let news = window.failures.saturating_sub(settled);
        // With many gateways one failure must not turn a source away.
        let most_times = (self.most / limits::FEWEST_TRIES).max(1);
        let gateways = self.gateways.load(Ordering::Relaxed);
        let times = gateways.min(most_times);
        let heard_at = UnixMillis(self.heard_at.load(Ordering::Relaxed));
        let is_late = gateways > 1 && !is_within(heard_at, now, limits::FAILURES_SETTLE);
        let (settled, news) = if is_late { (0, window.failures) } else { (settled, news) };
        others.saturating_add(settled).saturating_add(news.saturating_mul(times))
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, HashMap<K, Window>> {
        self.others.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Counted>> {
        // A panic while the lock was held leaves numbers that are at worst one too small.
        self.sources.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<K: Source + Send> Shared for Throttle<K> {
    fn tell(&self, most: usize, now: UnixMillis) -> Vec<(String, Window)> {
        let is_news = |counted: &Counted| {
            counted.window.is_open(now) && counted.window.failures > counted.told
        };
        let sources = self.lock();
        let news = sources.iter().filter(|(_, counted)| is_news(counted));
        let mut all: Vec<_> =
            news.map(|(source, counted)| (source.text(), counted.window)).collect();
        drop(sources);
        all.sort_by_key(|(_, window)| std::cmp::Reverse(window.failures));
        all.truncate(most);
        all
    }

    fn told(&self, all: &[(String, Window)], now: UnixMillis) {
        let mut sources = self.lock();
        for (source, window) in all {
            let counted = K::of_text(source).and_then(|source| sources.get_mut(&source));
            // Another window may have begun meanwhile.
            if let Some(counted) = counted.filter(|it| it.window.ends == window.ends) {
                counted.told = window.failures;
            }
        }
        for counted in sources.values_mut() {
            counted.settle(now);
        }
    }

    fn hear(&self, all: Vec<(String, Window)>, now: UnixMillis) {
        // The clock of another gateway may be ahead.
        let latest = now.plus(limits::FAILURE_WINDOW);
        let read = |(source, window): (String, Window)| {
            Some((K::of_text(&source)?, Window { ends: window.ends.min(latest), ..window }))
        };
        *self.heard() = all.into_iter().filter_map(read).collect();
        self.heard_at.store(now.0, Ordering::Relaxed);
    }

    fn among(&self, gateways: u32) {
        self.gateways.store(gateways.max(1), Ordering::Relaxed);
    }
}

fn make_room<K: Source>(sources: &mut HashMap<K, Counted>, now: UnixMillis) {
    sources.retain(|_, counted| counted.window.is_open(now));
    if sources.len() < limits::MAX_SOURCES {
        return;
    }
    let first = sources
        .iter()
        .min_by_key(|(_, counted)| (counted.window.failures, counted.window.ends))
        .map(|(source, _)| source.clone());
    if let Some(first) = first {
        sources.remove(&first);
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
mod tests;
