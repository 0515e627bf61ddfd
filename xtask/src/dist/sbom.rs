//! A bill of materials in CycloneDX form: which crates are in a program, from which source, under
//! which licence.
//!
//! Data flow: `cargo metadata` for the triple -> what the program's package reaches without its
//! tests and build scripts -> JSON without a clock or a random number, so that the same commit
//! gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use towline_testkit::{Outcome, Trouble, files};

use super::class::Program;
use super::digest;
use crate::run;

/// Writes the bill of materials of a program.
///
/// # Errors
/// Cargo does not know the program.
pub(crate) fn write(triple: &str, program: Program, binary: &Path, to: &Path) -> Outcome {
    let metadata = metadata(triple)?;
    let reached = reached(&metadata, program.file())?;
    let version = text(find(&metadata, program.file())?, "version");
    let mut components: Vec<Value> = Vec::new();
    for package in list(&metadata, "packages").filter(|p| reached.contains(&text(p, "id"))) {
        if text(package, "name") != program.file() {
            components.push(component(package));
        }
    }
    components.sort_by_key(|c| (text(c, "name"), text(c, "version")));
    let whole = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application",
            "bom-ref": program.file(),
            "name": program.file(),
            "version": version,
            "hashes": [{ "alg": "SHA-256", "content": digest::sha256(&std::fs::read(binary)?) }],
            "properties": [{ "name": "towline:target", "value": triple }],
        }},
        "components": components,
    });
    files::write(to, format!("{whole:#}\n"))
}

fn component(package: &Value) -> Value {
    let (name, version) = (text(package, "name"), text(package, "version"));
    let ours = package["source"].is_null();
    // A package of this workspace is in no registry, so it has no address there.
    let address = if ours {
        format!("pkg:generic/{name}@{version}")
    } else {
        format!("pkg:cargo/{name}@{version}")
    };
    json!({
        "type": "library",
        "bom-ref": address,
        "name": name,
        "version": version,
        "purl": address,
        "licenses": [{ "expression": text(package, "license").replace('/', " OR ") }],
    })
}

fn metadata(triple: &str) -> Outcome<Value> {
    let mut cargo = run::cargo();
    let out = cargo
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform", triple])
        .output()?;
    if !out.status.success() {
        return Err(Trouble::new(format!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&out.stderr)
        )));
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// Ids of all packages that are linked into a program: normal edges only.
fn reached(metadata: &Value, program: &str) -> Outcome<BTreeSet<String>> {
    let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().into_iter().flatten() {
        let normal = list(node, "deps")
            .filter(|dep| list(dep, "dep_kinds").any(|kind| kind["kind"].is_null()))
            .map(|dep| text(dep, "pkg"));
        edges.insert(text(node, "id"), normal.collect());
    }
    let mut seen = BTreeSet::new();
    let mut ahead = vec![text(find(metadata, program)?, "id")];
    while let Some(id) = ahead.pop() {
        if seen.insert(id.clone()) {
            ahead.extend(edges.get(&id).into_iter().flatten().cloned());
        }
    }
    Ok(seen)
}

fn find<'a>(metadata: &'a Value, name: &str) -> Outcome<&'a Value> {
    list(metadata, "packages")
        .find(|package| package["name"] == name)
        .ok_or_else(|| Trouble::new(format!("no package {name}")))
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[key].as_array().into_iter().flatten()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_holds_its_tls_library_and_not_its_test_tools() {
        let metadata = metadata("x86_64-unknown-linux-musl").unwrap();
        let reached = reached(&metadata, "towline-agent").unwrap();
        let names: Vec<String> = list(&metadata, "packages")
            .filter(|p| reached.contains(&text(p, "id")))
            .map(|p| text(p, "name"))
            .collect();
        assert!(names.iter().any(|name| name == "rustls"), "{names:?}");
        assert!(!names.iter().any(|name| name == "tempfile"), "{names:?}");
    }
}
