//! The seat of a session: asked for, given, refused, taken back; and messages to who has it.

use super::*;
use crate::limits::SEATS_LEFT;
use crate::plane::{Resumed, SeatError, Sitter};
use crate::sessions::token::FIRST_SEAT;

/// Who is called so, with the ids of a user.
fn sitter(name: &str, id: &str) -> Sitter {
    Sitter { arn: name.to_owned(), person_id: id.to_owned(), principal_id: id.to_owned() }
}

fn attach_as(session: &Session, user: Option<&str>) -> Arc<ClientQueue> {
    let (token, text) = Token::fresh(Instant::now()).unwrap();
    session.set_token_of(token, user.map(|name| sitter(name, name)));
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
    assert!(over && session.is_held_by(&sitter("bob", "bob")));
    assert!(session.input(&client, 0, b"late"), "what comes from it is ignored");
    let _back = attach_as(&session, None);
    assert!(!session.is_held_by(&sitter("bob", "bob")));
}

#[test]
fn a_message_reaches_a_client_that_takes_notices_and_no_other() {
    let (session, _link, client) = running();
    assert!(!session.message("bob", "hello"));
    session.hears_notices(&client);
    assert!(session.message("bob", "hello"));
    assert_eq!(words(&client), [r#"Message { from: "bob", text: "hello" }"#]);
}

#[test]
fn who_lost_rights_leaves_the_seat_and_nobody_inherits_it_by_a_name() {
    let (session, _link, _owner) = running();
    let ids = |id: &str| vec![id.to_owned()];
    assert!(!session.leave_seat(&ids("old"), true), "an owner is not looked for here");
    let (token, text) = Token::fresh(Instant::now()).unwrap();
    session.set_token_of(token, Some(sitter("bob", "old")));
    let joiner = session.attach(&text, None, Lanes::new(100, 0), None).unwrap();
    assert!(session.is_held_by(&sitter("bob", "old")));
    assert!(!session.is_held_by(&sitter("bob", "new")), "the name was given again");
    assert!(!session.leave_seat(&ids("eve"), true), "others stay");
    assert!(session.leave_seat(&ids("old"), false), "counted, and left alone");
    assert!(session.is_held_by(&sitter("bob", "old")));
    assert!(session.leave_seat(&ids("old"), true));
    let (told, over) = joiner.take(usize::MAX);
    let text = "your rights to this session were removed".to_owned();
    assert_eq!(told, [ToChannel::Word(ToClient::Refused { text, taken_over: true })]);
    assert!(over && !session.is_held_by(&sitter("bob", "old")));
    assert!(session.input(&joiner, 0, b"late"), "what comes from it is ignored");
}

#[test]
fn a_token_of_who_lost_rights_opens_nothing() {
    let (session, _link, _owner) = running();
    let (token, text) = Token::fresh(Instant::now()).unwrap();
    let of_role = Sitter { principal_id: "role".to_owned(), ..sitter("bob", "bob") };
    session.set_token_of(token, Some(of_role));
    assert!(session.leave_seat(&["role".to_owned()], true));
    assert!(session.attach(&text, None, Lanes::new(100, 0), None).is_err());
    assert!(!session.leave_seat(&["role".to_owned()], true), "once");
}

/// The token with which the owner returns to this seat; `None`: to that of any client.
#[track_caller]
fn resumed(session: &Session, seat: Option<&str>) -> String {
    match session.resume(None, seat).unwrap() {
        Resumed::Token(text) => text,
        Resumed::TakenOver(by) => panic!("{by}"),
    }
}

/// Attaches by this token, and says which seat it is for.
fn attach_by(session: &Session, token: &str) -> String {
    session.attach(token, None, Lanes::new(100, 0), None).unwrap();
    token.split_once('.').unwrap().1.to_owned()
}

#[test]
fn a_client_returns_to_its_seat_until_another_one_has_taken_it() {
    let (session, _) = session();
    let first = attach_by(&session, &resumed(&session, None));
    for _ in 0..3 {
        assert_eq!(attach_by(&session, &resumed(&session, Some(&first))), first);
    }
    let second = attach_by(&session, &resumed(&session, None));
    assert_ne!(second, first);
    let taken = Resumed::TakenOver("another client has taken the session over".to_owned());
    assert_eq!(session.resume(None, Some(&first)), Some(taken));
    assert!(!session.has_token(), "who is told so has no token");
    // It asks for it.
    attach_by(&session, &resumed(&session, None));
    assert!(matches!(session.resume(None, Some(&second)), Some(Resumed::TakenOver(_))));
}

#[test]
fn a_token_that_was_asked_for_takes_no_seat_before_it_is_used() {
    let (session, _) = session();
    let first = attach_by(&session, &resumed(&session, None));
    resumed(&session, None);
    assert_eq!(attach_by(&session, &resumed(&session, Some(&first))), first);
}

#[test]
fn who_returns_is_told_which_user_has_the_seat() {
    let (session, _) = session();
    let own = attach_by(&session, &resumed(&session, None));
    let bob = || Some(sitter("bob", "bob"));
    let Some(Resumed::Token(token)) = session.resume(bob(), None) else { panic!("no token") };
    let of_bob = attach_by(&session, &token);
    let taken = |by: &str| Some(Resumed::TakenOver(format!("{by} has taken the session over")));
    assert_eq!(session.resume(None, Some(&own)), taken("bob"));
    attach_by(&session, &resumed(&session, None));
    assert_eq!(session.resume(bob(), Some(&of_bob)), taken("ann"));
}

#[test]
fn a_seat_whose_user_lost_her_rights_is_free() {
    let (session, _) = session();
    let own = attach_by(&session, &resumed(&session, None));
    let Some(Resumed::Token(token)) = session.resume(Some(sitter("bob", "old")), None) else {
        panic!("no token")
    };
    attach_by(&session, &token);
    assert!(session.leave_seat(&["old".to_owned()], true));
    let (session, _) = taken_up(&session);
    assert_eq!(attach_by(&session, &resumed(&session, Some(&own))), own);
}

/// The session at a gateway that takes it up again, by what is stored of its seat.
fn taken_up(session: &Session) -> (Arc<Session>, oneshot::Receiver<Result<(), StartError>>) {
    let (again, opened) = super::session();
    if let Some(kept) = session.unstored_seat() {
        again.restore_seat(kept);
    }
    (again, opened)
}

/// The client that begins the session attaches, by this name in AWS's dialect.
fn begin(session: &Session, name: Option<&str>) {
    let (token, text) = Token::first(Instant::now()).unwrap();
    session.set_token(token);
    match name {
        Some(name) => session.attach_named(name, &text, None, Lanes::new(100, 0)).map(drop),
        None => session.attach(&text, None, Lanes::new(100, 0), None).map(drop),
    }
    .unwrap();
}

#[test]
fn a_client_that_was_away_takes_no_seat_back_after_a_restart_of_the_gateway() {
    let (session, _) = session();
    begin(&session, None);
    assert!(session.unstored_seat().is_none(), "the first attach is no write");
    let (session, _) = taken_up(&session);
    assert!(matches!(session.resume(None, Some("another")), Some(Resumed::TakenOver(_))));
    assert_eq!(attach_by(&session, &resumed(&session, Some(FIRST_SEAT))), FIRST_SEAT);
    let second = attach_by(&session, &resumed(&session, None));
    let (session, _) = taken_up(&session);
    assert!(matches!(session.resume(None, Some(FIRST_SEAT)), Some(Resumed::TakenOver(_))));
    assert_eq!(attach_by(&session, &resumed(&session, Some(&second))), second);
}

#[test]
fn nor_does_one_of_awss_dialect() {
    let (session, _) = session();
    begin(&session, Some("plugin-1"));
    assert!(session.unstored_seat().is_none(), "the first attach is no write");
    let comes = |session: &Session, name: &str| {
        let token = resumed(session, None);
        session.attach_named(name, &token, None, Lanes::new(100, 0)).map(drop)
    };
    comes(&session, "plugin-2").unwrap();
    let (session, _) = taken_up(&session);
    assert!(comes(&session, "plugin-1").is_err());
    comes(&session, "plugin-2").unwrap();
}

#[test]
fn a_client_of_awss_dialect_that_was_replaced_does_not_come_back() {
    let (session, _) = session();
    let comes = |name: &str| {
        let token = resumed(&session, None);
        session.attach_named(name, &token, None, Lanes::new(100, 0)).map(drop)
    };
    comes("plugin-1").unwrap();
    comes("plugin-1").unwrap();
    comes("plugin-2").unwrap();
    assert!(comes("plugin-1").unwrap_err().starts_with("another client has taken"));
    comes("plugin-2").unwrap();
    let ours = attach_by(&session, &resumed(&session, None));
    assert!(comes("plugin-2").is_err());
    assert_eq!(attach_by(&session, &resumed(&session, Some(&ours))), ours);
    // What is remembered is bounded.
    (0..=SEATS_LEFT).for_each(|number| comes(&format!("new-{number}")).unwrap());
    comes("plugin-1").unwrap();
}
