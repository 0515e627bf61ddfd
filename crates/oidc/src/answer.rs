//! What a provider's token endpoint answers (RFC 6749, sections 5.1 and 5.2).
//!
//! # Invariants
//! - Nothing in it is believed: the ID token is checked by [`Token`](crate::Token).
//! - The word of a refusal is one of RFC 6749: printable ASCII, and short.

use serde_json::Value;

use crate::limits::{MAX_DISCOVERY, MAX_REFUSAL};

/// Why bytes are no answer of a token endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Too many bytes.
    #[error("the provider's answer has {0} bytes, at most {MAX_DISCOVERY} are read")]
    TooLarge(usize),
    /// Not an object.
    #[error("the provider's answer is no JSON object")]
    Form,
}

/// Tokens that a provider gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who it is; not checked yet.
    pub id_token: Option<String>,
    /// For userinfo.
    pub access_token: Option<String>,
    /// For further answers.
    pub refresh_token: Option<String>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer")
    }
}

impl Answer {
    /// Reads an answer. A member that is no text is none.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AnswerError> {
        if bytes.len() > MAX_DISCOVERY {
            return Err(AnswerError::TooLarge(bytes.len()));
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|_| AnswerError::Form)?;
        let members = value.as_object().ok_or(AnswerError::Form)?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            id_token: text("id_token"),
            access_token: text("access_token"),
            refresh_token: text("refresh_token"),
        })
    }
}

/// The word with which a token endpoint refuses (`error`), if it says one.
#[must_use]
pub fn refusal(bytes: &[u8]) -> Option<String> {
    if bytes.len() > MAX_DISCOVERY {
        return None;
    }
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let word = value.get("error")?.as_str()?;
    // RFC 6749, section 5.2.
    let plain = |b: u8| matches!(b, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    (word.len() <= MAX_REFUSAL && !word.is_empty() && word.bytes().all(plain))
        .then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_of_an_answer_are_its_texts() {
        let read = Answer::parse(br#"{"id_token":"a.b.c","access_token":7,"expires_in":"x"}"#);
        let read = read.unwrap();
        assert_eq!(read.id_token.as_deref(), Some("a.b.c"));
        assert_eq!((read.access_token.clone(), read.refresh_token.clone()), (None, None));
        assert_eq!(format!("{read:?}"), "Answer", "a secret");
        for wrong in [&b"[]"[..], b"null", b"", b"{", b"\"x\"", b"{}x"] {
            assert_eq!(Answer::parse(wrong), Err(AnswerError::Form), "{wrong:?}");
        }
        let large = vec![b' '; MAX_DISCOVERY + 1];
        assert_eq!(Answer::parse(&large), Err(AnswerError::TooLarge(MAX_DISCOVERY + 1)));
    }

    #[test]
    fn a_refusal_is_one_short_word() {
        let said =
            |word: &str| refusal(serde_json::json!({ "error": word }).to_string().as_bytes());
        assert_eq!(said("invalid_grant").as_deref(), Some("invalid_grant"));
        for wrong in ["", "a\nb", "a\"b", "\u{202e}x", &"x".repeat(MAX_REFUSAL + 1)] {
            assert_eq!(said(wrong), None, "{wrong}");
        }
        assert_eq!(refusal(b"[]"), None);
        assert_eq!(refusal(br#"{"error":["invalid_grant"]}"#), None);
    }
}
