//! Sessions in the console: listed, terminated by an administrator, found in the history; and the
//! tools of the terminal, which hostile output does not steer.

use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::relay::Relay;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use super::{browser, perform, serve_console_at};

/// What bob may do.
const JOINS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*",
    "Action":["towline:JoinSession","towline:SendSessionMessage","ssm:StartSession"]}]}"#;

#[test]
fn sessions_are_listed_terminated_and_found_in_the_history() -> Outcome {
    let mut lab = Lab::start()?;
    let relay = Relay::to(lab.gateway.address())?;
    let origin = format!("https://{}", relay.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device_with(&DeviceSetup::default())?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_live.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    let bob = lab.user("bob", Some(JOINS))?;
    let mut joiner = None;
    perform(command, |what| match what.split_once(' ').unwrap_or((what, "")) {
        ("message", session) => bob.text(&["message", session, "lunch at noon"]).map(drop),
        ("join", session) => {
            joiner = Some(bob.terminal(&["join", session])?);
            Ok(())
        }
        ("type", _) => {
            let joiner = joiner.as_mut().ok_or_else(|| Trouble::new("nobody has joined"))?;
            joiner.line("echo from-bob-$((40+2))")?;
            joiner.expect("from-bob-42").map(drop)
        }
        _ => Err(Trouble::new(format!("the browser asks for {what}"))),
    })?;
    let log = lab.gateway.logged();
    let with_reason = |line: &str| {
        line.contains("\"eventName\":\"StartSession\"") && line.contains("a test of reasons")
    };
    ensure(log.lines().any(with_reason), || "no audit line with the reason".into())?;
    let terminated = |line: &&str| {
        line.contains("\"eventName\":\"TerminateSession\"") && line.contains("\"proof\":\"cookie\"")
    };
    ensure(log.lines().any(|line| terminated(&line)), || {
        "no audit line of TerminateSession by a cookie".into()
    })
}
