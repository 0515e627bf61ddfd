//! Lines of 100 columns: comments never pass them; code and strings that a formatter cannot break
//! are counted, and their number only falls.
//!
//! Data flow: every `.rs`, `.ts` and `.tsx` file -> its lines of more than [`WIDTH`] characters ->
//! comments are offences, the others a number that is compared with [`LONG_LINES`].
//!
//! # Not here
//! - Formatting: `cargo fmt`. Width of Markdown: `documents`.

use towline_testkit::lab::programs::workspace as root;

use super::{report, sources};

/// Widest line, characters (`rustfmt.toml`).
const WIDTH: usize = 100;
/// Most lines of code and strings beyond it, in the whole tree. Lower it when it is not reached.
const LONG_LINES: usize = 311;
/// How far [`LONG_LINES`] may be above what is there.
const SLACK: usize = 25;

#[test]
fn comments_keep_to_the_width() {
    let mut offences = Vec::new();
    each_long_line(|name, number, line| {
        if is_comment(line) && !is_unbreakable(line) {
            offences.push(format!("{name}:{number}: a comment of more than {WIDTH} columns"));
        }
    });
    report(&offences);
}

#[test]
fn long_lines_of_code_become_fewer() {
    let mut found = 0;
    each_long_line(|_, _, line| found += usize::from(!is_comment(line)));
    assert!(
        found <= LONG_LINES,
        "{found} lines of more than {WIDTH} columns, at most {LONG_LINES}"
    );
    assert!(found + SLACK >= LONG_LINES, "only {found} long lines: lower LONG_LINES to it");
}

#[test]
fn a_long_comment_is_found_and_a_row_of_a_table_is_not() {
    let words = "word ".repeat(21);
    assert!(is_comment(&format!("    /// {words}")) && !is_unbreakable(&format!("/// {words}")));
    assert!(is_comment(&format!(" * {words}")), "a comment of several lines in TypeScript");
    assert!(!is_comment(&format!("let x = 1; // {words}")), "code, which the formatter knows");
    assert!(is_unbreakable(&format!("//! | {words} |")));
    assert!(is_unbreakable(&format!("// {}", "x".repeat(WIDTH))));
}

/// Calls `each` with the path, the number and the text of every long line.
fn each_long_line(mut each: impl FnMut(&str, usize, &str)) {
    let root = root();
    for file in sources(&["rs", "ts", "tsx"]) {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let name = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        for (at, line) in text.lines().enumerate() {
            if line.chars().count() > WIDTH {
                each(&name, at + 1, line);
            }
        }
    }
}

fn is_comment(line: &str) -> bool {
    ["//", "/*", "* "].iter().any(|mark| line.trim_start().starts_with(mark))
}

/// A row of a table, an example, or one word that is too long by itself.
fn is_unbreakable(line: &str) -> bool {
    let text = line.trim_start().trim_start_matches(['/', '!', '*']);
    text.starts_with(" |")
        || text.starts_with(" {")
        || text.split_whitespace().any(|word| word.chars().count() > WIDTH - 30)
}
