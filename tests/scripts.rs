//! Scripts of commands on their way into the agent: whole, ordered twice, cut short, forgotten.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use ring::digest::{SHA256, digest};
use scripted::{Gateway, story};
use towline_wire::frame::Frame;
use towline_wire::message::{ExitStatus, FromAgent, Launch, Open, RefusalCode, Script, ToAgent};

fn order(text: &str) -> Launch {
    Launch::Script(Script {
        length: u32::try_from(text.len()).unwrap(),
        sha256: digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap(),
        working_directory: String::new(),
        timeout: 60,
        given_to: Vec::new(),
    })
}

fn refusal_of(message: &FromAgent) -> Option<(RefusalCode, String)> {
    if let FromAgent::NotOpened { code, text, .. } = message {
        Some((*code, text.clone()))
    } else {
        None
    }
}

fn exit_of(message: &FromAgent) -> Option<ExitStatus> {
    if let FromAgent::Exited { status, .. } = message { Some(*status) } else { None }
}

fn opened(message: &FromAgent) -> Option<String> {
    if let FromAgent::Opened { session } = message { Some(session.clone()) } else { None }
}

async fn data(gateway: &mut Gateway, open: &Open, offset: usize, text: &str) {
    gateway
        .send_frame(&Frame::Data { stream: open.io, offset: offset as u64, data: text.as_bytes() })
        .await;
}

#[test]
fn an_order_that_comes_twice_while_its_script_is_on_its_way_starts_one_process() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let mark = gateway.path("starts");
        let script = format!("echo x >> {}; exit 3", mark.display());
        let launch = order(&script);
        let (first, second) =
            (gateway.open("cmd-1", &launch, |_| ()), gateway.open("cmd-1", &launch, |_| ()));
        gateway.send(&ToAgent::Open(first.clone())).await;
        gateway.send(&ToAgent::Open(second.clone())).await;
        let (code, text) = gateway.message(refusal_of).await;
        assert!(
            code == RefusalCode::Unsupported && text.contains("is being opened"),
            "{code:?} {text}"
        );
        data(&mut gateway, &first, 0, &script).await;
        data(&mut gateway, &second, 0, &script).await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(3));
        assert_eq!(std::fs::read_to_string(mark).unwrap(), "x\n");
    });
}

#[test]
fn a_script_that_ends_before_it_is_whole_is_refused_and_its_place_is_free() {
    story(async || {
        let mut gateway = Gateway::with_agent("[sessions]\nmax = 1\n").await;
        let open = gateway.open("cmd-1", &order("exit 0 # and more"), |_| ());
        gateway.send(&ToAgent::Open(open.clone())).await;
        data(&mut gateway, &open, 0, "exit 0").await;
        gateway.send_frame(&Frame::Fin { stream: open.io, length: 6 }).await;
        let (code, text) = gateway.message(refusal_of).await;
        assert!(
            code == RefusalCode::Unsupported && text.contains("before the script was complete"),
            "{code:?} {text}"
        );
        let again = gateway.open("cmd-1", &order("exit 4"), |_| ());
        gateway.send(&ToAgent::Open(again.clone())).await;
        data(&mut gateway, &again, 0, "exit 4").await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(4));
    });
}

#[test]
fn a_script_that_is_not_the_one_that_was_granted_is_not_started() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let mark = gateway.path("starts");
        let script = format!("echo x >> {}", mark.display());
        let open = gateway.open("cmd-1", &order(&script), |_| ());
        gateway.send(&ToAgent::Open(open.clone())).await;
        data(&mut gateway, &open, 0, &script.replace("echo x", "echo y")).await;
        let (_, text) = gateway.message(refusal_of).await;
        assert!(text.contains("not the one that was granted") && !mark.exists(), "{text}");
    });
}

#[test]
fn a_script_that_is_forgotten_on_its_way_gives_its_place_back() {
    story(async || {
        let mut gateway = Gateway::with_agent("[sessions]\nmax = 1\n").await;
        let never = gateway.open("cmd-1", &order("never whole"), |_| ());
        gateway.send(&ToAgent::Open(never)).await;
        let shell = gateway.open("ann-1", &Launch::Shell, |_| ());
        gateway.send(&ToAgent::Open(shell)).await;
        assert_eq!(gateway.message(refusal_of).await.0, RefusalCode::TooManySessions);
        gateway.send(&ToAgent::Forget { session: "cmd-1".into() }).await;
        let shell = gateway.open("ann-2", &Launch::Shell, |_| ());
        gateway.send(&ToAgent::Open(shell)).await;
        assert_eq!(gateway.message(opened).await, "ann-2");
    });
}
