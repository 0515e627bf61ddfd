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
    // `cargo run` sets them for this program alone. Build scripts judge by them (ring asks for all
    // of CARGO_PKG_*), so a nested cargo that saw them would compile anew what hangs on such a
    // script.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_cargo_does_not_see_the_package_that_runs_us() {
        // Cargo sets them for this test as it does for `cargo run`.
        assert!(std::env::var_os("CARGO_PKG_VERSION_MAJOR").is_some());
        let asked = cargo();
        let removed: Vec<_> = asked.get_envs().filter(|(_, value)| value.is_none()).collect();
        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR", "CARGO_MANIFEST_DIR"] {
            assert!(removed.iter().any(|(removed, _)| *removed == name), "{name} is passed on");
        }
    }
}
