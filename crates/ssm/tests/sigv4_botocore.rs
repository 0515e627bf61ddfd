//! What botocore signed is accepted, and any change to it is not.
//!
//! The vectors in `data/sigv4_vectors.json` were made by `data/make_sigv4_vectors.py` with the real
//! library, so they hold our reading of the algorithm against that of the clients in use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use serde::Deserialize;
use towline_ssm::ids::SecretAccessKey;
use towline_ssm::sigv4::{
    Authorization, Credentials, Expected, RequestParts, SignatureError, Verified, sha256, sign,
    verify,
};

#[derive(Deserialize)]
struct Vectors {
    access_key: String,
    secret: String,
    now: i64,
    cases: Vec<Case>,
}

#[derive(Deserialize, Clone)]
struct Case {
    name: String,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    region: String,
    service: String,
    token: Option<String>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("data/sigv4_vectors.json")).unwrap()
}

/// The only place that knows how a case is checked.
fn outcome(case: &Case, secret: &str, now: i64) -> Result<Verified, SignatureError> {
    let headers: Vec<_> = case.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let auth = Authorization::from_headers(&headers)?;
    let parts = RequestParts {
        method: &case.method,
        path: &case.path,
        query: &case.query,
        headers: &headers,
    };
    let expected =
        Expected { region: &case.region, service: &case.service, now, allowed_skew: 300 };
    verify(
        &auth,
        &parts,
        &sha256(case.body.as_bytes()),
        &SecretAccessKey::new(secret.into()),
        &expected,
    )
}

#[test]
fn every_request_that_botocore_signed_is_accepted() {
    let v = vectors();
    assert!(v.cases.len() >= 12);
    for case in &v.cases {
        let verified =
            outcome(case, &v.secret, v.now).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_eq!((verified.signed_at, verified.forget_at), (v.now, v.now + 301));
    }
}

#[test]
fn our_signature_is_the_one_botocore_makes() {
    let v = vectors();
    for case in &v.cases {
        let added = ["authorization", "x-amz-date", "x-amz-security-token"];
        let wire_only = ["content-length", "amz-sdk-request"];
        let before: Vec<_> = case
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .filter(|(n, _)| {
                !added.iter().chain(&wire_only).any(|other| n.eq_ignore_ascii_case(other))
            })
            .collect();
        let secret = SecretAccessKey::new(v.secret.clone());
        let credentials = Credentials {
            access_key: &v.access_key,
            secret: &secret,
            session_token: case.token.as_deref(),
            region: &case.region,
            service: &case.service,
        };
        let parts = RequestParts {
            method: &case.method,
            path: &case.path,
            query: &case.query,
            headers: &before,
        };
        let ours = sign(&parts, &sha256(case.body.as_bytes()), &credentials, v.now).unwrap();
        for (name, value) in ours {
            let theirs =
                case.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v);
            assert_eq!(theirs, Some(&value), "{}: {name}", case.name);
        }
    }
}

#[test]
fn any_change_to_a_signed_request_is_refused() {
    let v = vectors();
    for case in &v.cases {
        let mut changed = Vec::new();
        changed.push(Case { method: "PUT".into(), ..case.clone() });
        changed.push(Case { path: format!("{}x", case.path), ..case.clone() });
        changed.push(Case { query: format!("{}&x=1", case.query), ..case.clone() });
        changed.push(Case { body: format!("{} ", case.body), ..case.clone() });
        for (i, (name, value)) in case.headers.iter().enumerate() {
            if ["content-length", "amz-sdk-request", "authorization"]
                .contains(&name.to_lowercase().as_str())
            {
                continue;
            }
            let mut other = case.clone();
            other.headers[i].1 = value.replace(['a', '1', 'x'], "b");
            assert_ne!(other.headers[i].1, *value, "{name} must have something to change");
            changed.push(other);
            let mut without = case.clone();
            without.headers.remove(i);
            changed.push(without);
            let mut doubled = case.clone();
            doubled.headers.push((name.clone(), value.clone()));
            changed.push(doubled);
        }
        for other in changed {
            assert!(
                outcome(&other, &v.secret, v.now).is_err(),
                "{}: {:?}",
                case.name,
                other.headers
            );
        }
        assert_eq!(outcome(case, "another secret", v.now), Err(SignatureError::Mismatch));
    }
}

#[test]
fn a_signature_is_good_for_five_minutes_in_both_directions_and_no_second_more() {
    let v = vectors();
    let case = &v.cases[0];
    for now in [v.now - 300, v.now + 300] {
        assert!(outcome(case, &v.secret, now).is_ok());
    }
    assert!(matches!(outcome(case, &v.secret, v.now + 301), Err(SignatureError::Expired { .. })));
    assert!(matches!(
        outcome(case, &v.secret, v.now - 301),
        Err(SignatureError::NotYetCurrent { .. })
    ));
}
