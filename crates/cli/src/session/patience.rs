//! When a websocket counts as dead, and how long to wait before the next try.
//!
//! Pure: the caller brings the time and the chance.
//!
//! # Invariants
//! - A silent connection is asked after [`IDLE_BEFORE_PING`], one that swallows keystrokes after
//!   [`UNANSWERED_BEFORE_PING`]; without an answer within [`PONG_TIMEOUT`] it is dead. A healthy
//!   idle one costs one ping per [`IDLE_BEFORE_PING`].
//! - Tries begin at once, are never more than [`MAX_RETRY_PAUSE`] apart, and end after
//!   [`GIVE_UP_AFTER`].

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::{Instant, sleep_until};

use crate::limits::{
    FIRST_RETRY_PAUSE, GIVE_UP_AFTER, IDLE_BEFORE_PING, MAX_RETRY_PAUSE, PONG_TIMEOUT,
    UNANSWERED_BEFORE_PING,
};

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

/// The liveness of one websocket.
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
            (Some(asked), _) => asked + PONG_TIMEOUT,
            (None, Some(waiting)) => {
                (waiting + UNANSWERED_BEFORE_PING).min(self.heard + IDLE_BEFORE_PING)
            }
            (None, None) => self.heard + IDLE_BEFORE_PING,
        }
    }

    /// What to do now. It returns [`Verdict::Ping`] once per silence.
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
        if now.duration_since(self.since) >= GIVE_UP_AFTER {
            return None;
        }
        let bound = FIRST_RETRY_PAUSE.saturating_mul(1 << self.tries.min(16)).min(MAX_RETRY_PAUSE);
        self.tries = self.tries.saturating_add(1);
        Some(bound.mul_f64(chance.clamp(0.0, 1.0)))
    }

    /// How long the outage has lasted.
    #[must_use]
    pub(super) fn lasted(&self, now: Instant) -> Duration {
        now.duration_since(self.since)
    }
}

/// Waits until this moment; for ever when there is none.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// A random number from 0 to 1, so that a thousand clients of a restarted gateway do not come back
/// together.
pub(super) fn chance() -> f64 {
    let mut bytes = [0; 4];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
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
        assert_eq!(liveness.judge(start + IDLE_BEFORE_PING - AN_INSTANT), Verdict::Wait);
        assert_eq!(liveness.judge(start + IDLE_BEFORE_PING), Verdict::Ping);
        assert_eq!(liveness.judge(start + IDLE_BEFORE_PING), Verdict::Wait);
        assert_eq!(liveness.judge(start + IDLE_BEFORE_PING + PONG_TIMEOUT), Verdict::Dead);
        liveness.heard(start + IDLE_BEFORE_PING + PONG_TIMEOUT);
        assert_eq!(liveness.deadline(), start + IDLE_BEFORE_PING + PONG_TIMEOUT + IDLE_BEFORE_PING);
    }

    #[test]
    fn a_key_without_echo_is_noticed_sooner_however_many_follow() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        liveness.sent(start);
        liveness.sent(start + UNANSWERED_BEFORE_PING - AN_INSTANT);
        assert_eq!(liveness.judge(start + UNANSWERED_BEFORE_PING), Verdict::Ping);
        assert_eq!(liveness.deadline(), start + UNANSWERED_BEFORE_PING + PONG_TIMEOUT);
    }

    #[test]
    fn pauses_grow_to_their_bound_and_end() {
        let start = Instant::now();
        let mut backoff = Backoff::new(start);
        let pauses: Vec<_> =
            (0..8).map(|_| backoff.next_pause(start, 1.0).unwrap().as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(backoff.next_pause(start, 0.5), Some(MAX_RETRY_PAUSE / 2));
        assert_eq!(backoff.next_pause(start + GIVE_UP_AFTER, 0.5), None);
    }
}
