//! The form of a signature, which refusal each broken form gets, and what holds for any request at
//! all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use proptest::prelude::*;
use towline_ssm::ErrorCode::{self, *};
use towline_ssm::ids::SecretAccessKey;
use towline_ssm::sigv4::{
    Authorization, Credentials, Expected, RequestParts, SignatureError, Verified, sha256, sign,
    verify,
};
use towline_ssm::{ApiError, clock};

const NOW: i64 = 1_767_607_872;
const KEY: &str = "AKIAEXAMPLE000000001";

fn secret() -> SecretAccessKey {
    SecretAccessKey::new("a made-up secret".into())
}

/// Signs these headers for ssm, adds the signature's own headers, lets `change` have its way, and
/// verifies.
fn after(
    headers: &[(&str, &str)],
    change: impl FnOnce(&mut Vec<(String, String)>),
) -> Result<Verified, ApiError> {
    let hash = sha256(b"{}");
    let parts = RequestParts { method: "POST", path: "/", query: "", headers };
    let secret = secret();
    let credentials = Credentials {
        access_key: KEY,
        secret: &secret,
        session_token: Some("token"),
        region: "r1",
        service: "ssm",
    };
    let added = sign(&parts, &hash, &credentials, NOW).unwrap();
    let mut all: Vec<(String, String)> =
        headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    all.extend(added.into_iter().map(|(n, v)| (n.to_owned(), v)));
    change(&mut all);
    let all: Vec<_> = all.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let auth = Authorization::from_headers(&all)?;
    let expected = Expected { region: "r1", service: "ssm", now: NOW, allowed_skew: 300 };
    Ok(verify(&auth, &RequestParts { headers: &all, ..parts }, &hash, &secret, &expected)?)
}

const HEADERS: &[(&str, &str)] = &[
    ("Host", "gw"),
    ("Content-Type", "application/x-amz-json-1.1"),
    ("X-Amz-Target", "AmazonSSM.StartSession"),
];

#[track_caller]
fn refused(code: ErrorCode, change: impl FnOnce(&mut Vec<(String, String)>)) {
    let error = after(HEADERS, change).unwrap_err();
    assert_eq!(error.code, code, "{error}");
    assert!(!error.message.contains("made-up secret"));
}

fn set(name: &'static str, value: &'static str) -> impl FnOnce(&mut Vec<(String, String)>) {
    move |headers| {
        headers.iter_mut().filter(|(n, _)| n == name).for_each(|(_, v)| *v = value.to_owned())
    }
}

#[test]
fn a_signed_request_is_accepted() {
    assert_eq!(after(HEADERS, |_| ()).unwrap().signed_at, NOW);
}

#[test]
fn without_a_signature_the_code_says_so() {
    refused(MissingAuthenticationTokenException, |h| h.retain(|(n, _)| n != "authorization"));
}

#[test]
fn an_authorization_header_that_cannot_be_read_is_incomplete() {
    let scope = "AKIAEXAMPLE000000001/20260105/r1/ssm/aws4_request";
    let sig = "0".repeat(64);
    for text in [
        String::new(),
        "Bearer x".into(),
        "AWS4-HMAC-SHA256".into(),
        "AWS4-HMAC-SHA256x Credential=a".into(),
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host"),
        format!("AWS4-HMAC-SHA256 Credential={scope}, Signature={sig}"),
        format!("AWS4-HMAC-SHA256 SignedHeaders=host, Signature={sig}"),
        format!("AWS4-HMAC-SHA256 Credential={scope}/x, SignedHeaders=host, Signature={sig}"),
        format!(
            "AWS4-HMAC-SHA256 Credential=/20260105/r1/ssm/aws4_request, SignedHeaders=host, \
             Signature={sig}"
        ),
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=x;host, Signature={sig}"),
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;host, Signature={sig}"),
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={sig}0"),
        format!(
            "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={}",
            "g".repeat(64)
        ),
        format!(
            "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={}é",
            "0".repeat(62)
        ),
        format!(
            "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={}, Signature={sig}",
            "a".repeat(5000)
        ),
    ] {
        let error: ApiError = Authorization::parse(&text).unwrap_err().into();
        assert_eq!(error.code, IncompleteSignatureException, "{text:.100}");
    }
    let tight = format!("AWS4-HMAC-SHA256 Credential={scope},SignedHeaders=host,Signature={sig}");
    assert_eq!(Authorization::parse(&tight).unwrap().access_key, KEY);
}

#[test]
fn a_header_that_means_something_must_be_signed() {
    refused(InvalidSignatureException, |h| {
        h.push(("X-Amz-Content-SHA256".into(), "UNSIGNED-PAYLOAD".into()))
    });
    refused(IncompleteSignatureException, |h| {
        h.push(("x-amz-target".into(), "AmazonSSM.TerminateSession".into()))
    });
    refused(IncompleteSignatureException, |h| h.retain(|(n, _)| n != "x-amz-date"));
    refused(IncompleteSignatureException, |h| h.retain(|(n, _)| n != "Host"));
    refused(InvalidSignatureException, |h| h.retain(|(n, _)| n != "X-Amz-Target"));
}

#[test]
fn a_header_that_means_nothing_to_us_need_not_be_signed() {
    assert!(after(HEADERS, |h| h.push(("User-Agent".into(), "any".into()))).is_ok());
}

#[test]
fn a_signature_for_another_place_or_day_is_refused() {
    refused(InvalidSignatureException, set("x-amz-date", "20260106T101112Z"));
    refused(InvalidSignatureException, |h| {
        h.iter_mut().for_each(|(_, v)| *v = v.replace("/r1/ssm/", "/r2/ssm/"));
    });
    refused(InvalidSignatureException, |h| {
        h.iter_mut().for_each(|(_, v)| *v = v.replace("/r1/ssm/", "/r1/sts/"));
    });
    refused(IncompleteSignatureException, set("x-amz-date", "yesterday"));
}

#[test]
fn the_time_is_named_when_the_clock_is_the_reason() {
    let late: ApiError =
        SignatureError::Expired { signed_at: NOW, now: NOW + 900, allowed: 300 }.into();
    assert_eq!(late.code, InvalidSignatureException);
    assert!(
        late.message.starts_with("Signature expired")
            && late.message.contains(&clock::format_amz_date(NOW))
    );
    let early: ApiError =
        SignatureError::NotYetCurrent { signed_at: NOW, now: NOW - 900, allowed: 300 }.into();
    assert!(early.message.starts_with("Signature not yet current"));
}

#[test]
fn debug_output_of_a_claim_leaves_its_signature_out() {
    let text = format!(
        "AWS4-HMAC-SHA256 Credential=A/20260105/r/s/aws4_request,SignedHeaders=host,Signature={}",
        "ab".repeat(32)
    );
    let shown = format!("{:?}", Authorization::parse(&text).unwrap());
    assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
}

proptest! {
    #[test]
    fn whatever_is_signed_is_accepted_and_one_flipped_body_bit_is_not(
        path in "(/[a-zA-Z0-9%._~ -]{0,8}){0,5}",
        query in "([a-z%+]{0,4}(=[a-z0-9%+/=]{0,6})?&?){0,5}",
        value in "[ -~]{0,40}",
        body in proptest::collection::vec(any::<u8>(), 1..200),
        flip in any::<proptest::sample::Index>(),
    ) {
        let headers = [("host", "gw.example"), ("x-custom", value.as_str())];
        let parts = RequestParts { method: "POST", path: &path, query: &query, headers: &headers };
        let secret = secret();
        let credentials = Credentials { access_key: KEY, secret: &secret, session_token: None, region: "r", service: "s" };
        let added = sign(&parts, &sha256(&body), &credentials, NOW).unwrap();
        let all: Vec<_> = headers.iter().copied().chain(added.iter().map(|(n, v)| (*n, v.as_str()))).collect();
        let auth = Authorization::from_headers(&all).unwrap();
        let parts = RequestParts { headers: &all, ..parts };
        let expected = Expected { region: "r", service: "s", now: NOW, allowed_skew: 300 };
        prop_assert!(verify(&auth, &parts, &sha256(&body), &secret, &expected).is_ok());
        let mut other = body.clone();
        other[flip.index(body.len())] ^= 1;
        prop_assert_eq!(verify(&auth, &parts, &sha256(&other), &secret, &expected), Err(SignatureError::Mismatch));
    }

    #[test]
    fn no_text_makes_the_reader_of_the_header_panic(text in "(AWS4-HMAC-SHA256 )?(\\PC|[;,=/]|Credential=|SignedHeaders=|Signature=){0,60}") {
        let _ = Authorization::parse(&text);
    }
}
