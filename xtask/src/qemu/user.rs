//! Classes without a machine of their own: the program runs under qemu's user mode on this host,
//! against a real gateway.

use std::path::Path;

use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, facts};

use super::device::{ANSWER, answers};
use crate::dist::class::Class;
use crate::{console, run};

/// Enrolls, opens a shell, cuts the link.
///
/// # Errors
/// What did not work.
pub(crate) fn tell(class: &Class, agent: &Path) -> Outcome {
    console::step(&format!("{}: under {}", class.name, class.emulation.user));
    let mut lab = Lab::start()?;
    lab.programs.agent = agent.to_owned();
    let emulator =
        run::find(&class.emulation.user).unwrap_or_else(|| class.emulation.user.clone().into());
    let mut behind = vec![emulator.display().to_string()];
    behind.extend(class.emulation.cpu.iter().flat_map(|cpu| ["-cpu".to_owned(), cpu.clone()]));
    let device =
        lab.device_with(&DeviceSetup { behind: behind.clone(), ..DeviceSetup::default() })?;
    let mut shell = lab.admin().shell(device.id())?;
    answers(&mut shell, 1)?;
    device.relay.cut();
    answers(&mut shell, 2)?;
    shell.line("exit 7")?;
    let status = shell.finish(ANSWER)?;
    ensure(status.code() == Some(7), || format!("the shell ended with {status}"))?;
    let listening = facts::listening_sockets(device.pid()?)?;
    ensure(listening.is_empty(), || format!("these listen: {listening:?}"))?;
    console::line(&format!(
        "  {}: enrolled, a shell over a cut link, its exit code, no listener",
        class.name
    ));
    drop(shell);
    if run_here(agent) {
        separated(&lab, &class.name)
    } else {
        one_process(&lab, &class.name, behind)
    }
}

/// Under the emulator no network process can be had. Where one is wanted the agent goes on without.
fn one_process(lab: &Lab, class: &str, behind: Vec<String>) -> Outcome {
    let config = "security.separation = \"wanted\"\nsecurity.network_user = \"games\"".to_owned();
    let device = lab.device_with(&DeviceSetup { behind, config, ..DeviceSetup::default() })?;
    let mut shell = lab.admin().shell(device.id())?;
    answers(&mut shell, 1)?;
    let said = told(lab, device.id())?;
    ensure(said.starts_with("impossible: "), || format!("the gateway was told {said:?}"))?;
    console::line(&format!("  {class}: one process where two are wanted, {said}"));
    Ok(())
}

/// What the gateway was told of a device's network process.
fn told(lab: &Lab, device: &str) -> Outcome<String> {
    let body = serde_json::json!({ "Filters": [{ "Key": "InstanceIds", "Values": [device] }] });
    let answer = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &body)?;
    let said = answer["InstanceInformationList"][0]["TowlineSeparation"].as_str();
    said.map(str::to_owned).ok_or_else(|| Trouble::new("the gateway was told nothing"))
}

/// Whether this machine's kernel runs the program itself: i686 on most x86_64.
fn run_here(agent: &Path) -> bool {
    std::process::Command::new(agent)
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success())
}

/// The emulator has no filters of system calls: the network process is tried where the kernel runs
/// the program.
fn separated(lab: &Lab, class: &str) -> Outcome {
    // An account that each Debian has; the one of the package is not on this host.
    let config = "security.separation = \"demanded\"\nsecurity.network_user = \"games\"".to_owned();
    let device = lab.device_with(&DeviceSetup { config, ..DeviceSetup::default() })?;
    let mut shell = lab.admin().shell(device.id())?;
    answers(&mut shell, 1)?;
    device.relay.cut();
    answers(&mut shell, 2)?;
    let said = told(lab, device.id())?;
    ensure(said == "separate", || format!("the gateway was told {said:?}"))?;
    let children = facts::children(device.pid()?);
    let seen =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let filtered = |pid: &u32| seen(pid).lines().any(|line| line == "Seccomp:\t2");
    let network = children
        .iter()
        .find(|pid| filtered(pid))
        .ok_or_else(|| Trouble::new("no network process"))?;
    let memory = facts::memory(*network)?;
    console::line(&format!(
        "  {class}: run by this kernel, the network is read by a process without rights; its RSS \
         is {} KiB",
        memory.rss
    ));
    Ok(())
}
