//! What a shell lives through: cut links, a killed gateway, a killed command line.
//!
//! The far side runs `cat` on a raw terminal, so what comes back must be, byte for byte, what was
//! sent.

use towline_testkit::lab::{Device, Lab};
use towline_testkit::relay::Relay;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::codes::ENDED;
use crate::echo::{comes_back, echo, round_trip};

/// Bytes that are sent and come back around each cut.
const BLOCK: usize = 9_000;
/// Links that are cut in one shell.
const CUTS: u64 = 50;

fn cut_and_compare(relay: &Relay, shell: &mut Terminal) -> Outcome {
    let (mut text, before) = (Text::new(7), relay.count().connections);
    for cut in 1..=CUTS {
        // What goes out and comes back, and the frames around it: every cut falls among these, each
        // at another byte.
        relay.cut_after(1 + (cut * 5_417) % (2 * BLOCK as u64));
        round_trip(shell, &text.take_bytes(BLOCK), &format!("cut {cut}"))?;
    }
    let connections = relay.count().connections - before;
    ensure(connections >= CUTS, || {
        format!("only {connections} links were needed: the cuts did not cut")
    })
}

#[test]
fn no_byte_is_lost_or_doubled_when_the_agents_link_is_cut_fifty_times() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = echo(&lab.admin(), &device)?;
    cut_and_compare(&device.relay, &mut shell)
}

#[test]
fn no_byte_is_lost_or_doubled_when_the_operators_link_is_cut_fifty_times() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let relay = Relay::to(lab.gateway.address())?;
    let operator = lab.admin().at(format!("https://{}", relay.address()));
    let mut shell = echo(&operator, &device)?;
    cut_and_compare(&relay, &mut shell)
}

#[test]
fn a_shell_outlives_the_gateway_and_goes_on_with_its_successor() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = echo(&lab.admin(), &device)?;
    let mut text = Text::new(11);
    round_trip(&mut shell, &text.take_bytes(5_000), "before")?;
    for kill in 1..=3 {
        let block = text.take_bytes(20_000);
        shell.send(&block)?;
        lab.gateway.kill()?;
        lab.gateway.start_again()?;
        comes_back(&mut shell, &block, &format!("kill {kill}"))?;
    }
    round_trip(&mut shell, &text.take_bytes(5_000), "after")
}

#[test]
fn a_shell_whose_command_line_was_killed_can_be_attached_again() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("secret=kept; echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    shell.kill()?;
    let session = the_session(&lab, &device)?;
    let mut again = lab.admin().terminal(&["shell", "--session", &session])?;
    again.line("echo is-$secret")?;
    again.expect("is-kept")?;
    again.line("exit 5")?;
    let status = again.finish(PATIENCE)?;
    ensure(status.code() == Some(5), || format!("{status}"))
}

/// The id of the only active session on a device.
fn the_session(lab: &Lab, device: &Device) -> Outcome<String> {
    let body = serde_json::json!({ "State": "Active" });
    eventually("the session is listed", PATIENCE, || {
        let answer = lab.admin().api("AmazonSSM.DescribeSessions", &body).ok()?;
        let sessions = answer["Sessions"].as_array()?;
        let ours = sessions.iter().find(|s| s["Target"].as_str() == Some(device.id()))?;
        ours["SessionId"].as_str().map(str::to_owned)
    })
}

#[test]
fn a_terminated_session_ends_for_everybody() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    lab.admin().text(&["terminate", &the_session(&lab, &device)?])?;
    shell.expect("the session was terminated")?;
    let status = shell.finish(PATIENCE)?;
    ensure(status.code() == Some(ENDED), || format!("{status}"))
}

#[test]
fn many_shells_beside_each_other_lose_no_byte_when_both_ends_are_cut() -> Outcome {
    let cuts = towline_testkit::cuts::run(&Lab::start()?, 96)?;
    ensure(cuts.of_devices >= 36 && cuts.of_operators >= 36 && cuts.made_again >= 48, || {
        format!("{cuts:?}")
    })
}
