//! Run Command: what AWS's own client sees of it, and what it makes of losses, limits, sinks and an
//! operator's terminal.

mod limits;
mod losses;
mod operator;
mod outputs;
mod sinks;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

/// How long a command may take that has nothing to do.
pub(crate) const SOON: Duration = Duration::from_secs(40);

pub(crate) fn setup(tags: &[(&str, &str)]) -> DeviceSetup {
    DeviceSetup {
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..DeviceSetup::default()
    }
}

/// Sends a script; gives the command's id.
pub(crate) fn send(lab: &Lab, device: &Device, script: &str, timeout: u32) -> Outcome<String> {
    let body = json!({
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [device.id()],
        "Parameters": { "commands": [script], "executionTimeout": [timeout.to_string()] },
    });
    let sent = lab.admin().api("AmazonSSM.SendCommand", &body)?;
    sent["Command"]["CommandId"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Trouble::new(format!("no id: {sent}")))
}

pub(crate) fn look(lab: &Lab, device: &Device, id: &str) -> Outcome<Value> {
    let body = json!({ "CommandId": id, "InstanceId": device.id() });
    lab.admin().api("AmazonSSM.GetCommandInvocation", &body)
}

/// Waits until the command is over there.
pub(crate) fn ended(lab: &Lab, device: &Device, id: &str) -> Outcome<Value> {
    ended_within(SOON, lab, device, id)
}

pub(crate) fn ended_within(
    within: Duration,
    lab: &Lab,
    device: &Device,
    id: &str,
) -> Outcome<Value> {
    let mut last = Value::Null;
    let over = eventually("the command is over", within, || {
        last = look(lab, device, id).ok()?;
        let running = ["Pending", "InProgress", "Delayed", "Cancelling"];
        (!running.contains(&last["Status"].as_str()?)).then(|| last.clone())
    });
    over.map_err(|error| {
        Trouble::new(format!("{error}; it stands at {last}; the device says {}", device.logged()))
    })
}

/// A file that a script writes to.
pub(crate) fn mark(lab: &Lab, name: &str) -> PathBuf {
    lab.directory().join(name)
}

pub(crate) fn lines(path: &PathBuf) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

pub(crate) fn begun(path: &PathBuf) -> Outcome {
    eventually("the script has begun", SOON, || (lines(path) > 0).then_some(()))
}

#[track_caller]
pub(crate) fn is(invocation: &Value, status: &str) -> Outcome {
    ensure(invocation["Status"] == status, || format!("not {status}: {invocation}"))
}

/// The whole of standard output, from the evidence store.
pub(crate) fn whole_output(invocation: &Value) -> Outcome<String> {
    let url = invocation["StandardOutputUrl"].as_str().unwrap_or_default();
    let path = PathBuf::from(url.strip_prefix("file://").unwrap_or_default());
    eventually("the output is in the sink", SOON, || std::fs::read_to_string(&path).ok())
}

#[test]
fn boto3_sends_lists_looks_and_cancels() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&setup(&[("Environment", "dev")]))?;
    let second = lab.device_with(&setup(&[("Environment", "dev"), ("Role", "db")]))?;
    let mut other = lab.device_with(&setup(&[("Environment", "prod")]))?;
    other.process()?.stop()?;
    let mut command = lab.admin().python();
    command
        .arg(workspace().join("tests/e2e/python/run_command.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
        .env("TOWLINE_DEVICE", device.id())
        .env("TOWLINE_SECOND", second.id())
        .env("TOWLINE_OTHER", other.id());
    let out = command.output()?;
    ensure(out.status.success(), || {
        format!(
            "{}\n{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    })
}
