//! Runs other programs to their end.
//!
//! # Invariants
//! - One cargo at a time in a target directory: a second one would wait for the first one's lock.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use towline_testkit::lab::programs::workspace;
pub(crate) use towline_testkit::process::find;
use towline_testkit::{Outcome, Trouble};

use crate::console;

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
    let short = format!("{} {}", command.get_program().display(), words(&command).join(" "));
    console::step(&short);
    let status =
        command.status().map_err(|e| Trouble::new(format!("cannot start {short}: {e}")))?;
    if status.success() { Ok(()) } else { Err(Trouble::new(format!("{short}: {status}"))) }
}

/// Runs a command with our terminal, and gives back the lines of its stderr that `keep` wants.
///
/// # Errors
/// As [`checked`].
pub(crate) fn watched(mut command: Command, keep: impl Fn(&str) -> bool) -> Outcome<Vec<String>> {
    let short = format!("{} {}", command.get_program().display(), words(&command).join(" "));
    console::step(&short);
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| Trouble::new(format!("cannot start {short}: {e}")))?;
    let mut kept = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            let _ = writeln!(std::io::stderr(), "{line}");
            kept.extend(keep(&line).then_some(line));
        }
    }
    let status = child.wait()?;
    if status.success() { Ok(kept) } else { Err(Trouble::new(format!("{short}: {status}"))) }
}

fn words(command: &Command) -> Vec<String> {
    command.get_args().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Runs a command without output, unless it fails.
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

/// Whether a program is there.
pub(crate) fn has(program: &str) -> bool {
    find(program).is_some()
}
