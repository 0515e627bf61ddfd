//! The sign-in requests that wait for a decision or for their program.
//!
//! # Invariants
//! - Bounded in all and by source (address, /64); a full table refuses and forgets nothing that still
//!   counts.
//! - A request is decided once, and its credentials are taken once. A wrong verifier costs the
//!   request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use towline_host::clock::UnixMillis;

use crate::limits::{MAX_SIGN_IN_REQUESTS, MAX_SIGN_IN_REQUESTS_OF_SOURCE, SIGN_IN_POLL};
use crate::lock::lock;
use crate::throttle::subscriber;

/// What a program asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The program's challenge.
    pub(super) challenge: String,
    /// Where it asked from.
    pub(super) source: IpAddr,
    /// What it calls itself.
    pub(super) client: String,
    /// The role that it wants.
    pub(super) role: Option<String>,
    pub(super) asked_at: UnixMillis,
    pub(super) ends_at: UnixMillis,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Decision {
    Rejected,
    /// Credentials, not minted yet, as JSON.
    Approved(Vec<u8>),
}

/// What a poll finds.
#[derive(Debug)]
pub(super) enum Polled {
    /// No such request, or its verifier was wrong.
    Unknown,
    /// Nobody has decided yet.
    Open,
    /// The program asks too often.
    TooSoon,
    Decided(Decision),
}

#[derive(Debug)]
struct Entry {
    user_code: String,
    asked: Asked,
    decision: Option<Decision>,
    next_poll: UnixMillis,
}

/// The requests, by the code of their program.
#[derive(Debug, Default)]
pub(in super::super) struct SignInRequests {
    all: Mutex<HashMap<String, Entry>>,
}

impl SignInRequests {
    /// Keeps a request. `false`: there are too many, or a code is taken.
    pub(super) fn keep(
        &self,
        code: String,
        user_code: String,
        asked: Asked,
        now: UnixMillis,
    ) -> bool {
        let mut all = lock(&self.all);
        all.retain(|_, one| now < one.asked.ends_at);
        let source = subscriber(asked.source);
        let of_source = all.values().filter(|one| subscriber(one.asked.source) == source).count();
        let taken = all.values().any(|one| one.user_code == user_code);
        if taken || all.len() >= MAX_SIGN_IN_REQUESTS || of_source >= MAX_SIGN_IN_REQUESTS_OF_SOURCE
        {
            return false;
        }
        let entry = Entry { user_code, asked, decision: None, next_poll: now };
        all.insert(code, entry).is_none()
    }

    /// What became of the request of a program. What was decided is taken.
    pub(super) fn poll(&self, code: &str, challenge: &str, now: UnixMillis) -> Polled {
        let mut all = lock(&self.all);
        let Some(entry) = all.get_mut(code).filter(|one| now < one.asked.ends_at) else {
            return Polled::Unknown;
        };
        if entry.asked.challenge != challenge {
            all.remove(code);
            return Polled::Unknown;
        }
        if let Some(decision) = entry.decision.take() {
            all.remove(code);
            return Polled::Decided(decision);
        }
        // Half of the interval is forgiven: networks deliver unevenly.
        let is_soon = now < entry.next_poll.minus(SIGN_IN_POLL / 2);
        let more = if is_soon { SIGN_IN_POLL } else { Duration::ZERO };
        entry.next_poll = now.plus(SIGN_IN_POLL + more);
        if is_soon { Polled::TooSoon } else { Polled::Open }
    }

    /// The undecided request with this user code.
    pub(super) fn look(&self, user_code: &str, now: UnixMillis) -> Option<Asked> {
        let all = lock(&self.all);
        let open = |one: &&Entry| one.decision.is_none() && now < one.asked.ends_at;
        let found = all.values().filter(open).find(|one| one.user_code == user_code);
        found.map(|one| one.asked.clone())
    }

    /// Decides. `false`: there is no undecided request with this user code.
    pub(super) fn decide(&self, user_code: &str, decision: Decision, now: UnixMillis) -> bool {
        let mut all = lock(&self.all);
        let open = |one: &&mut Entry| one.decision.is_none() && now < one.asked.ends_at;
        let found = all.values_mut().filter(open).find(|one| one.user_code == user_code);
        found.is_some_and(|entry| entry.decision.replace(decision).is_none())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const LIFE: Duration = Duration::from_secs(600);

    fn asked(source: [u8; 4]) -> Asked {
        Asked {
            challenge: "right".into(),
            source: source.into(),
            client: "towline".into(),
            role: None,
            asked_at: NOW,
            ends_at: NOW.plus(LIFE),
        }
    }

    fn one() -> SignInRequests {
        let requests = SignInRequests::default();
        assert!(requests.keep("code".into(), "USER".into(), asked([192, 0, 2, 1]), NOW));
        requests
    }

    #[test]
    fn credentials_are_taken_once_after_one_decision() {
        let requests = one();
        assert!(matches!(requests.poll("code", "right", NOW), Polled::Open));
        assert!(requests.decide("USER", Decision::Approved(b"token".to_vec()), NOW));
        assert!(!requests.decide("USER", Decision::Rejected, NOW), "decided once");
        assert!(requests.look("USER", NOW).is_none());
        let taken = requests.poll("code", "right", NOW);
        assert!(matches!(taken, Polled::Decided(Decision::Approved(token)) if token == b"token"));
        assert!(matches!(requests.poll("code", "right", NOW), Polled::Unknown));
    }

    #[test]
    fn a_wrong_verifier_costs_the_request_and_time_ends_it() {
        let requests = one();
        assert!(matches!(requests.poll("code", "wrong", NOW), Polled::Unknown));
        assert!(matches!(requests.poll("code", "right", NOW), Polled::Unknown));
        let requests = one();
        let late = NOW.plus(LIFE);
        assert!(requests.look("USER", late).is_none());
        assert!(!requests.decide("USER", Decision::Rejected, late));
        assert!(matches!(requests.poll("code", "right", late), Polled::Unknown));
    }

    #[test]
    fn a_program_that_asks_too_often_waits_longer() {
        let requests = one();
        assert!(matches!(requests.poll("code", "right", NOW), Polled::Open));
        let soon = NOW.plus(SIGN_IN_POLL / 4);
        assert!(matches!(requests.poll("code", "right", soon), Polled::TooSoon));
        let at_pace = soon.plus(SIGN_IN_POLL);
        assert!(matches!(requests.poll("code", "right", at_pace), Polled::TooSoon));
        let patient = at_pace.plus(SIGN_IN_POLL * 2);
        assert!(matches!(requests.poll("code", "right", patient), Polled::Open));
    }

    #[test]
    fn the_addresses_of_one_subscriber_are_one_source() {
        let requests = SignInRequests::default();
        let from = |number: u16| Asked {
            source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, number, 0, 0, 1).into(),
            ..asked([192, 0, 2, 1])
        };
        let keep = |number: u16| {
            requests.keep(format!("c{number}"), format!("u{number}"), from(number), NOW)
        };
        let kept = (0..64).filter(|number| keep(*number)).count();
        assert_eq!(kept, MAX_SIGN_IN_REQUESTS_OF_SOURCE);
    }

    #[test]
    fn there_are_so_many_of_a_source_and_so_many_in_all() {
        let requests = SignInRequests::default();
        let mut kept = 0;
        for source in 0..=255 {
            for number in 0..=MAX_SIGN_IN_REQUESTS_OF_SOURCE {
                let (code, user) = (format!("c{source}.{number}"), format!("u{source}.{number}"));
                let is_kept = requests.keep(code, user, asked([192, 0, 2, source]), NOW);
                assert!(!is_kept || number < MAX_SIGN_IN_REQUESTS_OF_SOURCE);
                kept += usize::from(is_kept);
            }
        }
        assert_eq!(kept, MAX_SIGN_IN_REQUESTS);
        let later = NOW.plus(LIFE);
        let new = Asked { ends_at: later.plus(LIFE), ..asked([192, 0, 2, 1]) };
        assert!(requests.keep("new".into(), "new".into(), new, later), "ended ones make room");
    }
}
