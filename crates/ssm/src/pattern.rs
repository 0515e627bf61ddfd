//! `allowedPattern` of a parameter, compiled for whole values.
//!
//! # Invariants
//! - A pattern matches a value from its first to its last character, with or without anchors of its
//!   own, as patterns of AWS's documents are meant.
//! - It is a pattern on its own as well: one that closes the group around it (`a)|(?:b`) would
//!   match less than the whole, and is refused.

use regex_lite::{Error, Regex, RegexBuilder};

/// Compiles a pattern for whole values; its program has at most `most` bytes.
pub(crate) fn whole(pattern: &str, most: usize) -> Result<Regex, Error> {
    let build = |text: &str| RegexBuilder::new(text).size_limit(most).build();
    build(pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_values_alone() {
        for (pattern, good, bad) in [
            ("[a-z]+", "nginx", "nginx; reboot"),
            ("^a$|^b$", "b", "a\nb"),
            ("(?m)^a$", "a", "a\nb"),
            ("(?i)a|b", "B", "ab"),
            ("", "", "a"),
        ] {
            let compiled = whole(pattern, 4096).unwrap();
            assert!(compiled.is_match(good), "{pattern}");
            assert!(!compiled.is_match(bad), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_closes_the_group_around_it_is_refused() {
        for pattern in ["a)|(?:b", "a)|b|(c", ")|(", "a)", "(?:a", "(?x)a)|(?:b", "[a", "a\\"] {
            assert!(whole(pattern, 4096).is_err(), "{pattern}");
        }
    }
}
