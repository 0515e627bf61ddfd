//! amazon-ssm-agent before two gateways: a balancer sends each of its connections where it likes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use towline_testkit::relay::Relay;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::cluster::Pair;
use crate::codes::{ENDED, NOT_CONNECTED};
use crate::peers::vendor::{KEYS, LINUX, VendorAgent, lock};

/// An agent whose calls and control channel are at gateway a, and whose data channels are at b.
fn apart(pair: &Pair) -> Outcome<Arc<VendorAgent>> {
    let agent = VendorAgent::at(&pair.lab, &pair.a_address().to_string(), KEYS[0], LINUX)?;
    *lock(&agent.data_host) = Some(pair.b_address.to_string());
    agent.join(&pair.lab)?;
    waits_until_at(pair, &agent, "a")?;
    Ok(agent)
}

/// Waits until a gateway has the control channel.
fn waits_until_at(pair: &Pair, agent: &VendorAgent, node: &str) -> Outcome {
    eventually("the control channel is there", PATIENCE, || {
        let holder = format!("select node from presence where device_id = '{}'", agent.id());
        (pair.server.psql("towline", &holder).ok()? == node).then_some(())
    })
}

/// A shell through the gateway at this address.
fn shell(pair: &Pair, at: std::net::SocketAddr, agent: &VendorAgent) -> Outcome<Terminal> {
    let words = ["shell", "--user", "operator", &agent.id()];
    Terminal::start(&pair.admin_at(at).towline(&words), 24, 80)
}

fn sums(shell: &mut Terminal, number: u32) -> Outcome {
    shell.line(&format!("echo sum-$(({number} * 7))"))?;
    shell.expect(&format!("sum-{}", number * 7)).map(drop)
}

#[test]
fn a_data_channel_that_comes_to_another_gateway_is_relayed_to_its_session() -> Outcome {
    let pair = Pair::start()?;
    let agent = apart(&pair)?;
    for (at, number) in [(pair.a_address(), 6), (pair.b_address, 8)] {
        let mut shell = shell(&pair, at, &agent)?;
        sums(&mut shell, number)?;
        shell.line("exit")?;
        ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())?;
        let id = agent.id();
        let words = ["exec", "--user", "operator", &id, "--", "sh", "-c", "echo out; exit 3"];
        let out = pair.admin_at(at).run(&words)?;
        ensure(out.stdout == b"out\n" && out.status.code() == Some(3), || format!("{out:?}"))?;
    }
    Ok(())
}

/// Who waits for a gateway to be declared dead, and hangs up, never has the device; its next
/// channel has, at once.
#[test]
fn a_control_channel_that_is_lost_while_it_waits_claims_nothing() -> Outcome {
    let mut pair = Pair::start()?;
    let agent = VendorAgent::at(&pair.lab, &pair.a_address().to_string(), KEYS[0], LINUX)?;
    agent.join(&pair.lab)?;
    waits_until_at(&pair, &agent, "a")?;
    pair.lab.gateway.kill()?;
    let elsewhere = VendorAgent::at(&pair.lab, &pair.b_address.to_string(), KEYS[0], LINUX)?;
    elsewhere.is(&agent.id());
    ensure(elsewhere.renew()?.status == 200, || "no keys at b".into())?;
    for _ in 0..3 {
        drop(elsewhere.open_control()?);
    }
    elsewhere.start()?;
    waits_until_at(&pair, &agent, "b")?;
    let up = |log: String| log.matches("control channel up").count();
    eventually("the channel is up", BACK, || (up(pair.b.printed()) > 0).then_some(()))?;
    // One more look of those that wait would be over by then.
    let words = ["exec", "--user", "operator", &agent.id(), "--", "echo", "out"];
    let out = pair.admin_at(pair.b_address).run(&words)?;
    ensure(out.stdout == b"out\n", || format!("{out:?}"))?;
    let log = pair.b.printed();
    ensure(up(log.clone()) == 1 && !log.contains("CloneDetected"), || log)
}

/// A lease holds 8 s; dead is who has not renewed it when another one looks next. The rest is for a
/// machine that is slow.
const BACK: Duration = Duration::from_secs(60);

/// Sockets that a gateway which is not sure lets the agent open, each at once after the one before.
const FEW: usize = 5;

#[test]
fn an_agent_is_elsewhere_soon_after_its_gateway_was_killed_and_its_client_is_told() -> Outcome {
    let mut pair = Pair::start()?;
    let front = Relay::to(pair.a_address())?;
    let at = front.address().to_string();
    let agent = VendorAgent::at(&pair.lab, &at, KEYS[0], LINUX)?;
    agent.faults.comes_back.store(true, Ordering::Relaxed);
    agent.join(&pair.lab)?;
    waits_until_at(&pair, &agent, "a")?;
    let mut shell = shell(&pair, front.address(), &agent)?;
    sums(&mut shell, 6)?;
    front.retarget(pair.b_address);
    pair.lab.gateway.kill()?;
    eventually("the agent is at b", BACK, || {
        let holder = format!("select node from presence where device_id = '{}'", agent.id());
        (pair.server.psql("towline", &holder).ok()? == "b").then_some(())
    })?;
    let opened = agent.seen().iter().filter(|line| line.contains("opened again")).count();
    ensure((1..=FEW).contains(&opened), || {
        format!("{opened} control channels: {:?}", agent.seen())
    })?;
    // Told by the stream when the client is at b before the agent, else when it asks for a token.
    shell.expect("ended: its gateway was lost or restarted")?;
    let ended = shell.finish(PATIENCE)?;
    ensure([Some(ENDED), Some(NOT_CONNECTED)].contains(&ended.code()), || format!("{ended}"))?;
    let words = ["exec", "--user", "operator", &agent.id(), "--", "sh", "-c", "echo out; exit 3"];
    let out = pair.admin_at(front.address()).run(&words)?;
    ensure(out.stdout == b"out\n" && out.status.code() == Some(3), || format!("{out:?}"))?;
    pair.nobody_lost_anything(0)
}
