//! The seat of a session: asked for, given, refused, taken back; and messages to who has it.

use super::*;
use crate::plane::SeatError;

fn attach_as(session: &Session, user: Option<&str>) -> Arc<ClientQueue> {
    let (token, text) = Token::fresh(Instant::now()).unwrap();
    session.set_token_of(token, user.map(str::to_owned));
    session.attach(&text, None, Lanes::new(100, 0), None).unwrap()
}

#[test]
fn who_has_the_seat_is_asked_and_its_answer_counts_once() {
    let (session, _link, client) = running();
    assert_eq!(session.ask_for_seat("bob").err(), Some(SeatError::NobodyToAsk));
    session.hears_notices(&client);
    let mut answered = session.ask_for_seat("bob").unwrap();
    assert_eq!(words(&client), [r#"SeatAsked { request: 1, by: "bob" }"#]);
    assert_eq!(session.ask_for_seat("eve").err(), Some(SeatError::Busy));
    session.answer_seat(&client, 7, true);
    assert!(answered.try_recv().is_err(), "an answer to another request means nothing");
    session.answer_seat(&client, 1, true);
    assert_eq!(answered.try_recv(), Ok(true));
    assert!(session.ask_for_seat("eve").is_ok());
}

#[test]
fn a_request_ends_with_the_client_that_was_asked() {
    let (session, _link, client) = running();
    session.hears_notices(&client);
    let mut answered = session.ask_for_seat("bob").unwrap();
    let _newer = attach_as(&session, None);
    session.answer_seat(&client, 1, true);
    assert!(matches!(answered.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
}

#[test]
fn there_is_one_writer_and_the_one_before_is_told_who_took_its_place() {
    let (session, _link, client) = running();
    let _joiner = attach_as(&session, Some("bob"));
    let (told, over) = client.take(usize::MAX);
    let text = "bob has taken the session over".to_owned();
    assert_eq!(told, [ToChannel::Word(ToClient::Refused { text, taken_over: true })]);
    assert!(over && session.is_held_by("bob"));
    assert!(session.input(&client, 0, b"late"), "what comes from it is ignored");
    let _back = attach_as(&session, None);
    assert!(!session.is_held_by("bob"));
}

#[test]
fn a_message_reaches_a_client_that_takes_notices_and_no_other() {
    let (session, _link, client) = running();
    assert!(!session.message("bob", "hello"));
    session.hears_notices(&client);
    assert!(session.message("bob", "hello"));
    assert_eq!(words(&client), [r#"Message { from: "bob", text: "hello" }"#]);
}
