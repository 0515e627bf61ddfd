//! `cargo xtask demo`: the whole on one machine, in a scratch directory, as separate processes.
//!
//! Way: build -> gateway with its embedded store -> activation -> agent enrolled and running -> a shell through both.
//!
//! # Invariants
//! - Nothing outlives it: processes and directory end with their values, on success, error, Ctrl-C and SIGTERM.
//! - It listens on loopback only.

use std::fmt::Write;
use std::process::Child;
use std::time::Duration;

use towline_testkit::lab::{Device, DeviceSetup, Lab, Operator};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files};

use crate::{run, say};

/// Longest that a demo stays open: a forgotten one ends after a day.
const A_DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a scripted step may take.
const STEP: Duration = Duration::from_secs(30);

/// Starts the demo and gives a shell on the device; ends with that shell.
///
/// # Errors
/// A part does not start; with its log.
pub(crate) fn by_hand() -> Outcome {
    run::build_programs()?;
    let (lab, device) = start()?;
    let admin = lab.admin();
    say::line(&manual(&lab, &device, &admin)?);
    let shell = admin.towline(&["shell", device.id()]).spawn()?;
    wait(shell)?;
    say::step("everything is stopped and removed");
    Ok(())
}

/// The same without a person: a scripted terminal types, and checks what it sees.
///
/// # Errors
/// The step that went wrong.
pub(crate) fn unattended() -> Outcome {
    run::build_programs()?;
    let (lab, device) = start()?;
    let admin = lab.admin();
    let directory = lab.directory().to_owned();
    let agent = device.pid()?;
    manual(&lab, &device, &admin)?;
    say::step("a shell on the device, typed by a script");
    let mut shell = admin.shell(device.id())?;
    shell.line("stty size; echo sum-$((6 * 7))")?;
    ensure(shell.expect("sum-42")?.contains("24 80"), || "the terminal has the wrong size".into())?;
    shell.line("exit 7")?;
    let status = shell.finish(STEP)?;
    ensure(status.code() == Some(7), || format!("the shell ended with {status}, not with 7"))?;
    say::step("a command without a terminal");
    let out = admin.run(&["exec", device.id(), "--", "sh", "-c", "echo out; echo err >&2; exit 3"])?;
    ensure(out.stdout == b"out\n" && out.status.code() == Some(3), || format!("exec: {out:?}"))?;
    say::step("the list of devices");
    ensure(admin.text(&["devices"])?.contains(device.id()), || "the device is not listed".into())?;
    drop((device, lab));
    ensure(!directory.exists(), || format!("{} is left over", directory.display()))?;
    eventually("the agent is gone", STEP, || {
        (!std::path::Path::new(&format!("/proc/{agent}")).exists()).then_some(())
    })?;
    say::line("demo: ok");
    Ok(())
}

fn start() -> Outcome<(Lab, Device)> {
    say::step("a gateway, and a device that listens on nothing");
    let lab = Lab::start()?;
    let setup = DeviceSetup {
        name: Some("demo".into()),
        tags: vec![("environment".into(), "dev".into())],
        direct: Some(lab.gateway.address().to_string()),
        ..DeviceSetup::default()
    };
    let device = lab.device_with(&setup)?;
    Ok((lab, device))
}

/// What to type in a second terminal. The keys stand in a file that only its owner can read.
fn manual(lab: &Lab, device: &Device, admin: &Operator) -> Outcome<String> {
    let mut exports = String::new();
    for (name, value) in admin.environment() {
        writeln!(exports, "export {name}='{value}'")?;
    }
    let folder = lab.programs.cli.parent().map(|p| p.display().to_string()).unwrap_or_default();
    writeln!(exports, "export PATH=\"{folder}:$PATH\"")?;
    let file = lab.directory().join("env.sh");
    files::write(&file, exports)?;
    let (id, file) = (device.id(), file.display());
    Ok(format!(
        "
The gateway is {endpoint}, the device is {id}. From a second terminal:

    . {file}
    towline devices
    towline shell {id}
    towline exec {id} -- uname -a

The same API with AWS tools (AWS_ENDPOINT_URL needs boto3 1.28, AWS CLI 2.13 or 1.29 at least):

    python3 -c 'import boto3; print(boto3.client(\"ssm\").describe_instance_information())'
    aws ssm describe-instance-information
    aws ssm get-connection-status --target {id}

This shell runs on the device. Leave it (exit) and everything is stopped and removed.
",
        endpoint = lab.gateway.endpoint(),
    ))
}

/// Waits for the shell's end; a signal to us ends it too.
fn wait(mut shell: Child) -> Outcome {
    let ended = eventually("the shell ends", A_DAY, || shell.try_wait().ok().flatten());
    if ended.is_err() {
        // SIGTERM, so that it can restore the terminal; it may have ended in this instant.
        let _ = towline_testkit::process::send(shell.id(), rustix::process::Signal::TERM);
        shell.wait().map_err(|e| Trouble::new(format!("the shell: {e}")))?;
    }
    ended.map(drop)
}
