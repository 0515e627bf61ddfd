//! Sessions whose recordings wait for an index.
//!
//! Data flow: the recorder hands a recording over -> [`Waiting::add`] -> the thread of `index`.
//!
//! # Invariants
//! - Nobody waits to add. What finds no room is left out: `towline-gateway index-recordings` finds
//!   it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};

use super::recorder::lock;
use crate::limits::INDEX_WAITING;

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    sessions: VecDeque<String>,
    closed: bool,
}

impl Waiting {
    /// Adds a session; false when there is no room.
    pub(crate) fn add(&self, session: &str) -> bool {
        let mut state = lock(&self.state);
        let room = state.sessions.len() < INDEX_WAITING;
        if room {
            state.sessions.push_back(session.to_owned());
            self.changed.notify_one();
        }
        room
    }

    /// The next session. Waits for one; none after [`Waiting::close`].
    pub(crate) fn next(&self) -> Option<String> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            if let Some(session) = state.sessions.pop_front() {
                return Some(session);
            }
            state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Whether the queue was closed.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Ends the thread that takes from it.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }
}
