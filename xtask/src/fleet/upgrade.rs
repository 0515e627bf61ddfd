//! `cargo xtask fleet-upgrade [DEVICES]`: a fleet is rolled from one version to the next by its own
//! package manager, from a signed repository, while somebody works in a shell on every device. No
//! shell may notice.
//!
//! Data flow: a network namespace of our own (the hub: gateway, repository, bridge) -> one more for
//! each [`super::device`] -> version N from the channel -> a shell each -> N+1 in `canary`: two
//! devices are pointed at it -> N+1 in `stable`: the others follow.
//!
//! # Invariants
//! - Nothing of the host's network is touched: all of it happens in namespaces that end with this
//!   program.
//! - What the devices run is what `cargo xtask dist` makes, packed and signed as `cargo xtask repo`
//!   does it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use towline_testkit::another_version::{CURRENT, NEXT};
use towline_testkit::lab::{GatewaySetup, Lab};
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

use super::device::Member;
use super::hub::{ADDRESS, Hub};
use crate::dist::build;
use crate::dist::class::{Class, Program};
use crate::qemu::busybox;
use crate::{console, programs, run, setup};

/// Devices, unless told otherwise.
const DEVICES: usize = 20;
/// Most that the addresses of the hub's network are enough for.
const MOST: usize = 200;
/// Devices that get the next version first.
const CANARIES: usize = 2;
/// How long the gateway may take to show what is true.
const SHOWN: Duration = Duration::from_secs(60);
/// Says to a copy of this program that it is inside.
const INSIDE: &str = "inside";

const NEEDS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("gpg", "gpg"),
    ("apt-get", "apt"),
    ("python3", "python3"),
    ("unshare", "util-linux"),
];

/// `cargo xtask fleet-upgrade WORDS…`.
///
/// # Errors
/// What was lost, or did not come.
pub(crate) fn command(words: &[&str]) -> Outcome {
    let (inside, words) = match words {
        [INSIDE, directory, rest @ ..] => (Some(Path::new(directory)), rest),
        _ => (None, words),
    };
    let devices = match words {
        [] => DEVICES,
        [number] => number.parse().ok().filter(|n| (1..=MOST).contains(n)).ok_or_else(usage)?,
        _ => return Err(usage()),
    };
    if let Some(directory) = inside {
        return roll(devices, directory);
    }
    setup::programs(NEEDS)?;
    let class = Class::read("x86_64")?;
    if build::made(&class, Program::Agent).is_none() {
        build::build(&class, Program::Agent)?;
    }
    busybox("amd64")?; // from inside, nothing can be downloaded
    // A network and mounts of our own. The namespaces end with the last process in them.
    let scratch = tempfile::Builder::new().prefix("towline-fleet-").tempdir()?;
    let mut again = Command::new("unshare");
    again
        .args(["--net", "--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe()?);
    again.args(["fleet-upgrade", INSIDE]).arg(scratch.path()).arg(devices.to_string());
    programs::tell(&mut again);
    run::checked(again)
}

/// The fleet, for `cargo xtask test`. It needs root for the namespaces; without root it prints
/// that it was skipped.
///
/// # Errors
/// As [`command`].
pub(crate) fn in_tests() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        console::line("skipped: fleet-upgrade needs root for its namespaces");
        return Ok(());
    }
    command(&[])
}

fn usage() -> Trouble {
    Trouble::new(format!("usage: cargo xtask fleet-upgrade [DEVICES], 1 to {MOST}"))
}

fn roll(devices: usize, directory: &Path) -> Outcome {
    let class = Class::read("x86_64")?;
    let agent = build::made(&class, Program::Agent)
        .ok_or_else(|| Trouble::new("the agent is not built"))?;
    let agent = std::fs::read(agent)?;
    let hub = Hub::new(directory)?;
    let lab = Lab::with(&GatewaySetup {
        listen: format!("{ADDRESS}:0"),
        host: ADDRESS.into(),
        ..GatewaySetup::default()
    })?;
    for channel in ["stable", "canary"] {
        hub.publish(channel, &class, &agent, CURRENT)?;
    }
    console::step(&format!("{devices} devices, version {CURRENT}"));
    let mut fleet =
        (1..=devices).map(|number| Member::new(number, &hub, &lab)).collect::<Outcome<Vec<_>>>()?;
    for member in &mut fleet {
        member.work(&lab)?;
    }
    shows(&lab, CURRENT, devices)?;
    let start = Instant::now();
    let canaries = CANARIES.min(devices);
    console::step(&format!("version {NEXT} in canary: {canaries} devices"));
    hub.publish("canary", &class, &agent, NEXT)?;
    for member in &mut fleet[..canaries] {
        member.follow("canary", &hub)?;
        member.upgrade()?;
    }
    shows(&lab, NEXT, canaries)?;
    console::step(&format!("version {NEXT} in stable: the others"));
    hub.publish("stable", &class, &agent, NEXT)?;
    for member in &mut fleet[canaries..] {
        member.upgrade()?;
    }
    shows(&lab, NEXT, devices)?;
    let took = start.elapsed();
    for member in &mut fleet {
        member.done()?;
    }
    console::line(&format!(
        "{devices} devices went from {CURRENT} to {NEXT} in {} s; {devices} shells open all the \
         time, none lost, every byte right",
        took.as_secs()
    ));
    Ok(())
}

/// Waits until the gateway shows so many connected devices of a version.
fn shows(lab: &Lab, version: &str, devices: usize) -> Outcome {
    let filters = serde_json::json!({ "MaxResults": 50, "Filters": [
        { "Key": "AgentVersion", "Values": [format!("{version}.0")] }, { "Key": "PingStatus", "Values": ["Online"] } ] });
    let mut seen = 0;
    let all = eventually("the gateway shows the version", SHOWN, || {
        let mut request = filters.clone();
        seen = 0;
        loop {
            let answer = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &request).ok()?;
            seen += answer["InstanceInformationList"].as_array().map_or(0, Vec::len);
            match answer["NextToken"].as_str() {
                Some(next) => request["NextToken"] = next.into(),
                None => break,
            }
        }
        (seen == devices).then_some(())
    });
    all.map_err(|e| Trouble::new(format!("{e}: {seen} of {devices} devices show {version}")))
}

/// What goes through a shell and must come back.
pub(super) fn block(text: &mut Text) -> Vec<u8> {
    text.take_bytes(4_000)
}

/// The bytes that came are those that were sent.
pub(super) fn same(got: &[u8], sent: &[u8], who: &str) -> Outcome {
    ensure(got == sent, || {
        let at = got
            .iter()
            .zip(sent)
            .position(|(got, sent)| got != sent)
            .unwrap_or(got.len().min(sent.len()));
        format!("{who}: {} of {} bytes came back, the first {at} right", got.len(), sent.len())
    })
}
