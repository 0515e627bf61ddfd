//! The authority's time during a link: an order whose grant is out of its time is judged once more
//! after the agent has asked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use ring::digest::{SHA256, digest};
use scripted::{Gateway, story};
use towline_wire::ASKS_TIME;
use towline_wire::frame::Frame;
use towline_wire::message::{ExitStatus, FromAgent, Launch, Open, RefusalCode, Script, ToAgent};

const STEPS: [i64; 4] = [40_000, -65_000, 3_600_000, -86_400_000];

/// A gateway of the present version with an agent.
async fn present() -> Gateway {
    let mut gateway = Gateway::new().await;
    gateway.configure("");
    gateway.enroll(&[]).await;
    gateway.version = ASKS_TIME;
    gateway.start();
    gateway.welcome().await;
    gateway
}

fn asked(message: &FromAgent) -> Option<[u8; 16]> {
    if let FromAgent::AskTime { challenge } = message { Some(*challenge) } else { None }
}

fn exec() -> Launch {
    Launch::Exec { argv: ["sh", "-c", "exit 7"].map(String::from).to_vec() }
}

/// Sends an order by the gateway's clock.
async fn order(gateway: &mut Gateway, name: &str, launch: &Launch) -> Open {
    let open = gateway.open(name, launch, |grant| grant.not_after = grant.issued_at + 60_000);
    gateway.send(&ToAgent::Open(open.clone())).await;
    open
}

/// Waits for the agent's question, and answers it by the gateway's clock.
async fn answer(gateway: &mut Gateway) {
    let challenge = gateway.message(asked).await;
    let time = gateway.time(&challenge);
    gateway.send(&ToAgent::Time(time)).await;
}

#[test]
fn a_session_opens_after_the_gateways_clock_was_set() {
    story(async || {
        let mut gateway = present().await;
        for (number, step) in STEPS.into_iter().enumerate() {
            gateway.now_ms = gateway.now_ms.saturating_add_signed(step);
            let name = format!("ann-{number}");
            order(&mut gateway, &name, &exec()).await;
            answer(&mut gateway).await;
            // The end of the session before may come first.
            let opened = |message: &FromAgent| match message {
                FromAgent::Opened { session } => Some(session.clone()),
                FromAgent::NotOpened { text, .. } => panic!("{step}: {text}"),
                _ => None,
            };
            assert_eq!(gateway.message(opened).await, name, "{step}");
            gateway
                .send(&ToAgent::Close {
                    session: name,
                    reason: towline_wire::message::EndReason::Terminated,
                })
                .await;
        }
    });
}

#[test]
fn a_script_that_came_with_its_order_waits_for_the_time_as_well() {
    story(async || {
        let mut gateway = present().await;
        gateway.now_ms += 90_000;
        let text = "exit 5";
        let launch = Launch::Script(Script {
            length: u32::try_from(text.len()).unwrap(),
            sha256: digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap(),
            working_directory: String::new(),
            timeout: 60,
            given_to: Vec::new(),
        });
        let open = order(&mut gateway, "cmd-1", &launch).await;
        for (at, byte) in text.bytes().enumerate() {
            let data = Frame::Data { stream: open.io, offset: at as u64, data: &[byte] };
            gateway.send_frame(&data).await;
        }
        answer(&mut gateway).await;
        let exit = |message: &FromAgent| match message {
            FromAgent::Exited { status, .. } => Some(*status),
            FromAgent::NotOpened { text, .. } => panic!("{text}"),
            _ => None,
        };
        assert_eq!(gateway.message(exit).await, ExitStatus::Code(5));
    });
}

#[test]
fn a_grant_that_is_out_of_its_time_by_the_new_time_too_is_refused() {
    story(async || {
        let mut gateway = present().await;
        let open = gateway.open("ann-1", &exec(), |grant| {
            (grant.issued_at, grant.not_after) = (grant.issued_at - 100_000, grant.issued_at - 1);
        });
        gateway.send(&ToAgent::Open(open)).await;
        answer(&mut gateway).await;
        let FromAgent::NotOpened { code, text, .. } = gateway.next_message().await else {
            panic!("not refused")
        };
        assert_eq!(code, RefusalCode::Grant);
        assert!(text.contains("expired"), "{text}");
        // The refusal was no reason to ask again.
        order(&mut gateway, "ann-2", &exec()).await;
        let next = gateway.next_message().await;
        assert_eq!(next, FromAgent::Opened { session: "ann-2".into() });
    });
}

#[test]
fn a_question_without_an_answer_ends_in_the_refusal() {
    story(async || {
        let mut gateway = present().await;
        gateway.now_ms += 90_000;
        order(&mut gateway, "ann-1", &exec()).await;
        let _ = gateway.message(asked).await;
        let refused = gateway.next_message().await;
        assert!(
            matches!(refused, FromAgent::NotOpened { code: RefusalCode::Grant, .. }),
            "{refused:?}"
        );
    });
}

#[test]
fn a_time_that_the_authority_has_not_signed_ends_the_link() {
    story(async || {
        let mut gateway = present().await;
        gateway.now_ms += 90_000;
        order(&mut gateway, "ann-1", &exec()).await;
        let _ = gateway.message(asked).await;
        let forged = gateway.time(&[0; 16]);
        gateway.send(&ToAgent::Time(forged)).await;
        while gateway.step().await {}
        gateway.logged("is not signed by the authority").await;
    });
}

#[test]
fn an_older_gateway_is_not_asked() {
    story(async || {
        let mut gateway = Gateway::new().await;
        gateway.configure("");
        gateway.enroll(&[]).await;
        gateway.version = ASKS_TIME - 1;
        gateway.start();
        gateway.welcome().await;
        gateway.now_ms += 90_000;
        order(&mut gateway, "ann-1", &exec()).await;
        let refused = gateway.next_message().await;
        assert!(
            matches!(refused, FromAgent::NotOpened { code: RefusalCode::Grant, .. }),
            "{refused:?}"
        );
    });
}
