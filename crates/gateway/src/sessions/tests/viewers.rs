//! Viewers beside a client: permitted by a token, bounded, never waited for, told what they missed
//! and how it ended.

use towline_wire::message::Size;

use super::*;
use crate::limits::{MAX_VIEWERS, VIEWER_BYTES, VIEWER_ITEMS};
use crate::plane::{WatchError, Watcher, Watching as _};
use crate::sessions::device_end::Control;
use crate::sessions::viewers::{ToViewer, Viewer};

fn permit(session: &Session, unseen: bool) -> Result<(Arc<Viewer>, String), WatchError> {
    let (token, text) = Token::fresh(Instant::now()).unwrap();
    let who = Watcher { arn: "bob".into(), person: "AIDABOB".into(), unseen };
    session.permit_watch(who, token).map(|viewer| (viewer, text))
}

fn watch(session: &Session) -> Arc<Viewer> {
    let (_, token) = permit(session, false).unwrap();
    session.watch(&token).unwrap().0
}

fn shown(session: &Session, viewer: &Viewer) -> Vec<String> {
    let text = |item| match item {
        ToViewer::Output(from, bytes) => format!("output {from}+{}", bytes.len()),
        ToViewer::Missed(bytes) => format!("missed {bytes}"),
        ToViewer::Resized(size) => format!("size {}x{}", size.cols, size.rows),
        ToViewer::Last(ToClient::Ended { text, .. }) => format!("ended {text}"),
        ToViewer::Last(ToClient::Refused { text, .. }) => format!("refused {text}"),
        ToViewer::Last(other) => format!("{other:?}"),
    };
    session.take_for(viewer).0.into_iter().map(text).collect()
}

/// Output of the device, for a client that takes it at once.
fn output(session: &Session, client: &Arc<ClientQueue>, from: u64, n: usize) {
    session.output(Lane::Io, from, &vec![b'x'; n]);
    let end = from + n as u64;
    session.output_credit(client, Lane::Io, end, end + 1024 * 1024).unwrap();
    let _ = client.take(usize::MAX);
}

#[test]
fn a_viewer_is_first_shown_the_output_so_far_and_then_what_the_client_gets() {
    let (session, link, client) = running();
    session.output(Lane::Io, 0, b"before");
    let viewer = watch(&session);
    session.output(Lane::Io, 6, b"hello");
    assert_eq!(words(&client), ["data 0+6", "data 6+5"]);
    assert_eq!(shown(&session, &viewer), ["output 0+6", "output 6+5"]);
    assert!(sent(&link).is_empty(), "only the client gives credit");
}

#[test]
fn what_a_client_is_given_again_is_shown_once_and_at_the_positions_of_the_session() {
    let (session, _link, _client) = running();
    session.output(Lane::Io, 0, b"before");
    let viewer = watch(&session);
    assert_eq!(shown(&session, &viewer), ["output 0+6"]);
    let _next = attach(&session, Some([2, 0]));
    session.attached(2, Lanes::new(2, 0), 0, 50);
    session.output(Lane::Io, 2, b"fore");
    session.output(Lane::Io, 6, b"hello");
    assert_eq!(shown(&session, &viewer), ["output 6+5"]);
    assert_eq!(shown(&session, &watch(&session)), ["output 0+11"]);
}

#[test]
fn a_token_admits_one_viewer_once() {
    let (session, _link, _client) = running();
    let (_, token) = permit(&session, false).unwrap();
    assert!(session.watch("a guess").is_err());
    assert!(session.watch(&token).is_ok());
    assert!(session.watch(&token).is_err());
}

#[test]
fn a_session_has_a_bounded_number_of_viewers_and_one_that_leaves_makes_room() {
    let (session, _link, _client) = running();
    let mut viewers: Vec<_> = (1..MAX_VIEWERS).map(|_| watch(&session)).collect();
    let (_waits, _) = permit(&session, false).unwrap();
    let full = WatchError::TooManyViewers { most: MAX_VIEWERS };
    assert_eq!(permit(&session, false).err(), Some(full));
    viewers.pop();
    assert!(permit(&session, false).is_ok());
}

#[test]
fn a_session_without_a_terminal_is_not_watched() {
    let meta = Meta { session_type: "NonInteractiveCommands", ..meta() };
    let (session, _told) = Session::opening(meta);
    assert_eq!(permit(&session, false).err(), Some(WatchError::NoTerminal));
}

#[test]
fn a_slow_viewer_misses_exactly_the_bytes_that_did_not_fit_and_gets_a_fresh_screen() {
    let (session, _link, client) = running();
    session.output_credit(&client, Lane::Io, 0, 1024 * 1024).unwrap();
    let viewer = watch(&session);
    output(&session, &client, 0, VIEWER_BYTES);
    output(&session, &client, VIEWER_BYTES as u64, 7);
    output(&session, &client, VIEWER_BYTES as u64 + 7, 4);
    let seen = shown(&session, &viewer);
    assert_eq!(seen[..2], [format!("output 0+{VIEWER_BYTES}"), "missed 11".into()]);
    assert!(seen[2].starts_with("output ") && seen.len() == 3, "the end of the output: {seen:?}");
    output(&session, &client, VIEWER_BYTES as u64 + 11, 3);
    let end = VIEWER_BYTES as u64 + 11;
    assert_eq!(
        shown(&session, &viewer),
        [format!("output {end}+3")],
        "it goes on with what is new"
    );
    assert_eq!(session.live(), LiveState::Connected, "the client noticed nothing");
}

#[test]
fn many_small_pieces_do_not_cost_a_slow_viewer_more_than_its_items() {
    let (session, _link, client) = running();
    let viewer = watch(&session);
    for at in 0..VIEWER_ITEMS as u64 + 5 {
        output(&session, &client, at, 1);
    }
    let seen = shown(&session, &viewer);
    assert_eq!(seen.len(), VIEWER_ITEMS + 2);
    assert_eq!(seen[VIEWER_ITEMS], "missed 5");
}

#[test]
fn a_viewer_is_told_each_size_of_the_terminal_that_it_can_take() {
    let (session, _link, client) = running();
    let viewer = watch(&session);
    for cols in [100, 120] {
        assert!(session.control(&client, Control::Resize(Size { rows: 40, cols })));
    }
    assert_eq!(shown(&session, &viewer), ["size 120x40"]);
    let (_, token) = permit(&session, false).unwrap();
    assert_eq!(session.watch(&token).unwrap().1, Some(Size { rows: 40, cols: 120 }));
}

#[test]
fn the_client_hears_who_watches_and_who_left_if_it_takes_notices() {
    let (session, _link, client) = running();
    let unheard = watch(&session);
    assert!(words(&client).is_empty(), "a client of the first version is told nothing");
    session.hears_notices(&client);
    assert_eq!(words(&client), [r#"watched by ["bob"]"#]);
    session.viewer_gone(&unheard);
    assert_eq!(words(&client), ["watched by []"]);
    drop(unheard);
    let (_, token) = permit(&session, true).unwrap();
    let unseen = session.watch(&token).unwrap().0;
    session.viewer_gone(&unseen);
    assert!(words(&client).is_empty(), "an unseen viewer is not told");
}

#[test]
fn a_viewer_whose_right_ends_is_told_and_sees_nothing_more() {
    let (session, _link, client) = running();
    let viewer = watch(&session);
    viewer.end("no right");
    output(&session, &client, 0, 3);
    assert_eq!(shown(&session, &viewer), ["refused no right"]);
    assert!(viewer.is_over());
    assert_eq!(session.live(), LiveState::Connected);
}

#[test]
fn a_right_that_ends_before_the_viewer_comes_voids_its_token() {
    let (session, _link, _client) = running();
    let (viewer, token) = permit(&session, false).unwrap();
    viewer.end("no right");
    assert!(session.watch(&token).is_err());
}

#[test]
fn the_end_of_a_viewer_does_not_touch_the_session() {
    let (session, link, client) = running();
    drop(watch(&session));
    session.output(Lane::Io, 0, b"hello");
    assert_eq!(words(&client), ["data 0+5"]);
    assert!(sent(&link).is_empty());
    assert_eq!(session.live(), LiveState::Connected);
}

#[test]
fn the_end_of_the_session_reaches_each_viewer_behind_what_waits() {
    let (session, _link, _client) = running();
    let (first, second) = (watch(&session), watch(&session));
    session.output(Lane::Io, 0, b"bye");
    session.end(EndReason::Terminated, "terminated");
    for viewer in [first, second] {
        assert_eq!(shown(&session, &viewer), ["output 0+3", "ended terminated"]);
        assert!(session.take_for(&viewer).1);
    }
    assert_eq!(permit(&session, false).err(), Some(WatchError::Over));
}
