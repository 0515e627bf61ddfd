//! Text from elsewhere, made harmless for this terminal.
//!
//! # Invariants
//! - No control character and no character that reorders or hides text passes: each becomes a
//!   space.
//! - The result has at most [`MAX_PRINTED_TEXT`] characters.

use towline_wire::text::plain;

use crate::limits::MAX_PRINTED_TEXT;

/// A text from the gateway, a device or another user, as it can be printed.
#[must_use]
pub(crate) fn printable(text: &str) -> String {
    plain(text, MAX_PRINTED_TEXT)
}

/// Whether a character changes the order in which others are drawn, and nothing else.
#[must_use]
pub(crate) fn is_reordering(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_reordering_characters_become_spaces_and_the_length_is_bounded() {
        assert_eq!(printable("a\x1b[2J\u{9b}b\u{202e}c\u{2066}"), "a [2J b c ");
        assert_eq!(printable("pump\u{200b}-7\u{2028}x\u{e0041}"), "pump -7 x ");
        assert_eq!(printable("Grüße, 日本"), "Grüße, 日本");
        assert_eq!(printable(&"x".repeat(10_000)).len(), MAX_PRINTED_TEXT);
    }
}
