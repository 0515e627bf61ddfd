//! Output of xtask: lines and tables on stdout, steps and errors on stderr. Nothing else in xtask
//! writes to the terminal.
//!
//! # Invariants
//! - A closed reader (`cargo xtask … | head`) is no error.

use std::io::{IsTerminal, Write};

/// Prints a line to stdout.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Announces a step, on stderr as cargo does.
pub(crate) fn step(text: &str) {
    let bold = if std::io::stderr().is_terminal() { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    let _ = writeln!(std::io::stderr(), "{}== {text}{}", bold.0, bold.1);
}

/// Prints what went wrong.
pub(crate) fn error(text: &str) {
    let _ = writeln!(std::io::stderr(), "xtask: {text}");
}

/// Prints rows in columns; the first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        line(cells.join("  ").trim_end());
    }
}
