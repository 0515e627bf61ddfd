//! Builds the three programs, in the profile that the command needs.
//!
//! | for | agent | gateway and command line |
//! |---|---|---|
//! | `test`, measurements, `build` | release | server |
//! | `test --dev` | release | dev, built with the tests |
//! | `test FILTER`, `try` | dev | dev, built with the tests |
//! | `demo` | demo | demo |
//!
//! # Invariants
//! - The release agent is built alone: cargo unifies the features of what it builds together.
//! - A folder named by `TOWLINE_BIN_DIR` is taken as it is: nothing is built.

use std::path::{Path, PathBuf};
use std::process::Command;

use towline_testkit::lab::programs::{self, FOLDER, target_directory};
use towline_testkit::{Outcome, Trouble};

use crate::{console, run, web};

/// Our programs: package and file have the same name.
const NAMES: [&str; 3] = ["towline-agent", "towline-gateway", "towline"];

/// Which agent the tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agent {
    /// The one that ships, with its size and its memory.
    Shipped,
    /// The one that the tests were built with.
    Dev,
}

/// Builds all three as they ship.
///
/// # Errors
/// A build failed.
pub(crate) fn shipped() -> Outcome {
    if given() {
        return Ok(());
    }
    web::embed();
    agent()?;
    let mut server = build(&["--profile", "server"]);
    server.args(["--package", "towline-gateway", "--package", "towline"]);
    run::checked(server)
}

/// Builds the agent as it ships.
///
/// # Errors
/// The build failed.
pub(crate) fn agent() -> Outcome {
    run::checked(build(&["--release", "--package", "towline-agent"]))
}

/// Builds test programs of the workspace (`targets`: `--tests`, `--test NAME`, …) together with the
/// three programs in profile dev, so that no dependency is compiled twice with other features.
///
/// # Errors
/// A build failed.
pub(crate) fn with_tests(targets: &[String]) -> Outcome {
    web::embed();
    let mut all = build(&["--workspace"]);
    all.args(targets).args(NAMES.iter().flat_map(|name| ["--bin", name]));
    run::checked(all)
}

/// Puts the programs of a test run into one folder and makes this process take them from there.
///
/// # Errors
/// One is not built.
pub(crate) fn gather(which: Agent) -> Outcome {
    if given() {
        return Ok(());
    }
    let target = target_directory();
    let agent = if which == Agent::Shipped { "release" } else { "debug" };
    let folder = target.join("programs");
    std::fs::create_dir_all(&folder)?;
    for (name, profile) in NAMES.iter().zip([agent, "debug", "debug"]) {
        put(&target.join(profile).join(name), &folder.join(name))?;
    }
    programs::take_from(&folder)
}

/// Replaces `to` by `from`: as a second name of the same file, or as a copy.
///
/// # Errors
/// `from` is not built.
pub(crate) fn put(from: &Path, to: &Path) -> Outcome {
    let beside = to.with_extension("new");
    // Left over from a run that was interrupted.
    let _ = std::fs::remove_file(&beside);
    if std::fs::hard_link(from, &beside).is_err() {
        std::fs::copy(from, &beside).map_err(|e| {
            Trouble::new(format!("{} is not built ({e}): run cargo xtask test", from.display()))
        })?;
    }
    // A rename onto a second name of the same file does nothing, and would leave `beside`.
    let _ = std::fs::remove_file(to);
    Ok(std::fs::rename(&beside, to)?)
}

/// Builds what `cargo xtask demo` starts: the quickest build, without optimisation.
///
/// # Errors
/// The build failed.
pub(crate) fn demo() -> Outcome {
    if given() {
        return Ok(());
    }
    web::embed();
    let mut all = build(&["--profile", "demo"]);
    // As `xtask/start` builds xtask: with the same features.
    all.args(["--package", "xtask"]).args(NAMES.iter().flat_map(|name| ["--package", name]));
    run::checked(all)?;
    programs::take_from(&target_directory().join("demo"))
}

/// Tells a program that we start where the programs are.
pub(crate) fn tell(command: &mut Command) {
    if let Some(folder) = programs::folder() {
        command.env(FOLDER, folder);
    }
}

/// Whether the environment names a folder with programs.
fn given() -> bool {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    if let Some(folder) = &folder {
        console::step(&format!("the programs in {}", folder.display()));
    }
    folder.is_some()
}

fn build(words: &[&str]) -> Command {
    let mut cargo = run::cargo();
    cargo.args(["build", "--locked"]).args(words);
    cargo
}

#[cfg(test)]
mod tests {
    use towline_testkit::lab::programs::workspace;

    use super::*;

    #[test]
    fn xtask_is_built_with_the_packages_of_the_demo() {
        let start = std::fs::read_to_string(workspace().join("xtask/start/src/main.rs")).unwrap();
        for name in NAMES.into_iter().chain(["xtask", "demo"]) {
            assert!(start.contains(&format!("\"{name}\",")), "xtask/start does not build {name}");
        }
    }

    #[test]
    fn a_program_is_replaced_even_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for text in ["one", "one", "two"] {
            towline_testkit::files::write(&from, text).unwrap();
            put(&from, &to).unwrap();
            put(&from, &to).unwrap();
            assert_eq!(std::fs::read_to_string(&to).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_program_that_is_not_built_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("towline-agent");
        let trouble = put(&missing, &folder.path().join("to")).unwrap_err().to_string();
        assert!(trouble.contains("towline-agent is not built"), "{trouble}");
    }
}
