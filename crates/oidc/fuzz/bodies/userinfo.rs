//! Any bytes as userinfo beside a right ID token: the claims of the token stand.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use towline_oidc::{ClaimPath, Expected, KeySet, Token};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(userinfo) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let Ok(key) = Ed25519KeyPair::from_seed_unchecked(&[7; 32]) else { return };
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "iss": "https://id.example", "sub": "ann", "aud": "towline",
        "iat": 1_800_000_000, "exp": 1_800_000_300, "email": "ann@corp.example" });
    let signed = format!("{}.{}", part(json!({ "alg": "EdDSA" })), part(claims));
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())));
    let x = URL_SAFE_NO_PAD.encode(key.public_key());
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x }] }).to_string();
    let audiences = ["towline".to_owned()];
    let expected = Expected {
        issuer: "https://id.example",
        audiences: &audiences,
        nonce: None,
        now: 1_800_000_000,
    };
    let (Ok(keys), Ok(token)) = (KeySet::parse(keys.as_bytes()), Token::parse(&token)) else {
        unreachable!("both were made here")
    };
    let Ok(claims) = token.verify(&keys, &expected) else { unreachable!("it was made here") };
    let other_address = userinfo.get("email") != Some(&json!("ann@corp.example"));
    let same = userinfo.get("sub") == Some(&json!("ann"));
    let Ok(both) = claims.with_userinfo(userinfo) else {
        assert!(!same, "userinfo of the same subject is taken");
        return;
    };
    assert!(same && both.subject() == "ann");
    let text = |name: &str| ClaimPath::parse(name).ok().and_then(|path| path.text(both.all()));
    assert_eq!(text("email").as_deref(), Some("ann@corp.example"));
    assert_eq!(text("aud").as_deref(), Some("towline"));
    assert!(!other_address || both.all().get("email_verified").is_none());
}
