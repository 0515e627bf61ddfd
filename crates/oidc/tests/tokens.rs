//! Tokens and what is wrong with them. Tokens of `tests/data` were signed by another library
//! (joserfc, Python); those of refusals are signed here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use towline_oidc::{Algorithm, ClaimPath, Claims, Expected, KeySet, Token, TokenError, groups};

const ISSUER: &str = "https://id.example";
const NOW: i64 = 1_800_000_000;
const KEYS: &str = include_str!("../fuzz/seeds/key_set/four.json");
const TOKENS: &str = include_str!("data/tokens.txt");

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A provider with one Ed25519 key.
struct Provider(Ed25519KeyPair);

impl Provider {
    fn new() -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap())
    }

    fn jwk(&self, id: &str) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x })
    }

    fn keys(&self) -> KeySet {
        set(&[self.jwk("ed")])
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encoded(header), encoded(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": "EdDSA", "kid": "ed" }), claims)
    }
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// Right claims, with some replaced; `null` removes one.
fn claims(more: &Value) -> Value {
    let mut all = json!({
        "iss": ISSUER, "sub": "ann", "aud": "towline", "iat": NOW - 10, "exp": NOW + 300,
    });
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
            value => all[name] = value.clone(),
        }
    }
    all
}

fn checked(token: &str, keys: &KeySet, nonce: Option<&str>) -> Result<Claims, TokenError> {
    checked_for(&["other", "towline"], token, keys, nonce)
}

fn checked_for(
    audiences: &[&str],
    token: &str,
    keys: &KeySet,
    nonce: Option<&str>,
) -> Result<Claims, TokenError> {
    let audiences: Vec<String> = audiences.iter().map(|&one| one.to_owned()).collect();
    let expected = Expected { issuer: ISSUER, audiences: &audiences, nonce, now: NOW };
    Token::parse(token)?.verify(keys, &expected)
}

#[test]
fn tokens_of_an_independent_library_are_right_in_every_algorithm_and_wrong_with_one_bit_changed() {
    let keys = KeySet::parse(KEYS.as_bytes()).unwrap();
    let mut seen = Vec::new();
    for line in TOKENS.lines() {
        let (name, token) = line.split_once(' ').unwrap();
        seen.push(Algorithm::parse(name).unwrap());
        assert_eq!(checked(token, &keys, None).unwrap().subject(), "ann", "{name}");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            bytes[at] ^= 1;
            let other = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bytes));
            assert_eq!(checked(&other, &keys, None), Err(TokenError::Signature), "{name} at {at}");
            bytes[at] ^= 1;
        }
        for cut in 0..signature.len() {
            let short = format!("{signed}.{}", &signature[..cut]);
            assert!(checked(&short, &keys, None).is_err(), "{name} cut at {cut}");
        }
    }
    assert_eq!(seen, Algorithm::ALL);
}

#[test]
fn a_header_cannot_choose_how_it_is_judged() {
    let provider = Provider::new();
    let good = claims(&json!({}));
    let refused = |header: Value| checked(&provider.sign(&header, &good), &provider.keys(), None);
    for alg in ["none", "None", "HS256", "HS512", "ES512", "RSA-OAEP", ""] {
        assert_eq!(
            refused(json!({ "alg": alg, "kid": "ed" })),
            Err(TokenError::Algorithm),
            "{alg}"
        );
    }
    assert_eq!(refused(json!({ "kid": "ed" })), Err(TokenError::Algorithm));
    for member in ["crit", "jwk", "jku", "x5u", "x5c", "enc", "b64"] {
        let header = json!({ "alg": "EdDSA", "kid": "ed", member: ["exp"] });
        assert_eq!(refused(header), Err(TokenError::Header(member)), "{member}");
    }
    for typ in [json!("at+jwt"), json!("logout+jwt"), json!(7)] {
        assert_eq!(refused(json!({ "alg": "EdDSA", "typ": typ })), Err(TokenError::Type));
    }
    assert_eq!(refused(json!({ "alg": "EdDSA", "kid": "eve" })), Err(TokenError::NoKey));
    assert_eq!(refused(json!({ "alg": "RS256", "kid": "ed" })), Err(TokenError::NoKey));
    assert!(refused(json!({ "alg": "EdDSA", "typ": "jwt" })).is_ok(), "one key needs no name");
}

#[test]
fn of_keys_that_both_fit_none_is_chosen() {
    let provider = Provider::new();
    let token = provider.token(&claims(&json!({})));
    let alike = set(&[provider.jwk("ed"), provider.jwk("ed")]);
    assert_eq!(checked(&token, &alike, None), Err(TokenError::SeveralKeys));
    let unnamed = provider.sign(&json!({ "alg": "EdDSA" }), &claims(&json!({})));
    let two = set(&[provider.jwk("a"), provider.jwk("b")]);
    assert_eq!(checked(&unnamed, &two, None), Err(TokenError::SeveralKeys));
}

#[test]
fn keys_for_other_purposes_and_weak_keys_are_no_keys() {
    let provider = Provider::new();
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("alg", json!("RS256")),
        ("crv", json!("X25519")),
        ("x", json!("AAAA")),
        ("kty", json!("oct")),
    ] {
        let mut key = provider.jwk("ed");
        key[name] = value;
        let parsed = KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes());
        let token = provider.token(&claims(&json!({})));
        assert!(parsed.is_err() || checked(&token, &parsed.unwrap(), None).is_err(), "{name}");
    }
    let weak =
        json!({ "keys": [{ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([200; 128]), "e": "AQAB" }] });
    assert!(KeySet::parse(weak.to_string().as_bytes()).is_err(), "RSA of 1024 bits");
    let many = json!({ "keys": vec![provider.jwk("x"); 65] });
    assert!(KeySet::parse(many.to_string().as_bytes()).is_err());
}

#[test]
fn claims_that_do_not_hold_are_refused_by_name() {
    let provider = Provider::new();
    let refused =
        |more: Value| checked(&provider.token(&claims(&more)), &provider.keys(), Some("n-1"));
    let with = |more: Value| {
        let mut all = json!({ "nonce": "n-1" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        refused(all)
    };
    assert!(with(json!({})).is_ok());
    for (more, error) in [
        (json!({"iss": "https://id.example/"}), TokenError::Issuer),
        (json!({"iss": null}), TokenError::Lacks("iss")),
        (json!({"sub": null}), TokenError::Lacks("sub")),
        (json!({"sub": ""}), TokenError::Lacks("sub")),
        (json!({"sub": "a\nb"}), TokenError::Lacks("sub")),
        (json!({"sub": "x".repeat(256)}), TokenError::Lacks("sub")),
        (json!({"aud": "elsewhere"}), TokenError::Audience),
        (json!({"aud": ["elsewhere"]}), TokenError::Audience),
        (json!({"aud": null}), TokenError::Lacks("aud")),
        (json!({"aud": 7}), TokenError::Lacks("aud")),
        (json!({"azp": "elsewhere"}), TokenError::Party),
        (json!({"azp": 7}), TokenError::Party),
        (json!({"exp": null}), TokenError::Lacks("exp")),
        (json!({"exp": "soon"}), TokenError::Lacks("exp")),
        (json!({"iat": null}), TokenError::Lacks("iat")),
        (json!({"exp": NOW - 60}), TokenError::Expired),
        (json!({"iat": NOW + 61}), TokenError::Early),
        (json!({"nbf": NOW + 61}), TokenError::Early),
        (json!({"auth_time": NOW + 61}), TokenError::Early),
        (json!({"auth_time": "now"}), TokenError::Lacks("auth_time")),
        (json!({"nonce": "n-2"}), TokenError::Nonce),
        (json!({"nonce": null}), TokenError::Nonce),
    ] {
        assert_eq!(with(more.clone()), Err(error), "{more}");
    }
    for good in [
        json!({"exp": NOW - 59}),
        json!({"iat": NOW + 60, "nbf": NOW + 60, "auth_time": NOW + 60}),
        json!({"auth_time": null}),
        json!({"aud": ["elsewhere", "towline"], "azp": "towline"}),
        json!({"exp": 1.800_000_300_5e9}),
    ] {
        assert!(with(good.clone()).is_ok(), "{good}");
    }
}

#[test]
fn an_access_token_belongs_to_its_id_token() {
    let provider = Provider::new();
    // Half of SHA-512 of "access", as EdDSA has it.
    let whole = ring::digest::digest(&ring::digest::SHA512, b"access");
    let hash = URL_SAFE_NO_PAD.encode(&whole.as_ref()[..32]);
    let token = provider.token(&claims(&json!({ "at_hash": hash })));
    let read = checked(&token, &provider.keys(), None).unwrap();
    assert_eq!(read.check_access_token("access"), Ok(()));
    assert_eq!(read.check_access_token("other"), Err(TokenError::AccessTokenHash));
}

#[test]
fn an_address_is_verified_by_who_names_it() {
    let provider = Provider::new();
    for (token, userinfo, verified) in [
        (json!({}), json!({"email": "a@x", "email_verified": true}), true),
        (json!({"email": "a@x"}), json!({"email": "a@x", "email_verified": true}), true),
        (json!({"email": "b@x"}), json!({"email": "a@x", "email_verified": true}), false),
        (json!({"email": "b@x"}), json!({"email_verified": true}), false),
        (json!({"email_verified": true}), json!({"email": "a@x"}), false),
        (json!({"email_verified": true}), json!({"email": "a@x", "email_verified": false}), false),
        (
            json!({"email": "b@x", "email_verified": false}),
            json!({"email": "b@x", "email_verified": true}),
            false,
        ),
    ] {
        let read = checked(&provider.token(&claims(&token)), &provider.keys(), None).unwrap();
        let mut userinfo = userinfo;
        userinfo["sub"] = json!(read.subject());
        let both = read.with_userinfo(userinfo).unwrap();
        let said = both.all().get("email_verified") == Some(&json!(true));
        assert_eq!(said, verified, "{token}");
    }
}

#[test]
fn how_somebody_signed_in_is_told_by_the_token_alone() {
    let provider = Provider::new();
    let read = checked(&provider.token(&claims(&json!({}))), &provider.keys(), None).unwrap();
    let userinfo = json!({ "sub": read.subject(), "amr": ["mfa"], "acr": "urn:corp:gold",
                           "auth_time": i64::MAX, "groups": ["ops"] });
    let both = read.with_userinfo(userinfo).unwrap();
    assert!(!both.proves(&["mfa".to_owned(), "urn:corp:gold".to_owned()]));
    assert_eq!(both.auth_time(), None, "it would be fresh for ever");
    assert_eq!(both.all()["groups"], json!(["ops"]), "who somebody is, userinfo says as well");
}

#[test]
fn a_second_factor_is_what_the_configuration_names() {
    let provider = Provider::new();
    let factors = ["mfa".to_owned(), "urn:corp:gold".to_owned()];
    for (more, proved) in [
        (json!({"amr": ["pwd", "mfa"]}), true),
        (json!({"acr": "urn:corp:gold"}), true),
        (json!({"amr": ["pwd"]}), false),
        (json!({"amr": "mfa"}), false),
        (json!({}), false),
    ] {
        let token = provider.token(&claims(&more));
        let read = checked(&token, &provider.keys(), None).unwrap();
        assert_eq!(read.proves(&factors), proved, "{more}");
    }
}

#[test]
fn forms_that_are_no_token_are_refused() {
    let provider = Provider::new();
    let token = provider.token(&claims(&json!({})));
    for wrong in [
        String::new(),
        "a.b".into(),
        "..".into(),
        token.replace('.', "="),
        format!("{token}="),
        format!("{token}.{token}"),
        token.replacen('.', "..", 1),
        format!(" {token}"),
    ] {
        assert!(Token::parse(&wrong).is_err(), "{wrong}");
    }
    assert_eq!(Token::parse(&"a".repeat(16_385)).unwrap_err(), TokenError::TooLong(16_385));
}

/// What providers give: claims, the path to the groups, the groups, and what proves a second
/// factor.
#[test]
#[allow(clippy::too_many_lines)] // one row for each provider
fn claims_of_well_known_providers_are_understood() {
    let provider = Provider::new();
    for (name, more, path, wanted) in [
        (
            "Keycloak",
            json!({"azp": "towline", "typ": "ID", "preferred_username": "ann", "email_verified": true,
                   "realm_access": {"roles": ["ops", "offline_access"]}, "acr": "1", "sid": "s"}),
            "realm_access.roles",
            vec!["offline_access", "ops"],
        ),
        (
            "Entra",
            json!({"oid": "0e7d", "tid": "72f9", "ver": "2.0", "rh": "0.A", "uti": "u", "aio": "a",
                   "groups": ["3f1c0b6e-0000-0000-0000-000000000001"], "preferred_username": "ann@corp.example"}),
            "groups",
            vec!["3f1c0b6e-0000-0000-0000-000000000001"],
        ),
        (
            "Okta",
            json!({"ver": 1, "amr": ["pwd", "mfa", "otp"], "idp": "00o1", "auth_time": NOW - 60,
                   "groups": ["Everyone", "Ops"], "at_hash": "x", "name": "Ann"}),
            "groups",
            vec!["Everyone", "Ops"],
        ),
        (
            "Google",
            json!({"azp": "towline", "hd": "corp.example", "email": "ann@corp.example"}),
            "groups",
            vec![],
        ),
        (
            "Authentik",
            json!({"acr": "goauthentik.io/providers/oauth2/default", "amr": ["pwd"], "groups": ["ops"], "uid": "u"}),
            "groups",
            vec!["ops"],
        ),
        (
            "Dex",
            json!({"groups": ["corp:ops"], "federated_claims": {"connector_id": "github", "user_id": "7"}}),
            "groups",
            vec!["corp:ops"],
        ),
        (
            "GitLab",
            json!({"namespace_path": "corp", "project_path": "corp/app", "ref": "main", "ref_protected": "true",
                   "sub": "project_path:corp/app:ref_type:branch:ref:main", "groups_direct": ["corp/ops"]}),
            "groups_direct",
            vec!["corp/ops"],
        ),
        (
            "GitHub Actions",
            json!({"sub": "repo:corp/app:environment:prod", "repository": "corp/app", "ref": "refs/heads/main",
                   "job_workflow_ref": "corp/app/.github/workflows/x.yml@refs/heads/main", "run_id": "7"}),
            "groups",
            vec![],
        ),
    ] {
        let token = provider.token(&claims(&more));
        let read = checked(&token, &provider.keys(), None)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = groups(read.all(), &ClaimPath::parse(path).unwrap(), None);
        assert_eq!(found.unwrap(), wanted, "{name}");
    }
}

#[test]
fn good_and_damaged_tokens_are_judged_as_an_independent_library_judges_them() {
    let text = include_str!("data/differential.txt");
    let (keys, tokens) = text.split_once('\n').unwrap();
    let keys = KeySet::parse(keys.as_bytes()).unwrap();
    // An encoding with bits left over is no second spelling of a token here.
    let is_canonical =
        |token: &str| token.split('.').all(|part| URL_SAFE_NO_PAD.decode(part).is_ok());
    let (mut accepted, mut refused) = (0, 0);
    for line in tokens.lines() {
        let (verdict, token) = line.split_once(' ').unwrap();
        let ours = checked_for(&["towline"], token, &keys, None);
        match verdict {
            "accept" if is_canonical(token) => {
                assert!(ours.is_ok(), "{ours:?}: {token}");
                accepted += 1;
            }
            "accept" => {}
            _ => {
                assert!(ours.is_err(), "accepted here alone: {token}");
                refused += 1;
            }
        }
    }
    assert!(accepted >= 25 && refused >= 150, "{accepted} accepted, {refused} refused");
}
