//! Keep-alive that learns how long the NATs on the way stay silent.
//!
//! The interval starts at [`START`], widens by a quarter after each ping that was answered across a
//! silence, and steps back to the last good one when a link dies in a wider silence. What was
//! learnt outlives the link. Time is the caller's: milliseconds of any monotonic clock.
//!
//! # Invariants
//! - A dead link is noticed at most `interval + ANSWER` after its last byte.
//! - Traffic costs nothing: a ping is sent only when nothing was heard for the whole interval, or
//!   the link is doubted.
//! - Only a silence of the whole interval teaches something: a ping out of doubt comes sooner.

/// First interval, ms. NAT time-outs for TCP are seldom below two minutes (RFC 5382 asks for 124
/// minutes), but mobile networks are known for less.
pub const START: u64 = 60_000;
/// Shortest interval, ms: even with the worst NAT a device does not call more often.
pub const SHORTEST: u64 = 20_000;
/// Longest interval, ms, whatever the network allows: how late a silent loss may be noticed.
pub const LONGEST: u64 = 1_500_000;
/// How long an answer may take, ms.
pub const ANSWER: u64 = 15_000;

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing before this time.
    Wait(u64),
    /// Send a ping that announces this many seconds.
    Ping {
        /// For [`crate::frame::Frame::Ping`].
        next_in: u32,
    },
    /// The link is dead.
    Dead,
}

/// The state of one keep-alive: the interval in force and what earlier silences taught.
#[derive(Debug)]
pub struct KeepAlive {
    interval: u64,
    longest: u64,
    /// Widest silence that was survived.
    good: u64,
    /// Narrowest silence that was not.
    bad: Option<u64>,
    heard: u64,
    asked: Option<u64>,
    /// The caller doubts the link: ask now.
    doubted: bool,
    /// The question that waits for an answer came after a silence of the whole interval.
    learns: bool,
}

impl KeepAlive {
    /// Nothing is learnt yet; `longest` caps the interval (ms).
    #[must_use]
    pub fn new(longest: u64) -> Self {
        let longest = longest.clamp(SHORTEST, LONGEST);
        let interval = START.min(longest);
        Self {
            interval,
            longest,
            good: SHORTEST,
            bad: None,
            heard: 0,
            asked: None,
            doubted: false,
            learns: true,
        }
    }

    /// A new link is up. `longest` is what the gateway accepts, ms.
    pub fn link_up(&mut self, now: u64, longest: u64) {
        self.longest = self.longest.min(longest.clamp(SHORTEST, LONGEST));
        self.interval = self.interval.min(self.longest);
        self.heard = now;
        (self.asked, self.doubted) = (None, false);
    }

    /// Something came in. An answered ping widens the interval.
    pub fn heard(&mut self, now: u64) {
        self.doubted = false;
        if self.asked.take().is_some() && self.learns {
            self.good = self.good.max(self.interval);
            let wider = self.interval + self.interval / 4;
            let ceiling = self
                .bad
                .map_or(self.longest, |bad| (bad - bad / 8).max(self.good))
                .min(self.longest);
            self.interval = wider.min(ceiling).max(self.interval.min(self.longest));
        }
        self.heard = now;
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: u64) -> Action {
        match self.asked {
            Some(asked) if now >= asked + ANSWER => {
                self.step_back();
                Action::Dead
            }
            Some(asked) => Action::Wait(asked + ANSWER),
            None if self.doubted || now >= self.heard + self.interval => {
                self.asked = Some(now);
                self.learns = now >= self.heard + self.interval;
                self.doubted = false;
                Action::Ping {
                    next_in: u32::try_from(self.interval.div_ceil(1000)).unwrap_or(u32::MAX),
                }
            }
            None => Action::Wait(self.heard + self.interval),
        }
    }

    /// Asks at the next [`Self::poll`], whatever the interval: the caller doubts the link (the
    /// network changed, the clock jumped). Whatever is heard before that settles the doubt.
    pub fn doubt(&mut self) {
        self.doubted = self.asked.is_none();
    }

    /// The interval in force, ms.
    #[must_use]
    pub fn interval(&self) -> u64 {
        self.interval
    }

    fn step_back(&mut self) {
        self.asked = None;
        if self.learns && self.interval > self.good {
            self.bad = Some(self.bad.map_or(self.interval, |bad| bad.min(self.interval)));
            self.interval = self.good.max(SHORTEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lives through a network that drops what is silent for `nat` ms; returns the interval after
    /// `days`.
    fn live(nat: u64, days: u64) -> (u64, u64) {
        let (mut keep, mut now, mut deaths) = (KeepAlive::new(LONGEST), 0, 0);
        keep.link_up(now, LONGEST);
        while now < days * 86_400_000 {
            match keep.poll(now) {
                Action::Wait(until) => {
                    now = until;
                }
                Action::Ping { .. } if keep.interval() < nat => {
                    now += 50;
                    keep.heard(now);
                }
                Action::Ping { .. } => {}
                Action::Dead => {
                    deaths += 1;
                    keep.link_up(now, LONGEST);
                }
            }
        }
        (keep.interval(), deaths)
    }

    #[test]
    fn an_open_network_is_called_ever_less_often() {
        assert_eq!(live(u64::MAX, 2), (LONGEST, 0));
    }

    #[test]
    fn a_nat_is_found_out_with_few_losses_and_then_respected() {
        for nat in [45_000, 100_000, 240_000, 600_000] {
            let (interval, deaths) = live(nat, 3);
            assert!(interval < nat && interval * 2 > nat, "{nat}: {interval}");
            assert!(deaths <= 3, "{nat}: {deaths} links lost");
        }
    }

    #[test]
    fn traffic_defers_the_ping() {
        let mut keep = KeepAlive::new(LONGEST);
        keep.link_up(0, LONGEST);
        keep.heard(50_000);
        assert_eq!(keep.poll(START), Action::Wait(50_000 + START));
    }

    #[test]
    fn a_link_without_an_answer_is_dead_in_time() {
        let mut keep = KeepAlive::new(LONGEST);
        keep.link_up(0, LONGEST);
        assert_eq!(keep.poll(START), Action::Ping { next_in: 60 });
        assert_eq!(keep.poll(START + ANSWER - 1), Action::Wait(START + ANSWER));
        assert_eq!(keep.poll(START + ANSWER), Action::Dead);
    }

    #[test]
    fn a_doubted_link_is_asked_at_once_even_in_the_first_second_and_nothing_is_learnt_from_that() {
        let mut keep = KeepAlive::new(LONGEST);
        keep.link_up(1, LONGEST);
        keep.doubt();
        assert_eq!(keep.poll(1), Action::Ping { next_in: 60 });
        keep.heard(2);
        assert_eq!(keep.interval(), START, "no silence was survived");
        keep.doubt();
        keep.heard(3);
        assert_eq!(keep.poll(4), Action::Wait(3 + START), "what was heard settles the doubt");
        keep.doubt();
        assert_eq!(keep.poll(5), Action::Ping { next_in: 60 });
        keep.doubt();
        assert_eq!(keep.poll(6), Action::Wait(5 + ANSWER), "it is asked already");
        assert_eq!(keep.poll(5 + ANSWER), Action::Dead);
        assert_eq!(keep.interval(), START, "it did not die of its silence");
    }

    #[test]
    fn the_gateway_may_ask_for_more_frequent_pings() {
        let mut keep = KeepAlive::new(LONGEST);
        keep.link_up(0, 30_000);
        assert_eq!(keep.poll(30_000), Action::Ping { next_in: 30 });
    }
}
