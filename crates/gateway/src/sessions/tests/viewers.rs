//! Viewers beside a client: bounded, never waited for, told what they missed and how it ended.

use super::*;
use crate::limits::{MAX_VIEWERS, VIEWER_BYTES, VIEWER_ITEMS};
use crate::sessions::viewers::{ToViewer, TooManyViewers, Viewer};

fn shown(viewer: &Viewer) -> Vec<String> {
    let text = |item| match item {
        ToViewer::Output(_, bytes) => format!("output {}", bytes.len()),
        ToViewer::Missed(bytes) => format!("missed {bytes}"),
        ToViewer::Ended(sentence) => format!("ended {sentence}"),
    };
    viewer.take().0.into_iter().map(text).collect()
}

/// Output of the device, for a client that takes it at once.
fn output(session: &Session, client: &Arc<ClientQueue>, from: u64, n: usize) {
    session.output(Lane::Io, from, &vec![b'x'; n]);
    let end = from + n as u64;
    session.output_credit(client, Lane::Io, end, end + 1024 * 1024).unwrap();
    let _ = client.take(usize::MAX);
}

#[test]
fn a_viewer_sees_the_output_that_the_client_gets_and_gives_no_credit() {
    let (session, link, client) = running();
    let viewer = session.watch().unwrap();
    session.output(Lane::Io, 0, b"hello");
    assert_eq!(words(&client), ["data 0+5"]);
    assert_eq!(shown(&viewer), ["output 5"]);
    assert!(sent(&link).is_empty(), "only the client gives credit");
}

#[test]
fn a_session_has_a_bounded_number_of_viewers_and_one_that_leaves_makes_room() {
    let (session, _link, _client) = running();
    let mut viewers: Vec<_> = (0..MAX_VIEWERS).map(|_| session.watch().unwrap()).collect();
    assert_eq!(session.watch().err(), Some(TooManyViewers));
    viewers.pop();
    assert!(session.watch().is_ok());
}

#[test]
fn a_slow_viewer_misses_exactly_the_bytes_that_did_not_fit_and_goes_on() {
    let (session, _link, client) = running();
    session.output_credit(&client, Lane::Io, 0, 1024 * 1024).unwrap();
    let viewer = session.watch().unwrap();
    output(&session, &client, 0, VIEWER_BYTES);
    output(&session, &client, VIEWER_BYTES as u64, 7);
    output(&session, &client, VIEWER_BYTES as u64 + 7, 4);
    assert_eq!(shown(&viewer), [format!("output {VIEWER_BYTES}"), "missed 11".into()]);
    output(&session, &client, VIEWER_BYTES as u64 + 11, 3);
    assert_eq!(shown(&viewer), ["output 3"], "it goes on with what is new");
    assert_eq!(session.live(), LiveState::Connected, "the client noticed nothing");
}

#[test]
fn what_was_missed_is_told_before_the_output_that_follows() {
    let (session, _link, client) = running();
    session.output_credit(&client, Lane::Io, 0, 1024 * 1024).unwrap();
    let viewer = session.watch().unwrap();
    output(&session, &client, 0, VIEWER_BYTES - 1);
    output(&session, &client, VIEWER_BYTES as u64 - 1, 9);
    output(&session, &client, VIEWER_BYTES as u64 + 8, 1);
    let expected = [format!("output {}", VIEWER_BYTES - 1), "missed 9".into(), "output 1".into()];
    assert_eq!(shown(&viewer), expected);
}

#[test]
fn many_small_pieces_do_not_cost_a_slow_viewer_more_than_its_items() {
    let (session, _link, client) = running();
    let viewer = session.watch().unwrap();
    for at in 0..VIEWER_ITEMS as u64 + 5 {
        output(&session, &client, at, 1);
    }
    let seen = shown(&viewer);
    assert_eq!((seen.len(), seen.last().unwrap().as_str()), (VIEWER_ITEMS + 1, "missed 5"));
}

#[test]
fn the_end_of_a_viewer_does_not_touch_the_session() {
    let (session, link, client) = running();
    drop(session.watch().unwrap());
    session.output(Lane::Io, 0, b"hello");
    assert_eq!(words(&client), ["data 0+5"]);
    assert!(sent(&link).is_empty());
    assert_eq!(session.live(), LiveState::Connected);
}

#[test]
fn the_end_of_the_session_reaches_each_viewer_after_the_last_output() {
    let (session, _link, _client) = running();
    let (first, second) = (session.watch().unwrap(), session.watch().unwrap());
    session.output(Lane::Io, 0, b"bye");
    assert!(session.end(EndReason::Terminated, "terminated by ann"));
    for viewer in [first, second] {
        assert_eq!(shown(&viewer), ["output 3", "ended terminated by ann"]);
        assert!(viewer.take().1, "nothing follows");
    }
    assert!(session.watch().unwrap().take().1, "one that comes later hears that it is over");
}

#[test]
fn a_session_that_was_not_opened_ends_its_viewers_too() {
    let (session, _opened) = session();
    let viewer = session.watch().unwrap();
    assert!(session.not_opened(StartError::NotConnected));
    assert_eq!(shown(&viewer), ["ended the device is not connected"]);
}
