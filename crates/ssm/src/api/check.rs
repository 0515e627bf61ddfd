//! The limits of AWS's models, as small checks that collect what is wrong.
//!
//! Data flow: a request's `check` -> [`Violations`] -> one `ValidationException` that names every
//! member in question.
//!
//! # Invariants
//! - At most [`MAX_REPORTED`] violations are kept, and a message never repeats what the client
//!   sent: bounded, and no secret can come back.
//! - Lengths are counted in characters, as the models count them.

use towline_wire::text::is_plain;

use crate::error::ApiError;

/// Most violations in one message; a request of thousands of bad tags must not make a message of
/// megabytes.
pub const MAX_REPORTED: usize = 10;

/// Whether a text that people write for each other may have this character. Persian and Indic words
/// and some pictures need joiners.
pub(crate) const fn is_shown(c: char) -> bool {
    is_plain(c) || matches!(c, '\u{200c}' | '\u{200d}')
}

/// A text that was taken as it is, such as one within a document, for people to read: each
/// character that controls a terminal, hides or reorders others is a space.
pub(crate) fn as_shown(text: &str) -> String {
    text.chars().map(|c| if is_shown(c) || matches!(c, '\n' | '\t') { c } else { ' ' }).collect()
}

/// What a request breaks.
#[derive(Debug, Default)]
pub struct Violations {
    found: Vec<String>,
    count: usize,
}

impl Violations {
    /// Notes one violation: `member` is its path, `rule` what it must be.
    pub fn add(&mut self, member: &str, rule: impl AsRef<str>) {
        self.count += 1;
        if self.found.len() < MAX_REPORTED {
            self.found.push(format!("{member} must {}", rule.as_ref()));
        }
    }

    /// Notes a violation unless `good`.
    pub fn require(&mut self, good: bool, member: &str, rule: &str) {
        if !good {
            self.add(member, rule);
        }
    }

    /// Keys of which no two may differ in letter case only, nor be the same.
    pub fn distinct<'k>(&mut self, member: &str, keys: impl IntoIterator<Item = &'k str>) {
        if towline_policy::first_clash(keys).is_some() {
            self.add(member, "have each key once: letter case makes no difference in a key");
        }
    }

    /// The length of a text in characters.
    pub fn length(&mut self, member: &str, text: &str, min: usize, max: usize) {
        // More bytes than four a character cannot be few enough characters: no need to count them.
        let chars =
            if text.len() > max.saturating_mul(4) { usize::MAX } else { text.chars().count() };
        if chars < min || chars > max {
            self.add(member, format!("be {} characters long", range(min, max)));
        }
    }

    /// The same for a member that may be absent.
    pub fn optional_length(&mut self, member: &str, text: Option<&String>, min: usize, max: usize) {
        if let Some(text) = text {
            self.length(member, text, min, max);
        }
    }

    /// The number of items of a list.
    pub fn items(&mut self, member: &str, count: usize, min: usize, max: usize) {
        if count < min || count > max {
            let items = if max == 1 { "item" } else { "items" };
            self.add(member, format!("have {} {items}", range(min, max)));
        }
    }

    /// The range of a number that may be absent.
    pub fn range(&mut self, member: &str, number: Option<i64>, min: i64, max: i64) {
        if number.is_some_and(|n| n < min || n > max) {
            self.add(member, format!("be a number from {min} to {max}"));
        }
    }

    /// One of a closed list of words.
    pub fn one_of(&mut self, member: &str, word: &str, words: &[&str]) {
        if !words.contains(&word) {
            self.add(member, format!("be one of {}", words.join(", ")));
        }
    }

    /// The characters AWS allows in tags and names: letters, digits, spaces and `_ . : / = + - @`.
    pub fn tag_characters(&mut self, member: &str, text: &str) {
        // Rust's whitespace includes control characters and ends of lines, the model's class does
        // not.
        let good = |c: char| {
            c.is_alphanumeric() || "_.:/=+-@".contains(c) || (c.is_whitespace() && is_plain(c))
        };
        self.require(
            text.chars().all(good),
            member,
            "consist of letters, digits, spaces and _.:/=+-@",
        );
    }

    /// A text of a person that others are shown, also by tools that print it as it is: nothing in
    /// it controls a terminal, hides or reorders. With `lines`, it may have tabs and lines, which
    /// end as on Linux or as on Windows; a carriage return alone would overwrite its line.
    pub fn shown(&mut self, member: &str, text: &str, lines: bool) {
        let text = if lines { text.replace("\r\n", "\n") } else { text.to_owned() };
        let good = |c: char| is_shown(c) || (lines && matches!(c, '\n' | '\t'));
        self.require(
            text.chars().all(good),
            member,
            "have no control characters, and none that hide or reorder others",
        );
    }

    /// One error for all that was found, or nothing.
    ///
    /// # Errors
    /// `ValidationException` when anything was found.
    pub fn into_result(self) -> Result<(), ApiError> {
        if self.count == 0 {
            return Ok(());
        }
        let plural = if self.count == 1 { "error" } else { "errors" };
        let more = if self.count > self.found.len() { "; and more" } else { "" };
        Err(ApiError::validation(format!(
            "{} validation {plural}: {}{more}",
            self.count,
            self.found.join("; ")
        )))
    }
}

/// `36`, or `1 to 128`.
fn range(min: usize, max: usize) -> String {
    if min == max { min.to_string() } else { format!("{min} to {max}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_one_number_is_that_number() {
        let mut violations = Violations::default();
        violations.length("CommandId", "x", 36, 36);
        violations.items("Targets", 2, 1, 1);
        violations.length("Reason", "", 1, 256);
        let told = violations.into_result().unwrap_err().message;
        assert_eq!(
            told,
            "3 validation errors: CommandId must be 36 characters long; Targets must have 1 item; \
             Reason must be 1 to 256 characters long"
        );
    }

    #[test]
    fn a_thousand_violations_make_a_short_message() {
        let mut violations = Violations::default();
        (0..1000).for_each(|i| violations.length(&format!("Tags.{i}.Key"), "", 1, 128));
        let error = violations.into_result().unwrap_err();
        assert!(error.message.starts_with("1000 validation errors"), "{}", error.message);
        assert!(error.message.len() < 1000);
    }

    #[test]
    fn a_text_that_others_are_shown_controls_no_terminal() {
        let is_taken = |text: &str, lines: bool| {
            let mut violations = Violations::default();
            violations.shown("Reason", text, lines);
            violations.into_result().is_ok()
        };
        for text in ["Pumpe läuft nicht", "می‌خواهم", "👩‍🔧", "a\tb\nc", "a\r\nb"]
        {
            assert!(is_taken(text, true), "{text:?}");
        }
        for text in ["\x1b]52;c;aGk=\x07", "a\u{9b}31m", "a\u{202e}b", "a\rb", "\u{200b}"] {
            assert!(!is_taken(text, true) && !is_taken(text, false), "{text:?}");
        }
        assert!(!is_taken("a\nb", false));
        let mut violations = Violations::default();
        violations.tag_characters("Tags Value", "a\u{2028}b");
        assert!(violations.into_result().is_err());
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let mut violations = Violations::default();
        violations.length("Reason", &"ü".repeat(256), 1, 256);
        assert!(violations.into_result().is_ok());
    }
}
