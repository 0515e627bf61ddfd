//! The static gateway and command line of a class that is not this machine's, under qemu's user
//! mode.
//!
//! Data flow: `target/dist/out/<class>/` (built when missing) -> a script for each program that
//! becomes it under the emulator -> a gateway, an operator of that class, and a device of this one
//! -> commands, a file, a killed gateway, a recording that is verified.
//!
//! # Not here
//! - `cargo xtask test`: to build these programs takes longer than all else of it.
//! - The class's agent: `story` and `user`.
//! - The class's command line on a terminal: this emulator does not know how a terminal is set
//!   (`TCSETS2`). This machine's is used.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use towline_testkit::lab::programs::Programs;
use towline_testkit::lab::{DeviceSetup, GatewaySetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files};

use super::device::{ANSWER, answers};
use crate::dist::build;
use crate::dist::class::{Class, Program};
use crate::{console, programs, run};

/// A file that is copied to the device and back, bytes.
const FILE: usize = 300_000;

/// Tells the story.
///
/// # Errors
/// A build, or what did not work.
pub(crate) fn tell(class: &Class) -> Outcome {
    let folder = build::out(class).join("emulated");
    std::fs::create_dir_all(&folder)?;
    let starter = |program: Program| -> Outcome<PathBuf> {
        let path = build::made(class, program)
            .map_or_else(|| Ok(build::build(class, program)?.path), Ok::<_, Trouble>)?;
        starter(class, &folder.join(program.file()), &path)
    };
    programs::shipped()?;
    let native = Programs::find()?;
    let mixed = Programs {
        agent: native.agent,
        gateway: starter(Program::Gateway)?,
        cli: starter(Program::Cli)?,
    };
    console::step(&format!(
        "{}: gateway and command line under {}",
        class.name, class.emulation.user
    ));
    let mut lab = Lab::of(mixed, &GatewaySetup::default())?;
    let device = lab.device_with(&DeviceSetup::default())?;
    let admin = lab.admin();
    let out =
        admin.run(&["exec", device.id(), "--", "sh", "-c", "echo out; echo err >&2; exit 3"])?;
    ensure(out.stdout == b"out\n" && out.status.code() == Some(3), || format!("exec: {out:?}"))?;

    let text = "0123456789abcdef\n".repeat(FILE / 17);
    let (here, there, back) =
        (lab.file("here", &text)?, lab.directory().join("there"), lab.directory().join("back"));
    admin.text(&[
        "cp",
        &here.display().to_string(),
        &format!("{}:{}", device.id(), there.display()),
    ])?;
    admin.text(&[
        "cp",
        &format!("{}:{}", device.id(), there.display()),
        &back.display().to_string(),
    ])?;
    ensure(std::fs::read_to_string(back)? == text, || {
        "the file that was copied there and back is another".into()
    })?;

    lab.programs.cli = native.cli;
    let mut shell = lab.admin().shell(device.id())?;
    answers(&mut shell, 1)?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    answers(&mut shell, 2)?;
    shell.line("exit 7")?;
    let status = shell.finish(ANSWER)?;
    ensure(status.code() == Some(7), || format!("the shell ended with {status}"))?;

    let logs: serde_json::Value = serde_json::from_str(&admin.text(&["logs", "-o", "json"])?)?;
    let session = logs["Sessions"][0]["SessionId"].as_str().unwrap_or_default().to_owned();
    let verified =
        eventually("its recording is whole", ANSWER, || admin.text(&["verify", &session]).ok())?;
    console::line(&format!(
        "  {}: a command, a file there and back, a shell over a killed gateway; {}",
        class.name,
        verified.trim()
    ));
    Ok(())
}

/// A script that becomes the program, so that its number is the script's.
fn starter(class: &Class, script: &Path, program: &Path) -> Outcome<PathBuf> {
    let emulator =
        run::find(&class.emulation.user).unwrap_or_else(|| class.emulation.user.clone().into());
    let cpu = class.emulation.cpu.as_ref().map(|cpu| format!("-cpu {cpu} ")).unwrap_or_default();
    files::write(
        script,
        format!("#!/bin/sh\nexec '{}' {cpu}'{}' \"$@\"\n", emulator.display(), program.display()),
    )?;
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755))?;
    Ok(script.to_owned())
}
