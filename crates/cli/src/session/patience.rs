//! When a websocket counts as dead, and how long to wait before the next try.
//!
//! Pure: the caller brings the time and the chance.
//!
//! # Invariants
//! - A silent connection is asked after [`IDLE`], one that swallows keystrokes after
//!   [`UNANSWERED`]; without an answer within [`ANSWER`] it is dead. A healthy idle one costs one
//!   ping per [`IDLE`].
//! - Tries begin at once, are never more than [`LONGEST_PAUSE`] apart, and end after [`GIVE_UP`].

use std::time::Duration;

use tokio::time::Instant;

/// Silence after which the gateway is asked whether it is there. Half of the shortest time-out of
/// usual NAT boxes.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// The same while something sent has had no answer of any kind: an echo takes one round trip.
pub(super) const UNANSWERED: Duration = Duration::from_secs(4);
/// How long an answer may take: a bad mobile link has round trips of seconds.
pub(super) const ANSWER: Duration = Duration::from_secs(8);
/// Longest pause between two tries.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Upper bound of the first pause; doubles with each try.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// After so long without success the session is left alone: the grace time of devices and gateways,
/// unless they are told otherwise. Later there is nothing to come back to, and nobody to say so.
pub(super) const GIVE_UP: Duration = Duration::from_secs(10 * 60);

/// What to do about a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is not yet time.
    Wait,
    /// Ask.
    Ping,
    /// It is dead.
    Dead,
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Liveness {
    heard: Instant,
    /// Since when something sent waits for an answer.
    waiting: Option<Instant>,
    asked: Option<Instant>,
}

impl Liveness {
    /// A connection that was just made.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self { heard: now, waiting: None, asked: None }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Something was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.waiting.get_or_insert(now);
    }

    /// When [`Liveness::judge`] will say something else than to wait.
    #[must_use]
    pub(super) fn deadline(&self) -> Instant {
        match (self.asked, self.waiting) {
            (Some(asked), _) => asked + ANSWER,
            (None, Some(waiting)) => (waiting + UNANSWERED).min(self.heard + IDLE),
            (None, None) => self.heard + IDLE,
        }
    }

    /// What to do now. [`Verdict::Ping`] is said once.
    pub(super) fn judge(&mut self, now: Instant) -> Verdict {
        if now < self.deadline() {
            return Verdict::Wait;
        }
        if self.asked.is_some() {
            return Verdict::Dead;
        }
        self.asked = Some(now);
        Verdict::Ping
    }
}

/// The pauses of one outage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    since: Instant,
    tries: u32,
}

impl Backoff {
    /// An outage that begins now.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, tries: 0 }
    }

    /// The pause before the next try: a random part (`chance` of 0 to 1) of a bound that doubles;
    /// nothing when it is time to give up.
    pub(super) fn next_pause(&mut self, now: Instant, chance: f64) -> Option<Duration> {
        if now.duration_since(self.since) >= GIVE_UP {
            return None;
        }
        let bound = FIRST_PAUSE.saturating_mul(1 << self.tries.min(16)).min(LONGEST_PAUSE);
        self.tries = self.tries.saturating_add(1);
        Some(bound.mul_f64(chance.clamp(0.0, 1.0)))
    }

    /// How long the outage has lasted.
    #[must_use]
    pub(super) fn lasted(&self, now: Instant) -> Duration {
        now.duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AN_INSTANT: Duration = Duration::from_nanos(1);

    #[test]
    fn an_idle_connection_is_asked_and_without_an_answer_dead() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        assert_eq!(liveness.judge(start + IDLE - AN_INSTANT), Verdict::Wait);
        assert_eq!(liveness.judge(start + IDLE), Verdict::Ping);
        assert_eq!(liveness.judge(start + IDLE), Verdict::Wait);
        assert_eq!(liveness.judge(start + IDLE + ANSWER), Verdict::Dead);
        liveness.heard(start + IDLE + ANSWER);
        assert_eq!(liveness.deadline(), start + IDLE + ANSWER + IDLE);
    }

    #[test]
    fn a_key_without_echo_is_noticed_sooner_however_many_follow() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        liveness.sent(start);
        liveness.sent(start + UNANSWERED - AN_INSTANT);
        assert_eq!(liveness.judge(start + UNANSWERED), Verdict::Ping);
        assert_eq!(liveness.deadline(), start + UNANSWERED + ANSWER);
    }

    #[test]
    fn pauses_grow_to_their_bound_and_end() {
        let start = Instant::now();
        let mut backoff = Backoff::new(start);
        let pauses: Vec<_> =
            (0..8).map(|_| backoff.next_pause(start, 1.0).unwrap().as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(backoff.next_pause(start, 0.5), Some(LONGEST_PAUSE / 2));
        assert_eq!(backoff.next_pause(start + GIVE_UP, 0.5), None);
    }
}
