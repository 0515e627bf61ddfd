//! Any text as a token against any key set: it is refused, or its claims hold.

use towline_oidc::{Expected, KeySet, Token};

/// The key of the set that the seeds are signed for; anything else is refused.
pub(crate) fn run((text, keys): (String, Vec<u8>)) {
    let Ok(token) = Token::parse(&text) else { return };
    assert!(text.matches('.').count() == 2, "a token of three parts");
    let _ = (token.issuer(), token.key_id());
    let Ok(keys) = KeySet::parse(&keys) else { return };
    let audiences = ["towline".to_owned()];
    let expected = Expected {
        issuer: "https://id.example",
        audiences: &audiences,
        nonce: None,
        now: 1_800_000_000,
    };
    if let Ok(claims) = token.verify(&keys, &expected) {
        assert_eq!(claims.audience(), "towline");
        assert!(!claims.subject().is_empty());
        assert!(claims.expires_at() > 1_800_000_000 - 61);
    }
}
