//! The web console in Chromium, against a real gateway and a real agent.
//!
//! Data flow: a lab, and a relay between browser and gateway -> `story.js` drives Chromium -> what
//! it asks for on its standard output (`ask kill`) is done here.
//!
//! # Invariants
//! - Chromium trusts the gateway as a person's would: its certificate database names the CA.
//! - A policy report, a script error or a line of the browser's console fails the test.

mod attacks;
mod factor;
mod fleet;
mod forms;
mod hostile;
mod keyboard;
mod links;
mod lists;
mod live;
mod parts;
mod playback;
mod provider;
mod safety;
mod tabs;
mod volumes;

use std::path::Path;
use std::process::Command;

use towline_testkit::browser::{self, perform, serve_console_at};
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::relay::Relay;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

/// A name that is harmless as text alone.
const NAME: &str = "<img src=x onerror=window.pwned=1>";

#[test]
fn a_person_works_on_a_device_in_a_browser() -> Outcome {
    let mut lab = Lab::start()?;
    let relay = Relay::to(lab.gateway.address())?;
    let origin = format!("https://{}", relay.address());
    serve_console_at(&mut lab, &origin)?;
    let device =
        lab.device_with(&DeviceSetup { name: Some(NAME.into()), ..DeviceSetup::default() })?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story.js"));
    command.env("TOWLINE_ORIGIN", &origin);
    command.env("TOWLINE_DEVICE", device.id()).env("TOWLINE_NAME", NAME);
    perform(command, |what| match what {
        "cut" => {
            relay.cut();
            Ok(())
        }
        "kill" => lab.gateway.kill(),
        "start" => lab.gateway.start_again(),
        other => Err(Trouble::new(format!("the browser asks for {other}"))),
    })?;
    let log = lab.gateway.logged();
    for name in ["CreateSignIn", "GetSignIn", "StartSession", "ResumeSession", "DeleteSignIn"] {
        let event = format!("\"eventName\":\"{name}\"");
        let done = |line: &&str| line.contains(&event) && !line.contains("\"errorCode\"");
        let line = log.lines().find(done);
        let line = line.ok_or_else(|| Trouble::new(format!("no audit line of {name}")))?;
        let by_cookie = line.contains("\"proof\":\"cookie\"");
        ensure(by_cookie == (name != "CreateSignIn"), || {
            format!("not the proof of {name}: {line}")
        })?;
    }
    ensure(!log.contains("__Host-towline"), || "a cookie is in the log".into())
}

#[test]
fn an_administrator_decides_about_access_and_reads_the_trail_in_a_browser() -> Outcome {
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device()?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_admin.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    perform(command, |what| Err(Trouble::new(format!("the browser asks for {what}"))))
}

/// Node with what it needs to drive a Chromium that trusts the gateway.
fn browser(lab: &Lab) -> Outcome<Command> {
    let modules = std::env::var_os("NODE_PATH").ok_or_else(|| {
        Trouble::new("NODE_PATH is not set: `cargo xtask test` installs its modules")
    })?;
    browser::browser(lab, Path::new(&modules))
}

#[test]
fn a_link_of_the_server_signs_in_once() -> Outcome {
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device()?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_demo.js"));
    command.env("TOWLINE_DEVICE", device.id());
    command.env("TOWLINE_LINK", lab.gateway.sign_in_link()?);
    perform(command, |what| Err(Trouble::new(format!("the browser asks for {what}"))))?;
    let log = lab.gateway.logged();
    for name in ["SignInLink", "RedeemSignInLink"] {
        let event = format!("\"eventName\":\"{name}\"");
        ensure(log.contains(&event), || format!("no audit line of {name}"))?;
    }
    Ok(())
}
