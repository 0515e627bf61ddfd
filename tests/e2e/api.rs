//! AWS's own client against the gateway: boto3 drives every operation and meets every class of
//! error.

use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::machine::SCRIPT;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, process};

fn tagged(value: &str) -> DeviceSetup {
    DeviceSetup { tags: vec![("Environment".into(), value.into())], ..DeviceSetup::default() }
}

/// A device of this environment that was online once and is away now.
fn away(lab: &Lab, value: &str) -> Outcome<Device> {
    let mut device = lab.device_with(&tagged(value))?;
    device.process()?.stop()?;
    let body = serde_json::json!({ "Target": device.id() });
    eventually("the device is seen to be away", std::time::Duration::from_secs(60), || {
        let status = lab.admin().api("AmazonSSM.GetConnectionStatus", &body).ok()?;
        (status["Status"].as_str() != Some("connected")).then_some(())
    })?;
    Ok(device)
}

#[test]
fn boto3_drives_every_operation_and_meets_every_error() -> Outcome {
    let lab = Lab::start()?;
    let (device, other) = (lab.device_with(&tagged("dev"))?, away(&lab, "prod")?);
    let mut command = lab.admin().python();
    command.arg(workspace().join("tests/e2e/python/api_smoke.py"));
    command.env("TOWLINE_DEVICE", device.id()).env("TOWLINE_OTHER", other.id());
    let out = process::finish(command, SCRIPT)?;
    ensure(out.status.success(), || {
        format!(
            "{}\n{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    })
}
