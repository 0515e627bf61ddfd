//! The rules of the tree that a compiler does not check: who may use whom, headers, sizes, names.
//!
//! Way: `cargo metadata` and the files of the tree -> a list of offences -> one failure that names
//! them all.
//!
//! # Not here
//! - What clippy says (function lengths, banned calls: `clippy.toml`) and what cargo-deny says
//!   (`deny.toml`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use towline_testkit::lab::programs::workspace as root;
use towline_testkit::{Outcome, Trouble};

/// Longest source file, lines. Talk about it before it gets there.
const LONGEST_FILE: usize = 600;
/// Files that may be longer, each with its reason.
const LONGER_FOR_A_REASON: &[(&str, &str)] = &[];
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc"];
/// The one file that may hold `unsafe`: system calls around fork and exec.
const UNSAFE_FILE: &str = "src/pty/sys.rs";
/// The file that opens it.
const UNSAFE_OPENER: &str = "src/pty/mod.rs";

/// Which of our packages each of them may use in what it ships. What is not named here may use
/// none.
const MAY_USE: &[(&str, &[&str])] = &[
    ("towline-wire", &[]),
    ("towline-policy", &[]),
    ("towline-ssm", &[]),
    ("towline-evidence", &[]),
    ("towline-agent", &["towline-wire"]),
    ("towline-gateway", &["towline-wire", "towline-policy", "towline-ssm", "towline-evidence"]),
    ("towline", &["towline-wire", "towline-policy", "towline-ssm", "towline-evidence"]),
    ("towline-testkit", &["towline-wire", "towline-ssm"]),
    ("towline-e2e", &["towline-wire", "towline-ssm", "towline-testkit"]),
    ("xtask", &["towline-testkit"]),
];

/// Third-party crates that may not be in what a package ships, with the reason.
const MUST_NOT_USE: &[(&str, &[&str], &str)] = &[
    (
        "towline-wire",
        &["tokio", "rustls", "ring", "std"],
        "the wire does no I/O and builds without std",
    ),
    ("towline-policy", &["tokio", "rustls", "sqlx", "hyper"], "policy is pure"),
    ("towline-ssm", &["tokio", "rustls", "sqlx", "hyper"], "formats do no I/O"),
    ("towline-evidence", &["tokio", "rustls", "sqlx", "hyper"], "what verifies does no I/O"),
    (
        "towline-agent",
        &["clap", "anyhow", "tracing", "sqlx", "hyper", "serde_json"],
        "the agent stays small",
    ),
];

#[test]
fn nobody_uses_what_the_table_forbids() -> Outcome {
    let mut offences = Vec::new();
    for package in packages()? {
        let allowed = MAY_USE.iter().find(|(name, _)| *name == package.name).map(|(_, uses)| *uses);
        let Some(allowed) = allowed else {
            offences.push(format!("{}: not in the table of who may use whom", package.name));
            continue;
        };
        for used in package.ours.iter().filter(|used| !allowed.contains(&used.as_str())) {
            offences.push(format!(
                "{} uses {used}, which ARCHITECTURE.md, \"Parts\", forbids",
                package.name
            ));
        }
        for (_, banned, why) in MUST_NOT_USE.iter().filter(|(name, ..)| *name == package.name) {
            for used in package.others.iter().filter(|used| banned.contains(&used.as_str())) {
                offences.push(format!("{} uses {used}: {why}", package.name));
            }
        }
    }
    report(&offences);
    Ok(())
}

#[test]
fn every_source_file_opens_with_a_header() {
    check_files(|name, text| {
        (!text.starts_with("//! ")).then(|| format!("{name}: the first line is not a `//!` header"))
    });
}

#[test]
fn no_source_file_is_too_long() {
    check_files(|name, text| {
        let lines = text.lines().count();
        let excused = LONGER_FOR_A_REASON.iter().any(|(file, _)| *file == name);
        (lines > LONGEST_FILE && !excused)
            .then(|| format!("{name}: {lines} lines, at most {LONGEST_FILE}"))
    });
}

#[test]
fn every_excuse_is_still_needed() {
    let gone = LONGER_FOR_A_REASON.iter().filter(|(file, _)| {
        std::fs::read_to_string(root().join(file)).map_or(0, |t| t.lines().count()) <= LONGEST_FILE
    });
    report(
        &gone
            .map(|(file, _)| format!("{file}: no longer too long, drop its excuse"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_file_or_folder_has_an_empty_name() {
    check_files(|name, _| {
        let parts = name.trim_end_matches(".rs").split('/');
        let empty = parts.filter(|part| EMPTY_NAMES.contains(part)).collect::<Vec<_>>();
        (!empty.is_empty()).then(|| {
            format!("{name}: `{}` says nothing, name it after its idea", empty.join("`, `"))
        })
    });
}

#[test]
fn unsafe_stands_in_one_file() {
    let forbid = ["#![forbid(", "unsafe_code)]"].concat();
    check_files(|name, text| {
        let is_root =
            name.ends_with("src/lib.rs") || (name.ends_with("src/main.rs") && !sibling_lib(name));
        if let Some(line) = unlocked(name, text) {
            return Some(format!("{name}:{line}: unsafe code belongs into {UNSAFE_FILE}"));
        }
        let must_forbid = is_root && !name.starts_with("src/");
        (must_forbid && !text.contains(&forbid))
            .then(|| format!("{name}: a crate's root says {forbid}"))
    });
}

/// The first line that lets unsafe code in, other than the one that opens [`UNSAFE_FILE`].
fn unlocked(name: &str, text: &str) -> Option<usize> {
    let locks = ["allow(", "expect(", "warn("].map(|level| [level, "unsafe_code"].concat());
    let mut lines = text.lines().zip(text.lines().skip(1).chain([""])).enumerate();
    let offence = lines.find(|(_, (line, next))| {
        let opens = locks.iter().any(|lock| line.contains(lock.as_str()));
        opens && !(name == UNSAFE_OPENER && *next == "pub(crate) mod sys;")
    });
    offence.map(|(at, _)| at + 1)
}

#[test]
fn an_unlocked_file_is_found_wherever_it_is() {
    // Put together here, so that this file does not offend.
    let [allow, expect] = ["allow", "expect"].map(|level| [level, "(unsafe_code)"].concat());
    let sys = format!("mod a;\n#[{allow}] // why\npub(crate) mod sys;\n");
    assert_eq!(unlocked(UNSAFE_OPENER, &sys), None);
    assert_eq!(unlocked(UNSAFE_OPENER, &sys.replace("sys", "spawn")), Some(2));
    assert_eq!(unlocked("src/pty/spawn.rs", &sys), Some(2));
    assert_eq!(unlocked("src/pty/spawn.rs", &format!("#![{expect}]\n")), Some(1));
}

#[test]
fn no_test_is_switched_off_and_nothing_is_left_to_do() {
    let marks =
        [["#[", "ignore"].concat(), ["todo", "!("].concat(), ["unimplemented", "!("].concat()];
    check_files(|name, text| {
        let found = marks.iter().find(|mark| text.contains(mark.as_str()))?;
        Some(format!("{name}: holds `{found}`"))
    });
}

#[test]
fn nothing_names_a_folder_of_the_machine_it_was_written_on() {
    // Put together here, so that this file does not offend.
    let folders =
        [["/wo", "rk/"].concat(), ["/tmp/br", "ief"].concat(), ["/root/.py", "env"].concat()];
    check_files(|name, text| {
        let line = text
            .lines()
            .position(|line| folders.iter().any(|folder| line.contains(folder.as_str())))?;
        Some(format!("{name}:{}: holds a path of somebody's machine", line + 1))
    });
}

fn sibling_lib(name: &str) -> bool {
    root().join(name).with_file_name("lib.rs").exists()
}

struct Package {
    name: String,
    /// Packages of this workspace that it ships with.
    ours: BTreeSet<String>,
    /// Third-party packages that it names in its manifest.
    others: BTreeSet<String>,
}

/// The workspace's packages. Dev-dependencies on the test kit are not edges of the product.
fn packages() -> Outcome<Vec<Package>> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()?;
    if !out.status.success() {
        return Err(Trouble::new(format!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&out.stderr)
        )));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    let edges: BTreeMap<String, Vec<(String, bool)>> =
        list(&metadata, "packages").map(edges_of).collect();
    let names: BTreeSet<String> = edges.keys().cloned().collect();
    let is_ours = |used: &String| names.contains(used);
    let package = |(name, edges): (String, Vec<(String, bool)>)| {
        let counts = edges
            .into_iter()
            .filter(|(used, dev)| !(*dev && (used == "towline-testkit" || !is_ours(used))));
        let (ours, others) = counts.map(|(used, _)| used).partition(is_ours);
        Package { name, ours, others }
    };
    Ok(edges.into_iter().map(package).collect())
}

fn edges_of(package: &serde_json::Value) -> (String, Vec<(String, bool)>) {
    let name = package["name"].as_str().unwrap_or_default().to_owned();
    let edges = list(package, "dependencies")
        .map(|d| {
            (d["name"].as_str().unwrap_or_default().to_owned(), d["kind"].as_str() == Some("dev"))
        })
        .collect();
    (name, edges)
}

fn list<'a>(
    value: &'a serde_json::Value,
    key: &str,
) -> impl Iterator<Item = &'a serde_json::Value> + use<'a> {
    value[key].as_array().into_iter().flatten()
}

/// Runs one rule over every Rust file; paths are given from the tree's root, with `/`.
#[track_caller]
fn check_files(rule: impl Fn(&str, &str) -> Option<String>) {
    let root = root();
    let mut files = Vec::new();
    for folder in ["src", "crates", "tests", "xtask"] {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 20, "only {} files found: is the tree where it was?", files.len());
    let offences = files.iter().filter_map(|file| {
        let name = file.strip_prefix(&root).ok()?.to_string_lossy().replace('\\', "/");
        rule(&name, &std::fs::read_to_string(file).ok()?)
    });
    report(&offences.collect::<Vec<_>>());
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(|e| Some(e.ok()?.path())) {
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[track_caller]
fn report(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}
