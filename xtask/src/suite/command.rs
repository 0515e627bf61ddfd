//! `cargo xtask test`, `try` and `check`: everything that must hold, or a part of it.
//!
//! | command | builds | runs |
//! |---|---|---|
//! | `check` | nothing that ships | format, lints, rules of the tree |
//! | `try NAME` | the test programs that hold NAME, profile dev | these tests |
//! | `test FILTER` | all test programs, profile dev | the tests whose names hold FILTER |
//! | `test [--dev]` | all tests, the programs as they ship, agents of classes by turn | everything |
//!
//! # Invariants
//! - What fails soonest runs first. Downloads go on beside the lints and the builds; agents for
//!   other machines are compiled beside the tests that wait for virtual machines.
//! - One cargo at a time.

use std::path::Path;
use std::process::Command;

use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble};

use super::scratch::Scratch;
use super::selection::Selection;
use super::steps::Steps;
use crate::programs::{self, Agent};
use crate::{budget, console, demo, dist, fleet, package, qemu, run, setup, web};

/// Leaves the virtual devices and the fleet out of a test run, if it is set.
const WITHOUT_MACHINES: &str = "TOWLINE_WITHOUT_MACHINES";

/// How often a run of everything repeats a test that failed: decision 276. A run of some tests
/// repeats none.
const AGAIN: &str = "1";

/// nextest's own variable; who sets it decides.
const AT_ONCE: &str = "NEXTEST_TEST_THREADS";

/// Everything. Gateway and command line are tested as they ship, or in profile dev: then their
/// memory is no figure, and the budget is left out.
///
/// # Errors
/// The first step that failed.
pub(crate) fn all(shipped: bool) -> Outcome {
    let mut steps = Steps::new();
    let outcome = in_order(&mut steps, shipped);
    steps.print();
    outcome
}

fn in_order(steps: &mut Steps, shipped: bool) -> Outcome {
    let machines = std::env::var_os(WITHOUT_MACHINES).is_none();
    steps.run("programs of the distribution", || {
        setup::programs(setup::FOR_TESTS)?;
        if machines { setup::programs(qemu::NEEDS) } else { Ok(()) }
    })?;
    let python = std::thread::scope(|scope| -> Outcome<_> {
        let downloads = scope.spawn(|| download(machines));
        steps.run("web console", web::checked)?;
        steps.run("format", format)?;
        steps.run("lints", lints)?;
        steps.run("documentation", documentation)?;
        steps.run("build tests", || programs::with_tests(&["--tests".into()]))?;
        steps.run("build programs", || {
            if shipped { programs::shipped() } else { programs::agent() }
        })?;
        steps.run("wait for downloads", || {
            downloads.join().map_err(|_| Trouble::new("the downloads panicked"))?
        })
    })?;
    steps.run("dependency rules", dependencies)?;
    if !shipped {
        programs::gather(Agent::Shipped)?;
    }
    let closing = steps.run("tests", || tests(Some(&python), &["--workspace"], None))?;
    steps.close_with(closing);
    steps.run("examples in documentation", || examples(&python))?;
    steps.run("demo", demo::check)?;
    if !machines {
        console::step(&format!("no virtual devices and no fleet: {WITHOUT_MACHINES} is set"));
        return steps.run("budget", || budget_of(shipped));
    }
    let limit = qemu::Limit::of_run(steps.begun());
    steps.run("devices, budget beside their builds", || {
        qemu::in_tests(&limit, || budget_of(shipped), dist::cross::check)
    })?;
    steps.run("fleet", fleet::in_tests)?;
    steps.run("packages", package::rooted::try_all)
}

fn budget_of(shipped: bool) -> Outcome {
    if shipped {
        return budget::check();
    }
    console::step("no budget: the programs are not those that ship");
    Ok(())
}

/// Format, lints and the rules of the tree: what a commit must pass.
///
/// # Errors
/// The first step that failed.
pub(crate) fn check() -> Outcome {
    let mut steps = Steps::new();
    let outcome =
        steps.run("format", format).and_then(|()| steps.run("lints", lints)).and_then(|()| {
            steps.run("rules of the tree", || {
                let mut tidy = run::cargo();
                tidy.args(["test", "--locked", "--workspace", "--test", "tidy", "--quiet"]);
                run::checked(tidy)
            })
        });
    steps.print();
    outcome
}

/// The tests whose name holds `filter`, against programs of profile dev.
///
/// # Errors
/// The first step that failed.
pub(crate) fn filtered(filter: &str) -> Outcome {
    setup::programs(setup::FOR_TESTS)?;
    let python = setup::python()?;
    programs::with_tests(&["--tests".into()])?;
    programs::gather(Agent::Dev)?;
    tests(Some(&python), &["--workspace"], Some(filter)).map(drop)
}

/// The same, but only the test programs that hold such a test are built.
///
/// # Errors
/// No test has such a name, or the first step that failed.
pub(crate) fn one(name: &str) -> Outcome {
    let Selection { targets, needs_programs } = Selection::of(&workspace(), name)?;
    // Only tests outside of the source files start Python.
    let python =
        if targets.iter().any(|word| word == "--test") { Some(setup::python()?) } else { None };
    if needs_programs {
        setup::programs(setup::FOR_TESTS)?;
        programs::with_tests(&targets)?;
        programs::gather(Agent::Dev)?;
    }
    let mut words = vec!["--workspace"];
    words.extend(targets.iter().map(String::as_str));
    tests(python.as_deref(), &words, Some(name)).map(drop)
}

fn format() -> Outcome {
    let mut format = run::cargo();
    format.args(["fmt", "--all", "--check"]);
    run::checked(format)
}

fn lints() -> Outcome {
    let mut lints = run::cargo();
    lints.args(["clippy", "--locked", "--workspace", "--all-targets"]);
    lints.args(["--", "--deny", "warnings"]);
    run::checked(lints)
}

/// The documentation of our crates, without a warning. It reuses what the lints compiled.
fn documentation() -> Outcome {
    let mut doc = run::cargo();
    doc.args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
    doc.env("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links");
    run::checked(doc)
}

/// Everything that a test run takes from the network, but the programs of the distribution.
fn download(machines: bool) -> Outcome<std::path::PathBuf> {
    let python = setup::python()?;
    setup::cargo_deny()?;
    setup::node_modules()?;
    if machines {
        dist::download()?;
        qemu::download()?;
    }
    Ok(python)
}

/// Bans, licences and sources of `deny.toml`. Advisories need a database from the network, so
/// they are not checked here.
fn dependencies() -> Outcome {
    let mut deny = Command::new(setup::cargo_deny()?);
    deny.current_dir(workspace()).args(["--workspace", "--locked", "--log-level", "error"]);
    deny.args(["check", "bans", "licenses", "sources"]);
    run::checked(deny)
}

/// Runs tests: by nextest where it is installed (each in a process of its own), else by cargo
/// alone. Gives the runner's closing lines.
fn tests(python: Option<&Path>, targets: &[&str], filter: Option<&str>) -> Outcome<Vec<String>> {
    let mut command = run::cargo();
    let nextest = has_nextest();
    command.args(if nextest { &["nextest", "run"][..] } else { &["test"] });
    command.arg("--locked").args(targets).args(filter);
    if let Some(python) = python {
        equip(&mut command, python)?;
    }
    programs::tell(&mut command);
    let scratch = Scratch::new()?;
    if let Some(folder) = scratch.path() {
        command.env("TMPDIR", folder);
    }
    if nextest {
        if std::env::var_os(AT_ONCE).is_none() {
            command.env(AT_ONCE, at_once().to_string());
        }
        if filter.is_none() {
            command.args(["--retries", AGAIN]);
        }
        return run::watched(command, is_closing);
    }
    run::checked(command)?;
    Ok(vec!["tests: ok (cargo test; install cargo-nextest for a summary)".into()])
}

/// A line that is repeated below the table: the sum, and each test that passed the second time
/// alone.
fn is_closing(line: &str) -> bool {
    ["tests run:", "test run:", " FLAKY "].iter().any(|mark| line.contains(mark))
}

/// Runs the examples in the documentation, which nextest leaves out.
fn examples(python: &Path) -> Outcome {
    let mut examples = run::cargo();
    examples.args(["test", "--locked", "--workspace", "--doc", "--quiet"]);
    equip(&mut examples, python)?;
    run::checked(examples)
}

/// Tells tests where Python and node's modules are.
///
/// # Errors
/// The modules cannot be installed.
pub(crate) fn equip(command: &mut Command, python: &Path) -> Outcome {
    command.env(setup::PYTHON, python).env("NODE_PATH", setup::node_modules()?);
    Ok(())
}

/// Tests at once: twice the processors, because most of them wait. `.config/nextest.toml` says
/// which take more than one place.
fn at_once() -> usize {
    2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn has_nextest() -> bool {
    let mut probe: Command = run::cargo();
    probe.args(["nextest", "--version"]);
    probe.output().is_ok_and(|out| out.status.success())
}
