//! Who returns to a session: what its old output asks a terminal for is not answered once more, and
//! its program draws anew.

use serde_json::json;
use towline_testkit::lab::{Device, Lab};
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

/// A shell of the administrator, and its session.
fn shell(lab: &Lab, device: &Device) -> Outcome<(Terminal, String)> {
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo begun-$((40+2))")?;
    shell.expect("begun-42")?;
    let sessions = lab.admin().api("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))?;
    let id = sessions["Sessions"][0]["SessionId"].as_str().unwrap_or_default().to_owned();
    ensure(!id.is_empty(), || format!("no session: {sessions}"))?;
    Ok((shell, id))
}

/// The client is gone, as when its computer was.
fn vanish(lab: &Lab, mut client: Terminal) -> Outcome {
    client.kill()?;
    eventually("nobody is attached", PATIENCE, || {
        let active = json!({ "State": "Active" });
        let sessions = lab.admin().api("AmazonSSM.DescribeSessions", &active).ok()?;
        (sessions["Sessions"][0]["Status"] == "Disconnected").then_some(())
    })
}

/// Where the cursor is, what the terminal is, and its background.
const ASKS: &str = r"printf 'ask\033[6n\033[c\033]11;?\007ed-%s\n' $((40+2))";
const ASKED: [&str; 3] = ["\x1b[6n", "\x1b[c", "\x1b]11;?\x07"];

/// What the terminal was asked until the line was printed.
fn asked(terminal: &mut Terminal) -> Outcome<Vec<&'static str>> {
    let shown = terminal.expect("ed-42")?;
    ensure(shown.contains("ask"), || format!("another line: {shown:?}"))?;
    Ok(ASKED.into_iter().filter(|query| shown.contains(query)).collect())
}

#[test]
fn what_old_output_asks_for_is_not_asked_again_and_new_output_asks() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (mut first, session) = shell(&lab, &device)?;
    first.line(ASKS)?;
    ensure(asked(&mut first)? == ASKED, || "a new shell asks".into())?;
    vanish(&lab, first)?;
    let mut again = lab.admin().terminal(&["attach", &session])?;
    let old = asked(&mut again)?;
    ensure(old.is_empty(), || format!("asked again: {old:?}"))?;
    again.line(ASKS)?;
    ensure(asked(&mut again)? == ASKED, || "what comes now is new".into())
}

#[test]
fn a_program_draws_anew_for_a_terminal_that_returns_with_the_same_size() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (mut first, session) = shell(&lab, &device)?;
    first.line(
        "exec sh -c 'trap \"stty size; echo drawn-\\$((40+2))\" WINCH; echo set-$((40+2)); while \
         :; do sleep 0.1; done'",
    )?;
    first.expect("set-42")?;
    vanish(&lab, first)?;
    let mut again = lab.admin().terminal(&["attach", &session])?;
    again.expect("24 80")?;
    again.expect("drawn-42").map(drop)
}
