//! References to AWS's stores in texts: `{{ ssm:name }}`, `{{ ssm-secure:name }}`, `{{ resolve:…
//! }}`.
//!
//! Data flow: a text of a document or of a request -> [`mentions`] -> a refusal in words.
//!
//! # Invariants
//! - No store is served here, so such a text is refused wherever AWS would put a stored value. It
//!   never runs as letters.
//!
//! # Not here
//! - No look-up of a value.

use crate::error::{ApiError, ErrorCode};

/// Whether the text asks for a stored value.
#[must_use]
pub(crate) fn mentions(text: &str) -> bool {
    // Of three braces the last two count as well.
    text.match_indices('{').filter_map(|(at, _)| text[at..].strip_prefix("{{")).any(|inside| {
        let inside = inside.trim_start();
        ["ssm:", "ssm-secure:", "resolve:"].iter().any(|store| inside.starts_with(store))
    })
}

/// The refusal of a text of `what` that asks for one.
pub(crate) fn refuse(what: &str, code: ErrorCode, text: &str) -> Result<(), ApiError> {
    if !mentions(text) {
        return Ok(());
    }
    let message = format!(
        "{what} asks for a value of AWS's parameter store, which this gateway does not have: give \
         the value itself"
    );
    Err(ApiError::new(code, message))
}

#[cfg(test)]
mod tests {
    use super::mentions;

    #[test]
    fn references_are_found_and_other_braces_are_not() {
        for text in [
            "{{ssm:x}}",
            "a {{ ssm:x }} b",
            "{{x}} {{  ssm-secure:x}}",
            "{{resolve:ssm:x}}",
            "{{{ssm:x}}}",
        ] {
            assert!(mentions(text), "{text}");
        }
        for text in ["", "ssm:x", "{{ name }}", "{ssm:x}", "{{ .ssm:x }}"] {
            assert!(!mentions(text), "{text}");
        }
    }
}
