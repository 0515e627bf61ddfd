//! What a shell lives through: cut links, a killed gateway, a killed command line.
//!
//! The far side runs `cat` on a raw terminal, so what comes back must be, byte for byte, what was sent.

use std::process::Command;
use std::time::Duration;

use towline_testkit::lab::{Device, Lab, Operator};
use towline_testkit::relay::Relay;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

/// How long bytes may take when a link has to come back in between.
const BACK: Duration = Duration::from_secs(30);
/// Links that are cut in one shell.
const CUTS: u64 = 50;

/// Opens a shell and makes it an echo. What the command line says about its connection goes to stderr, and that away.
pub(crate) fn echo(operator: &Operator, device: &Device) -> Outcome<Terminal> {
    let towline = operator.towline(&[]);
    let mut quiet = operator.equip(Command::new("sh"));
    quiet.args(["-c", "exec \"$0\" \"$@\" 2>/dev/null"]).arg(towline.get_program()).args(["shell", device.id()]);
    let mut shell = Terminal::start(&quiet, 24, 80)?;
    shell.line("stty raw -echo; printf 'RE''ADY'; exec cat")?;
    shell.expect("READY")?;
    Ok(shell)
}

/// Sends `block` and compares what comes back.
pub(crate) fn round_trip(shell: &mut Terminal, block: &[u8], story: &str) -> Outcome {
    shell.send(block)?;
    comes_back(shell, block, story)
}

pub(crate) fn comes_back(shell: &mut Terminal, block: &[u8], story: &str) -> Outcome {
    let mut got = Vec::with_capacity(block.len());
    let whole = shell.drain(BACK, |portion| {
        got.extend_from_slice(portion);
        got.len() >= block.len()
    });
    let at = got.iter().zip(block).position(|(got, sent)| got != sent).unwrap_or(got.len().min(block.len()));
    if let Err(trouble) = whole {
        return Err(Trouble::new(format!(
            "{story}: {} of {} bytes, {at} of them right: {trouble}",
            got.len(),
            block.len()
        )));
    }
    ensure(got == block, || {
        let around = String::from_utf8_lossy(&got[at.saturating_sub(20)..got.len().min(at + 60)]).into_owned();
        format!("{story}: byte {at} of {} differs: {around:?}", block.len())
    })
}

fn cut_and_compare(relay: &Relay, shell: &mut Terminal) -> Outcome {
    let (mut text, before) = (Text::new(7), relay.count().connections);
    for cut in 1..=CUTS {
        // 9,000 bytes go out and come back: every cut falls among them, each at another byte.
        relay.cut_after(1 + (cut * 2_711) % 9_000);
        round_trip(shell, &text.take_bytes(9_000), &format!("cut {cut}"))?;
    }
    let connections = relay.count().connections - before;
    ensure(connections >= CUTS, || format!("only {connections} links were needed: the cuts did not cut"))
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
    let status = shell.finish(PATIENCE)?;
    ensure(!status.success(), || "a terminated session looks like one that ended by itself".into())
}
