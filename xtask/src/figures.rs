//! Writes tables into `docs/figures.md`, each between its markers `<!-- figures:NAME -->` and
//! `<!-- /figures:NAME -->`.
//!
//! # Invariants
//! - Text outside of the markers stays as it is. A table without markers is an error, never
//!   appended.

use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble, files};

use crate::{console, programs};

/// The document, from the workspace's root.
const DOCUMENT: &str = "docs/figures.md";

/// Puts a Markdown table between the markers of this name.
///
/// # Errors
/// The document has no such markers, or cannot be written.
pub(crate) fn write(name: &str, table: &str) -> Outcome {
    let path = workspace().join(DOCUMENT);
    let text = replaced(&document()?, name, table).ok_or_else(|| no_markers(name))?;
    files::write(&path, text)?;
    // A document is there for everybody to read.
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    console::step(&format!("{DOCUMENT}: table {name} written"));
    Ok(())
}

/// The rows between the markers of this name, the heading first.
///
/// # Errors
/// The document has no such markers, or cannot be read.
pub(crate) fn read(name: &str) -> Outcome<Vec<Vec<String>>> {
    let text = document()?;
    let (_, table, _) = parted(&text, name).ok_or_else(|| no_markers(name))?;
    Ok(rows(table))
}

fn document() -> Outcome<String> {
    let path = workspace().join(DOCUMENT);
    std::fs::read_to_string(&path)
        .map_err(|e| Trouble::new(format!("cannot read {}: {e}", path.display())))
}

fn no_markers(name: &str) -> Trouble {
    Trouble::new(format!(
        "{DOCUMENT} has no markers <!-- figures:{name} --> and <!-- /figures:{name} -->: add \
         them where the table belongs"
    ))
}

/// A command `NAME [NUMBER] [--write]`: builds the programs as they ship, measures with the number
/// or with `unless_told`, shows the table, and writes it between the markers `name` if it is asked
/// to.
///
/// # Errors
/// No number, or what was measured is not right.
pub(crate) fn command(
    words: &[&str],
    name: &str,
    unless_told: usize,
    measure: impl FnOnce(usize) -> Outcome<Vec<Vec<String>>>,
) -> Outcome<Vec<Vec<String>>> {
    let number = words.iter().find(|word| !word.starts_with('-'));
    let number = number.map_or(Ok(unless_told), |number| number.parse())?;
    programs::shipped()?;
    let rows = measure(number)?;
    console::table(&rows);
    if words.contains(&"--write") {
        write(name, &markdown(&rows))?;
    }
    Ok(rows)
}

/// The text with another table between the markers; nothing if a marker is missing.
fn replaced(text: &str, name: &str, table: &str) -> Option<String> {
    let (before, _, after) = parted(text, name)?;
    let (begin, end) = markers(name);
    Some(format!("{before}{begin}{}\n{end}{after}", table.trim_end()))
}

/// What stands before the markers, between them and behind them.
fn parted<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str, &'t str)> {
    let (begin, end) = markers(name);
    let (before, rest) = text.split_once(&begin)?;
    let (table, after) = rest.split_once(&end)?;
    Some((before, table, after))
}

fn markers(name: &str) -> (String, String) {
    (format!("<!-- figures:{name} -->\n"), format!("<!-- /figures:{name} -->"))
}

/// The rows of a Markdown table that [`markdown`] wrote; the heading is the first one.
fn rows(table: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        Some(inner.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
    };
    table.lines().filter(|line| !line.starts_with("|---")).filter_map(cells).collect()
}

/// Rows as a Markdown table; the first row is the heading.
pub(crate) fn markdown(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
        if at == 0 {
            text.push_str(&format!("|{}\n", "---|".repeat(row.len())));
        }
    }
    text
}

/// With a comma between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let text = "a\n<!-- figures:x -->\nold\n<!-- /figures:x -->\nb\n";
        let new = "a\n<!-- figures:x -->\nnew\n<!-- /figures:x -->\nb\n";
        assert_eq!(replaced(text, "x", "new\n").as_deref(), Some(new));
        assert_eq!(replaced(text, "y", "new"), None);
    }

    #[test]
    fn the_first_row_is_the_heading() {
        let rows = [vec!["a".to_owned(), "b".into()], vec!["1".into(), "2".into()]];
        assert_eq!(markdown(&rows), "| a | b |\n|---|---|\n| 1 | 2 |\n");
        assert_eq!(super::rows(&markdown(&rows)), rows);
    }

    #[test]
    fn thousands_are_kept_apart() {
        assert_eq!([7, 999, 1000, 1_591_456].map(grouped), ["7", "999", "1,000", "1,591,456"]);
    }

    #[test]
    fn the_document_has_a_place_for_each_table_that_a_command_writes() {
        let text = std::fs::read_to_string(workspace().join(DOCUMENT)).unwrap();
        for name in ["bench", "budget", "devices", "fuzz", "structure"] {
            assert!(replaced(&text, name, "").is_some(), "{name}");
        }
    }
}
