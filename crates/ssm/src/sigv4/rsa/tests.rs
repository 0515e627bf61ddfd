//! A device's key and signature: what is taken, and what is refused.

use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PSS_SHA256, RsaKeyPair};

use super::*;

const PRIVATE: &[u8] = include_bytes!("../../../../testkit/data/device-rsa-1.pk8");
const OTHER: &[u8] = include_bytes!("../../../../testkit/data/device-rsa-2.pk8");
/// A key of 1024 bits.
const SHORT: &str = "\
     MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDasJVVCI+/3CuoIEjtFIjdK0nTi5KUyS1BBPnnKMWf\
     dqCsHUiEwSk9YfpY9/NHVjtuNA1G5DoH26dh31cEmxjqhtkenNy2wOMHajWixrAnw3kBq4wGMcXW+7pw\
     v1jTGN8w6tk/9r+455eeUFijnhg3H4s+7inVgvhG62gXpenX9wIDAQAB";
const NOW: i64 = 1_767_607_872;

fn pair(private: &[u8]) -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(private).unwrap()
}

/// The public half, as an agent sends it.
fn spki(pair: &RsaKeyPair) -> Vec<u8> {
    let value = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    };
    let bits = value(BIT_STRING, &[&[0], pair.public_key().as_ref()].concat());
    value(SEQUENCE, &[&RSA_ENCRYPTION[..], &bits].concat())
}

fn key(private: &[u8]) -> RsaPublicKey {
    RsaPublicKey::from_spki(spki(&pair(private))).unwrap()
}

#[test]
fn a_public_key_is_read_from_base64_and_keeps_its_bytes() {
    let spki = spki(&pair(PRIVATE));
    let read = RsaPublicKey::from_base64(&STANDARD.encode(&spki)).unwrap();
    assert_eq!(read.spki(), spki);
    assert_eq!(read.pkcs1(), pair(PRIVATE).public_key().as_ref());
}

#[test]
fn a_key_of_another_length_kind_or_form_is_refused() {
    let good = spki(&pair(PRIVATE));
    let short = RsaPublicKey::from_base64(SHORT).unwrap_err();
    assert!(short.to_string().contains("2048 to 4096"), "{short}");
    for cut in 0..good.len() {
        assert!(RsaPublicKey::from_spki(good[..cut].to_vec()).is_err(), "cut at {cut}");
    }
    assert!(RsaPublicKey::from_spki([&good[..], &[0]].concat()).is_err(), "a byte follows");
    let mut elliptic = good.clone();
    elliptic[10] ^= 1;
    assert!(RsaPublicKey::from_spki(elliptic).is_err());
    let mut even = good;
    *even.last_mut().unwrap() &= 0xfe;
    assert!(RsaPublicKey::from_spki(even).is_err(), "an even exponent");
    assert!(RsaPublicKey::from_base64("no base64").is_err());
    assert!(RsaPublicKey::from_base64(&"A".repeat(MAX_PUBLIC_KEY + 1)).is_err());
}

const HEADERS: [(&str, &str); 4] = [
    ("content-type", "application/x-amz-json-1.1"),
    ("host", "gateway.example:8443"),
    ("x-amz-date", "20260105T101112Z"),
    ("x-amz-target", "AmazonSSM.RequestManagedInstanceRoleToken"),
];
const BODY: &[u8] = br#"{"Fingerprint":"f"}"#;

fn parts<'a>(headers: &'a [(&'a str, &'a str)]) -> RequestParts<'a> {
    RequestParts { method: "POST", path: "/", query: "", headers }
}

/// The header that an agent with this key sends.
fn signed(private: &[u8]) -> String {
    let names = HEADERS.map(|(name, _)| name.to_owned());
    let scope =
        Scope { date: "20260105".into(), region: "xx-towline-1".into(), service: "ssm".into() };
    let canonical = canonical_request(&parts(&HEADERS), &names, &sha256(BODY)).unwrap();
    let text = string_to_sign("20260105T101112Z", &scope, &canonical);
    let pair = pair(private);
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    format!(
        "AWS4-HMAC-SHA256 Credential=mi-0123456789abcdef0/{scope}, SignedHeaders={}, Signature={}",
        names.join(";"),
        STANDARD.encode(signature)
    )
}

fn check(header: &str, body: &[u8], key: &RsaPublicKey) -> Result<Verified, SignatureError> {
    check_with(header, &[], body, key)
}

/// The same with more headers, which are not signed.
fn check_with(
    header: &str,
    more: &[(&str, &str)],
    body: &[u8],
    key: &RsaPublicKey,
) -> Result<Verified, SignatureError> {
    let sent = [&HEADERS[..], &[("Authorization", header)], more].concat();
    let claim = RsaAuthorization::from_headers(&sent)?;
    assert_eq!(claim.device, "mi-0123456789abcdef0");
    let expected = Expected {
        region: "xx-towline-1",
        service: "ssm",
        now: NOW,
        allowed_skew: super::super::ALLOWED_SKEW_SECS,
    };
    verify_rsa(&claim, &parts(&sent), &sha256(body), key, &expected)
}

#[test]
fn the_key_of_the_registration_proves_a_request_and_no_other_key_or_body_does() {
    let header = signed(PRIVATE);
    let verified = check(&header, BODY, &key(PRIVATE)).unwrap();
    assert_eq!(verified.forget_at, NOW + 301);
    assert_eq!(check(&header, BODY, &key(OTHER)), Err(SignatureError::Mismatch));
    assert_eq!(check(&header, b"{}", &key(PRIVATE)), Err(SignatureError::Mismatch));
    let cut = header.trim_end_matches('=').to_owned();
    assert!(matches!(check(&cut, BODY, &key(PRIVATE)), Err(SignatureError::Malformed { .. })));
}

#[test]
fn a_signature_by_a_secret_is_none_by_a_key() {
    let hex = format!(
        "AWS4-HMAC-SHA256 Credential=mi-0123456789abcdef0/20260105/xx-towline-1/ssm/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={}",
        "0".repeat(64)
    );
    let refused = check(&hex, BODY, &key(PRIVATE)).unwrap_err();
    assert!(matches!(refused, SignatureError::Unsigned { .. }), "{refused:?}");
}

#[test]
fn the_body_s_hash_may_stand_in_an_unsigned_header_if_it_is_the_right_one() {
    let (header, key) = (signed(PRIVATE), key(PRIVATE));
    let right = crate::ids::hex_lower(&sha256(BODY));
    check_with(&header, &[("x-amz-content-sha256", &right)], BODY, &key).unwrap();
    let wrong = crate::ids::hex_lower(&sha256(b"{}"));
    let refused = check_with(&header, &[("x-amz-content-sha256", &wrong)], BODY, &key);
    assert_eq!(refused, Err(SignatureError::Mismatch));
    let token = check_with(&header, &[("x-amz-security-token", "t")], BODY, &key);
    assert!(matches!(token, Err(SignatureError::Unsigned { .. })), "{token:?}");
}
