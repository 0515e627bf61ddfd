//! `exec --detach`: a program that outlives its operator, on record and ended by `terminate`.

use std::path::Path;
use std::time::Duration;

use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::process::hang_up;
use towline_testkit::recall::commands;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files};

use crate::upgrade::{change, replaceable};

const PATIENCE: Duration = Duration::from_secs(60);

const ALLOWED: &str = "sessions.allow_detach = true\nsessions.grace = \"1s\"";

/// Starts a daemon that writes its process id into `file`; its session.
fn detach(lab: &Lab, device: &Device, file: &Path) -> Outcome<(String, String)> {
    let script = format!("echo $$ >{0}.new; mv {0}.new {0}; exec sleep 1000", file.display());
    let words = ["exec", "--detach", device.id(), "--", "sh", "-c", &script];
    let out = lab.admin().run(&words)?;
    ensure(out.status.success(), || format!("{out:?}"))?;
    let pid = eventually("the daemon runs", PATIENCE, || std::fs::read_to_string(file).ok())?;
    Ok((String::from_utf8_lossy(&out.stdout).trim().to_owned(), pid.trim().to_owned()))
}

fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z")
}

fn listed(lab: &Lab, session: &str) -> Outcome<bool> {
    Ok(lab.admin().text(&["sessions", "--detached"])?.contains(session))
}

#[test]
fn a_device_detaches_nothing_unless_its_settings_say_so() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let out = lab.admin().run(&["exec", "--detach", device.id(), "--", "sleep", "1000"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("sessions.allow_detach"), || format!("{out:?}"))
}

#[test]
fn a_detached_program_outlives_its_link_and_its_gateway_and_ends_by_terminate() -> Outcome {
    let mut lab = Lab::start()?;
    let device =
        lab.device_with(&DeviceSetup { config: ALLOWED.into(), ..DeviceSetup::default() })?;
    let (session, pid) = detach(&lab, &device, &lab.directory().join("pid"))?;
    ensure(listed(&lab, &session)?, || format!("{session} is not listed"))?;
    // An ordinary session is over after the grace time of a second without a link.
    device.relay.close(true);
    device.relay.cut();
    eventually("the agent has lost its link", PATIENCE, || {
        device.logged().contains("dialling again").then_some(())
    })?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    device.relay.close(false);
    device.wait_online(&lab.admin())?;
    ensure(lives(&pid) && listed(&lab, &session)?, || device.logged())?;
    let records = commands(&lab.admin(), &session)?;
    ensure(records.iter().any(|r| r["Arguments"][0] == "sleep"), || format!("{records:?}"))?;
    lab.admin().text(&["terminate", &session])?;
    eventually("the program is gone", PATIENCE, || (!lives(&pid)).then_some(()))?;
    eventually("it is not listed", PATIENCE, || {
        listed(&lab, &session).ok().filter(|listed| !listed).map(drop)
    })
}

#[test]
fn a_detached_program_survives_an_upgrade_of_the_agent() -> Outcome {
    let mut lab = Lab::start()?;
    let device = replaceable(&mut lab)?;
    device.configure(ALLOWED)?;
    hang_up(device.pid()?)?;
    eventually("the settings are read", PATIENCE, || {
        let out = lab.admin().run(&["exec", "--detach", device.id(), "--", "true"]).ok()?;
        out.status.success().then_some(())
    })?;
    let (session, pid) = detach(&lab, &device, &lab.directory().join("pid"))?;
    change(&lab, &device, towline_testkit::another_version::NEXT)?;
    ensure(lives(&pid) && listed(&lab, &session)?, || device.logged())?;
    lab.admin().text(&["terminate", &session])?;
    eventually("the program is gone", PATIENCE, || (!lives(&pid)).then_some(()))
}

#[test]
fn detached_programs_count_and_end_with_their_program() -> Outcome {
    let lab = Lab::start()?;
    let config = format!("{ALLOWED}\nsessions.max = 1");
    let device = lab.device_with(&DeviceSetup { config, ..DeviceSetup::default() })?;
    let go = lab.directory().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.1; done", go.display());
    let words = ["exec", "--detach", device.id(), "--", "sh", "-c", &script];
    let first = lab.admin().run(&words)?;
    ensure(first.status.success(), || format!("{first:?}"))?;
    let second = lab.admin().run(&words)?;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    ensure(!second.status.success() && said.contains("sessions.max"), || format!("{second:?}"))?;
    files::write(&go, "")?;
    eventually("there is room again", PATIENCE, || {
        let out = lab.admin().run(&["exec", device.id(), "--", "true"]).ok()?;
        out.status.success().then_some(())
    })
    .map_err(|error| Trouble::new(format!("{error}: {}", device.logged())))
}
