//! What is kept between the requests of sign-ins: states that were answered, and codes for
//! programs.
//!
//! # Invariants
//! - Bounded; a full table refuses new sign-ins and forgets nothing that still counts.
//! - A state is answered once, a code is taken once.

use std::collections::HashMap;
use std::sync::Mutex;

use towline_host::clock::UnixMillis;

use crate::limits::MAX_SIGN_INS_UNDER_WAY;
use crate::lock::lock;

/// Credentials that wait for their program.
pub(super) struct Waiting {
    /// The program's challenge.
    pub(super) challenge: String,
    /// The credentials, not minted yet, as JSON.
    pub(super) token: Vec<u8>,
    /// The secret with which it renews them.
    pub(super) renewal: Option<String>,
    pub(super) ends_at: UnixMillis,
}

/// States and codes.
#[derive(Default)]
pub(in super::super) struct Pending {
    answered: Mutex<HashMap<String, UnixMillis>>,
    waiting: Mutex<HashMap<String, Waiting>>,
}

impl Pending {
    /// Notes that a state was answered. `false`: it was before, or too many are noted.
    pub(super) fn answer(&self, state: &str, ends_at: UnixMillis, now: UnixMillis) -> bool {
        let mut answered = lock(&self.answered);
        answered.retain(|_, ends_at| now < *ends_at);
        answered.len() < MAX_SIGN_INS_UNDER_WAY
            && answered.insert(state.to_owned(), ends_at).is_none()
    }

    /// Keeps credentials for the program that will send this code.
    pub(super) fn keep(&self, code: String, waiting: Waiting, now: UnixMillis) -> bool {
        let mut all = lock(&self.waiting);
        all.retain(|_, one| now < one.ends_at);
        all.len() < MAX_SIGN_INS_UNDER_WAY && all.insert(code, waiting).is_none()
    }

    /// Takes what waits for a code. A wrong challenge costs the code.
    pub(super) fn take(&self, code: &str, challenge: &str, now: UnixMillis) -> Option<Waiting> {
        let waiting = lock(&self.waiting).remove(code)?;
        let good = now < waiting.ends_at && waiting.challenge == challenge;
        good.then_some(waiting)
    }
}
