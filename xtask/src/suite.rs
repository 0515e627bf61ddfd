//! `cargo xtask test`: everything that must hold, in the order that fails soonest.

use std::path::Path;
use std::process::Command;

use towline_testkit::Outcome;
use towline_testkit::lab::programs::workspace;

use crate::{budget, demo, dist, fleet, package, qemu, run, say, setup};

/// Set, it leaves the virtual devices and the fleet out of a test run, which says so.
const WITHOUT_MACHINES: &str = "TOWLINE_WITHOUT_MACHINES";

/// Set-up, format, dependency rules, lints, builds, all tests, the demo, budget, virtual devices
/// and a small fleet.
///
/// # Errors
/// The first step that failed.
pub(crate) fn all() -> Outcome {
    setup::programs(setup::FOR_TESTS)?;
    let python = setup::python()?;
    let mut format = run::cargo();
    format.args(["fmt", "--all", "--check"]);
    run::checked(format)?;
    dependencies()?;
    let mut lints = run::cargo();
    lints.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
    run::checked(lints)?;
    run::build_programs()?;
    tests(&python, None)?;
    demo::unattended()?;
    budget::check()?;
    if std::env::var_os(WITHOUT_MACHINES).is_some() {
        say::step(&format!("no virtual devices and no fleet: {WITHOUT_MACHINES} is set"));
        return Ok(());
    }
    qemu::in_tests()?;
    fleet::in_tests()?;
    package::rooted::try_all()?;
    dist::cross::check()
}

/// Bans, licences and sources of `deny.toml`. Advisories need a database from the network, so
/// they are not checked here.
fn dependencies() -> Outcome {
    let mut deny = Command::new(setup::cargo_deny()?);
    deny.current_dir(workspace()).args(["--workspace", "--log-level", "error"]);
    deny.args(["check", "bans", "licenses", "sources"]);
    run::checked(deny)
}

/// Builds, and the tests whose name holds `filter`.
///
/// # Errors
/// The first step that failed.
pub(crate) fn filtered(filter: &str) -> Outcome {
    setup::programs(setup::FOR_TESTS)?;
    let python = setup::python()?;
    run::build_programs()?;
    tests(&python, Some(filter))
}

/// Runs the workspace's tests: by nextest where it is installed (each in a process of its own),
/// else by cargo alone.
fn tests(python: &Path, filter: Option<&str>) -> Outcome {
    let nextest = has_nextest();
    let mut command = run::cargo();
    command.args(if nextest { &["nextest", "run"][..] } else { &["test"] }).arg("--workspace");
    command.args(filter).env(setup::PYTHON, python).env("NODE_PATH", setup::node_modules()?);
    run::checked(command)?;
    if nextest && filter.is_none() {
        // nextest leaves the examples in the documentation out.
        let mut examples = run::cargo();
        examples.args(["test", "--workspace", "--doc", "--quiet"]);
        run::checked(examples)?;
    }
    Ok(())
}

/// The simulated fleet of `tests/e2e/fleet.rs` with so many devices, alone, with its table on the
/// terminal.
///
/// # Errors
/// The first step that failed.
pub(crate) fn fleet(devices: u32) -> Outcome {
    run::build_programs()?;
    let mut command = run::cargo();
    command.args([
        "test",
        "--release",
        "--package",
        "towline-e2e",
        "--test",
        "e2e",
        "--",
        "fleet::",
        "--nocapture",
    ]);
    command.env("TOWLINE_FLEET", devices.to_string());
    run::checked(command)
}

fn has_nextest() -> bool {
    let mut probe: Command = run::cargo();
    probe.args(["nextest", "--version"]);
    probe.output().is_ok_and(|out| out.status.success())
}
