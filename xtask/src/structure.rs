//! `cargo xtask structure [--dir DIR] [--write [COMMIT]]`: the size of the source tree by crate.
//!
//! Data flow: a source tree, or `git archive COMMIT` unpacked -> `towline_testkit::source` -> one
//! row for each crate and a total -> the terminal, and the table `structure` of docs/figures.md.
//!
//! # Not here
//! - Limits: `crates/e2e/tests/tidy` and `clippy.toml` set them.

use std::path::Path;
use std::process::{Command, Stdio};

use towline_testkit::lab::programs::workspace;
use towline_testkit::source::figures::{Figures, count, crates};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use crate::{console, figures};

const USAGE: &str = "usage: cargo xtask structure [--dir DIR | --write [COMMIT]]; COMMIT is \
                     counted beside the current tree";

/// `cargo xtask structure WORDS…`.
///
/// # Errors
/// A file cannot be read, or git does not know the commit.
pub(crate) fn command(words: &[&str]) -> Outcome {
    match words {
        [] => show(&rows(&workspace())?),
        ["--dir", folder] => show(&rows(Path::new(folder))?),
        ["--write"] => write(None),
        ["--write", commit] => write(Some(commit)),
        _ => Err(Trouble::new(USAGE)),
    }
}

fn show(rows: &[Vec<String>]) -> Outcome {
    console::table(rows);
    Ok(())
}

fn write(before: Option<&str>) -> Outcome {
    let now = rows(&workspace())?;
    show(&now)?;
    let mut text = String::new();
    if let Some(commit) = before {
        let then = at_commit(commit)?;
        console::line(&format!("\nat {commit}:"));
        show(&then)?;
        text = format!("At {commit}:\n\n{}\nNow:\n\n", figures::markdown(&then));
    }
    text.push_str(&figures::markdown(&now));
    figures::write("structure", &text)
}

/// Counts the tree of a commit.
fn at_commit(commit: &str) -> Outcome<Vec<Vec<String>>> {
    let folder = tempfile::Builder::new().prefix("towline-structure-").tempdir()?;
    let mut archive = Command::new("git");
    archive.current_dir(workspace()).args(["archive", "--format=tar", commit, "--"]);
    let mut archive = archive.args(["src", "crates", "xtask"]).stdout(Stdio::piped()).spawn()?;
    let stream = archive.stdout.take().ok_or_else(|| Trouble::new("git archive has no output"))?;
    let unpacked = tar::Archive::new(stream).unpack(folder.path());
    ensure(archive.wait()?.success(), || format!("git archive {commit} failed"))?;
    unpacked?;
    rows(folder.path())
}

fn rows(root: &Path) -> Outcome<Vec<Vec<String>>> {
    let heading = [
        "crate",
        "files",
        "longest file",
        "functions",
        "median, lines",
        "p90",
        "longest",
        "lines over 100",
        "largest circle",
        "spans",
        "debug and trace lines",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let mut total = Figures { name: "all".into(), ..Figures::default() };
    for (name, src) in crates(root)? {
        let one = count(&name, &src)?;
        rows.push(row(&one));
        total.add(&one);
    }
    rows.push(row(&total));
    Ok(rows)
}

fn row(of: &Figures) -> Vec<String> {
    let name = if of.name == "." { "agent" } else { &of.name };
    let numbers = [
        of.files,
        of.longest_file,
        of.functions.len(),
        of.percentile(50),
        of.percentile(90),
        of.percentile(100),
        of.wide_lines,
        of.circle,
        of.spans,
        of.details,
    ];
    let numbers = numbers.iter().map(ToString::to_string);
    std::iter::once(name.to_owned()).chain(numbers).collect()
}
