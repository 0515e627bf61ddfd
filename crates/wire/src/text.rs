//! Texts of the other end, for people: what a device says about itself, and why a connection
//! failed.
//!
//! # Invariants
//! - [`plain`] passes no control character (C0, C1, DEL), no character that reorders or hides
//!   others, no end of a line, and at most the characters that are asked for.
//! - [`connection_error`] passes no address of a library's documentation.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString as _};

/// Whether a character draws itself and nothing else.
#[must_use]
pub const fn is_plain(c: char) -> bool {
    !matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'      // control characters
        | '\u{61c}' | '\u{200b}'..='\u{200f}'      // marks, and spaces of no width
        | '\u{2028}'..='\u{202e}'                  // ends of lines, embeddings and overrides
        | '\u{2060}'..='\u{206f}'                  // isolates, invisible operators
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}'     // byte order mark, annotations
        | '\u{e0000}'..='\u{e007f}'                // tags
    )
}

/// Whether a text has at most `most` characters, and only such as [`is_plain`] passes.
#[must_use]
pub fn is_plain_text(text: &str, most: usize) -> bool {
    text.chars().count() <= most && text.chars().all(is_plain)
}

/// A text of the other end as it may be stored and shown: each other character is a space, and what
/// is beyond `most` characters is left out.
#[must_use]
pub fn plain(text: &str, most: usize) -> String {
    text.chars().map(|c| if is_plain(c) { c } else { ' ' }).take(most).collect()
}

/// Why a connection failed, in words for a person: without the addresses and numbers that a library
/// adds to its sentence.
#[must_use]
pub fn connection_error(error: &dyn core::fmt::Display) -> String {
    let text = error.to_string();
    if text.contains("close_notify") || text.contains("early eof") {
        return "the other side closed the connection".to_owned();
    }
    let text = text.split("https://").next().unwrap_or_default();
    let text = text.split("http://").next().unwrap_or_default();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.trim_end_matches([' ', ':', ',', ';', '(']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_or_reorders_text_becomes_a_space() {
        let hostile =
            "a\x1b]52;c;aGk=\x07b\u{9d}c\u{202e}d\u{2066}e\u{200b}f\u{feff}g\u{7f}\nh\u{2028}i";
        assert_eq!(plain(hostile, 100), "a ]52;c;aGk= b c d e f g  h i");
        assert!(!is_plain_text(hostile, 100));
        assert!(is_plain_text("Grüße, 日本", 10));
        assert_eq!(plain("Grüße, 日本", 5), "Grüße");
        assert!(!is_plain_text("abc", 2));
    }

    #[test]
    fn no_address_of_a_library_is_passed_on() {
        let of_rustls = "peer closed connection without sending TLS close_notify: \
            https://docs.rs/rustls/latest/rustls/manual/_03_howto/index.html#unexpected-eof";
        assert_eq!(connection_error(&of_rustls), "the other side closed the connection");
        assert_eq!(connection_error(&"refused: see https://example.org/x"), "refused: see");
        let of_the_system = "Connection reset by peer (os error 104)";
        assert_eq!(connection_error(&of_the_system), "Connection reset by peer");
    }
}
