//! A device that nobody logs in to enrolls itself by an order: from wherever an image or a person
//! may have left one.
//!
//! Each device runs in a mount namespace, where the places that orders come from are its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use towline_testkit::lab::{Activation, Device, DeviceSetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files};

/// A waiting agent looks for orders every few seconds.
const ENROLS: Duration = Duration::from_secs(40);

/// An order as a file, with a CA beside it, and templates.
fn order(lab: &Lab, activation: &Activation, gateway: &str, folder: &Path) -> Outcome {
    std::fs::create_dir_all(folder)?;
    std::fs::copy(lab.gateway.ca(), folder.join("ca.pem"))?;
    let text = format!(
        "gateway = \"{gateway}\"\nactivation_id = \"{}\"\nactivation_code = \"{}\"\nca = \"ca.pem\"\n\
         name = \"{{hostname}}-{{serial}}-{{machine}}\"\n[tags]\nsite = \"at-{{hostname}}\"\n",
        activation.id, activation.code
    );
    files::write(&folder.join("enroll.toml"), text)
}

/// An activation that permits the tags of these orders.
fn permits() -> serde_json::Value {
    serde_json::json!({ "TowlineDeviceTagKeys": ["site", "role"] })
}

/// Words that run the agent with `script` done before it, in a mount namespace and under a host
/// name of its own.
fn behind(script: &str) -> Vec<String> {
    let script = format!("set -e; hostname golden; {script}; exec \"$@\"");
    ["unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c", &script, "first-boot"]
        .map(str::to_owned)
        .to_vec()
}

/// Has a folder appear as `above/towline`, where the machine that tests may have none: `above` is a
/// copy of what is there.
fn bind(folder: &Path, above: &str) -> String {
    let (folder, copy) = (folder.display(), folder.with_file_name("above").display().to_string());
    format!(
        "mkdir -p {copy}/towline; cp -a {above}/. {copy}/; mount --bind {copy} {above}; mount \
         --bind {folder} {above}/towline"
    )
}

/// The gateway's record of the only device that is called so.
fn enrolled(lab: &Lab, device: &Device, name: impl Fn(&str) -> bool) -> Outcome<Value> {
    let found = eventually("the device has enrolled itself", ENROLS, || {
        let answer = lab
            .admin()
            .api("AmazonSSM.DescribeInstanceInformation", &serde_json::json!({}))
            .ok()?;
        let online = |d: &&Value| {
            d["PingStatus"] == "Online" && name(d["Name"].as_str().unwrap_or_default())
        };
        answer["InstanceInformationList"].as_array()?.iter().find(online).cloned()
    });
    found.map_err(|e| Trouble::new(format!("{e}; its agent says:\n{}", device.logged())))
}

fn tags(device: &Value) -> String {
    device["TowlineTags"].to_string()
}

/// Goes through a first boot with an order that `place` makes known; then through a second start.
fn story(place: impl FnOnce(&Path) -> String) -> Outcome {
    let lab = Lab::start()?;
    let folder = lab.directory().join("medium");
    let serial = lab.file("serial", "SN-0042\n")?;
    let script = format!(
        "{}; [ ! -e /sys/class/dmi/id/product_serial ] || mount --bind {} \
         /sys/class/dmi/id/product_serial",
        place(&folder),
        serial.display()
    );
    let mut device =
        lab.unenrolled(&DeviceSetup { behind: behind(&script), ..DeviceSetup::default() })?;
    let gateway = device.relay.address().to_string();
    let activation = lab.activation_with(1, &permits())?;
    order(&lab, &activation, &gateway, &folder)?;
    device.start()?;
    let known = enrolled(&lab, &device, |name| {
        name.starts_with("golden-") && name.contains(std::env::consts::ARCH)
    })?;
    ensure(tags(&known).contains("at-golden"), || format!("no tag of the order: {known}"))?;
    let order: PathBuf = folder.join("enroll.toml");
    ensure(!order.exists(), || "the order is still there, with its code".into())?;
    // Started again, with an order that is nobody's: it stays who it is.
    device.process()?.stop()?;
    files::write(
        &order,
        "gateway = \"elsewhere\"\nactivation_id = \"x\"\nactivation_code = \"y\"\n",
    )?;
    device.start()?;
    let again = enrolled(&lab, &device, |name| name.starts_with("golden-"))?;
    ensure(again["InstanceId"] == known["InstanceId"], || format!("another device: {again}"))?;
    ensure(order.exists(), || {
        "an order was carried out for a device that belongs to somebody".into()
    })
}

#[test]
fn an_order_in_etc_enrolls_the_device_once() -> Outcome {
    story(|folder| bind(folder, "/etc"))
}

#[test]
fn an_order_on_the_boot_partition_enrolls_the_device_once() -> Outcome {
    story(|folder| format!("mount -t tmpfs -o mode=755 none /boot; {}", bind(folder, "/boot")))
}

#[test]
fn an_order_on_a_stick_enrolls_the_device_once() -> Outcome {
    story(|folder| format!("{}; {}", marker(folder), stick(folder)))
}

/// Has a folder appear as that of a stick.
fn stick(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "mount -t tmpfs -o mode=755 none /media; mkdir -p /media/stick/towline; \
         mount --bind {folder} /media/stick/towline"
    )
}

/// The image's word that orders on removable media count.
fn marker(folder: &Path) -> String {
    let image = folder.with_file_name("image").display().to_string();
    format!(
        "mkdir -p {image}/towline; cp -a /etc/. {image}/; : > {image}/towline/enroll-from-media; \
         mount --bind {image} /etc"
    )
}

/// Starts a device that has an order which it must not obey: the order stays, the agent says why.
fn refused(place: impl FnOnce(&Path) -> String, says: &str) -> Outcome {
    let lab = Lab::start()?;
    let folder = lab.directory().join("medium");
    let mut device =
        lab.unenrolled(&DeviceSetup { behind: behind(&place(&folder)), ..DeviceSetup::default() })?;
    let gateway = device.relay.address().to_string();
    let activation = lab.activation(1)?;
    order(&lab, &activation, &gateway, &folder)?;
    device.start()?;
    eventually("the agent says what it does", ENROLS, || {
        device.logged().contains(says).then_some(())
    })?;
    ensure(folder.join("enroll.toml").exists(), || "the order was obeyed".into())?;
    let answer =
        lab.admin().api("AmazonSSM.DescribeInstanceInformation", &serde_json::json!({}))?;
    ensure(answer["InstanceInformationList"].as_array().is_some_and(Vec::is_empty), || {
        format!("a device was enrolled: {answer}")
    })
}

#[test]
fn an_order_on_a_stick_is_not_read_without_the_images_word() -> Outcome {
    let lab = Lab::start()?;
    let folder = lab.directory().join("medium");
    let words = lab.directory().join("cmdline");
    let script = format!("{}; mount --bind {} /proc/cmdline", stick(&folder), words.display());
    let mut device =
        lab.unenrolled(&DeviceSetup { behind: behind(&script), ..DeviceSetup::default() })?;
    let gateway = device.relay.address().to_string();
    let activation = lab.activation(2)?;
    order(&lab, &activation, &gateway, &folder)?;
    // It counts only where no file does.
    let line = format!(
        "quiet towline.gateway={gateway} towline.activation_id={} towline.activation_code={} \
         towline.ca={} towline.name=by-the-boot-loader\n",
        activation.id,
        activation.code,
        lab.gateway.ca().display()
    );
    files::write(&words, line)?;
    device.start()?;
    enrolled(&lab, &device, |name| name == "by-the-boot-loader")?;
    ensure(folder.join("enroll.toml").exists(), || "the order on the stick is gone".into())
}

#[test]
fn another_users_order_on_a_stick_is_not_obeyed_by_root() -> Outcome {
    refused(
        |folder| {
            format!("{}; chown -R 65534 {}; {}", marker(folder), folder.display(), stick(folder))
        },
        "it belongs to another user",
    )
}

#[test]
fn an_order_that_is_not_obeyed_hides_no_order_of_the_boot_loader() -> Outcome {
    let lab = Lab::start()?;
    let folder = lab.directory().join("medium");
    let words = lab.directory().join("cmdline");
    let script = format!(
        "chmod 1777 {}; {}; mount --bind {} /proc/cmdline",
        folder.display(),
        bind(&folder, "/etc"),
        words.display()
    );
    let mut device =
        lab.unenrolled(&DeviceSetup { behind: behind(&script), ..DeviceSetup::default() })?;
    let gateway = device.relay.address().to_string();
    let (planted, own) = (lab.activation_with(1, &permits())?, lab.activation(1)?);
    order(&lab, &planted, &gateway, &folder)?;
    let line = format!(
        "towline.gateway={gateway} towline.activation_id={} towline.activation_code={} \
         towline.ca={} towline.name=by-the-boot-loader\n",
        own.id,
        own.code,
        lab.gateway.ca().display()
    );
    files::write(&words, line)?;
    device.start()?;
    enrolled(&lab, &device, |name| name == "by-the-boot-loader")?;
    ensure(folder.join("enroll.toml").exists(), || "the planted order was carried out".into())
}

#[test]
fn an_order_in_a_folder_that_others_can_write_is_not_obeyed() -> Outcome {
    refused(
        |folder| format!("chmod 1777 {}; {}", folder.display(), bind(folder, "/etc")),
        "its group or other users can write it",
    )
}

#[test]
fn an_order_on_the_kernels_command_line_enrolls_the_device() -> Outcome {
    let lab = Lab::start()?;
    let activation = lab.activation_with(1, &permits())?;
    let words = lab.directory().join("cmdline");
    let script = format!("mount --bind {} /proc/cmdline", words.display());
    let mut device =
        lab.unenrolled(&DeviceSetup { behind: behind(&script), ..DeviceSetup::default() })?;
    let line = format!(
        "quiet towline.gateway={} towline.activation_id={} towline.activation_code={} \
         towline.ca={} \
         towline.name=by-{{hostname}} towline.tags.site=north\n",
        device.relay.address(),
        activation.id,
        activation.code,
        lab.gateway.ca().display()
    );
    files::write(&words, line)?;
    device.start()?;
    let known = enrolled(&lab, &device, |name| name == "by-golden")?;
    ensure(tags(&known).contains("north"), || format!("no tag: {known}"))
}

#[test]
fn an_order_in_the_environment_enrolls_the_device() -> Outcome {
    let lab = Lab::start()?;
    let activation = lab.activation_with(1, &permits())?;
    let mut device = lab.unenrolled(&DeviceSetup::default())?;
    let mut command = device.command(&["run"]);
    command.env("TOWLINE_ENROLL_GATEWAY", device.relay.address().to_string());
    command.env("TOWLINE_ENROLL_ACTIVATION_ID", &activation.id);
    command
        .env("TOWLINE_ENROLL_ACTIVATION_CODE", &activation.code)
        .env("TOWLINE_ENROLL_CA", lab.gateway.ca());
    command
        .env("TOWLINE_ENROLL_NAME", "by-variable")
        .env("TOWLINE_ENROLL_TAGS", "site=south,role=pump");
    device.start_as(command)?;
    let known = enrolled(&lab, &device, |name| name == "by-variable")?;
    ensure(tags(&known).contains("south") && tags(&known).contains("pump"), || {
        format!("no tags: {known}")
    })
}
