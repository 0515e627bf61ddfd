//! Which package may use which: our own by a table, third-party ones by a list of bans.
//!
//! Data flow: `cargo metadata` -> direct dependencies of each package -> offences.
//!
//! # Not here
//! - Folders inside the gateway: `folders.rs`. Versions and licences: `deny.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use towline_testkit::lab::programs::workspace as root;
use towline_testkit::{Outcome, Trouble};

use super::report;

/// Which of our packages each of them may use in what it ships. What is not named here may use
/// none.
const MAY_USE: &[(&str, &[&str])] = &[
    ("towline-wire", &[]),
    ("towline-policy", &[]),
    ("towline-ssm", &["towline-policy", "towline-wire"]),
    ("towline-evidence", &["towline-wire"]),
    ("towline-agent", &["towline-files", "towline-wire"]),
    ("towline-files", &[]),
    ("towline-host", &[]),
    ("towline-oidc", &[]),
    ("towline-store", &["towline-host", "towline-policy", "towline-ssm", "towline-wire"]),
    ("towline-archive", &["towline-evidence", "towline-host", "towline-ssm"]),
    (
        "towline-gateway",
        &[
            "towline-archive",
            "towline-evidence",
            "towline-host",
            "towline-oidc",
            "towline-policy",
            "towline-ssm",
            "towline-store",
            "towline-wire",
        ],
    ),
    (
        "towline",
        &["towline-evidence", "towline-files", "towline-policy", "towline-ssm", "towline-wire"],
    ),
    ("towline-testkit", &["towline-wire", "towline-ssm"]),
    ("towline-e2e", &["towline-wire", "towline-ssm", "towline-evidence", "towline-testkit"]),
    ("xtask", &["towline-testkit"]),
    ("xtask-start", &[]),
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
    ("towline-oidc", &["tokio", "rustls", "sqlx", "hyper"], "what judges tokens does no I/O"),
    ("towline-files", &["tokio", "serde"], "the agent links it: it stays small"),
    ("towline-host", &["tokio", "sqlx", "hyper"], "host is the lowest crate of the servers"),
    ("towline-store", &["object_store", "reqwest", "hyper"], "the store is SQL alone"),
    ("towline-archive", &["sqlx", "hyper", "axum"], "SQL belongs to the store"),
    (
        "towline-gateway",
        &["sqlx", "object_store", "reqwest", "flate2"],
        "SQL belongs to the store, sinks and compression to the archive",
    ),
    ("towline-agent", &["clap", "anyhow", "sqlx", "hyper", "serde_json"], "the agent stays small"),
];

#[test]
fn nobody_uses_what_the_table_forbids() -> Outcome {
    let mut offences = Vec::new();
    for package in packages()? {
        let allowed = MAY_USE.iter().find(|(name, _)| *name == package.name).map(|(_, uses)| *uses);
        let Some(allowed) = allowed else {
            offences.push(format!("{}: not in the table MAY_USE", package.name));
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
fn the_table_of_parts_in_architecture_says_the_same() -> Outcome {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let mut offences = Vec::new();
    for (name, uses) in MAY_USE {
        let folder = match *name {
            "towline-agent" => "src/".to_owned(),
            "towline" => "crates/cli".to_owned(),
            "towline-testkit" | "towline-e2e" | "xtask" | "xtask-start" => continue, // not shipped
            other => format!("crates/{}", short(other)),
        };
        let row = text.lines().find(|line| line.starts_with(&format!("| `{folder}` |")));
        let cell = row.and_then(|row| row.trim_end_matches(" |").rsplit(" | ").next());
        let said: BTreeSet<&str> = cell.unwrap_or_default().split('`').skip(1).step_by(2).collect();
        let may: BTreeSet<&str> = uses.iter().map(|used| short(used)).collect();
        if row.is_none() || said != may {
            offences.push(format!("ARCHITECTURE.md, \"Parts\": {folder} may use {may:?}"));
        }
    }
    report(&offences);
    Ok(())
}

fn short(package: &str) -> &str {
    package.strip_prefix("towline-").unwrap_or(package)
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
