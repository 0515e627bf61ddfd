//! Sessions in the console: listed, terminated by an administrator, found in the history; and the
//! tools of the terminal, which hostile output does not steer.

use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::relay::Relay;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use super::{browser, perform, serve_console_at};

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
    perform(command, |what| Err(Trouble::new(format!("the browser asks for {what}"))))?;
    let log = lab.gateway.logged();
    let terminated = |line: &&str| {
        line.contains("\"eventName\":\"TerminateSession\"") && line.contains("\"proof\":\"cookie\"")
    };
    ensure(log.lines().any(|line| terminated(&line)), || {
        "no audit line of TerminateSession by a cookie".into()
    })
}
