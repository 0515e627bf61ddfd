//! The agent is upgraded and downgraded under open shells, as a package manager does it: file
//! replaced, SIGHUP.

use towline_testkit::another_version::{CURRENT, NEXT, install};
use towline_testkit::lab::{Device, DeviceSetup, Lab, Operator};
use towline_testkit::process::hang_up;
use towline_testkit::recall::{commands, newest_session};
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

use crate::echo::{comes_back, echo, round_trip};

/// A device whose agent's file can be replaced.
pub(crate) fn replaceable(lab: &mut Lab) -> Outcome<Device> {
    let built = lab.programs.agent.clone();
    let place = lab.directory().join("agent");
    install(&built, CURRENT, &place)?;
    lab.programs.agent = place;
    let device = lab.device_with(&DeviceSetup::default());
    lab.programs.agent.clone_from(&built);
    device
}

/// Replaces the agent's file and asks it to start anew; returns when the gateway shows the version.
pub(crate) fn change(lab: &Lab, device: &Device, version: &str) -> Outcome {
    install(&lab.programs.agent, version, &lab.directory().join("agent"))?;
    hang_up(device.pid()?)?;
    let wanted = format!("{version}.0");
    eventually("the gateway shows the version", PATIENCE, || {
        shown(&lab.admin(), device).ok().filter(|v| *v == wanted)
    })
    .map_err(|e| Trouble::new(format!("{e}; the agent says:\n{}", device.logged())))
    .map(drop)
}

/// The agent's version, as the gateway shows it.
fn shown(operator: &Operator, device: &Device) -> Outcome<String> {
    let filter = serde_json::json!([{ "Key": "InstanceIds", "Values": [device.id()] }]);
    let answer = operator
        .api("AmazonSSM.DescribeInstanceInformation", &serde_json::json!({ "Filters": filter }))?;
    let device = &answer["InstanceInformationList"][0];
    for named in ["PlatformName", "PlatformVersion", "ComputerName", "TowlineTarget"] {
        ensure(device[named].is_string(), || format!("no {named}: {device}"))?;
    }
    Ok(device["AgentVersion"].as_str().unwrap_or_default().to_owned())
}

fn restarts(device: &Device) -> usize {
    device.logged().matches("sessions of version").count()
}

#[test]
fn a_shell_outlives_twenty_changes_of_the_agents_version_byte_for_byte() -> Outcome {
    let mut lab = Lab::start()?;
    let device = replaceable(&mut lab)?;
    let mut shell = echo(&lab.admin(), &device)?;
    let (mut text, pid) = (Text::new(17), device.pid()?);
    for turn in 0..20 {
        let block = text.take_bytes(20_000);
        shell.send(&block)?;
        change(&lab, &device, if turn % 2 == 0 { NEXT } else { CURRENT })?;
        comes_back(&mut shell, &block, &format!("turn {turn}"))?;
        round_trip(&mut shell, &text.take_bytes(5_000), &format!("after turn {turn}"))?;
    }
    ensure(device.pid()? == pid, || "another process".into())?;
    ensure(restarts(&device) == 20, || format!("{} hand-overs", restarts(&device)))
}

#[test]
fn the_shell_that_runs_the_upgrade_gives_its_exit_code_to_the_operator() -> Outcome {
    let mut lab = Lab::start()?;
    let device = replaceable(&mut lab)?;
    let mut shell: Terminal = lab.admin().shell(device.id())?;
    install(&lab.programs.agent, NEXT, &lab.directory().join("agent"))?;
    shell.line("kill -HUP $PPID; echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let wanted = format!("{NEXT}.0");
    eventually("the upgrade is done", PATIENCE, || {
        shown(&lab.admin(), &device).ok().filter(|v| *v == wanted)
    })?;
    shell.line("exit 7")?;
    let status = shell.finish(PATIENCE)?;
    ensure(status.code() == Some(7), || format!("{status}"))
}

#[test]
fn the_command_log_goes_on_over_an_upgrade_and_names_what_it_could_not_see() -> Outcome {
    let mut lab = Lab::start()?;
    let device = replaceable(&mut lab)?;
    let mut shell: Terminal = lab.admin().shell(device.id())?;
    let mut run = |n: usize| {
        shell.line(&format!("/bin/true turn-{n}; echo sum-{n}-$((6 * 7))"))?;
        shell.expect(&format!("sum-{n}-42")).map(drop)
    };
    run(0)?;
    let session = newest_session(&lab.admin(), &device)?;
    for turn in 1..=3 {
        change(&lab, &device, if turn % 2 == 0 { CURRENT } else { NEXT })?;
        run(turn)?;
    }
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    let records = eventually("the end of the session is on record", PATIENCE, || {
        let records = commands(&lab.admin(), &session).ok()?;
        records.iter().any(|record| record["Kind"] == "End").then_some(records)
    })?;
    let text = || format!("{records:#?}");
    for turn in 0..=3 {
        let name = format!("turn-{turn}");
        let found = records.iter().filter(|record| record["Arguments"][1] == name.as_str()).count();
        // A program without arguments is on record, too, and counted: see `command_log.rs`.
        let unread = records
            .iter()
            .any(|r| r["Detail"].as_str().is_some_and(|d| d.starts_with("the arguments of")));
        ensure(found == 1 || (found == 0 && unread), text)?;
    }
    let upgrades = records
        .iter()
        .filter(|r| r["Detail"].as_str().is_some_and(|d| d.contains("upgraded")))
        .count();
    ensure(upgrades == 3, text)
}

#[test]
fn devices_whose_agent_is_behind_are_listed() -> Outcome {
    let mut lab = Lab::start()?;
    let ahead = replaceable(&mut lab)?;
    let behind = lab.device()?;
    let listed = |words: &[&str]| lab.admin().text(&[&["devices"], words].concat());
    ensure(!listed(&["--outdated"])?.contains("mi-"), || "all are of one version".into())?;
    change(&lab, &ahead, NEXT)?;
    for words in [&["--outdated"][..], &["--outdated=0.1.1"]] {
        let text = listed(words)?;
        ensure(text.contains(behind.id()) && !text.contains(ahead.id()), || {
            format!("{words:?}: {text}")
        })?;
    }
    ensure(!listed(&["--outdated=0.1.0"])?.contains("mi-"), || "none is older than that".into())
}
