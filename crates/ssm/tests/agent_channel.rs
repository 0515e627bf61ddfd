//! The agent's half of the data channel against a model of the official plugin: one story a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod simulation;

use simulation::*;
use std::time::Duration;
use towline_ssm::channel::*;
use towline_ssm::message::payload::Size;
use towline_ssm::message::{AgentMessage, MAX_PAYLOAD, MessageIds, MessageType, PayloadType};

fn started() -> AgentEvent {
    AgentEvent::Started { client_version: "1.2.677.0".into() }
}

const SIZE: AgentEvent = AgentEvent::Size(Size { cols: 80, rows: 24 });

#[test]
fn a_shell_starts_with_a_handshake_and_its_first_prompt_is_not_dropped() {
    let mut wire = Wire::new("Standard_Stream", 20);
    wire.pending.extend(b"$ ");
    wire.connect();
    wire.run_until(1000, |w| !w.plugin.output.is_empty());
    assert_eq!(wire.plugin.output, b"$ ");
    assert_eq!(wire.events, [started(), SIZE]);
    // Three one-way trips for the handshake, one for the size, one for the prompt: no repetition in
    // between.
    assert!(wire.now <= ms(5 * 25), "{:?}", wire.now - START);
}

#[test]
fn nothing_but_the_handshake_is_sent_before_the_first_size() {
    let mut agent = AgentChannel::new(config("Standard_Stream"), START);
    agent.attach(START);
    assert_eq!(agent.write(Stream::Stdout, b"$ ", START), 0);
    let Some(Transmit::Binary(frame)) = agent.poll_transmit(START) else {
        panic!("a handshake is expected")
    };
    let first = AgentMessage::decode(&frame).unwrap();
    assert_eq!(
        (first.payload_type, first.sequence, first.flags),
        (PayloadType::HandshakeRequest, 0, 1)
    );
    let request: serde_json::Value = serde_json::from_slice(&first.payload).unwrap();
    assert_eq!(request["AgentVersion"], ANNOUNCED_AGENT_VERSION);
    assert_eq!(
        request["RequestedClientActions"][0]["ActionParameters"]["SessionType"],
        "Standard_Stream"
    );
    assert_eq!(agent.poll_transmit(START), None);
    assert_eq!(agent.next_timeout(), Some(ms(200)));
}

#[test]
fn a_client_that_never_sends_a_size_gets_its_output_all_the_same() {
    let mut wire = Wire::new("Standard_Stream", 5);
    wire.plugin.shell = false;
    wire.plugin.ready = true;
    wire.pending.extend(b"$ ");
    wire.connect();
    wire.run_until(3000, |w| !w.plugin.output.is_empty());
    assert!(wire.now >= START + SIZE_WAIT);
}

#[test]
fn output_that_comes_before_the_local_side_of_a_port_is_repeated_until_it_is_taken() {
    let mut wire = Wire::new("Port", 20);
    wire.pending.extend(b"SSH-2.0-banner\r\n");
    wire.connect();
    wire.run_until(1000, |w| w.pending.is_empty());
    wire.pending.extend(b"more");
    let late = wire.now + Duration::from_secs(20);
    wire.run_until(30_000, |w| w.now >= late);
    assert!(wire.plugin.output.is_empty());
    wire.plugin.ready = true;
    wire.run_until(1200, |w| w.plugin.output == b"SSH-2.0-banner\r\nmore");
}

#[test]
fn output_that_was_dropped_before_a_lost_websocket_is_not_taken_for_consumed() {
    let mut wire = Wire::new("Port", 20);
    wire.pending.extend(b"SSH-2.0-banner\r\n");
    wire.connect();
    wire.run_until(1000, |w| w.pending.is_empty());
    for _ in 0..3 {
        wire.cut();
        wire.step(Duration::from_millis(300));
        wire.connect();
        let end = wire.now + Duration::from_secs(5);
        wire.run_until(6000, |w| w.now >= end);
    }
    wire.plugin.ready = true;
    wire.run_until(1200, |w| w.plugin.output == b"SSH-2.0-banner\r\n");
    assert_eq!(wire.agent.forgotten(), 0);
}

#[test]
fn a_shell_client_without_any_handshake_is_served_as_soon_as_it_sends_its_size() {
    let mut agent = AgentChannel::new(config("Standard_Stream"), START);
    agent.attach(START);
    let size = br#"{"cols":132,"rows":43}"#.to_vec();
    agent.on_frame(&numbered(0, PayloadType::Size, size), START).unwrap();
    let events: Vec<_> = std::iter::from_fn(|| agent.poll_event(START)).collect();
    assert!(events.contains(&AgentEvent::Started { client_version: String::new() }), "{events:?}");
    assert!(events.contains(&AgentEvent::Size(Size { cols: 132, rows: 43 })));
    assert_eq!(agent.write(Stream::Stdout, b"$ ", START), 2);
    agent.tick(START + HANDSHAKE_TIMEOUT);
    assert_eq!(agent.poll_event(START), None);
}

#[test]
fn a_client_of_another_session_type_cannot_do_without_the_handshake() {
    let mut agent = AgentChannel::new(config("Port"), START);
    agent.attach(START);
    agent.on_frame(&numbered(0, PayloadType::Output, vec![1]), START).unwrap();
    assert_eq!(agent.poll_event(START), Some(AgentEvent::Input(vec![1])));
    assert_eq!(agent.write(Stream::Stdout, b"x", START), 0);
}

#[test]
fn input_arrives_once_and_each_message_is_acknowledged() {
    let mut wire = Wire::new("Standard_Stream", 20);
    wire.connect();
    wire.run_until(1000, |w| w.events.contains(&SIZE));
    for word in ["ls", " -l", "\r"] {
        wire.plugin.send(PayloadType::Output, word.into(), wire.now);
    }
    wire.run_until(1000, |w| w.plugin.unacked() == 0);
    assert_eq!(wire.input, b"ls -l\r");
}

#[test]
fn the_end_is_told_after_the_last_output_was_acknowledged() {
    let mut wire = Wire::new("Standard_Stream", 50);
    wire.connect();
    wire.run_until(1000, |w| w.events.contains(&SIZE));
    wire.pending.extend(vec![b'x'; 300_000]);
    wire.run_until(2000, |w| w.pending.is_empty());
    wire.agent.finish("", wire.now);
    wire.run_until(2000, |w| w.plugin.closed.is_some());
    assert_eq!((wire.plugin.output.len(), wire.plugin.closed.as_deref()), (300_000, Some("")));
    assert_eq!(wire.events.last(), Some(&AgentEvent::Closed));
    assert_eq!(wire.agent.next_timeout(), None);
}

#[test]
fn a_client_that_acknowledges_nothing_holds_the_end_up_for_the_linger_time_only() {
    let mut wire = Wire::new("Port", 5);
    wire.connect();
    wire.pending.extend(b"never taken");
    wire.run_until(1000, |w| w.pending.is_empty());
    let ended = wire.now;
    wire.agent.finish("the device is gone", ended);
    wire.run_until(10_000, |w| w.plugin.closed.is_some());
    assert_eq!(wire.plugin.closed.as_deref(), Some("the device is gone"));
    assert!(wire.now >= ended + LINGER && wire.now <= ended + LINGER + Duration::from_millis(200));
}

#[test]
fn a_client_that_does_not_answer_is_told_so_after_fifteen_seconds() {
    let mut agent = AgentChannel::new(config("Standard_Stream"), START);
    let attached = START + Duration::from_secs(60);
    agent.attach(attached);
    agent.tick(attached + HANDSHAKE_TIMEOUT - Duration::from_millis(1));
    assert_eq!(agent.poll_event(attached), None);
    agent.tick(attached + HANDSHAKE_TIMEOUT);
    assert!(matches!(agent.poll_event(attached), Some(AgentEvent::Failed(_))));
}

#[test]
fn a_client_that_refuses_the_session_type_fails_the_session() {
    let mut agent = AgentChannel::new(config("Port"), START);
    agent.attach(START);
    let answer = br#"{"ClientVersion":"1","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":3}]}"#;
    agent.on_frame(&numbered(0, PayloadType::HandshakeResponse, answer.to_vec()), START).unwrap();
    assert!(matches!(agent.poll_event(START), Some(AgentEvent::Failed(_))));
    let frames: Vec<_> = std::iter::from_fn(|| agent.poll_transmit(START)).collect();
    let Some(Transmit::Binary(last)) = frames.last() else { panic!("{frames:?}") };
    assert_eq!(AgentMessage::decode(last).unwrap().message_type, MessageType::ChannelClosed);
    assert_eq!(agent.poll_event(START), Some(AgentEvent::Closed));
}

#[test]
fn a_paused_channel_keeps_its_output_and_goes_on_when_started() {
    let mut wire = Wire::new("Standard_Stream", 5);
    wire.connect();
    wire.run_until(1000, |w| w.events.contains(&SIZE));
    let publication = |kind| {
        AgentMessage { message_type: kind, ..decoded(&numbered(0, PayloadType::None, vec![1])) }
            .encode()
    };
    wire.agent.on_frame(&publication(MessageType::PausePublication), wire.now).unwrap();
    wire.pending.extend(b"later");
    let end = wire.now + Duration::from_secs(2);
    wire.run_until(3000, |w| w.now >= end);
    assert!(wire.plugin.output.is_empty());
    wire.agent.on_frame(&publication(MessageType::StartPublication), wire.now).unwrap();
    wire.run_until(1000, |w| w.plugin.output == b"later");
}

#[test]
fn after_a_lost_websocket_messages_that_were_consumed_are_recognised_although_the_plugin_is_silent()
{
    let mut wire = Wire::new("Standard_Stream", 20);
    wire.connect();
    wire.run_until(1000, |w| w.events.contains(&SIZE));
    wire.pending.extend(vec![b'a'; 500_000]);
    // All of it arrives, and the websocket is lost before one acknowledgement is back.
    wire.run_until(1000, |w| w.plugin.output.len() == 500_000);
    wire.cut();
    wire.step(Duration::from_secs(3));
    wire.connect();
    wire.pending.extend(vec![b'b'; 2_000_000]);
    wire.run_until(3000, |w| w.plugin.output.len() == 2_500_000);
    wire.agent.finish("", wire.now);
    wire.run_until(500, |w| w.plugin.closed.is_some());
    assert!(wire.agent.forgotten() > 0 && wire.plugin.duplicates > 0);
}

#[test]
fn a_message_that_was_handled_and_could_not_be_acknowledged_is_not_handled_again() {
    for reads in 0..20 {
        let mut wire = Wire::new("Standard_Stream", 20);
        wire.connect();
        wire.run_until(1000, |w| w.events.contains(&SIZE));
        let output: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
        wire.pending.extend(&output);
        wire.run_until(1000, |w| !w.plugin.output.is_empty());
        wire.cut_after(reads);
        wire.step(Duration::from_millis(300));
        wire.connect();
        wire.run_until(3000, |w| w.pending.is_empty() && w.plugin.output.len() >= output.len());
        assert!(wire.plugin.output == output, "{reads}: {} bytes", wire.plugin.output.len());
    }
}

#[test]
fn a_client_that_keeps_nothing_gets_each_message_in_its_turn() {
    let mut wire = Wire::new("Standard_Stream", 20);
    wire.plugin.keeps_nothing = true;
    wire.connect();
    wire.run_until(1000, |w| w.events.contains(&SIZE));
    let output = vec![b'a'; 2_000_000];
    wire.pending.extend(&output);
    wire.run_until(8000, |w| w.plugin.output == output);
}

#[test]
fn acknowledgements_lost_in_the_middle_of_a_handshake_do_not_stop_it() {
    for cut_at in (5..150).step_by(5) {
        let mut wire = Wire::new("Standard_Stream", 20);
        wire.pending.extend(b"$ ");
        wire.connect();
        wire.run_until(1000, |w| w.now >= ms(cut_at));
        wire.cut();
        wire.step(Duration::from_millis(500));
        wire.connect();
        wire.run_until(3000, |w| w.plugin.output == b"$ ");
        wire.agent.finish("", wire.now);
        wire.run_until(500, |w| w.plugin.closed.is_some());
    }
}

#[test]
fn what_a_client_did_not_acknowledge_before_it_left_is_needed_again_and_nothing_else() {
    let mut wire = Wire::new("Standard_Stream", 20);
    wire.connect();
    wire.run_until(1000, |w| w.events.contains(&SIZE));
    wire.pending.extend(b"seen ");
    wire.run_until(1000, |w| w.plugin.output == b"seen ");
    wire.run_until(1000, |w| w.agent.buffered() == 0);
    wire.cut();
    wire.pending.extend(b"unseen");
    wire.step(Duration::from_millis(5));
    assert_eq!(wire.agent.outstanding(Stream::Stdout), b"unseen".len());
}

#[test]
fn a_client_that_is_not_let_in_hears_why_and_nothing_else() {
    let mut agent = AgentChannel::new(config("Standard_Stream"), START);
    agent.abort("the token is not valid", START);
    let frames: Vec<_> = std::iter::from_fn(|| agent.poll_transmit(START)).collect();
    let [Transmit::Binary(frame)] = &frames[..] else { panic!("{frames:?}") };
    let message = decoded(frame);
    assert_eq!(message.message_type, MessageType::ChannelClosed);
    let closed: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(closed["Output"], "the token is not valid");
    assert_eq!(closed["MessageId"], message.id.to_string());
    assert_eq!(closed["SchemaVersion"], 1);
    assert_eq!(agent.poll_event(START), Some(AgentEvent::Closed));
}

#[test]
fn what_a_client_has_not_acknowledged_is_counted_by_stream() {
    let mut wire = Wire::new("NonInteractiveCommands", 20);
    wire.connect();
    wire.run_until(1000, |w| w.events.contains(&SIZE));
    assert_eq!(wire.agent.write(Stream::Stderr, b"err", wire.now), 3);
    assert_eq!(wire.agent.write(Stream::Stdout, b"output", wire.now), 6);
    assert_eq!(
        (wire.agent.outstanding(Stream::Stdout), wire.agent.outstanding(Stream::Stderr)),
        (6, 3)
    );
    wire.run_until(1000, |w| w.agent.outstanding(Stream::Stdout) == 0);
    assert_eq!(wire.agent.outstanding(Stream::Stderr), 0);
}

fn numbered(sequence: i64, payload_type: PayloadType, payload: Vec<u8>) -> Vec<u8> {
    let id = MessageIds::new([1; 16]).next_id();
    let message_type = MessageType::InputStreamData;
    AgentMessage { message_type, created: 1, sequence, flags: 0, id, payload_type, payload }
        .encode()
}

fn decoded(frame: &[u8]) -> AgentMessage {
    AgentMessage::decode(frame).unwrap()
}

#[test]
fn a_flood_that_nobody_takes_is_bounded_and_not_acknowledged() {
    let mut agent = AgentChannel::new(config("Port"), START);
    agent.attach(START);
    for sequence in (0..2000).chain(5000..7000) {
        agent
            .on_frame(&numbered(sequence, PayloadType::Output, vec![7; MAX_PAYLOAD]), START)
            .unwrap();
        assert!(agent.buffered() <= READY_BYTES + HELD_BYTES + MAX_PAYLOAD);
    }
    let acks = |agent: &mut AgentChannel| {
        let frames = std::iter::from_fn(|| agent.poll_transmit(START));
        let of_ours = |frame: &Transmit| matches!(frame, Transmit::Binary(frame) if decoded(frame).message_type == MessageType::Acknowledge);
        frames.filter(of_ours).count()
    };
    assert_eq!(acks(&mut agent), 0);
    let delivered = std::iter::from_fn(|| agent.poll_event(START)).count();
    assert_eq!(delivered, READY_BYTES / MAX_PAYLOAD);
    assert_eq!(acks(&mut agent), delivered);
}

#[test]
fn acknowledgements_that_nobody_sends_are_bounded() {
    let mut agent = AgentChannel::new(config("Port"), START);
    agent.attach(START);
    for sequence in 0..5000 {
        agent.on_frame(&numbered(sequence, PayloadType::Output, vec![7]), START).unwrap();
        while agent.poll_event(START).is_some() {}
    }
    let frames = std::iter::from_fn(|| agent.poll_transmit(START)).count();
    assert_eq!(frames, PENDING_ACKS + 1);
}

#[test]
fn a_client_that_takes_nothing_stops_the_output_at_the_window() {
    let mut wire = Wire::new("Port", 5);
    wire.connect();
    wire.pending.extend(vec![1; 3 * SEND_WINDOW_BYTES]);
    let end = wire.now + Duration::from_secs(30);
    wire.run_until(31_000, |w| w.now >= end);
    assert!(wire.most_buffered <= SEND_WINDOW_BYTES + AGENT_PAYLOAD);
    assert!(wire.pending.len() >= 2 * SEND_WINDOW_BYTES - AGENT_PAYLOAD);
}

#[test]
fn acknowledgements_of_what_was_never_sent_and_strange_pongs_do_no_harm() {
    let mut wire = Wire::new("Standard_Stream", 5);
    wire.connect();
    let mut ids = MessageIds::new([4; 16]);
    for sequence in [i64::MIN, -1, 5, 1 << 40, i64::MAX] {
        wire.agent
            .on_frame(&ack_frame(sequence, "output_stream_data", &mut ids, START), START)
            .unwrap();
    }
    for pong in [&b""[..], b"keepalive", &u64::MAX.to_be_bytes(), &[0; 8]] {
        wire.agent.on_pong(pong);
    }
    wire.pending.extend(b"$ ");
    wire.run_until(1000, |w| w.plugin.output == b"$ ");
}

#[test]
fn what_is_no_message_is_an_error_and_changes_nothing() {
    let mut agent = AgentChannel::new(config("Port"), START);
    for frame in [&b""[..], b"GET / HTTP/1.1", &[0xff; 200]] {
        assert!(agent.on_frame(frame, START).is_err());
    }
    let unreadable = AgentMessage {
        message_type: MessageType::Acknowledge,
        ..decoded(&numbered(0, PayloadType::None, b"{".to_vec()))
    };
    assert!(agent.on_frame(&unreadable.encode(), START).is_ok());
    assert_eq!(agent.poll_event(START), None);
}

#[test]
fn separate_output_and_an_exit_code_have_payload_types_of_their_own() {
    let mut wire = Wire::new("NonInteractiveCommands", 5);
    wire.connect();
    wire.run_until(1000, |w| w.events.contains(&SIZE));
    assert_eq!(wire.agent.write(Stream::Stderr, b"oops\n", wire.now), 5);
    wire.agent.write_exit_code(3, wire.now);
    wire.agent.finish("", wire.now);
    wire.run_until(1000, |w| w.plugin.closed.is_some());
    assert_eq!(wire.plugin.output, b"oops\nEXIT_CODE: 3");
}
