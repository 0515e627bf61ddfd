//! The rules of the tree that a compiler does not check.
//!
//! - [`crates`]: which package may use which. [`folders`]: the same for the gateway's folders.
//! - [`circles`]: files that name each other. [`files`]: headers, lengths, names, unsafe code.
//!   [`modules`]: where modules have their files.
//! - [`documents`]: links and paths in Markdown. [`words`]: phrases that say nothing. [`lines`]:
//!   lines of 100 columns. [`laptop_files`]: what package managers of laptops are told.
//!
//! Data flow: `cargo metadata` and the files of the tree -> a list of offences -> one failure that
//! names them all.
//!
//! # Not here
//! - Function lengths and banned calls (`clippy.toml`), licences and advisories (`deny.toml`).

mod circles;
mod crates;
mod documents;
mod files;
mod folders;
mod laptop_files;
mod lines;
mod modules;
mod words;

use std::path::{Path, PathBuf};

use towline_testkit::lab::programs::workspace as root;

/// Runs one rule over every Rust file; paths are given from the tree's root, with `/`.
#[track_caller]
fn check_files(rule: impl Fn(&str, &str) -> Option<String>) {
    let root = root();
    let files = sources(&["rs"]);
    assert!(files.len() > 20, "only {} files found: is the tree where it was?", files.len());
    let offences = files.iter().filter_map(|file| {
        let name = file.strip_prefix(&root).ok()?.to_string_lossy().replace('\\', "/");
        rule(&name, &std::fs::read_to_string(file).ok()?)
    });
    report(&offences.collect::<Vec<_>>());
}

/// The files of the tree that end so, without what was built.
fn sources(kinds: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&root(), kinds, &mut found);
    found
}

fn collect(folder: &Path, kinds: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules") {
                collect(&path, kinds, found);
            }
        } else if path.extension().is_some_and(|kind| kinds.iter().any(|one| kind == *one)) {
            found.push(path);
        }
    }
}

#[track_caller]
fn report(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}
