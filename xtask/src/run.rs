//! Runs other programs to their end, one at a time: cargo locks its target directory anyway.

use std::path::PathBuf;
use std::process::Command;

use towline_testkit::lab::programs::{FOLDER, workspace};
pub(crate) use towline_testkit::process::find;
use towline_testkit::{Outcome, Trouble};

use crate::say;

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(
        std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from),
    );
    command.current_dir(workspace());
    // Set by `cargo run` for this program alone; a nested cargo would take them for its own.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION", "CARGO_MANIFEST_PATH"]
    {
        command.env_remove(name);
    }
    command
}

/// Runs a command with our terminal, after saying what it is.
///
/// # Errors
/// It cannot be started, or it failed.
pub(crate) fn checked(mut command: Command) -> Outcome {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let short = words.join(" ");
    say::step(&short);
    let status =
        command.status().map_err(|e| Trouble::new(format!("cannot start {short}: {e}")))?;
    if status.success() { Ok(()) } else { Err(Trouble::new(format!("{short}: {status}"))) }
}

/// Runs a command without a word, unless it fails.
///
/// # Errors
/// It cannot be started, or it failed: with what it said.
pub(crate) fn quiet(mut command: Command) -> Outcome {
    let out =
        command.output().map_err(|e| Trouble::new(format!("cannot start {command:?}: {e}")))?;
    if out.status.success() {
        return Ok(());
    }
    let said = [out.stdout, out.stderr].concat();
    Err(Trouble::new(format!("{command:?}: {}:\n{}", out.status, String::from_utf8_lossy(&said))))
}

/// Builds the three programs as they ship, unless `TOWLINE_BIN_DIR` names a folder with other ones.
/// The agent is built alone: cargo unifies the features of what it builds together.
///
/// # Errors
/// A build failed.
pub(crate) fn build_programs() -> Outcome {
    if let Some(folder) = std::env::var_os(FOLDER) {
        say::step(&format!("the programs in {}", folder.to_string_lossy()));
        return Ok(());
    }
    let mut agent = cargo();
    agent.args(["build", "--release", "--package", "towline-agent"]);
    checked(agent)?;
    let mut server = cargo();
    server.args([
        "build",
        "--profile",
        "server",
        "--package",
        "towline-gateway",
        "--package",
        "towline",
    ]);
    checked(server)
}

/// Whether a program is there.
pub(crate) fn has(program: &str) -> bool {
    find(program).is_some()
}
