//! The value of `TERM` as the API takes it.

use crate::limits::MAX_TERM;

/// `TERM` as the API takes it; `dumb` for what it would refuse.
#[must_use]
pub(crate) fn term(variable: Option<&str>) -> String {
    let good = |text: &&str| {
        (1..=MAX_TERM).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b))
    };
    variable.filter(good).unwrap_or("dumb").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_type_that_the_api_would_refuse_is_dumb() {
        assert_eq!(term(Some("xterm-256color")), "xterm-256color");
        for bad in [None, Some(""), Some("a b"), Some("x;y")] {
            assert_eq!(term(bad), "dumb");
        }
    }
}
