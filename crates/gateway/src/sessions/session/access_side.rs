//! The end of the access that permits a session, as its client is told of it.
//!
//! # Invariants
//! - What is told is no part of the session's bytes, and so of no recording.
//! - A client that attaches later is told, too, once the end is near.

use std::time::Duration;

use tokio::time::Instant;
use towline_wire::client::ToClient;

use super::session::{Core, Session};
use crate::limits::ACCESS_END_NEAR;
use crate::plane::AccessEnd;

/// When access ends.
#[derive(Debug)]
pub(super) struct Ends {
    at: Instant,
    request: String,
    ends_session: bool,
}

impl Session {
    /// Tells the client when access ends, and keeps it for the next client.
    pub fn access_ends(&self, end: AccessEnd) {
        let mut core = self.lock();
        let AccessEnd { request, left, ends_session } = end;
        core.access = Some(Ends { at: Instant::now() + left, request, ends_session });
        core.tell_access_end(Duration::MAX);
    }
}

impl Core {
    /// Tells the client of an end that is within this time.
    pub(super) fn tell_access_end(&self, within: Duration) {
        let Some(ends) = &self.access else { return };
        let left = ends.at.saturating_duration_since(Instant::now());
        if left <= within {
            let seconds = u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
            let (request, ends_session) = (ends.request.clone(), ends.ends_session);
            self.notify(ToClient::AccessEnds { request, seconds, ends_session });
        }
    }

    /// As [`Core::tell_access_end`], for an end that is near.
    pub(super) fn tell_near_access_end(&self) {
        self.tell_access_end(ACCESS_END_NEAR);
    }
}
