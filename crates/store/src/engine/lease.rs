//! What a node knows of its lease, and by it of the database's clock.
//!
//! Data flow: each renewal tells when it was asked and answered, by this process's own clock, and
//! the end of the lease, by the database's ([`Lease::renewed`]) -> whether this node may judge
//! others, and by which end of its own lease.
//!
//! # Invariants
//! - The database's clock goes on as this process's own, within [`DATABASE_CLOCK`]. Else it was
//!   set, or a server with another clock has taken its place: leases that were renewed before and
//!   after it cannot be compared, and nobody is judged until all have had the time to renew theirs.
//! - What the way to the database hides, counts against this node: a step of its clock that fits
//!   into slow answers goes unnoticed, so others are judged that much later.
//! - Ends of other leases are compared with that of a renewal which was looked at: one under way
//!   does not count yet. Nor do they count while the database's clock shows a time that is not
//!   within that lease.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{DATABASE_CLOCK, NODE_LEASE};

/// See above.
#[derive(Debug)]
pub(crate) struct Lease(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// Since when it was renewed without a gap, by one clock of the database.
    steady_since: Instant,
    /// When the database's clock was found to be another one.
    other_clock: Option<Instant>,
    /// The greatest step of the database's clock that may have gone unnoticed, in milliseconds,
    /// and when it was found; older than a lease's time, it counts no more.
    unnoticed: Option<(i64, Instant)>,
    latest: Option<Renewal>,
}

impl Known {
    /// All had the time to renew their leases since the database has another clock.
    fn has_one_clock(&self) -> bool {
        self.other_clock.is_none_or(|at| at.elapsed() > NODE_LEASE)
    }

    /// The step that may have gone unnoticed since others renewed their leases.
    fn unnoticed(&self) -> i64 {
        let counts = |(_, at): &(i64, Instant)| at.elapsed() <= NODE_LEASE;
        self.unnoticed.filter(counts).map_or(0, |(step, _)| step)
    }

    /// Notes what the way hides between the latest renewal and this one.
    fn note_unnoticed(&mut self, renewal: &Renewal) {
        let Some(before) = &self.latest else { return };
        let step = renewal.took().saturating_add(before.took());
        if step >= self.unnoticed() {
            self.unnoticed = Some((step, renewal.answered));
        }
    }
}

/// A renewal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Renewal {
    /// When it was asked for.
    pub(crate) asked: Instant,
    /// When it was answered.
    pub(crate) answered: Instant,
    /// The end of the lease, in milliseconds of the database's clock.
    pub(crate) ends: i64,
    /// The lease had not been over before.
    pub(crate) was_held: bool,
}

impl Renewal {
    /// When it was made, by the database's clock.
    fn made(&self) -> i64 {
        self.ends - millis(NODE_LEASE)
    }

    /// How long the way took, in milliseconds: when the database made it in between is not known.
    fn took(&self) -> i64 {
        millis(self.answered.saturating_duration_since(self.asked))
    }

    /// Whether the database's clock has gone on between an earlier one and this one as our own.
    fn has_the_clock_of(&self, before: &Self) -> bool {
        let least = millis(self.asked.saturating_duration_since(before.answered));
        let most = millis(self.answered.saturating_duration_since(before.asked));
        let passed = self.ends - before.ends;
        let slack = millis(DATABASE_CLOCK);
        (least - slack..=most + slack).contains(&passed)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Ends between which the lease of a node lies that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// When this node's lease was renewed.
    pub(crate) made: i64,
    /// When it ends.
    pub(crate) ends: i64,
    /// A lease that ended before was over when this node's was renewed.
    pub(crate) over: i64,
    /// A lease that ends later was not renewed since the database has another clock.
    pub(crate) of_another_clock: i64,
}

impl Lease {
    /// A lease that begins.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Known {
            steady_since: Instant::now(),
            other_clock: None,
            unnoticed: None,
            latest: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was renewed.
    pub(crate) fn renewed(&self, renewal: Renewal) {
        let mut known = self.lock();
        let is_of_another_clock =
            known.latest.is_some_and(|before| !renewal.has_the_clock_of(&before));
        if is_of_another_clock {
            known.other_clock = Some(renewal.answered);
        }
        if is_of_another_clock || !renewal.was_held {
            known.steady_since = renewal.answered; // or this process stood still
        }
        known.note_unnoticed(&renewal);
        known.latest = Some(renewal);
    }

    /// It was not renewed in its time.
    pub(crate) fn begin_again(&self) {
        self.lock().steady_since = Instant::now();
    }

    /// Whether it was renewed without a gap for as long as a lease holds.
    pub(crate) fn is_steady(&self) -> bool {
        self.lock().steady_since.elapsed() > NODE_LEASE
    }

    /// Who may be judged; `None`: nobody now.
    pub(crate) fn judges(&self) -> Option<Bounds> {
        let known = self.lock();
        let latest = known.latest.filter(|latest| latest.asked.elapsed() < NODE_LEASE)?;
        let hidden = known.unnoticed();
        let longest = millis(2 * NODE_LEASE).saturating_add(hidden);
        (known.steady_since.elapsed() > NODE_LEASE).then(|| Bounds {
            made: latest.made(),
            ends: latest.ends,
            over: latest.made().saturating_sub(hidden),
            of_another_clock: latest.ends.saturating_add(longest),
        })
    }

    /// When it was renewed, by the database's clock; while other leases may be by another clock, a
    /// time at which none of them was over.
    pub(crate) fn over(&self) -> i64 {
        let known = self.lock();
        let latest = known.latest.filter(|_| known.has_one_clock());
        latest.map_or(LEFT, |latest| latest.made().saturating_sub(known.unnoticed()))
    }

    /// The time of the database as far as other leases are compared with it. While it has another
    /// clock than those were renewed by, no lease that anybody may still hold is over by it.
    pub(crate) fn time(&self) -> i64 {
        let known = self.lock();
        known.latest.filter(|_| known.has_one_clock()).map_or(LEFT, |latest| {
            let since = millis(latest.answered.elapsed());
            latest.made().saturating_add(since).saturating_sub(known.unnoticed())
        })
    }

    /// Whether it was renewed a moment ago, as is due.
    #[cfg(test)]
    pub(crate) fn is_fresh(&self) -> bool {
        self.lock().latest.is_some_and(|latest| latest.asked.elapsed() < NODE_LEASE / 2)
    }

    /// As if it had been renewed for long.
    #[cfg(test)]
    pub(crate) fn assume_steady(&self) {
        let long_ago = Instant::now().checked_sub(2 * NODE_LEASE).unwrap_or_else(Instant::now);
        self.lock().steady_since = long_ago;
    }
}

/// The end of a lease that was given back; no lease that anybody holds ends so early.
pub(crate) const LEFT: i64 = 1;

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;

    const LEASE: i64 = 8_000;
    /// What the ways of two renewals take.
    const WAYS: i64 = 40;

    /// A lease that was renewed each two seconds for long, and when that was the last time.
    fn steady(clock: i64) -> (Lease, Instant) {
        let lease = Lease::new();
        let now = Instant::now();
        for ago in (0..=10).rev() {
            lease.renewed(at(now - Duration::from_secs(2 * ago), clock - 2_000 * ago as i64));
        }
        lease.assume_steady();
        (lease, now)
    }

    /// A renewal when the database's clock shows this.
    fn at(asked: Instant, clock: i64) -> Renewal {
        let answered = asked + Duration::from_millis(20);
        Renewal { asked, answered, ends: clock + LEASE, was_held: true }
    }

    #[tokio::test(start_paused = true)]
    async fn who_renews_in_time_judges_by_the_latest_renewal() {
        tokio::time::advance(Duration::from_secs(100)).await;
        let (lease, now) = steady(1_000_000);
        lease.renewed(at(now + Duration::from_secs(2), 1_002_000));
        assert_eq!(
            lease.judges(),
            Some(Bounds {
                made: 1_002_000,
                ends: 1_002_000 + LEASE,
                over: 1_002_000 - WAYS,
                of_another_clock: 1_002_000 + 3 * LEASE + WAYS,
            })
        );
        tokio::time::advance(NODE_LEASE + Duration::from_secs(3)).await;
        assert_eq!(lease.judges(), None, "its own may be over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_lets_nobody_be_judged_before_all_could_renew() {
        for step in [300_000, -300_000, 6_500, -6_500, 1_800, -1_800] {
            tokio::time::advance(Duration::from_secs(100)).await;
            let (lease, now) = steady(1_000_000);
            assert!(lease.judges().is_some());
            let late = now + Duration::from_secs(2);
            lease.renewed(at(late, 1_002_000 + step));
            tokio::time::advance(Duration::from_secs(2)).await;
            assert_eq!(lease.judges(), None, "{step}");
            assert_eq!(lease.time(), LEFT, "{step}: none that may be held is over");
            for _ in 0..4 {
                tokio::time::advance(Duration::from_secs(2)).await;
                let now = Instant::now();
                let passed = millis(now - late);
                lease.renewed(at(now, 1_002_000 + step + passed));
            }
            assert_eq!(lease.judges(), None, "{step}: a lease's time has not passed");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(lease.judges().is_some(), "{step}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_slow_answers_hide_makes_no_lease_over_that_may_hold() {
        tokio::time::advance(Duration::from_secs(100)).await;
        let (lease, now) = steady(1_000_000);
        // Another node renews its lease now, too.
        let others = 1_000_000 + LEASE;
        // Made when it was asked for, by a clock that was set by 4 s: or when it was answered.
        let asked = now + Duration::from_secs(2);
        let answered = asked + Duration::from_secs(4);
        lease.renewed(Renewal { asked, answered, ends: 1_006_000 + LEASE, was_held: true });
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(lease.is_steady(), "the step fits into the way");
        lease.renewed(at(now + Duration::from_secs(7), 1_011_000));
        let over = lease.judges().map(|bounds| bounds.over);
        assert!(over.is_some_and(|over| over < others), "{over:?}: a second is left");
        assert!(lease.over() < others && lease.time() < others);
        // All have renewed theirs by the clock of now.
        tokio::time::advance(2 * NODE_LEASE).await;
        for clock in [1_029_000, 1_031_000] {
            lease.renewed(at(Instant::now(), clock));
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        lease.assume_steady();
        assert_eq!(lease.judges().map(|bounds| bounds.over), Some(1_031_000 - WAYS));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_is_no_other_clock() {
        tokio::time::advance(Duration::from_secs(100)).await;
        let (lease, now) = steady(1_000_000);
        // The database made it at its beginning, or at its end.
        for (number, made) in [(1, 0), (2, 4_900)] {
            let asked = now + Duration::from_secs(7 * number);
            let answered = asked + Duration::from_millis(4_900);
            let ends = 1_000_000 + 7_000 * i64::try_from(number).unwrap() + made + LEASE;
            lease.renewed(Renewal { asked, answered, ends, was_held: true });
        }
        assert!(lease.is_steady());
    }
}
