//! The server's key changes, and devices that pinned it come back because they were told before.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::terminal::PATIENCE;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, process};

fn gateway(lab: &Lab, words: &[&str], dir: &Path, more: &[&Path]) -> Outcome<Output> {
    let mut command = Command::new(&lab.programs.gateway);
    command.args(words).arg("--dir").arg(dir).args(more);
    process::finish(command, PATIENCE)
}

/// Another server key with its certificate and CA, in a directory of its own; and its pin.
fn another_key(lab: &Lab, name: &str) -> Outcome<(PathBuf, String)> {
    let dir = lab.directory().join(name);
    let made = gateway(lab, &["init", "--hostname", "127.0.0.1", "--json"], &dir, &[])?;
    let made: Value = serde_json::from_slice(&made.stdout)?;
    Ok((dir, made["Pin"].as_str().unwrap_or_default().to_owned()))
}

/// A gateway with a device that has pinned its key, and the directory with that key.
fn pinned() -> Outcome<(Lab, Device, PathBuf)> {
    let mut lab = Lab::start()?;
    let (first, pin) = another_key(&lab, "first")?;
    change_key(&mut lab, &first)?;
    let setup =
        DeviceSetup { trust: Some(vec!["--pin".to_owned(), pin]), ..DeviceSetup::default() };
    let device = lab.device_with(&setup)?;
    Ok((lab, device, first))
}

/// Gives the gateway this key, certificate and CA, and starts it again.
fn change_key(lab: &mut Lab, from: &Path) -> Outcome {
    lab.gateway.process().stop()?;
    for name in ["server.pem", "server.key.pem", "ca.pem"] {
        std::fs::copy(from.join(name), lab.gateway.directory().join(name))?;
    }
    lab.gateway.start_again()
}

fn works(lab: &Lab, device: &Device) -> Outcome {
    device.wait_online(&lab.admin())?;
    let text = lab.admin().text(&["exec", device.id(), "--", "echo", "here"])?;
    ensure(text.contains("here"), || text.clone())
}

#[test]
fn a_device_that_was_told_the_next_key_comes_back_after_the_change_and_takes_the_old_one_no_more()
-> Outcome {
    let (mut lab, mut device, old) = pinned()?;
    let home = lab.gateway.directory().to_owned();
    let (next, pin) = another_key(&lab, "next")?;
    let certificate = next.join("server.pem");
    let added = gateway(&lab, &["pin", "add"], &home, &[Path::new("--certificate"), &certificate])?;
    ensure(added.status.success(), || format!("{added:?}"))?;
    eventually("the device has confirmed it", PATIENCE, || {
        let listed = gateway(&lab, &["pin", "list"], &home, &[]).ok()?;
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        (text.contains(&pin) && text.contains("1 of 1 devices have it")).then_some(())
    })?;
    let trail = lab.admin().text(&["-o", "json", "audit", "--limit", "100"])?;
    ensure(trail.contains("ServerPinAdded") && trail.contains("DevicePinStored"), || trail)?;

    // The agent is started again meanwhile: what it was told is on its disk.
    device.process()?.stop()?;
    device.start()?;
    works(&lab, &device)?;
    change_key(&mut lab, &next)?;
    works(&lab, &device)?;
    let enrolled = std::fs::read_to_string(device.state().join("enrolment.toml"))?;
    ensure(enrolled.contains(&pin), || enrolled.clone())?;

    change_key(&mut lab, &old)?;
    eventually("the old key is refused", PATIENCE, || {
        device.logged().contains("the gateway shows a key with pin").then_some(())
    })
}

#[test]
fn a_device_that_was_not_told_refuses_the_new_key_and_one_with_a_ca_needs_no_pin() -> Outcome {
    let (mut lab, device, _) = pinned()?;
    let with_ca = lab.device()?;
    let home = lab.gateway.directory().to_owned();
    let (next, pin) = another_key(&lab, "next")?;
    let added = gateway(&lab, &["pin", "add"], &home, &[Path::new(&pin)])?;
    ensure(added.status.success(), || format!("{added:?}"))?;
    eventually("both have answered", PATIENCE, || {
        let listed = gateway(&lab, &["pin", "list"], &home, &[]).ok()?;
        String::from_utf8_lossy(&listed.stdout).contains("2 of 2 devices").then_some(())
    })?;
    ensure(!with_ca.state().join("next-pin").exists(), || "a pin beside a CA".into())?;
    let removed = gateway(&lab, &["pin", "remove"], &home, &[])?;
    ensure(removed.status.success(), || format!("{removed:?}"))?;
    eventually("it is taken back", PATIENCE, || {
        let kept = std::fs::read_to_string(device.state().join("next-pin")).ok()?;
        kept.trim_end().ends_with(" -").then_some(())
    })?;
    change_key(&mut lab, &next)?;
    eventually("the new key is refused", PATIENCE, || {
        device.logged().contains("the gateway shows a key with pin").then_some(())
    })
}
