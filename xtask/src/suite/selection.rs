//! Which test programs a name of a test asks for, so that `cargo xtask try` builds no others.
//!
//! Data flow: the last segment of the name -> source files that hold a test, and a function or a
//! module of such a name -> cargo's words for their targets.
//!
//! # Not here
//! - The choice of the tests themselves: the test runner matches the name again.

use std::collections::BTreeSet;
use std::path::Path;

use towline_testkit::Outcome;
use towline_testkit::source::graph::rust_files;
use towline_testkit::trouble::ensure;

/// Targets to build and run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    /// Words for cargo: `--lib`, `--bins`, `--test NAME`.
    pub(super) targets: Vec<String>,
    /// Whether the tests start the three programs.
    pub(super) needs_programs: bool,
}

impl Selection {
    /// Finds the targets below a workspace's root.
    ///
    /// # Errors
    /// No test has such a name.
    pub(super) fn of(root: &Path, name: &str) -> Outcome<Self> {
        let word = name.rsplit("::").find(|word| !word.is_empty()).unwrap_or(name);
        let mut files = Vec::new();
        for folder in ["src", "tests", "crates", "xtask/src"] {
            rust_files(&root.join(folder), &mut files)?;
        }
        let mut exact = BTreeSet::new();
        let mut targets = BTreeSet::new();
        for file in &files {
            let path = file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned();
            let text = std::fs::read_to_string(file)?;
            match names_a_test(&path, &text, word) {
                Some(Match::Exact) => exact.extend(target_of(root, &path)),
                Some(Match::Part) => targets.extend(target_of(root, &path)),
                None => {}
            }
        }
        // A whole name wins: parts of other names would build more programs than needed.
        if !exact.is_empty() {
            targets = exact;
        }
        ensure(!targets.is_empty(), || {
            format!("no test or test module is called {name}: list all with cargo nextest list")
        })?;
        let needs_programs = targets.contains("--test e2e");
        let targets =
            targets.iter().flat_map(|target| target.split(' ').map(str::to_owned)).collect();
        Ok(Self { targets, needs_programs })
    }
}

/// How a file matches a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    /// A function or a module of the file has this name.
    Exact,
    /// The word is a part of a function's name.
    Part,
}

/// How a file matches a word, if it holds a test.
fn names_a_test(path: &str, text: &str, word: &str) -> Option<Match> {
    let holds_tests = ["#[test]", "::test]", "proptest!"].iter().any(|mark| text.contains(mark));
    if !holds_tests {
        return None;
    }
    let functions = text.split("fn ").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    });
    let mut names = path.trim_end_matches(".rs").split('/').chain(functions.clone());
    if names.any(|name| name == word) {
        return Some(Match::Exact);
    }
    functions.into_iter().any(|name| name.contains(word)).then_some(Match::Part)
}

/// Cargo's words for the target that a file is compiled into.
fn target_of(root: &Path, path: &str) -> Option<String> {
    if path.starts_with("tests/e2e/") {
        return Some("--test e2e".into());
    }
    let (package, inside) = match path.strip_prefix("crates/").and_then(|rest| rest.split_once('/'))
    {
        Some((name, inside)) => (format!("crates/{name}"), inside),
        None => (path.strip_prefix("xtask/").map_or(".", |_| "xtask").to_owned(), path),
    };
    if let Some(test) = inside.strip_prefix("tests/") {
        let stem = test.split('/').next()?.trim_end_matches(".rs");
        return Some(format!("--test {stem}"));
    }
    let has_library = root.join(package).join("src/lib.rs").is_file();
    Some(if has_library { "--lib" } else { "--bins" }.into())
}

#[cfg(test)]
mod tests {
    use towline_testkit::lab::programs::workspace;

    use super::*;

    fn of(name: &str) -> Vec<String> {
        Selection::of(&workspace(), name).unwrap().targets
    }

    #[test]
    fn a_unit_test_needs_no_programs() {
        let here = "suite::selection::tests::a_unit_test_needs_no_programs";
        let expected = Selection { targets: vec!["--bins".into()], needs_programs: false };
        assert_eq!(Selection::of(&workspace(), here).unwrap(), expected);
    }

    #[test]
    fn a_module_of_the_end_to_end_tests_needs_them() {
        let selection = Selection::of(&workspace(), "grants::").unwrap();
        assert!(selection.needs_programs);
        assert_eq!(selection.targets, ["--test", "e2e"]);
    }

    #[test]
    fn a_file_below_tests_is_a_target_of_its_own() {
        assert_eq!(of("files_do_not_name_each_other_in_a_circle"), ["--test", "tidy"]);
    }

    #[test]
    fn a_name_that_no_test_has_is_refused() {
        let name = ["no_test", "is_called_so"].join("_");
        assert!(Selection::of(&workspace(), &name).unwrap_err().to_string().contains(&name));
    }
}
