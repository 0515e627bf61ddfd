//! The web console in Chromium, against a real gateway and a real agent.
//!
//! Data flow: a lab, and a relay between browser and gateway -> `story.js` drives Chromium -> what it
//! asks for on its standard output (`ask kill`) is done here.
//!
//! # Invariants
//! - Chromium trusts the gateway as a person's would: its certificate database names the CA.
//! - A policy report, a script error or a line of the browser's console fails the test.

mod fleet;
mod live;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::relay::Relay;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, files, machine, process};

/// A name that is harmless as text alone.
const NAME: &str = "<img src=x onerror=window.pwned=1>";
/// How long a program of the preparation may take.
const SOON: Duration = Duration::from_secs(30);

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

/// Lets pages of this origin use the gateway.
fn serve_console_at(lab: &mut Lab, origin: &str) -> Outcome {
    lab.gateway.process().stop()?;
    let config = lab.gateway.directory().join("gateway.toml");
    let text = std::fs::read_to_string(&config)?;
    files::write(&config, format!("{text}\n[console]\norigins = [\"{origin}\"]\n"))?;
    lab.gateway.start_again()
}

/// Node with what it needs to drive a Chromium that trusts the gateway.
fn browser(lab: &Lab) -> Outcome<Command> {
    let chromium = process::find("chromium").ok_or_else(|| {
        Trouble::new("chromium is missing: `cargo xtask test` as root installs it on Debian")
    })?;
    let modules = std::env::var_os("NODE_PATH").ok_or_else(|| {
        Trouble::new("NODE_PATH is not set: `cargo xtask test` installs its modules")
    })?;
    let home = lab.directory().join("home");
    trust(&home, lab.gateway.ca())?;
    let mut command = Command::new("node");
    machine::forget(&mut command);
    command.env("HOME", &home).env("NODE_PATH", modules).env("TOWLINE_CHROMIUM", chromium);
    command.env("NODE_EXTRA_CA_CERTS", lab.gateway.ca());
    let keys = lab.admin().environment();
    for (ours, name) in
        [("TOWLINE_KEY", "AWS_ACCESS_KEY_ID"), ("TOWLINE_SECRET", "AWS_SECRET_ACCESS_KEY")]
    {
        let found = keys.iter().find(|(known, _)| *known == name);
        let (_, value) = found.ok_or_else(|| Trouble::new(format!("no {name}")))?;
        command.env(ours, value);
    }
    Ok(command)
}

/// Makes a home whose browser trusts this certificate authority.
fn trust(home: &Path, ca: &Path) -> Outcome {
    let database = home.join(".pki/nssdb");
    std::fs::create_dir_all(&database)?;
    let name = format!("sql:{}", database.display());
    let ca = ca.display().to_string();
    for words in [&["-N", "--empty-password"][..], &["-A", "-t", "C,,", "-n", "towline", "-i", &ca]]
    {
        let mut command = Command::new("certutil");
        command.args(["-d", &name]).args(words);
        let out = process::finish(command, SOON)?;
        ensure(out.status.success(), || {
            format!("certutil {words:?}: {}", String::from_utf8_lossy(&out.stderr))
        })?;
    }
    Ok(())
}

/// Runs a story to its end and does what it asks for.
fn perform(mut command: Command, mut act: impl FnMut(&str) -> Outcome) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn()?;
    let piped = || Trouble::new("node has no pipes");
    let (out, mut reply) =
        (child.stdout.take().ok_or_else(piped)?, child.stdin.take().ok_or_else(piped)?);
    let mut well = false;
    for line in BufReader::new(out).lines() {
        let line = line?;
        well = line == "well";
        if let Some(what) = line.strip_prefix("ask ") {
            act(what)?;
            writeln!(reply, "done {what}")?;
        }
    }
    let status = child.wait()?;
    ensure(well && status.success(), || format!("the story in the browser failed: {status}"))
}
