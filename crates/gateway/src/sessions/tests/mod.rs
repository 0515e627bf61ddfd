//! A session between a scripted link and a scripted client: who is told what, and what happens to
//! bytes in between.

mod endings;
mod failing;
mod input;
mod moving;
mod scripted;
mod seat;
mod viewers;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use towline_ssm::ids::DeviceId;
use towline_wire::client::ToClient;
use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::ExitStatus;

use super::device::Device;
use super::device_end::DeviceEnd;
use super::meta::Meta;
use super::queue::{ClientQueue, ToChannel};
use super::session::Session;
use super::token::Token;
use crate::plane::{EndReason, LiveState, StartError};
use scripted::Scripted;

fn link() -> Arc<Scripted> {
    Scripted::new(true)
}

fn up(session: &Session, link: &Arc<Scripted>) {
    session.device_up(Arc::clone(link) as Arc<dyn DeviceEnd>);
}

fn down(session: &Session, link: &Scripted) -> bool {
    session.device_lost(DeviceEnd::connection(link))
}

fn sent(link: &Scripted) -> Vec<String> {
    link.take()
}

fn session() -> (Arc<Session>, oneshot::Receiver<Result<(), StartError>>) {
    Session::opening(meta())
}

fn meta() -> Meta {
    Meta {
        name: "ann-1".into(),
        device: "mi-0123456789abcdef0".into(),
        owner: "ann".into(),
        share_of: "ann".into(),
        session_type: "Standard_Stream",
        properties: serde_json::Value::Null,
        tunnel: None,
        separate_output: false,
        prefixes: Default::default(),
        idle: Duration::from_secs(1200),
        end_at: None,
        grace: Duration::from_secs(600),
        step: false,
        input: false,
    }
}

fn attach(session: &Session, received: Option<[u64; 2]>) -> Arc<ClientQueue> {
    let (token, text) = Token::fresh(Instant::now()).unwrap();
    session.set_token(token);
    session.attach(&text, received.map(Lanes::from), Lanes::new(100, 0), None).unwrap()
}

fn words(queue: &ClientQueue) -> Vec<String> {
    let name = |item: ToChannel| match item {
        ToChannel::Data(_, offset, bytes) => format!("data {offset}+{}", bytes.len()),
        ToChannel::Fin(_, length) => format!("fin {length}"),
        ToChannel::Credit { acked, limit } => format!("credit {acked} {limit}"),
        ToChannel::Word(ToClient::Attached { output, input, room }) => {
            format!("attached {:?} {input} {room}", <[u64; 2]>::from(output))
        }
        ToChannel::Word(ToClient::Waiting { .. }) => "waiting".to_owned(),
        ToChannel::Word(ToClient::Ended { reason, .. }) => format!("ended {reason:?}"),
        ToChannel::Word(ToClient::Refused { taken_over, .. }) => format!("refused {taken_over}"),
        ToChannel::Word(ToClient::NotConnected { text }) => format!("not connected {text}"),
        ToChannel::Word(ToClient::Watched { by }) => format!("watched by {by:?}"),
        ToChannel::Word(other) => format!("{other:?}"),
    };
    queue.take(usize::MAX).0.into_iter().map(name).collect()
}

/// A session that runs, with a client attached at position 0.
fn running() -> (Arc<Session>, Arc<Scripted>, Arc<ClientQueue>) {
    let (session, mut opened) = session();
    let link = link();
    up(&session, &link);
    session.opened();
    assert_eq!(opened.try_recv().unwrap(), Ok(()));
    let client = attach(&session, None);
    assert_eq!(sent(&link), ["attach 1 None [100, 0]"]);
    session.attached(1, Lanes::new(0, 0), 0, 50);
    assert_eq!(words(&client), ["attached [0, 0] 0 50"]);
    (session, link, client)
}

/// An open session with a tape, whose link is up.
fn recorded() -> (Arc<Session>, Arc<towline_archive::Tape>, Arc<Scripted>) {
    let (session, _) = session();
    let tape = towline_archive::Tape::detached("ann-1", session.on_taken());
    session.record(Arc::clone(&tape));
    let link = link();
    up(&session, &link);
    session.opened();
    (session, tape, link)
}

#[test]
fn a_session_whose_recorder_is_behind_slows_down_until_it_has_caught_up() {
    let (session, tape, link) = recorded();
    let queue = attach(&session, None);
    session.attached(1, Lanes::new(0, 0), 0, 100);
    sent(&link);
    tape.output(towline_evidence::recording::Lane::Io, 0, &vec![0; 2 * 1024 * 1024]);
    session.output(Lane::Io, 0, b"x");
    session.output_credit(&queue, Lane::Io, 1, 101).unwrap();
    assert!(sent(&link).is_empty(), "the credit is held back");
    tape.emptied();
    assert_eq!(sent(&link), ["credit 1 101"]);
}

#[test]
fn a_client_that_attaches_again_gets_no_way_round_a_recorder_that_is_behind() {
    let (session, tape, link) = recorded();
    attach(&session, None);
    session.attached(1, Lanes::new(0, 0), 0, 100);
    sent(&link);
    tape.output(towline_evidence::recording::Lane::Io, 0, &vec![0; 2 * 1024 * 1024]);
    attach(&session, Some([0, 0]));
    assert_eq!(sent(&link), ["attach 2 Some([0, 0]) [0, 0]"], "no room is told");
    session.attached(2, Lanes::new(0, 0), 0, 100);
    assert!(sent(&link).is_empty());
    tape.emptied();
    assert_eq!(sent(&link), ["credit 0 100"]);
    // And where the tape is emptied before the device answers, the answer gives the credit.
    tape.output(towline_evidence::recording::Lane::Err, 0, &vec![0; 2 * 1024 * 1024]);
    attach(&session, Some([0, 0]));
    tape.emptied();
    session.attached(3, Lanes::new(0, 0), 0, 100);
    let told = sent(&link);
    assert_eq!(told, ["attach 3 Some([0, 0]) [0, 0]", "credit 0 100"]);
}

#[test]
fn bytes_flow_both_ways_once_the_agent_has_answered_the_attach() {
    let (session, link, client) = running();
    session.output(Lane::Io, 0, b"hello");
    assert!(session.input(&client, 0, b"ls\r"));
    assert_eq!(words(&client), ["data 0+5"]);
    assert_eq!(sent(&link), ["data 0+3"]);
    assert_eq!(session.output_credit(&client, Lane::Io, 5, 105), Ok(None));
    session.input_credit(3, 53);
    assert_eq!(sent(&link), ["credit 5 105"]);
    assert_eq!(words(&client), ["credit 3 53"]);
    assert_eq!(session.live(), LiveState::Connected);
}

#[test]
fn a_lost_link_makes_the_client_wait_and_the_next_one_goes_on_where_it_was() {
    let (session, first, client) = running();
    session.output(Lane::Io, 0, b"hello");
    assert!(!down(&session, &first));
    assert_eq!(words(&client), ["data 0+5", "waiting"]);
    assert!(session.input(&client, 0, b"lost"), "input is dropped, and will be sent again");
    let second = link();
    up(&session, &second);
    assert_eq!(sent(&second), ["attach 2 Some([5, 0]) [95, 0]"]);
    session.output(Lane::Io, 5, b"too early");
    session.attached(2, Lanes::new(5, 0), 0, 50);
    session.output(Lane::Io, 5, b"again");
    assert_eq!(words(&client), ["attached [5, 0] 0 50", "data 5+5"]);
}

/// A client sends while it waits. What it sent before it has heard of the attach may come behind
/// it, and comes again together with what was typed meanwhile.
#[test]
fn input_that_crosses_the_answer_to_an_attach_is_passed_on_once_and_whole() {
    let (session, first, client) = running();
    down(&session, &first);
    let second = link();
    up(&session, &second);
    session.attached(2, Lanes::new(0, 0), 0, 50);
    assert!(session.input(&client, 0, b"abcd"));
    assert!(session.input(&client, 0, b"abcdef"));
    assert!(session.input(&client, 6, b"g"));
    let attach = "attach 2 Some([0, 0]) [100, 0]";
    assert_eq!(sent(&second), [attach, "data 0+4", "data 4+2", "data 6+1"]);
}

#[test]
fn a_newer_client_takes_over_and_the_older_one_is_told() {
    let (session, link, older) = running();
    session.output(Lane::Io, 0, b"hello");
    let newer = attach(&session, Some([2, 0]));
    assert_eq!(words(&older), ["data 0+5", "refused true"]);
    assert_eq!(sent(&link), ["attach 2 Some([2, 0]) [100, 0]"]);
    assert!(session.input(&older, 0, b"ignored"));
    assert!(!session.client_gone(&older), "the older one is no longer the session's client");
    assert!(sent(&link).is_empty());
    assert!(session.client_gone(&newer));
    assert_eq!(sent(&link), ["Detach"]);
    assert_eq!(session.live(), LiveState::Disconnected);
}

#[test]
fn a_session_ends_as_exited_when_the_last_byte_was_acknowledged() {
    let (session, link, client) = running();
    session.output(Lane::Io, 0, b"bye");
    session.output_ended(Lane::Io, 3);
    let status = ExitStatus::Code(3);
    assert_eq!(session.exited(status), None, "the client has not confirmed its output yet");
    assert_eq!(
        session.output_credit(&client, Lane::Io, 4, 104),
        Ok(Some(EndReason::Exited(status)))
    );
    assert!(session.end(EndReason::Exited(status), ""));
    assert!(!session.end(EndReason::IdleTimeout, ""), "the first end is the end");
    assert_eq!(words(&client).last().unwrap(), "ended Exited(Code(3))");
    assert_eq!(sent(&link), ["Forget"], "a credit for a stream that is gone is of no use");
}

#[test]
fn an_ended_session_is_closed_on_the_device() {
    let (session, link, client) = running();
    assert!(session.end(EndReason::IdleTimeout, "idle"));
    assert_eq!(words(&client), ["ended IdleTimeout"]);
    assert_eq!(sent(&link), ["Close(IdleTimeout)"]);
    let (token, text) = Token::fresh(Instant::now()).unwrap();
    session.set_token(token);
    assert!(session.attach(&text, None, Lanes::new(1, 1), None).is_err());
}

#[test]
fn a_token_opens_once() {
    let (session, _) = session();
    let (token, text) = Token::fresh(Instant::now()).unwrap();
    session.set_token(token);
    assert!(session.attach("wrong", None, Lanes::new(1, 1), None).is_err());
    assert!(session.attach(&text, None, Lanes::new(1, 1), None).is_ok());
    assert!(session.attach(&text, None, Lanes::new(1, 1), None).is_err());
}

#[test]
fn a_link_lost_while_opening_is_told_to_the_caller() {
    let (session, mut opened) = session();
    let link = link();
    up(&session, &link);
    assert!(down(&session, &link));
    assert!(session.not_opened(StartError::NotConnected));
    assert_eq!(opened.try_recv().unwrap(), Err(StartError::NotConnected));
}

#[test]
fn a_client_that_lies_is_found_out_and_a_device_that_lies_loses_its_link() {
    let (session, link, client) = running();
    assert!(!session.input(&client, 0, &[0; 51]));
    assert!(session.output_credit(&client, Lane::Io, 1, 100).is_err());
    session.output(Lane::Io, 0, &[0; 101]);
    assert!(Device::is_closed(&*link));
}

#[test]
fn a_connection_of_a_tunnel_that_was_not_made_is_told_to_its_client_alone() {
    let (session, _link, queue) = running();
    words(&queue);
    session.not_connected("refused");
    assert_eq!(words(&queue), ["not connected refused"]);
    assert_eq!(session.totals(), None, "it is no tunnel");
}
