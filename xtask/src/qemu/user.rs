//! Classes without a machine of their own: the program runs under qemu's user mode on this host,
//! against a real gateway.

use std::path::Path;

use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, facts};

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
    let device = lab.device_with(&DeviceSetup { behind, ..DeviceSetup::default() })?;
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
    Ok(())
}
