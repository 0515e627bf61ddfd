//! Bytes come out once and in order, whatever the pipe does: cut websockets against the plugin's
//! model, and loss, repetition and disorder between our own two halves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod simulation;

use proptest::prelude::*;
use simulation::*;
use std::time::Duration;
use towline_ssm::channel::*;
use towline_ssm::message::payload::Size;
use towline_ssm::message::{AgentMessage, MessageIds, MessageType, PayloadType};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_byte_is_lost_or_doubled_however_often_the_websocket_is_cut(
        seed: u64, latency in 0_u64..80, cuts in 0_u64..40, len in 0_usize..1_500_000,
    ) {
        let mut dice = Dice(seed);
        let output = dice.bytes(len);
        let mut wire = Wire::new("Standard_Stream", latency);
        wire.pending.extend(&output);
        wire.connect();
        let mut typed: Vec<u8> = Vec::new();
        for _ in 0..cuts {
            type_for(dice.roll() % 60, 10, &mut wire, &mut dice, &mut typed);
            wire.cut_after(usize::try_from(dice.roll() % 6).unwrap());
            wire.step(Duration::from_millis(dice.roll() % 900));
            wire.connect();
        }
        all_came_through(&mut wire, &output, &typed)?;
    }

    #[test]
    fn no_byte_is_lost_or_doubled_however_often_the_agent_s_process_is_killed(
        seed: u64, latency in 0_u64..80, deaths in 1_u64..25, len in 0_usize..1_000_000,
    ) {
        let mut dice = Dice(seed);
        let output = dice.bytes(len);
        let mut wire = Wire::new("Standard_Stream", latency);
        wire.pending.extend(&output);
        wire.connect();
        let mut typed: Vec<u8> = Vec::new();
        for _ in 0..deaths {
            type_for(dice.roll() % 40, 15, &mut wire, &mut dice, &mut typed);
            if dice.percent(30) {
                wire.cut_after(usize::try_from(dice.roll() % 6).unwrap());
            } else {
                wire.kill(dice.percent(50), &output);
            }
            // The successor runs for a while before the client is back; the bytes come in its own
            // time.
            for _ in 0..dice.roll() % 5 {
                wire.step(Duration::from_millis(dice.roll() % 300));
            }
            wire.connect();
        }
        all_came_through(&mut wire, &output, &typed)?;
    }

    #[test]
    fn our_two_halves_agree_over_a_pipe_that_loses_repeats_and_reorders(seed: u64, loss in 0_u64..35) {
        let mut pair = Pair::new(seed, loss);
        let down = pair.dice.bytes(60_000);
        let up = pair.dice.bytes(8_000);
        let (mut sent_down, mut sent_up) = (0, 0);
        for _ in 0..400_000 {
            sent_down += pair.agent.write(Stream::Stdout, &down[sent_down..down.len().min(sent_down + 700)], pair.now);
            sent_up += pair.client.write(&up[sent_up..up.len().min(sent_up + 100)], pair.now);
            pair.step();
            let arrived = pair.at_client.len() == down.len() && pair.at_agent.len() == up.len();
            if arrived && pair.client.is_flushed() {
                break;
            }
        }
        prop_assert!(pair.at_client == down, "{} of {}", pair.at_client.len(), down.len());
        prop_assert!(pair.at_agent == up, "{} of {}", pair.at_agent.len(), up.len());
        prop_assert_eq!(pair.sizes.first(), Some(&Size { cols: 132, rows: 43 }));
    }

    #[test]
    fn our_two_halves_lose_nothing_when_the_websocket_is_cut(seed: u64, cuts in 0_u64..20) {
        let mut pair = Pair::new(seed, 0);
        let (down, up) = (pair.dice.bytes(200_000), pair.dice.bytes(20_000));
        let (mut sent_down, mut sent_up, mut cuts) = (0, 0, cuts);
        for _ in 0..20_000 {
            sent_down += pair.agent.write(Stream::Stdout, &down[sent_down..down.len().min(sent_down + 3000)], pair.now);
            sent_up += pair.client.write(&up[sent_up..up.len().min(sent_up + 300)], pair.now);
            pair.orderly = true;
            pair.step();
            if cuts > 0 && pair.dice.percent(3) {
                cuts -= 1;
                pair.cut();
            }
            if pair.at_client.len() == down.len() && pair.at_agent.len() == up.len() && pair.client.is_flushed() {
                break;
            }
        }
        prop_assert!(pair.at_client == down, "{} of {}", pair.at_client.len(), down.len());
        prop_assert!(pair.at_agent == up, "{} of {}", pair.at_agent.len(), up.len());
    }

    #[test]
    fn no_message_from_a_gateway_makes_a_client_panic_or_grow(
        messages in proptest::collection::vec((0_usize..3, -3_i64..40, 0_u32..14, 0_usize..40_000, any::<bool>()), 0..300),
    ) {
        let mut client = client();
        for (kind, sequence, payload_type, len, polled) in messages {
            let name = ["output_stream_data", "acknowledge", "channel_closed"][kind];
            let frame = AgentMessage {
                message_type: MessageType::from_name(name).unwrap(),
                created: 1,
                sequence,
                flags: 0,
                id: MessageIds::new([6; 16]).next_id(),
                payload_type: PayloadType::from(payload_type),
                payload: vec![b'{'; len],
            };
            client.on_frame(&frame.encode(), START).unwrap();
            while polled && client.poll_event(START).is_some() {}
            prop_assert!(client.buffered() <= READY_BYTES + HELD_BYTES + SEND_WINDOW_BYTES + CLIENT_PAYLOAD);
        }
    }

    #[test]
    fn no_bytes_from_a_client_make_an_agent_panic_or_grow(seed: u64) {
        let mut dice = Dice(seed);
        let mut wire = Wire::new("Standard_Stream", 5);
        wire.pending.extend(vec![1; 100_000]);
        wire.connect();
        for _ in 0..300 {
            wire.step(Duration::from_millis(5));
            let mut frame = ack_frame(0, "output_stream_data", &mut MessageIds::new([5; 16]), wire.now);
            for _ in 0..dice.roll() % 4 {
                let at = usize::try_from(dice.roll()).unwrap_or(0) % frame.len();
                frame[at] = dice.roll().to_le_bytes()[0];
            }
            let _ = wire.agent.on_frame(&frame, wire.now);
            prop_assert!(wire.agent.buffered() <= SEND_WINDOW_BYTES + AGENT_PAYLOAD + READY_BYTES + HELD_BYTES);
        }
    }
}

/// So many steps, in some of which somebody types.
fn type_for(steps: u64, percent: u64, wire: &mut Wire, dice: &mut Dice, typed: &mut Vec<u8>) {
    for _ in 0..steps {
        // The plugin reads no keys before its handler runs.
        if wire.plugin.ready && dice.percent(percent) {
            let count = 1 + usize::try_from(dice.roll() % 40).unwrap();
            let keys = dice.bytes(count);
            typed.extend(&keys);
            let now = wire.now;
            wire.plugin.send(PayloadType::Output, keys, now);
        }
        wire.step(Duration::from_millis(1 + dice.roll() % 9));
    }
}

/// To the end of the session: each byte has come out once, and nothing was kept beyond the bounds.
fn all_came_through(wire: &mut Wire, output: &[u8], typed: &[u8]) -> Result<(), TestCaseError> {
    wire.run_until(120_000, |w| w.pending.is_empty() && w.plugin.unacked() == 0);
    wire.agent.finish("bye", wire.now);
    wire.run_until(8_000, |w| w.plugin.closed.is_some());
    prop_assert!(
        wire.plugin.output == output,
        "{} of {} bytes",
        wire.plugin.output.len(),
        output.len()
    );
    prop_assert!(wire.input == typed, "{} of {} keys", wire.input.len(), typed.len());
    prop_assert_eq!(wire.plugin.closed.as_deref(), Some("bye"));
    prop_assert!(
        wire.most_buffered <= SEND_WINDOW_BYTES + AGENT_PAYLOAD + READY_BYTES + HELD_BYTES
    );
    Ok(())
}

fn client() -> ClientChannel {
    ClientChannel::new(ClientConfig {
        client_version: "1.2.900.0".into(),
        client_id: "c".into(),
        seed: [8; 16],
    })
}

/// Our agent half and our client half with a very bad pipe between them. One websocket, no ping
/// ever comes back.
struct Pair {
    agent: AgentChannel,
    client: ClientChannel,
    dice: Dice,
    loss: u64,
    /// Nothing is repeated or overtaken: a real websocket.
    orderly: bool,
    now: Duration,
    down: Vec<(u64, Vec<u8>)>,
    up: Vec<(u64, Vec<u8>)>,
    at_client: Vec<u8>,
    at_agent: Vec<u8>,
    sizes: Vec<Size>,
}

impl Pair {
    fn new(seed: u64, loss: u64) -> Self {
        let mut client = client();
        client.set_size(Size { cols: 132, rows: 43 }, START);
        client.attach("token");
        let Some(Transmit::Text(opening)) = client.poll_transmit(START) else {
            panic!("the opening frame comes first")
        };
        assert!(opening.contains("\"TokenValue\":\"token\""));
        let mut agent = AgentChannel::new(simulation::config("Standard_Stream"), START);
        agent.attach(START);
        Self {
            agent,
            client,
            dice: Dice(seed),
            loss,
            orderly: false,
            now: START,
            down: Vec::new(),
            up: Vec::new(),
            at_client: Vec::new(),
            at_agent: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// Some frames are lost, some are there twice, each has its own delay.
    fn throw(dice: &mut Dice, loss: u64, pipe: &mut Vec<(u64, Vec<u8>)>, frame: Vec<u8>) {
        if dice.percent(10) {
            pipe.push((1 + dice.roll() % 8, frame.clone()));
        }
        if !dice.percent(loss) {
            pipe.push((1 + dice.roll() % 8, frame));
        }
    }

    fn cut(&mut self) {
        self.down.clear();
        self.up.clear();
        self.agent.detach();
        self.client.detach();
        self.now += Duration::from_millis(300);
        self.agent.attach(self.now);
        self.client.attach("next token");
    }

    fn send(&mut self, down: bool, frame: Vec<u8>) {
        let pipe = if down { &mut self.down } else { &mut self.up };
        if self.orderly {
            pipe.push((4, frame));
        } else {
            Self::throw(&mut self.dice, self.loss, pipe, frame);
        }
    }

    fn arrived(pipe: &mut Vec<(u64, Vec<u8>)>) -> Vec<Vec<u8>> {
        pipe.iter_mut().for_each(|(delay, _)| *delay -= 1);
        pipe.extract_if(.., |(delay, _)| *delay == 0).map(|(_, frame)| frame).collect()
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(5);
        for frame in Self::arrived(&mut self.down) {
            self.client.on_frame(&frame, self.now).unwrap();
        }
        for frame in Self::arrived(&mut self.up) {
            self.agent.on_frame(&frame, self.now).unwrap();
        }
        while let Some(event) = self.client.poll_event(self.now) {
            if let ClientEvent::Output(bytes) = event {
                self.at_client.extend(bytes);
            }
        }
        while let Some(event) = self.agent.poll_event(self.now) {
            match event {
                AgentEvent::Input(bytes) => self.at_agent.extend(bytes),
                AgentEvent::Size(size) => self.sizes.push(size),
                _ => {}
            }
        }
        while let Some(transmit) = self.agent.poll_transmit(self.now) {
            if let Transmit::Binary(frame) = transmit {
                self.send(true, frame);
            }
        }
        while let Some(transmit) = self.client.poll_transmit(self.now) {
            if let Transmit::Binary(frame) = transmit {
                self.send(false, frame);
            }
        }
    }
}

#[test]
fn a_client_of_ours_meets_an_agent_of_ours_and_hears_the_end_after_the_output() {
    let mut pair = Pair::new(1, 0);
    for _ in 0..100 {
        pair.step();
    }
    assert_eq!(pair.agent.write(Stream::Stdout, b"last words", pair.now), 10);
    pair.agent.finish("idle", pair.now);
    let mut events = Vec::new();
    for _ in 0..100 {
        while let Some(Transmit::Binary(frame)) = pair.agent.poll_transmit(pair.now) {
            pair.client.on_frame(&frame, pair.now).unwrap();
        }
        while let Some(event) = pair.client.poll_event(pair.now) {
            events.push(event);
        }
        while let Some(Transmit::Binary(frame)) = pair.client.poll_transmit(pair.now) {
            pair.agent.on_frame(&frame, pair.now).unwrap();
        }
        pair.now += Duration::from_millis(20);
    }
    assert_eq!(
        events,
        [ClientEvent::Output(b"last words".to_vec()), ClientEvent::Closed("idle".into())]
    );
}
