//! A gateway of several gives its devices and sessions to the others before it ends.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use towline_testkit::cluster::{Fault, Gateways, run};
use towline_testkit::process::{Running, Signal, finish};
use towline_testkit::relay::Relay;
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, files, https};

use crate::cluster::{PATIENCE, Pair, exec, serve};
use crate::echo::{comes_back, echo, round_trip};

/// What `/readyz` says at a gateway.
fn readiness(pair: &Pair, at: SocketAddr) -> Option<(u16, String)> {
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    let ca = pair.lab.gateway.ca();
    let answer = https::exchange(&at.to_string(), ca, None, request.as_bytes()).ok()?;
    Some((answer.status, answer.body))
}

/// `drain` of gateway a, beside the test.
fn drain(pair: &Pair, within: &str) -> Outcome<Running> {
    let mut command = Command::new(pair.lab.gateway.program());
    command.arg("drain").arg("--dir").arg(pair.lab.gateway.directory()).args(["--within", within]);
    Running::start("drain", command, &pair.lab.directory().join("drain.log"))
}

fn said(out: &Output) -> String {
    let all = [&out.stdout[..], &out.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn a_gateway_that_is_drained_gives_its_shells_to_the_other_one_without_a_lost_byte() -> Outcome {
    let mut pair = Pair::start()?;
    let both = [pair.a_address(), pair.b_address];
    let (device, idle) = (pair.device_at(&both)?, pair.device_at(&both)?);
    let front = Relay::to(pair.a_address())?;
    let admin = pair.admin_at(front.address());
    let mut text = Text::new(61);
    let mut shell = echo(&admin, &device)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at a")?;
    // The balancer sends nobody to a from here on; the shell's own connection stays.
    front.retarget(pair.b_address);
    let bulk = text.take_bytes(200_000);
    shell.send(&bulk)?;
    let mut drained = drain(&pair, "60")?;
    comes_back(&mut shell, &bulk, "while a was drained")?;
    let ended = drained.wait(PATIENCE)?;
    let printed = drained.printed();
    ensure(ended.success() && printed.contains("2 devices and 1 sessions are left"), || {
        format!("drain ended with {ended}: {printed}")
    })?;
    let ended = pair.lab.gateway.process().wait(PATIENCE)?;
    let logged = pair.lab.gateway.logged();
    let is_empty = logged.contains("all devices and sessions are at other gateways");
    ensure(ended.success() && is_empty, || format!("gateway a ended with {ended}: {logged}"))?;
    eventually("both devices at gateway b", PATIENCE, || {
        let (a, b) = (pair.node("a").ok()?, pair.node("b").ok()?);
        (a["Alive"] == false && b["Devices"] == 2 && b["Sessions"] == 1).then_some(())
    })?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at b")?;
    exec(&admin, &idle, "new")?;
    pair.nobody_lost_anything(1)
}

#[test]
fn a_gateway_that_is_being_drained_takes_nothing_new_and_ends_in_its_time() -> Outcome {
    let mut pair = Pair::start()?;
    // Its agent knows no other gateway: it stays until the end.
    let device = pair.device_at(&[pair.a_address()])?;
    let admin = pair.admin_at(pair.a_address());
    let mut text = Text::new(62);
    let mut shell = echo(&admin, &device)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at a")?;
    let began = Instant::now();
    let mut drained = drain(&pair, "12")?;
    eventually("a says that it is being drained", PATIENCE, || {
        (readiness(&pair, pair.a_address())? == (503, "draining\n".to_owned())).then_some(())
    })?;
    ensure(pair.node("a")?["Draining"] == true, || "nodes does not show it".into())?;
    eventually("the device is refused", PATIENCE, || {
        device.logged().contains("this gateway is about to end: go to another one").then_some(())
    })?;
    let out = admin.run(&["exec", device.id(), "--", "echo", "new"])?;
    ensure(!out.status.success(), || format!("a new session at a: {}", said(&out)))?;
    let ended = drained.wait(PATIENCE)?;
    let took = began.elapsed();
    ensure(ended.success() && took >= Duration::from_secs(12), || {
        format!("drain ended with {ended} after {took:?}: {}", drained.printed())
    })?;
    ensure(pair.lab.gateway.logged().contains("are left at the end of the time to drain"), || {
        format!("gateway a: {}", pair.lab.gateway.logged())
    })?;
    pair.lab.gateway.process().wait(PATIENCE)?;
    pair.lab.gateway.start_again()?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at a again")?;
    ensure(pair.node("a")?["Draining"] == false, || "it drains after its start".into())?;
    pair.nobody_lost_anything(1)
}

#[test]
fn a_device_that_knows_one_gateway_is_led_to_the_other_one_and_stores_nothing_of_it() -> Outcome {
    let mut pair = Pair::naming_each_other()?;
    let device = pair.device_at(&[pair.a_address()])?;
    let front = Relay::to(pair.a_address())?;
    let mut text = Text::new(64);
    let mut shell = echo(&pair.admin_at(front.address()), &device)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at a")?;
    front.retarget(pair.b_address);
    let bulk = text.take_bytes(100_000);
    shell.send(&bulk)?;
    let mut drained = drain(&pair, "60")?;
    comes_back(&mut shell, &bulk, "while a was drained")?;
    ensure(drained.wait(PATIENCE)?.success(), || drained.printed())?;
    ensure(pair.node("b")?["Devices"] == 1, || "the device is not at b".into())?;
    let other = pair.b_address.to_string();
    for entry in std::fs::read_dir(device.state())? {
        let path = entry?.path();
        let content = std::fs::read(&path).unwrap_or_default();
        let is_there = String::from_utf8_lossy(&content).contains(&other);
        ensure(!is_there, || format!("{} names the other gateway", path.display()))?;
    }
    // Nothing is left of b: the device returns to the gateway of its settings.
    pair.lab.gateway.start_again()?;
    front.retarget(pair.a_address());
    pair.b.kill()?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at a again")?;
    pair.nobody_lost_anything(1)
}

#[test]
fn all_gateways_are_restarted_in_turn_under_one_shell() -> Outcome {
    let mut pair = Pair::start()?;
    let device = pair.device_at(&[pair.a_address(), pair.b_address])?;
    let front = Relay::to(pair.a_address())?;
    let mut text = Text::new(63);
    let mut shell = echo(&pair.admin_at(front.address()), &device)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at a")?;
    for turn in ["first", "second"] {
        let bulk = text.take_bytes(100_000);
        front.retarget(pair.b_address);
        shell.send(&bulk)?;
        pair.lab.gateway.process().signal(Signal::TERM)?;
        comes_back(&mut shell, &bulk, &format!("{turn} restart of a"))?;
        ensure(pair.lab.gateway.process().wait(PATIENCE)?.success(), || "a failed".into())?;
        pair.lab.gateway.start_again()?;
        let bulk = text.take_bytes(100_000);
        front.retarget(pair.a_address());
        shell.send(&bulk)?;
        pair.b.signal(Signal::TERM)?;
        comes_back(&mut shell, &bulk, &format!("{turn} restart of b"))?;
        ensure(pair.b.wait(PATIENCE)?.success(), || "b failed".into())?;
        pair.b = serve(&pair.lab, &pair.b_home, pair.b_address)?;
    }
    pair.nobody_lost_anything(1)
}

#[test]
fn three_gateways_lose_nothing_in_three_rounds_of_faults() -> Outcome {
    let mut gateways = Gateways::start(3)?;
    let faults = [Fault::Killed, Fault::Restarted, Fault::StoodStill];
    let told = run(&mut gateways, (4, 3), (&faults, 3), 1, |_| {})?;
    ensure(told.bytes == 3 * 3 * 20_000 && told.lines > 10, || format!("{told:?}"))
}

#[test]
fn two_gateways_lose_nothing_while_their_database_is_away_slow_or_read_only() -> Outcome {
    let mut gateways = Gateways::start(2)?;
    let faults = [
        Fault::DatabaseKilled,
        Fault::DatabaseStoodStill,
        Fault::DatabaseReadOnly,
        Fault::DatabaseSlow,
    ];
    let told = run(&mut gateways, (2, 2), (&faults, 4), 2, |_| {})?;
    ensure(told.bytes == 4 * 2 * 20_000 && told.lines > 10, || format!("{told:?}"))
}

#[test]
fn a_gateway_that_works_alone_says_that_there_is_no_other_one() -> Outcome {
    let lab = towline_testkit::lab::Lab::start()?;
    let mut command = Command::new(lab.gateway.program());
    command.arg("drain").arg("--dir").arg(lab.gateway.directory());
    let out = finish(command, PATIENCE)?;
    ensure(!out.status.success() && said(&out).contains("works alone"), || said(&out))?;
    let log = files::tail(&lab.directory().join("gateway.log"), 5);
    ensure(!log.contains("stopping"), || log)
}
