//! The documents: links lead somewhere, paths they name exist, the front page stays short.
//!
//! Data flow: Markdown files -> links and `paths` in them -> those that are not in the tree.
//!
//! # Invariants
//! - Decisions are history: their links are checked, the paths they name are not.
//!
//! # Not here
//! - Anchors within a page, and addresses on the web.

use std::path::{Path, PathBuf};

use super::{report, root};

/// Folders at the root: a quoted word that begins with one of them is a path.
const ROOTS: &[&str] =
    &["src/", "crates/", "docs/", "tests/", "xtask/", "packaging/", "systemd/", "targets/"];
/// What a quoted word may hold that is a pattern or a command, not one path.
const NOT_A_PATH: &[char] = &['*', '<', ' ', '{', '…'];
/// The front page: lines, and characters in a line.
const FRONT_PAGE: (usize, usize) = (110, 120);

#[test]
fn links_lead_to_files_that_exist() {
    let offences = pages().into_iter().flat_map(|(page, text)| {
        let folder = page.parent().map(Path::to_owned).unwrap_or_default();
        let broken = |link: &String| !root().join(&folder).join(link).exists();
        let broken: Vec<_> = links(&text).into_iter().filter(broken).collect();
        broken.into_iter().map(move |link| format!("{}: no file {link}", page.display()))
    });
    report(&offences.collect::<Vec<_>>());
}

#[test]
fn paths_in_documents_exist() {
    let offences = pages().into_iter().filter(|(page, _)| !page.starts_with("docs/decisions"));
    let offences = offences.flat_map(|(page, text)| {
        let gone: Vec<_> = paths(&text).into_iter().filter(|p| !root().join(p).exists()).collect();
        gone.into_iter().map(move |path| format!("{}: no path {path}", page.display()))
    });
    report(&offences.collect::<Vec<_>>());
}

#[test]
fn the_front_page_fits_two_screens() {
    for (page, text) in pages().iter().filter(|(page, _)| page.starts_with("README.md")) {
        let wide = text.lines().filter(|line| line.chars().count() > FRONT_PAGE.1).count();
        let lines = text.lines().count();
        assert!(lines <= FRONT_PAGE.0 && wide == 0, "{}: {lines}, {wide} wide", page.display());
    }
}

#[test]
fn the_index_lists_every_decision() {
    let pages = pages();
    let index = pages.iter().find(|(page, _)| page.ends_with("docs/decisions/README.md"));
    let index = index.map(|(_, text)| text.as_str()).unwrap_or_default();
    let decisions = pages.iter().filter(|(page, _)| page.starts_with("docs/decisions"));
    let names = decisions.filter_map(|(page, _)| Some(page.file_name()?.to_str()?.to_owned()));
    let missing = names.filter(|name| name != "README.md" && !index.contains(&format!("({name})")));
    report(
        &missing.map(|name| format!("docs/decisions/README.md lacks {name}")).collect::<Vec<_>>(),
    );
}

#[test]
fn a_broken_link_and_a_wrong_path_are_found() {
    let text = "[a](gone.md#x) [b](https://example.org) ![c](pic.svg) <img src=\"x.svg\"> \
                `src/gone.rs` `src/*.rs`";
    assert_eq!(links(text), ["gone.md", "pic.svg", "x.svg"]);
    assert_eq!(paths(text), ["src/gone.rs"]);
}

/// Every Markdown file of the project, by its path from the root, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    markdown(&root(), &mut found);
    assert!(found.len() > 20, "only {} documents found", found.len());
    let named = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).ok()?;
        Some((file.strip_prefix(root()).ok()?.to_owned(), text))
    };
    found.into_iter().filter_map(named).collect()
}

fn markdown(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden && !path.ends_with("target") && !path.ends_with("node_modules")
        {
            markdown(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// Targets of links and pictures, without those on the web and without anchors.
fn links(text: &str) -> Vec<String> {
    let ends = [("](", ')'), ("src=\"", '"')];
    let targets = ends.iter().flat_map(|(start, end)| {
        text.split(start).skip(1).filter_map(|rest| rest.split_once(*end).map(|(target, _)| target))
    });
    let files = targets.map(|target| target.split('#').next().unwrap_or_default());
    let ours = |target: &&str| !target.is_empty() && !target.contains("://");
    files.filter(ours).map(str::to_owned).collect()
}

/// Words in backticks that are paths from the root.
fn paths(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let path = |word: &&str| ROOTS.iter().any(|root| word.starts_with(root));
    quoted.filter(path).filter(|word| !word.contains(NOT_A_PATH)).map(str::to_owned).collect()
}
