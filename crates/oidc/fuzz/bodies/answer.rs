//! Any bytes as the answer of a token endpoint: tokens, a word, or a refusal of a known form.

use towline_oidc::{Answer, Token, refusal};

pub(crate) fn run(bytes: &[u8]) {
    if let Some(word) = refusal(bytes) {
        assert!(!word.is_empty() && word.len() <= 100, "{word}");
        assert!(word.bytes().all(|b| (0x20..=0x7e).contains(&b) && b != b'"' && b != b'\\'));
    }
    let Ok(answer) = Answer::parse(bytes) else { return };
    assert_eq!(format!("{answer:?}"), "Answer", "a secret is in no log");
    if let Some(Ok(token)) = answer.id_token.as_deref().map(Token::parse) {
        let _ = (token.issuer(), token.key_id());
    }
}
