//! What an agent says of its terminals' echo: to a gateway that asks on this very link, and to no
//! other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use scripted::{Gateway, story};
use towline_wire::echo::Echo;
use towline_wire::message::{FromAgent, Launch, ToAgent};

fn told(message: &FromAgent) -> Option<(u64, u64, Echo)> {
    match message {
        FromAgent::Echoed(told) => Some((told.from, told.until, told.echo)),
        _ => None,
    }
}

/// A program that waits for a line in each state a terminal may be in, and says before that it is.
const PROGRAM: &str = "echo ready-$((40+2)); read a; stty -echo; echo hidden-$((40+2)); read b; \
     stty -icanon; echo keys-$((40+2)); read c; stty sane; echo plain-$((40+2)); exec cat";

async fn ask(gateway: &mut Gateway) {
    gateway.send(&ToAgent::TellEcho { session: "ann-1".into() }).await;
}

#[test]
fn an_agent_that_is_asked_says_how_its_terminal_stood_when_it_took_what_was_typed() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let shell =
            gateway.session("ann-1", &Launch::Interactive { command: PROGRAM.into() }).await;
        gateway.until(shell, "ready-42\r\n").await;
        ask(&mut gateway).await;
        assert_eq!(gateway.message(told).await, (0, 0, Echo::Terminal), "it has heard");
        for (typed, then, expected) in [
            ("a\n", "hidden-42\r\n", (0, 2, Echo::Terminal)),
            ("bb\n", "keys-42\r\n", (2, 5, Echo::Hidden)),
            ("ccc\n", "plain-42\r\n", (5, 9, Echo::Program)),
            ("dddd\n", "dddd\r\ndddd\r\n", (9, 14, Echo::Terminal)),
        ] {
            gateway.type_in(shell, typed).await;
            assert_eq!(gateway.message(told).await, expected);
            gateway.until(shell, then).await;
        }
    });
}

#[test]
fn a_gateway_that_has_not_asked_on_this_link_is_told_nothing() {
    story(async || {
        let mut gateway = Gateway::with_agent("[gateway]\nreconnect_max = \"1s\"\n").await;
        let shell =
            gateway.session("ann-1", &Launch::Interactive { command: "exec cat".into() }).await;
        gateway.type_in(shell, "first\n").await;
        gateway.until(shell, "first\r\nfirst\r\n").await;
        ask(&mut gateway).await;
        assert_eq!(gateway.message(told).await, (6, 6, Echo::Terminal));
        gateway.cut();
        gateway.welcome().await;
        gateway.attach("ann-1", shell).await;
        gateway.type_in(shell, "second\n").await;
        gateway.until(shell, "second\r\nsecond\r\n").await;
        assert!(gateway.inbox.iter().all(|message| told(message).is_none()), "{:?}", gateway.inbox);
        ask(&mut gateway).await;
        assert_eq!(gateway.message(told).await, (13, 13, Echo::Terminal), "from where it is now");
    });
}

#[test]
fn without_a_terminal_no_echo_is_reported_and_an_unknown_session_does_no_harm() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let command = gateway.session("ann-1", &Launch::Exec { argv: vec!["cat".into()] }).await;
        ask(&mut gateway).await;
        gateway.send(&ToAgent::TellEcho { session: "nobody-1".into() }).await;
        gateway.type_in(command, "still here\n").await;
        gateway.until(command, "still here\n").await;
        assert!(gateway.inbox.iter().all(|message| told(message).is_none()), "{:?}", gateway.inbox);
    });
}
