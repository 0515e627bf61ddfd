//! Who owns a relay, owns no shell: a false gateway with the right certificate cannot make an agent
//! open anything.

use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::terminal::PATIENCE;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};
use towline_wire::message::{FromAgent, RefusalCode};

use crate::peers::agent::fresh_key;
use crate::peers::gateway::{FalseGateway, now_ms};

/// An agent whose relay leads to a false gateway, which knows the authority's key unless another is
/// given.
fn led_astray(lab: &Lab, authority: Option<&[u8]>) -> Outcome<(Device, FalseGateway)> {
    let mut device = lab.enrolled(&DeviceSetup::default())?;
    let gateway = FalseGateway::start(lab, authority)?;
    device.relay.retarget(gateway.address()?);
    device.start()?;
    Ok((device, gateway))
}

fn is_refused(answer: &FromAgent) -> bool {
    matches!(answer, FromAgent::NotOpened { code: RefusalCode::Grant, .. })
}

#[test]
fn a_grant_opens_one_session_once() -> Outcome {
    let lab = Lab::start()?;
    let (_device, gateway) = led_astray(&lab, None)?;
    let mut agent = gateway.accept()?;
    let (grant, launch) = gateway.grant(&agent, "test-1")?;
    let signed = gateway.sign(&grant)?;
    let first = agent.order("test-1", signed.clone(), launch.clone(), 10)?;
    ensure(matches!(first, FromAgent::Opened { .. }), || {
        format!("a right grant was refused: {first:?}")
    })?;
    agent.forget("test-1")?;
    let again = agent.order("test-1", signed.clone(), launch.clone(), 20)?;
    ensure(is_refused(&again), || format!("a used grant opened a session: {again:?}"))?;
    let other = agent.order("test-2", signed, launch, 30)?;
    ensure(is_refused(&other), || format!("a grant opened another session: {other:?}"))
}

#[test]
fn a_grant_that_is_wrong_in_anything_opens_nothing() -> Outcome {
    let lab = Lab::start()?;
    let (_device, gateway) = led_astray(&lab, None)?;
    let mut agent = gateway.accept()?;
    let (right, launch) = gateway.grant(&agent, "test-1")?;
    let mut wrong = vec![right.clone(); 6];
    wrong[0].device = "mi-00000000000000000".into();
    wrong[1].session = "test-9".into();
    wrong[2].launch = [0; 32];
    wrong[3].boot = [0; 16];
    (wrong[4].issued_at, wrong[4].not_after) = (now_ms() - 100_000, now_ms() - 50_000);
    wrong[5].not_after = now_ms() + 24 * 3_600_000;
    for grant in wrong {
        let answer = agent.order("test-1", gateway.sign(&grant)?, launch.clone(), 10)?;
        ensure(is_refused(&answer), || format!("{grant:?} was answered with {answer:?}"))?;
    }
    let mut altered = gateway.sign(&right)?;
    altered.grant[0] ^= 1;
    let answer = agent.order("test-1", altered, launch, 10)?;
    ensure(is_refused(&answer), || format!("an altered grant was answered with {answer:?}"))
}

#[test]
fn a_gateway_without_the_authoritys_key_opens_nothing() -> Outcome {
    let lab = Lab::start()?;
    let (device, gateway) = led_astray(&lab, Some(&fresh_key()?))?;
    let mut agent = gateway.accept()?;
    let (grant, launch) = gateway.grant(&agent, "test-1")?;
    // Its signed time is already wrong: the agent hangs up without an answer to the order.
    let answer = agent.order("test-1", gateway.sign(&grant)?, launch, 10);
    let hung_up = |said: &str| !said.contains("says nothing");
    ensure(answer.as_ref().is_err_and(|e| hung_up(&e.to_string())), || {
        format!("an agent listens to a false authority: {answer:?}")
    })?;
    eventually("the agent says why", PATIENCE, || {
        device.logged().contains("is not signed by the authority").then_some(())
    })?;
    // And it goes on trying: the next one may be the right one.
    gateway.accept().map(drop)
}

#[test]
fn an_agent_that_hears_garbage_dials_again_and_finds_the_right_gateway() -> Outcome {
    let lab = Lab::start()?;
    let (device, gateway) = led_astray(&lab, None)?;
    for garbage in [&[0xff; 100][..], &[0, 0], &[0, 3, 0, 0xff, 0xff]] {
        gateway.accept_with_garbage(garbage)?;
    }
    device.relay.retarget(lab.gateway.address());
    device.relay.cut();
    device.wait_online(&lab.admin())?;
    let out = lab.admin().run(&["exec", device.id(), "--", "echo", "in"])?;
    ensure(out.stdout == b"in\n", || format!("{out:?}"))
}
