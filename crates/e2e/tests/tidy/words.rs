//! Plain language: phrases that say nothing, or hide who acts, fail in code, comments and
//! documents.
//!
//! Data flow: every `.rs`, `.md`, `.ts` and `.tsx` file -> its words in order, over line ends and
//! comment marks -> [`PHRASES`] -> offences.
//!
//! # Not here
//! - Which term is the right one: `docs/glossary.md`.

use towline_testkit::lab::programs::workspace as root;

use super::{report, sources};

/// What fails. `*` is any one word.
const PHRASES: &[&[&str]] = &[
    &["for", "want", "of"],
    &["whoever"],
    &["whom"],
    &["is", "said"],
    &["see", "the", "module"],
    &["it", "is", "no", "*", "of"],
];

#[test]
fn no_file_uses_a_phrase_that_says_nothing() {
    let root = root();
    let mut files = sources(&["rs", "md", "ts", "tsx"]);
    assert!(files.len() > 100, "only {} files found: is the tree where it was?", files.len());
    // This file has to name the phrases.
    files.retain(|file| !file.ends_with("tests/tidy/words.rs"));
    let mut offences = Vec::new();
    for file in &files {
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        let name = file.strip_prefix(&root).unwrap_or(file).display();
        let found = phrases(&text).into_iter();
        offences.extend(found.map(|(line, phrase)| format!("{name}:{line}: \"{phrase}\"")));
    }
    report(&offences);
}

/// The phrases in a text, each with the line it starts on.
fn phrases(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    for (at, line) in text.lines().enumerate() {
        // Punctuation is a word of its own, which no phrase holds; comment marks and the
        // underscores of names are not.
        let spread = line.replace(['/', '!', '_', '#', '>', '*'], " ");
        let parts = spread.split_inclusive(|c: char| !c.is_alphanumeric() && c != '\'');
        for part in parts {
            let word = part.trim_end_matches(|c: char| !c.is_alphanumeric());
            let mark = part[word.len()..].trim();
            let found = [word, mark].into_iter().filter(|word| !word.is_empty());
            words.extend(found.map(|word| (at + 1, word.to_lowercase())));
        }
    }
    let mut found = Vec::new();
    for (at, (line, _)) in words.iter().enumerate() {
        for phrase in PHRASES {
            let matches = words.get(at..at + phrase.len()).is_some_and(|words| {
                words.iter().zip(*phrase).all(|((_, word), part)| *part == "*" || part == word)
            });
            if matches {
                found.push((*line, phrase.join(" ")));
            }
        }
    }
    found
}

/// Source and documents below a folder, without what is built or fetched.
#[test]
fn a_phrase_is_found_in_any_case_and_over_a_line_end() {
    let [want, is, module] = ["want", "is", "module"];
    let text = format!(
        "/// For {want}\n/// of a name, it {is} no part of it.\nfn {is}_said() {{}}\n// See the \
         {module}.\n"
    );
    let found: Vec<usize> = phrases(&text).into_iter().map(|(line, _)| line).collect();
    assert_eq!(found, [1, 2, 3, 4]);
    let innocent = "this said; it is {said}; it is no longer open; look into the modules below";
    assert_eq!(phrases(innocent), []);
}
