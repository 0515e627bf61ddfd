//! The watch: one task a session that ends it when a deadline has passed.
//!
//! # Invariants
//! - A deadline is computed from what happened, each time anew: traffic moves the idle deadline
//!   without waking anybody.
//! - The watch ends with its session.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use towline_wire::message::ExitStatus;

use super::hub::Hub;
use super::meta::Meta;
use super::session::{Session, Since};
use crate::limits::{ENDED_TUNNEL_WAIT, FIRST_CLIENT_WAIT};
use crate::plane::EndReason;

pub(super) async fn watch(hub: Arc<Hub>, session: Arc<Session>) {
    loop {
        let changed = session.changed.notified();
        let Some((since, exited)) = session.since() else { return };
        let (deadline, reason) = next(&session.meta, &since, exited);
        if Instant::now() >= deadline {
            hub.end_for(&session, reason);
            return;
        }
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => {}
            () = changed => {}
        }
    }
}

/// The earliest deadline and what it means.
fn next(meta: &Meta, since: &Since, exited: Option<ExitStatus>) -> (Instant, EndReason) {
    if meta.is_detached() {
        return of_detached(meta, since, exited);
    }
    let mut first = (since.activity + meta.idle, EndReason::IdleTimeout);
    let mut consider = |deadline: Instant, reason| {
        if deadline < first.0 {
            first = (deadline, reason);
        }
    };
    if let Some(end_at) = meta.end_at {
        consider(end_at, EndReason::MaxDuration);
    }
    if let Some(lost) = since.no_device {
        consider(lost + meta.grace, EndReason::DeviceLost);
    }
    if let Some(lost) = since.no_client {
        let patience = match (since.ever_attached, exited, &meta.tunnel) {
            (false, ..) => FIRST_CLIENT_WAIT,
            (true, Some(_), Some(_)) => meta.grace.min(ENDED_TUNNEL_WAIT),
            (true, ..) => meta.grace,
        };
        consider(lost + patience, EndReason::ClientLost);
    }
    match exited {
        // Its process is over: what is missing is somebody to take the rest of the output.
        Some(status) => (first.0, EndReason::Exited(status)),
        None => first,
    }
}

/// A detached session waits for nobody: it ends with its program, or at its maximum duration.
fn of_detached(meta: &Meta, since: &Since, exited: Option<ExitStatus>) -> (Instant, EndReason) {
    match (exited, meta.end_at) {
        (Some(status), _) => (since.activity, EndReason::Exited(status)),
        (None, Some(end_at)) => (end_at, EndReason::MaxDuration),
        (None, None) => (since.activity + NEVER, EndReason::MaxDuration),
    }
}

/// Ten years.
const NEVER: Duration = Duration::from_secs(10 * 366 * 86_400);

#[cfg(test)]
mod tests {
    use towline_wire::message::{Destination, Framing};

    use super::*;
    use towline_ssm::documents::DETACHED;

    const SECOND: Duration = Duration::from_secs(1);

    fn meta(now: Instant) -> Meta {
        Meta {
            name: "ann-1".into(),
            device: "mi-1".into(),
            owner: "ann".into(),
            share_of: "ann".into(),
            session_type: "Standard_Stream",
            properties: serde_json::Value::Null,
            tunnel: None,
            separate_output: false,
            prefixes: Default::default(),
            idle: 100 * SECOND,
            end_at: Some(now + 1000 * SECOND),
            grace: 50 * SECOND,
            step: false,
            input: false,
        }
    }

    #[track_caller]
    fn check(
        change: impl FnOnce(&mut Since, Instant),
        exited: Option<ExitStatus>,
        seconds: u32,
        reason: EndReason,
    ) {
        let now = Instant::now();
        let mut since =
            Since { activity: now, no_client: None, no_device: None, ever_attached: true };
        change(&mut since, now);
        assert_eq!(next(&meta(now), &since, exited), (now + seconds * SECOND, reason));
    }

    #[test]
    fn silence_ends_a_session_and_activity_defers_it() {
        check(|_, _| {}, None, 100, EndReason::IdleTimeout);
        check(|since, now| since.activity = now + 30 * SECOND, None, 130, EndReason::IdleTimeout);
    }

    #[test]
    fn no_activity_defers_the_maximum_duration() {
        check(
            |since, now| since.activity = now + 5000 * SECOND,
            None,
            1000,
            EndReason::MaxDuration,
        );
    }

    #[test]
    fn a_lost_device_and_a_lost_client_have_the_grace_time() {
        check(|since, now| since.no_device = Some(now), None, 50, EndReason::DeviceLost);
        check(|since, now| since.no_client = Some(now), None, 50, EndReason::ClientLost);
    }

    #[test]
    fn a_detached_session_waits_for_nobody_and_ends_with_its_program() {
        let now = Instant::now();
        let lost = Some(now);
        let since = Since { activity: now, no_client: lost, no_device: lost, ever_attached: false };
        let detached = Meta { session_type: DETACHED, ..meta(now) };
        assert_eq!(next(&detached, &since, None), (now + 1000 * SECOND, EndReason::MaxDuration));
        let status = ExitStatus::Code(3);
        assert_eq!(next(&detached, &since, Some(status)), (now, EndReason::Exited(status)));
    }

    #[test]
    fn a_client_that_never_came_has_the_life_of_its_token() {
        let never = |since: &mut Since, now| {
            (since.no_client, since.ever_attached) = (Some(now), false);
        };
        check(never, None, 65, EndReason::ClientLost);
    }

    #[test]
    fn a_tunnel_whose_connection_is_over_waits_only_a_moment_for_its_client() {
        let now = Instant::now();
        let since =
            Since { activity: now, no_client: Some(now), no_device: None, ever_attached: true };
        let to = Destination { host: None, port: 22, framing: Framing::Single };
        let meta = Meta { tunnel: Some(to), ..meta(now) };
        let status = ExitStatus::Code(0);
        let (ends, reason) = next(&meta, &since, Some(status));
        assert_eq!((ends, reason), (now + 15 * SECOND, EndReason::Exited(status)));
        assert_eq!(next(&meta, &since, None), (now + 50 * SECOND, EndReason::ClientLost));
    }

    #[test]
    fn an_exited_session_ends_as_exited_whatever_deadline_comes() {
        let status = ExitStatus::Code(3);
        check(
            |since, now| since.no_client = Some(now),
            Some(status),
            50,
            EndReason::Exited(status),
        );
    }
}
