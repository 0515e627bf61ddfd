//! The policies that people start from: the one of the design's fixtures, verbatim, and the one in
//! `docs/policies`.
//!
//! What is shown is what `towline` does with them, on devices of two environments; the language
//! itself is `crates/policy`'s to test.

use std::process::Command;

use towline_testkit::lab::{Device, DeviceSetup, Lab, Operator};
use towline_testkit::relay::Relay;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, files};

/// Exit code of `towline` for what policy refuses (`towline --help` lists them).
const DENIED: i32 = 254;

fn device(lab: &Lab, environment: &str) -> Outcome<Device> {
    let tags = vec![("Environment".to_owned(), environment.to_owned())];
    lab.device_with(&DeviceSetup { tags, ..DeviceSetup::default() })
}

fn policy(path: &str) -> Outcome<String> {
    Ok(std::fs::read_to_string(towline_testkit::lab::programs::workspace().join(path))?)
}

/// A shell answers; gives the terminal.
fn shell_works(operator: &Operator, device: &str) -> Outcome<Terminal> {
    let mut shell = operator.shell(device)?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    Ok(shell)
}

fn is_refused(operator: &Operator, words: &[&str]) -> Outcome {
    let out = operator.run(words)?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(out.status.code() == Some(DENIED) && out.stdout.is_empty(), || {
        format!("{words:?}: {out:?}")
    })?;
    ensure(said.contains("not authorized") || said.contains("AccessDenied"), || {
        format!("{words:?}: {said}")
    })
}

#[test]
fn the_fixture_opens_shells_on_development_devices_and_nothing_else() -> Outcome {
    let lab = Lab::start()?;
    let (dev, prod) = (device(&lab, "dev")?, device(&lab, "prod")?);
    let ann =
        lab.user("ann", Some(&policy("crates/policy/tests/fixtures/environment-dev.json")?))?;
    let mut shell = shell_works(&ann, dev.id())?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    is_refused(&ann, &["shell", prod.id()])?;
    // A named document is a right of its own, and so is the list of devices, which a name is looked
    // up in.
    is_refused(&ann, &["exec", dev.id(), "--", "true"])?;
    is_refused(&ann, &["devices"])
}

#[test]
fn a_developer_works_on_development_devices_and_comes_back_to_her_own_sessions() -> Outcome {
    let lab = Lab::start()?;
    let (dev, prod) = (device(&lab, "dev")?, device(&lab, "prod")?);
    let text = policy("docs/policies/developer.json")?;
    let (ann, bob) = (lab.user("ann", Some(&text))?, lab.user("bob", Some(&text))?);
    let out = ann.run(&["exec", "tag:Environment=dev", "--", "echo", "in"])?;
    ensure(out.stdout == b"in\n", || format!("{out:?}"))?;
    is_refused(&ann, &["exec", prod.id(), "--", "true"])?;
    is_refused(&ann, &["shell", prod.id()])?;

    let relay = Relay::to(lab.gateway.address())?;
    let through = ann.clone().at(format!("https://{}", relay.address()));
    let log = lab.directory().join("ann.err");
    let towline = through.towline(&[]);
    let mut apart = through.equip(Command::new("sh"));
    apart
        .args(["-c", "exec \"$0\" shell \"$1\" 2>\"$2\""])
        .arg(towline.get_program())
        .arg(dev.id())
        .arg(&log);
    let mut shell = Terminal::start(&apart, 24, 80)?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let session = the_session(&bob)?;
    ensure(relay.cut() > 0, || "there was nothing to cut".into())?;
    shell.line("echo sum-$((6 * 8))")?;
    shell
        .expect("sum-48")
        .map_err(|e| towline_testkit::Trouble::new(format!("{e}: {}", files::tail(&log, 20))))?;
    is_refused(&bob, &["terminate", &session])?;
    is_refused(&bob, &["attach", &session])?;
    ann.text(&["terminate", &session])?;
    shell.finish(PATIENCE).map(drop)
}

/// The one live session, as the list shows it.
fn the_session(operator: &Operator) -> Outcome<String> {
    let list: serde_json::Value =
        serde_json::from_str(&operator.text(&["sessions", "-o", "json"])?)?;
    let id = list["Sessions"][0]["SessionId"].as_str().unwrap_or_default().to_owned();
    ensure(id.starts_with("ann-"), || format!("{list}"))?;
    Ok(id)
}
