//! The files of one crate, and which of them names which.
//!
//! Data flow: files -> [`parse`] -> module path of each file -> every path resolved to the file
//! that defines its name -> edges.
//!
//! # Invariants
//! - An import of a module alone is no edge; what is named through it is.
//! - A name that cannot be found in a module counts for the module's own file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::parse::{File, Named, parse};
use crate::Outcome;

/// Re-exports of re-exports are followed so far.
const HOPS: usize = 8;

/// One file names another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The file that names, by its place in [`Graph::names`].
    pub from: usize,
    /// The file that is named.
    pub to: usize,
    /// A line where it happens.
    pub line: usize,
    /// The path as it is written there.
    pub path: String,
}

/// The files of a crate without its tests, and the edges between them.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Paths of the files below `src/`.
    pub names: Vec<String>,
    /// One edge for each pair of files.
    pub edges: Vec<Edge>,
    modules: Vec<Vec<String>>,
    files: Vec<File>,
}

impl Graph {
    /// Reads the crate whose `src` folder this is.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(src: &Path) -> Outcome<Self> {
        let mut paths = Vec::new();
        rust_files(src, &mut paths)?;
        paths.sort();
        let mut texts = Vec::new();
        for path in paths {
            let name = path.strip_prefix(src).unwrap_or(&path).to_string_lossy().into_owned();
            texts.push((name, std::fs::read_to_string(&path)?));
        }
        Ok(Self::of(&texts))
    }

    /// The graph of these files, each with its path below `src/`.
    #[must_use]
    pub fn of(texts: &[(String, String)]) -> Self {
        let has_library = texts.iter().any(|(name, _)| name == "lib.rs");
        let mut all: Vec<(Vec<String>, String, File)> = texts
            .iter()
            // The program beside a library is a crate of its own that nothing can name.
            .filter(|(name, _)| !(has_library && name == "main.rs"))
            .map(|(name, text)| (module_of(name), name.clone(), parse(text)))
            .collect();
        let tests = test_modules(&all);
        all.retain(|(module, _, _)| !tests.iter().any(|test| module.starts_with(test)));
        let mut graph = Self::default();
        for (module, name, file) in all {
            graph.modules.push(module);
            graph.names.push(name);
            graph.files.push(file);
        }
        graph.edges = graph.all_edges();
        graph
    }

    /// The folder of a file: the first segment of its module path, or `lib` for the root.
    #[must_use]
    pub fn folder(&self, file: usize) -> &str {
        self.modules[file].first().map_or("lib", String::as_str)
    }

    /// What was read of each file, in the order of [`Graph::names`].
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    fn all_edges(&self) -> Vec<Edge> {
        let mut edges: BTreeMap<(usize, usize), Edge> = BTreeMap::new();
        for (from, file) in self.files.iter().enumerate() {
            let mut add = |named: &Named, targets: BTreeSet<usize>| {
                for to in targets.into_iter().filter(|to| *to != from) {
                    let path = named.path.join("::");
                    edges.entry((from, to)).or_insert(Edge { from, to, line: named.line, path });
                }
            };
            for leaf in &file.uses {
                let targets = if leaf.alias == "*" {
                    self.glob(from, &leaf.named)
                } else {
                    self.resolve(from, &leaf.named, HOPS)
                        .and_then(Target::item)
                        .into_iter()
                        .collect()
                };
                add(&leaf.named, targets);
            }
            for named in &file.paths {
                let target = self.resolve(from, named, HOPS).and_then(Target::item);
                add(named, target.into_iter().collect());
            }
        }
        edges.into_values().collect()
    }

    /// Everything that a glob brings in: what the module defines and what it re-exports.
    fn glob(&self, from: usize, named: &Named) -> BTreeSet<usize> {
        match self.resolve(from, named, HOPS) {
            Some(Target::Module(module)) => {
                let exports = self.files[module].uses.iter();
                let exported = exports
                    .filter_map(|leaf| self.resolve(module, &leaf.named, HOPS)?.item())
                    .collect::<BTreeSet<_>>();
                let own = (!self.files[module].items.is_empty()).then_some(module);
                exported.into_iter().chain(own).collect()
            }
            Some(Target::Item(file)) => [file].into(),
            None => BTreeSet::new(),
        }
    }

    /// The file or module that a path leads to; nothing for paths into other crates.
    fn resolve(&self, from: usize, named: &Named, hops: usize) -> Option<Target> {
        let hops = hops.checked_sub(1)?;
        let here = &self.modules[from];
        let inline = || here.iter().chain(&named.scope).cloned().collect::<Vec<_>>();
        let (first, rest) = named.path.split_first()?;
        let mut absolute = match first.as_str() {
            "crate" => Vec::new(),
            "self" => inline(),
            "super" => {
                let mut up = inline();
                up.pop();
                up
            }
            name => return self.relative(from, name, named, hops),
        };
        let ups = rest.iter().take_while(|segment| *segment == "super").count();
        absolute.truncate(absolute.len().saturating_sub(ups));
        absolute.extend(rest[ups..].iter().cloned());
        self.locate(&absolute, hops)
    }

    /// A path that starts with a name of this file: a child module, or something imported.
    fn relative(&self, from: usize, name: &str, named: &Named, hops: usize) -> Option<Target> {
        let file = &self.files[from];
        if file.children.iter().any(|(child, _)| child == name) {
            let absolute: Vec<String> =
                self.modules[from].iter().chain(&named.path).cloned().collect();
            return self.locate(&absolute, hops);
        }
        if file.items.iter().any(|item| item == name) {
            return None;
        }
        let imported = file.uses.iter().find(|leaf| {
            leaf.alias == name && leaf.named.path.first().is_some_and(|first| first != name)
        })?;
        let mut path = imported.named.path.clone();
        path.extend(named.path[1..].iter().cloned());
        self.resolve(from, &Named { path, ..imported.named.clone() }, hops)
    }

    /// Looks up a path from the crate's root.
    fn locate(&self, absolute: &[String], hops: usize) -> Option<Target> {
        let longest = (0..=absolute.len()).rev();
        let (module, rest) = longest.into_iter().find_map(|length| {
            let file = self.modules.iter().position(|module| module[..] == absolute[..length])?;
            Some((file, &absolute[length..]))
        })?;
        let Some((name, deeper)) = rest.split_first() else {
            return Some(Target::Module(module));
        };
        let file = &self.files[module];
        if file.items.contains(name) {
            return Some(Target::Item(module));
        }
        let again = |path: &[String], scope: &[String], more: &[String]| {
            let path = path.iter().chain(more).cloned().collect();
            self.resolve(module, &Named { scope: scope.to_vec(), path, line: 0 }, hops)
        };
        if let Some(leaf) = file.uses.iter().find(|leaf| leaf.alias == *name) {
            return again(&leaf.named.path, &leaf.named.scope, deeper)
                .or(Some(Target::Item(module)));
        }
        let globs = file.uses.iter().filter(|leaf| leaf.alias == "*");
        let found = globs
            .filter_map(|leaf| again(&leaf.named.path, &leaf.named.scope, &[]))
            .find_map(|target| match target {
                Target::Module(m) if m != module && self.files[m].items.contains(name) => Some(m),
                _ => None,
            });
        Some(Target::Item(found.unwrap_or(module)))
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A module itself.
    Module(usize),
    /// Something that this file defines.
    Item(usize),
}

impl Target {
    fn item(self) -> Option<usize> {
        if let Self::Item(file) = self { Some(file) } else { None }
    }
}

fn module_of(name: &str) -> Vec<String> {
    let stem = name.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if matches!(stem, "lib" | "main") {
        return Vec::new();
    }
    stem.split('/').map(str::to_owned).collect()
}

fn test_modules(all: &[(Vec<String>, String, File)]) -> Vec<Vec<String>> {
    let mut tests = Vec::new();
    for (module, _, file) in all {
        if file.is_test {
            tests.push(module.clone());
        }
        for (child, _) in file.children.iter().filter(|(_, test)| *test) {
            tests.push(module.iter().cloned().chain([child.clone()]).collect());
        }
    }
    tests
}

/// Appends all Rust files below a folder.
///
/// # Errors
/// A folder cannot be read.
pub fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Outcome {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let texts: Vec<(String, String)> =
            files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let graph = Graph::of(&texts);
        let edge = |e: &Edge| format!("{} {}", graph.names[e.from], graph.names[e.to]);
        graph.edges.iter().map(edge).collect()
    }

    #[test]
    fn a_re_export_leads_to_the_file_that_defines_the_name() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod c; pub(crate) use c::C;"),
            ("a/c.rs", "pub struct C;"),
            ("b.rs", "use crate::a::C;"),
        ];
        assert_eq!(edges(&files), ["a/mod.rs a/c.rs", "b.rs a/c.rs"]);
    }

    #[test]
    fn what_is_named_through_an_imported_module_is_an_edge_and_the_import_is_none() {
        let files = [
            ("lib.rs", "mod a; mod b; mod d;"),
            ("a.rs", "pub fn f() {}"),
            ("b.rs", "use crate::a; fn g() { a::f() }"),
            ("d.rs", "use crate::a; fn g() { }"),
        ];
        assert_eq!(edges(&files), ["b.rs a.rs"]);
    }

    #[test]
    fn super_and_inline_paths_and_globs_are_resolved() {
        let files = [
            ("lib.rs", "mod a; mod d; struct R;"),
            ("a/mod.rs", "pub mod b; pub mod c; pub struct A; mod i { fn f(_: super::c::C) {} }"),
            ("a/b.rs", "use super::A; fn f() -> crate::R { super::super::d::f() }"),
            ("a/c.rs", "use super::super::d::*; pub struct C;"),
            ("d.rs", "pub fn f() {}"),
        ];
        let expected =
            ["a/b.rs a/mod.rs", "a/b.rs d.rs", "a/b.rs lib.rs", "a/c.rs d.rs", "a/mod.rs a/c.rs"];
        let mut found = edges(&files);
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn test_modules_and_their_files_are_left_out() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a.rs", "#[cfg(test)] mod tests; #[cfg(test)] use crate::a::tests::T;"),
            ("a/tests.rs", "use crate::a::A;"),
            ("a/tests/more.rs", "use crate::a::A;"),
        ];
        assert!(edges(&files).is_empty());
    }
}
