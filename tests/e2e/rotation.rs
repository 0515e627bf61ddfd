//! A device's identity over time: its key is replaced under an open shell, and a new device waits
//! for a person.

use std::time::Duration;

use serde_json::{Value, json};
use towline_testkit::lab::{Activation, Device, DeviceSetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};
use towline_wire::message::{RefusalCode, ToAgent};

use crate::peers::agent;

/// Longer than any reconnect of these tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fingerprints and states of the device's keys, newest first.
fn keys(lab: &Lab, device: &Device) -> Outcome<Vec<(String, String)>> {
    let answer =
        lab.admin().api("Towline.ListDeviceKeys", &json!({ "InstanceId": device.id() }))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = answer["DeviceKeys"]
        .as_array()
        .ok_or_else(|| Trouble::new(format!("no keys in {answer}")))?;
    Ok(rows
        .iter()
        .map(|row| (text(&row["KeyFingerprint"]), text(&row["Status"]).to_lowercase()))
        .collect())
}

#[test]
fn a_shell_goes_on_while_the_key_is_rotated_and_the_old_key_is_refused_afterwards() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let copied = std::fs::read(device.state().join("device.key"))?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("mine=kept; echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let before = keys(&lab, &device)?;

    lab.admin().text(&["admin", "device", "rotate-key", device.id()])?;
    let after = eventually("the old key is retired", PATIENCE, || {
        let keys = keys(&lab, &device).ok()?;
        (keys.len() == 2 && keys.iter().filter(|(_, status)| status == "active").count() == 1)
            .then_some(keys)
    })?;
    let retired = after.iter().find(|(_, status)| status == "retired").map(|(key, _)| key);
    ensure(retired == before.first().map(|(key, _)| key), || {
        format!("before {before:?}, after {after:?}")
    })?;
    shell.line("echo still-$mine")?;
    shell.expect("still-kept")?;
    let own = std::fs::read(device.state().join("device.key"))?;
    ensure(own != copied, || "the device still has its old key".into())?;

    let mut line = agent::connect(&lab, &copied, None)?;
    agent::say_hello(&mut line, device.id())?;
    let answer = agent::answer(&mut line)?;
    ensure(matches!(answer, ToAgent::Refuse { code: RefusalCode::UnknownDevice, .. }), || {
        format!("{answer:?}")
    })?;
    let logged = lab.gateway.logged();
    ensure(logged.contains("DeviceKeyReplaced"), || "no audit line about the replaced key".into())
}

#[test]
fn the_new_key_outlives_a_restart_of_the_agent() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    lab.admin().text(&["admin", "device", "rotate-key", device.id()])?;
    eventually("the old key is retired", PATIENCE, || {
        keys(&lab, &device).ok()?.iter().any(|(_, status)| status == "retired").then_some(())
    })?;
    device.process()?.kill()?;
    device.start()?;
    eventually("a command runs on it again", PATIENCE, || {
        let said = lab.admin().run(&["exec", device.id(), "--", "echo", "here"]).ok()?;
        (said.stdout == b"here\n").then_some(())
    })
}

#[test]
fn a_device_that_cannot_store_a_key_reports_it() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    // Stands for a read-only state directory: root writes through every mode.
    std::fs::create_dir(device.state().join("device.key.new"))?;
    let out = lab.admin().run(&["admin", "device", "rotate-key", device.id()])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("cannot write"), || {
        format!("{}: {said}", out.status)
    })?;
    let keys = keys(&lab, &device)?;
    ensure(keys.len() == 1 && keys[0].1 == "active", || format!("{keys:?}"))
}

#[test]
fn a_device_that_waits_for_approval_comes_by_itself_once_it_is_approved() -> Outcome {
    let lab = Lab::start()?;
    let body =
        json!({ "IamRole": "towline", "RegistrationLimit": 1, "TowlineRequireApproval": true });
    let made = lab.admin().api("AmazonSSM.CreateActivation", &body)?;
    let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
    let activation = Activation { id: text("ActivationId"), code: text("ActivationCode") };
    let mut device = lab.unenrolled(&DeviceSetup::default())?;
    device.enroll(&activation)?;
    device.start()?;
    eventually("the device is told to wait", PATIENCE, || {
        device.logged().contains("Pending").then_some(())
    })?;
    let refused = lab.admin().run(&["exec", device.id(), "--", "true"])?;
    ensure(!refused.status.success(), || "a pending device was reached".into())?;

    lab.admin().text(&["admin", "device", "approve", device.id()])?;
    device.wait_online(&lab.admin())?;
    let said = lab.admin().text(&["exec", device.id(), "--", "echo", "here"])?;
    ensure(said == "here\n", || format!("{said:?}"))
}
