//! amazon-ssm-agent before two gateways: a balancer sends each of its connections where it likes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::cluster::Pair;
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

#[test]
fn the_end_of_the_gateway_that_has_a_session_is_told_at_both_ends() -> Outcome {
    let mut pair = Pair::start()?;
    let agent = apart(&pair)?;
    let mut shell = shell(&pair, pair.b_address, &agent)?;
    sums(&mut shell, 6)?;
    pair.lab.gateway.kill()?;
    // The agent comes back as a balancer would lead it: to the gateway that is left.
    let again = VendorAgent::at(&pair.lab, &pair.b_address.to_string(), KEYS[0], LINUX)?;
    again.is(&agent.id());
    eventually("the agent is back", PATIENCE, || again.start().ok())?;
    waits_until_at(&pair, &again, "b")?;
    let ended = shell.expect("amazon-ssm-agent");
    let status = shell.finish(PATIENCE)?;
    ensure(ended.is_ok() && !status.success(), || format!("{status}: {ended:?}"))?;
    eventually("the agent was told", PATIENCE, || {
        let over = |line: &String| line.starts_with("session Standard_Stream over");
        agent.seen().iter().any(over).then_some(())
    })?;
    pair.nobody_lost_anything(0)
}

#[test]
fn a_control_channel_that_moves_ends_its_sessions_in_words() -> Outcome {
    let pair = Pair::start()?;
    let agent = apart(&pair)?;
    let mut shell = shell(&pair, pair.a_address(), &agent)?;
    sums(&mut shell, 6)?;
    agent.stop.store(true, Ordering::Relaxed);
    let again = VendorAgent::at(&pair.lab, &pair.b_address.to_string(), KEYS[0], LINUX)?;
    again.is(&agent.id());
    eventually("the agent is back", PATIENCE, || again.start().ok())?;
    waits_until_at(&pair, &again, "b")?;
    let ended = shell.expect("amazon-ssm-agent");
    let status = shell.finish(PATIENCE)?;
    ensure(ended.is_ok() && !status.success(), || format!("{status}: {ended:?}"))?;
    let listed =
        pair.lab.admin().api("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))?;
    ensure(listed["Sessions"].as_array().is_some_and(Vec::is_empty), || format!("{listed}"))
}
