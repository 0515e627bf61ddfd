//! `cargo xtask …` begins here: builds `xtask` for its command, and becomes it.
//!
//! Data flow: the words of the command line -> [`build_for`] -> `cargo build` -> exec of `xtask`
//! with the same words.
//!
//! # Invariants
//! - It has no dependency: cargo builds it within a second.
//! - `xtask` is built with the features of all that its command builds next, so no dependency is
//!   compiled a second time for it. Cargo unifies features over the packages that it is given,
//!   whatever it builds of them, and over those for tests once it builds one test.
#![forbid(unsafe_code)]

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// How `xtask` is built: the words for `cargo build`, and the folder that it lies in.
struct Build {
    words: &'static [&'static str],
    folder: &'static str,
}

/// The demo is built once on a new machine, so the quickest build wins over speed. The gateway
/// waits until `xtask` has built the console; the others keep both processors busy meanwhile.
const DEMO: Build = Build {
    words: &[
        "--profile",
        "demo",
        "--package",
        "xtask",
        "--package",
        "towline-agent",
        "--package",
        "towline-gateway",
        "--package",
        "towline",
        "--bin",
        "xtask",
        "--bin",
        "towline-agent",
        "--bin",
        "towline",
    ],
    folder: "demo",
};
/// The smallest test of the tree makes the features those of a test run.
const OTHERS: Build =
    Build { words: &["--workspace", "--bin", "xtask", "--test", "words"], folder: "debug" };

fn build_for(command: Option<&str>) -> &'static Build {
    if command == Some("demo") { &DEMO } else { &OTHERS }
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let build = build_for(words.first().and_then(|word| word.to_str()));
    let trouble = match program(build).and_then(|program| built(build, &program).map(|()| program))
    {
        Ok(program) => {
            let error = Command::new(&program).args(&words).exec();
            format!("cannot start {}: {error}", program.display())
        }
        Err(trouble) => trouble,
    };
    eprintln!("xtask: {trouble}");
    ExitCode::FAILURE
}

/// Where cargo puts `xtask`: beside this program's folder.
fn program(build: &Build) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let target = own.parent().and_then(Path::parent);
    let target = target.ok_or_else(|| format!("{} is in no target folder", own.display()))?;
    Ok(target.join(build.folder).join("xtask"))
}

/// Builds it; in silence if it was built before.
fn built(build: &Build, program: &Path) -> Result<(), String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // `cargo run` sets them for this program alone. Build scripts judge by them.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    cargo.args(["build", "--locked"]).args(build.words);
    if program.exists() {
        cargo.arg("--quiet");
    } else {
        eprintln!(
            "== Building the tool for this command. The first time this takes about three minutes on \
             two cores, afterwards seconds."
        );
    }
    let status = cargo.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("cargo build --locked {}: {status}", build.words.join(" ")))
}
