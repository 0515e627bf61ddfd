//! The client's half towards an official agent whose terminals begin without a handshake, and make
//! one all the same: what the agent has ignored comes again, in order, and nothing grows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::time::Duration;

use serde_json::{Value, json};
use towline_ssm::channel::{
    ClientChannel, ClientConfig, ClientEvent, EARLY_BYTES, HANDSHAKE_TIMEOUT,
    MAX_HANDSHAKE_ACTIONS, SEND_WINDOW_BYTES, Transmit,
};
use towline_ssm::message::payload::Size;
use towline_ssm::message::{AgentMessage, MessageIds, MessageType, PayloadType};

const START: Duration = Duration::from_secs(1_700_000_000);

/// A channel whose agent has said that it is connected, and nothing else.
struct Scene {
    client: ClientChannel,
    ids: MessageIds,
    next: i64,
    now: Duration,
}

impl Scene {
    fn begun() -> Self {
        let config = ClientConfig {
            client_version: "1.2.677.0".into(),
            client_id: "c".into(),
            seed: [8; 16],
        };
        let mut client = ClientChannel::new(config);
        client.attach_agent();
        client.begin_without_handshake(START);
        Self { client, ids: MessageIds::new([9; 16]), next: 0, now: START }
    }

    /// The agent says something; what the owner hears of it.
    fn says(&mut self, kind: PayloadType, payload: &[u8]) -> Vec<ClientEvent> {
        let message = AgentMessage {
            message_type: MessageType::OutputStreamData,
            created: 1,
            sequence: self.next,
            flags: 0,
            id: self.ids.next_id(),
            payload_type: kind,
            payload: payload.to_vec(),
        };
        self.next += 1;
        self.client.on_frame(&message.encode(), self.now).unwrap();
        let now = self.now;
        std::iter::from_fn(|| self.client.poll_event(now)).collect()
    }

    fn asks(&mut self, actions: usize) -> Vec<ClientEvent> {
        let action = json!({
            "ActionType": "SessionType",
            "ActionParameters": { "SessionType": "Standard_Stream", "Properties": {} },
        });
        let request = json!({
            "AgentVersion": "3.3.0.0", "RequestedClientActions": vec![action; actions],
        });
        self.says(PayloadType::HandshakeRequest, request.to_string().as_bytes())
    }

    fn completes(&mut self) -> Vec<ClientEvent> {
        let complete = json!({ "HandshakeTimeToComplete": 1, "CustomerMessage": "" });
        self.says(PayloadType::HandshakeComplete, complete.to_string().as_bytes())
    }

    /// What leaves for the agent in the numbered stream; the agent acknowledges all of it.
    fn sent(&mut self) -> Vec<(PayloadType, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.client.poll_transmit(self.now) {
            let Transmit::Binary(frame) = transmit else { continue };
            let message = AgentMessage::decode_checked(&frame).unwrap();
            if message.message_type != MessageType::InputStreamData {
                continue;
            }
            let ack = json!({
                "AcknowledgedMessageType": "input_stream_data",
                "AcknowledgedMessageId": message.id.to_string(),
                "AcknowledgedMessageSequenceNumber": message.sequence,
                "IsSequentialMessage": true,
            });
            self.acknowledges(&ack);
            sent.push((message.payload_type, message.payload));
        }
        sent
    }

    fn acknowledges(&mut self, ack: &Value) {
        let message = AgentMessage {
            message_type: MessageType::Acknowledge,
            created: 1,
            sequence: 0,
            flags: 3,
            id: self.ids.next_id(),
            payload_type: PayloadType::None,
            payload: ack.to_string().into_bytes(),
        };
        self.client.on_frame(&message.encode(), self.now).unwrap();
    }

    /// The input among what leaves.
    fn input(&mut self) -> Vec<u8> {
        let sent = self.sent().into_iter();
        sent.filter(|(kind, _)| *kind == PayloadType::Output).flat_map(|(_, bytes)| bytes).collect()
    }
}

fn is_refusal(events: &[ClientEvent]) -> bool {
    matches!(events, [ClientEvent::Unsupported(_)])
}

#[test]
fn input_that_comes_before_a_late_handshake_comes_again_behind_it_in_order() {
    let mut scene = Scene::begun();
    scene.client.set_size(Size { cols: 80, rows: 24 }, START);
    assert_eq!(scene.client.write(b"ec", START), 2);
    assert_eq!(scene.input(), b"ec");
    assert_eq!(scene.client.write(b"ho\r", START), 3);
    assert!(scene.asks(1).is_empty());
    assert_eq!(scene.client.write(b"later", START), 0, "taken in the middle of a handshake");
    let kinds: Vec<_> = scene.sent().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [PayloadType::Output, PayloadType::HandshakeResponse]);
    let events = scene.completes();
    assert!(matches!(events[..], [ClientEvent::Started { .. }]), "{events:?}");
    assert!(!scene.client.is_flushed());
    assert_eq!(scene.client.write(b"later", START), 5);
    let sent = scene.sent();
    assert_eq!(sent[0].0, PayloadType::Size, "the terminal has no size yet");
    assert_eq!(
        sent[1..],
        [(PayloadType::Output, b"echo\r".to_vec()), (PayloadType::Output, b"later".to_vec()),]
    );
}

#[test]
fn output_of_the_agent_shows_that_it_takes_input_and_nothing_comes_twice() {
    let mut scene = Scene::begun();
    assert_eq!(scene.client.write(b"a", START), 1);
    assert_eq!(scene.says(PayloadType::Output, b"$ "), [ClientEvent::Output(b"$ ".to_vec())]);
    assert_eq!(scene.input(), b"a");
    assert!(is_refusal(&scene.asks(1)), "a handshake hides lost input");
    scene.completes();
    assert!(scene.input().is_empty(), "input came twice");
}

#[test]
fn no_more_early_input_is_taken_than_is_kept_until_no_handshake_can_come() {
    let mut scene = Scene::begun();
    let much = vec![b'x'; 2 * EARLY_BYTES];
    assert_eq!(scene.client.write(&much, START), EARLY_BYTES);
    assert_eq!(scene.client.write(&much, START), 0);
    assert_eq!(scene.input().len(), EARLY_BYTES);
    assert_eq!(scene.client.next_timeout(), Some(START + HANDSHAKE_TIMEOUT));
    let later = START + HANDSHAKE_TIMEOUT;
    assert_eq!(scene.client.write(&much, later), much.len());
    scene.now = later;
    assert!(is_refusal(&scene.asks(1)), "lost input is not told");
}

#[test]
fn a_full_window_of_early_input_wants_nothing_more_when_its_time_is_over() {
    let mut scene = Scene::begun();
    let much = vec![b'x'; EARLY_BYTES];
    assert_eq!(scene.client.write(&much, START), EARLY_BYTES);
    let until = START + HANDSHAKE_TIMEOUT;
    scene.now = until;
    while scene.client.poll_transmit(until).is_some() {}
    assert!(scene.client.next_timeout() > Some(until), "it would be asked without a pause");
}

#[test]
fn early_input_waits_for_room_behind_the_handshake() {
    let mut scene = Scene::begun();
    // Keys of one byte, which nobody acknowledges: the window is full of them.
    while scene.client.write(b"k", START) == 1 {}
    let mut waits = true;
    while waits {
        waits = scene.client.poll_transmit(START).is_some();
    }
    assert!(scene.asks(1).is_empty() && scene.completes().is_empty(), "an answer without room");
    assert!(scene.client.buffered() < SEND_WINDOW_BYTES);
}

#[test]
fn who_asks_for_a_handshake_again_and_again_grows_nothing() {
    let mut scene = Scene::begun();
    for _ in 0..3_000 {
        scene.asks(MAX_HANDSHAKE_ACTIONS);
        scene.completes();
        // Everything leaves, and nothing is acknowledged.
        let mut leaves = true;
        while leaves {
            leaves = scene.client.poll_transmit(START).is_some();
        }
    }
    assert!(scene.client.buffered() <= SEND_WINDOW_BYTES + 64 * 1024);
    assert!(is_refusal(&Scene::begun().asks(MAX_HANDSHAKE_ACTIONS + 1)));
}
