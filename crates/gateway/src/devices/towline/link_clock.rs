//! The authority's time as one link knows it: grants and signed times of a link come from one
//! clock.
//!
//! Data flow: the time of day when the link is made -> advanced by the time since boot -> signed
//! times and grants.
//!
//! # Invariants
//! - A step of the time of day does not reach a grant that the agent would judge by an older time:
//!   this clock follows the time of day only together with a signed time, and only when no grant of
//!   the link is alive.
//! - Of all grants that an agent remembers at once, one principal has at most half for its
//!   sessions.
//! - An agent may ask for the time [`TIMES_AT_ONCE`] times, and then once a second.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use towline_host::clock::Clock;
use towline_wire::grant::{MAX_LIFE_MS, SeenNonces};

use crate::limits::{GRANT_LIFE_MS, TIMES_AT_ONCE};
use crate::sessions::{Order, Work};

/// How long an agent remembers a grant of ours.
const GRANT_LIFE: Duration = Duration::from_millis(GRANT_LIFE_MS);
/// How long an agent may take any grant.
const LONGEST_LIFE: Duration = Duration::from_millis(MAX_LIFE_MS);

/// The clock of one link.
#[derive(Debug)]
pub(super) struct LinkClock {
    /// Milliseconds since the epoch at `told`.
    unix_ms: u64,
    /// When the time was told, since boot.
    told: Duration,
    /// When the grants that are alive were issued, since boot, and a digest of whose share each
    /// takes.
    granted: VecDeque<(Duration, u64)>,
    /// Answers that the agent may ask for, and since when they are counted.
    answers: (u32, Duration),
}

impl LinkClock {
    /// Starts with the time of day.
    pub(super) fn start(clock: &Clock) -> Self {
        let now = clock.since_boot();
        Self {
            unix_ms: time_of_day(clock),
            told: now,
            granted: VecDeque::new(),
            answers: (TIMES_AT_ONCE, now),
        }
    }

    /// The time to sign now.
    pub(super) fn tell(&mut self, clock: &Clock) -> u64 {
        let now = clock.since_boot();
        let over = |(at, _): &(Duration, u64)| now.saturating_sub(*at) >= LONGEST_LIFE;
        if self.granted.back().is_none_or(over) {
            (self.unix_ms, self.told) = (time_of_day(clock), now);
        }
        self.at(now)
    }

    /// The time that a grant is issued at now. `None`: too many are alive. One principal may have
    /// half of them with its sessions, so that the others always have some.
    pub(super) fn grant(&mut self, clock: &Clock, order: &Order<'_>) -> Option<u64> {
        let now = clock.since_boot();
        while self.granted.front().is_some_and(|(at, _)| now.saturating_sub(*at) >= GRANT_LIFE) {
            self.granted.pop_front();
        }
        let mut hasher = DefaultHasher::new();
        order.share_of.hash(&mut hasher);
        let principal = hasher.finish();
        let own = self.granted.iter().filter(|(_, of)| *of == principal).count();
        let is_session = matches!(order.work, Work::Session { .. });
        let most = SeenNonces::CAPACITY + if order.reserved { SeenNonces::RESERVE } else { 0 };
        if self.granted.len() >= most
            || own >= SeenNonces::CAPACITY / 2 && is_session && !order.reserved
        {
            return None;
        }
        self.granted.push_back((now, principal));
        Some(self.at(now))
    }

    /// Whether the agent may have one more answer.
    pub(super) fn may_ask(&mut self, clock: &Clock) -> bool {
        let (left, since) = self.answers;
        let now = clock.since_boot();
        let earned = u32::try_from(now.saturating_sub(since).as_secs()).unwrap_or(u32::MAX);
        let left = left.saturating_add(earned).min(TIMES_AT_ONCE);
        let since = if earned > 0 { now } else { since };
        self.answers = (left.saturating_sub(1), since);
        left > 0
    }

    fn at(&self, now: Duration) -> u64 {
        let since = now.saturating_sub(self.told).as_millis();
        self.unix_ms.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}

fn time_of_day(clock: &Clock) -> u64 {
    u64::try_from(clock.now().0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use towline_host::clock::UnixMillis;

    use std::sync::LazyLock;

    use towline_ssm::documents::SessionPlan;
    use towline_ssm::documents::preferences::SessionPreferences;

    use super::*;

    const START: u64 = 1_800_000_000_000;
    const MINUTE: Duration = Duration::from_secs(60);

    fn order(principal: &str, reserved: bool) -> Order<'_> {
        static PREFERENCES: LazyLock<SessionPreferences> = LazyLock::new(Default::default);
        let (plan, preferences) = (&SessionPlan::Shell { run_as: None }, &*PREFERENCES);
        let work = Work::Session { plan, tunnel: None, preferences, terminal: None };
        Order {
            session: "s",
            principal,
            share_of: principal,
            document: "d",
            run_as: None,
            platform: None,
            reserved,
            work,
        }
    }

    fn grant(link: &mut LinkClock, clock: &Clock) -> u64 {
        link.grant(clock, &order("ann", false)).unwrap()
    }

    #[test]
    fn one_principal_has_half_of_the_grants_and_a_repair_has_some_of_its_own() {
        let (clock, mut link) = clocks();
        let mut granted = |principal: &str, reserved| {
            (0..1_000).filter(|_| link.grant(&clock, &order(principal, reserved)).is_some()).count()
        };
        assert_eq!(granted("ann", false), 64);
        assert_eq!(granted("bob", false), 64);
        assert_eq!(granted("eve", false), 0);
        assert_eq!(granted("root", true), 8);
        clock.advance(GRANT_LIFE);
        assert!(link.grant(&clock, &order("eve", false)).is_some());
    }

    fn clocks() -> (Clock, LinkClock) {
        let clock = Clock::manual(UnixMillis(1_800_000_000_000));
        let mut link = LinkClock::start(&clock);
        assert_eq!(link.tell(&clock), START);
        (clock, link)
    }

    #[test]
    fn a_step_does_not_reach_grants_before_the_agent_is_told() {
        for step in [40_000, -65_000, 86_400_000] {
            let (clock, mut link) = clocks();
            clock.advance(MINUTE);
            clock.step(step);
            assert_eq!(grant(&mut link, &clock), START + 60_000);
            // The agent asks because of that grant, whatever its own clock has done: the answer
            // makes the grant valid.
            assert_eq!(link.tell(&clock), START + 60_000);
        }
    }

    #[test]
    fn the_time_of_day_is_followed_when_no_grant_is_alive() {
        let (clock, mut link) = clocks();
        grant(&mut link, &clock);
        clock.step(-65_000);
        clock.advance(2 * MINUTE);
        assert_eq!(link.tell(&clock), START + 55_000);
        assert_eq!(grant(&mut link, &clock), START + 55_000);
    }

    #[test]
    fn an_agent_that_asks_too_often_gets_one_answer_a_second() {
        let (clock, mut link) = clocks();
        let answered = (0..1_000).filter(|_| link.may_ask(&clock)).count();
        assert_eq!(answered, TIMES_AT_ONCE as usize);
        clock.advance(Duration::from_secs(2));
        assert_eq!((0..1_000).filter(|_| link.may_ask(&clock)).count(), 2);
    }
}
