//! A connection that dies without a word: a NAT box that forgot it, a network that was left, a
//! laptop whose lid was shut. Nothing is closed and nothing is reset; bytes just do not arrive any
//! more. And the network that comes back.

use std::time::Duration;

use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::netns::Network;
use towline_testkit::process::{self, Signal};
use towline_testkit::relay::Relay;
use towline_testkit::terminal::PATIENCE;
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::echo::{comes_back, echo, round_trip};
use crate::peers::gateway::FalseGateway;

/// How soon an end that doubts a connection gives it up: it asks, and waits 15 s (agent) or 4 and 8
/// s (operator).
const NOTICED: Duration = Duration::from_secs(60);

#[test]
fn a_shell_goes_on_when_the_agents_connection_has_died_in_silence() -> Outcome {
    let network = Network::enter()?;
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = echo(&lab.admin(), &device)?;
    let mut text = Text::new(17);
    round_trip(&mut shell, &text.take_bytes(5_000), "before")?;
    let before = device.relay.count().connections;
    device.relay.strand();
    let lost = text.take_bytes(20_000);
    shell.send(&lost)?;
    // News of the network make the agent ask at once; without them it would ask after a minute or
    // so.
    network.change("192.0.2.7/32")?;
    device.relay.wait_for_newcomer(before, NOTICED)?;
    comes_back(&mut shell, &lost, "what was sent into the silence")?;
    round_trip(&mut shell, &text.take_bytes(5_000), "after")
}

#[test]
fn a_shell_goes_on_when_the_operators_connection_has_died_in_silence() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let relay = Relay::to(lab.gateway.address())?;
    let operator = lab.admin().at(format!("https://{}", relay.address()));
    let mut shell = echo(&operator, &device)?;
    let mut text = Text::new(19);
    round_trip(&mut shell, &text.take_bytes(5_000), "before")?;
    let before = relay.count().connections;
    relay.strand();
    let lost = text.take_bytes(20_000);
    shell.send(&lost)?;
    relay.wait_for_newcomer(before, NOTICED)?;
    comes_back(&mut shell, &lost, "what was sent into the silence")?;
    round_trip(&mut shell, &text.take_bytes(5_000), "after")
}

#[test]
fn a_shell_goes_on_after_its_operator_slept_while_the_device_talked() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let relay = Relay::to(lab.gateway.address())?;
    let operator = lab.admin().at(format!("https://{}", relay.address()));
    let mut shell = echo(&operator, &device)?;
    let mut text = Text::new(23);
    // The lid is shut in the middle of a block: half of the echo comes while the command line
    // stands still.
    let mut block = text.take_bytes(50_000);
    shell.send(&block)?;
    process::send(shell.pid(), Signal::STOP)?;
    // While it sleeps, its connection is forgotten on the way.
    relay.strand();
    let before = relay.count().connections;
    process::send(shell.pid(), Signal::CONT)?;
    // The user of a woken laptop types something: that the key has no echo is noticed sooner than a
    // silence is.
    let key = text.take_bytes(1);
    shell.send(&key)?;
    block.extend(key);
    relay.wait_for_newcomer(before, NOTICED)?;
    comes_back(&mut shell, &block, "what was on its way, and the key")?;
    round_trip(&mut shell, &text.take_bytes(5_000), "after")
}

#[test]
fn a_held_connection_that_is_let_go_loses_and_doubles_nothing() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let relay = Relay::to(lab.gateway.address())?;
    let operator = lab.admin().at(format!("https://{}", relay.address()));
    let mut shell = echo(&operator, &device)?;
    let mut text = Text::new(29);
    for held in [&device.relay, &relay] {
        let block = text.take_bytes(30_000);
        held.hold(true);
        shell.send(&block)?;
        held.hold(false);
        comes_back(&mut shell, &block, "after a hold")?;
    }
    Ok(())
}

#[test]
fn an_agent_that_waits_dials_at_once_when_the_network_changes() -> Outcome {
    let network = Network::enter()?;
    let lab = Lab::start()?;
    let setup = DeviceSetup {
        environment: vec![("TOWLINE_GATEWAY_RECONNECT_MAX".into(), "5m".into())],
        ..DeviceSetup::default()
    };
    let mut device = lab.enrolled(&setup)?;
    // Told to come back in five minutes: nothing but news brings it sooner.
    let away = FalseGateway::start(&lab, None)?;
    device.relay.retarget(away.address()?);
    device.start()?;
    away.accept_and_send_away(300)?;
    eventually("the agent waits", PATIENCE, || {
        device.logged().contains("dialling again in 3").then_some(())
    })?;
    device.relay.retarget(lab.gateway.address());
    network.change("192.0.2.9/32")?;
    device.wait_online(&lab.admin())?;
    let out = lab.admin().run(&["exec", device.id(), "--", "echo", "in"])?;
    ensure(out.stdout == b"in\n", || format!("{out:?}"))
}
