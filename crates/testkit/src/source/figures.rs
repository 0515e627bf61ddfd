//! Counts files and functions of the crates in a folder: what `cargo xtask structure` prints.
//!
//! # Not here
//! - Tests: neither folders named `tests` nor `#[cfg(test)]` items are counted.

use std::path::{Path, PathBuf};

use super::circles::components;
use super::graph::Graph;
use crate::Outcome;

/// What was counted of one crate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// The crate's folder; `.` for the agent.
    pub name: String,
    /// Source files without test modules.
    pub files: usize,
    /// Lines of the longest of them, tests included.
    pub longest_file: usize,
    /// Lengths of all functions with a body, in lines, shortest first.
    pub functions: Vec<usize>,
    /// Lines of more than 100 characters.
    pub wide_lines: usize,
    /// Files of the largest circle; 0 without one.
    pub circle: usize,
    /// Calls that open a span.
    pub spans: usize,
    /// Log calls at `debug` and `trace`.
    pub details: usize,
}

impl Figures {
    /// The length that this share of all functions does not exceed.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> usize {
        let last = self.functions.len().saturating_sub(1);
        self.functions.get(last * percent / 100).copied().unwrap_or(0)
    }

    /// Adds another crate: sums, and the larger of two maxima.
    pub fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.longest_file = self.longest_file.max(other.longest_file);
        self.functions.extend(&other.functions);
        self.functions.sort_unstable();
        self.wide_lines += other.wide_lines;
        self.circle = self.circle.max(other.circle);
        self.spans += other.spans;
        self.details += other.details;
    }
}

/// The crates below a workspace: the agent at its root, `crates/*` and `xtask`.
///
/// # Errors
/// A folder cannot be read.
pub fn crates(root: &Path) -> Outcome<Vec<(String, PathBuf)>> {
    let mut found = vec![(".".to_owned(), root.join("src"))];
    for entry in std::fs::read_dir(root.join("crates"))? {
        let entry = entry?;
        let name = format!("crates/{}", entry.file_name().to_string_lossy());
        found.push((name, entry.path().join("src")));
    }
    found.push(("xtask".to_owned(), root.join("xtask/src")));
    found.retain(|(_, src)| src.is_dir());
    found.sort();
    Ok(found)
}

/// Counts one crate.
///
/// # Errors
/// A file cannot be read.
pub fn count(name: &str, src: &Path) -> Outcome<Figures> {
    let graph = Graph::read(src)?;
    let mut figures =
        Figures { name: name.to_owned(), files: graph.names.len(), ..Figures::default() };
    for (file, parsed) in graph.names.iter().zip(graph.files()) {
        let text = std::fs::read_to_string(src.join(file))?;
        figures.longest_file = figures.longest_file.max(text.lines().count());
        figures.wide_lines += text.lines().filter(|line| line.chars().count() > 100).count();
        figures.functions.extend(parsed.functions.iter().map(|(first, last)| last - first + 1));
        let called = |name: &str| parsed.macros.iter().filter(|called| *called == name).count();
        let spans = ["span", "trace_span", "debug_span", "info_span", "warn_span", "error_span"];
        figures.spans += spans.into_iter().map(called).sum::<usize>();
        figures.spans += text.lines().filter(|line| is_instrumented(line)).count();
        figures.details += ["debug", "trace"].into_iter().map(called).sum::<usize>();
    }
    figures.functions.sort_unstable();
    figures.circle = components(&graph).first().map_or(0, Vec::len);
    Ok(figures)
}

/// Whether a line is the attribute that opens a span around a function.
fn is_instrumented(line: &str) -> bool {
    line.trim().strip_prefix("#[").is_some_and(|rest| rest.contains("instrument"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_lengths() {
        let functions = (1..=10).collect();
        let figures = Figures { functions, ..Figures::default() };
        assert_eq!([50, 90, 100].map(|percent| figures.percentile(percent)), [5, 9, 10]);
        assert_eq!(Figures::default().percentile(50), 0);
    }
}
