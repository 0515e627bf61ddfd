//! A request of any parts: what was signed is verified, in whatever spelling a proxy leaves it; a
//! request that means something else is not. The last input steers the change.
//!
//! Run by the fuzzer (`fuzz_targets/signature.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_ssm::ids::SecretAccessKey;
use towline_ssm::sigv4::{
    ALLOWED_SKEW_SECS, Authorization, Credentials, Expected, MUST_SIGN, RequestParts,
    SignatureError, sha256, sign, verify,
};

const NOW: i64 = 1_780_000_000;

/// What is signed: headers are names and values, and a host comes with them.
struct Request {
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: [u8; 32],
}

/// One run.
pub(crate) fn run(input: (String, String, Vec<(String, String)>, u8)) {
    let (path, query, headers, change) = input;
    let headers = headers.into_iter().filter(|(name, value)| is_header(name, value)).take(8);
    let host = ("Host".to_owned(), "gw.example".to_owned());
    let headers: Vec<(String, String)> = headers.chain([host]).collect();
    let times = |wanted: &str| {
        headers.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).count()
    };
    if MUST_SIGN.iter().any(|name| times(name) > 1) {
        return; // no client sends them twice, and no gateway takes them
    }
    let request = Request { path, query, headers, body: sha256(b"body") };
    let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into());
    let Some(added) = signed(&request, &secret) else { return };
    assert_eq!(verified(&request, &added, &secret), Ok(()));
    let respelt = respelt(&request);
    assert_eq!(verified(&respelt, &added, &secret), Ok(()), "{:?}", respelt.query);
    let changed = changed(request, change);
    assert!(verified(&changed, &added, &secret).is_err(), "change {} was not noticed", change % 6);
}

/// What an HTTP library lets through.
fn is_header(name: &str, value: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty()
        && name.len() < 40
        && name.bytes().all(token)
        && !value.chars().any(|c| c.is_control() && c != '\t')
        && !name.eq_ignore_ascii_case("host")
}

fn signed(request: &Request, secret: &SecretAccessKey) -> Option<Vec<(&'static str, String)>> {
    let session_token = None;
    let (access_key, region, service) = ("AKIAIOSFODNN7EXAMPLE", "xx-towline-1", "ssm");
    let credentials = Credentials { access_key, secret, session_token, region, service };
    let headers = borrowed(&request.headers);
    sign(&parts(request, &headers), &request.body, &credentials, NOW).ok()
}

fn verified(
    request: &Request,
    added: &[(&'static str, String)],
    secret: &SecretAccessKey,
) -> Result<(), SignatureError> {
    let mut headers = borrowed(&request.headers);
    headers.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
    let auth = Authorization::from_headers(&headers)?;
    let (region, service, allowed_skew) = ("xx-towline-1", "ssm", ALLOWED_SKEW_SECS);
    let expected = Expected { region, service, now: NOW + 7, allowed_skew };
    verify(&auth, &parts(request, &headers), &request.body, secret, &expected).map(drop)
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn parts<'a>(request: &'a Request, headers: &'a [(&'a str, &'a str)]) -> RequestParts<'a> {
    RequestParts { method: "POST", path: &request.path, query: &request.query, headers }
}

/// Case and spaces of headers, order of the query and of headers of other names: proxies change
/// them.
fn respelt(request: &Request) -> Request {
    let mut query: Vec<&str> = request.query.split('&').collect();
    query.reverse();
    let header = |(name, value): &(String, String)| {
        (name.to_ascii_uppercase(), format!("  {} ", value.replace(' ', "  ")))
    };
    let mut headers: Vec<_> = request.headers.iter().map(header).collect();
    headers.sort_by(|(one, _), (other, _)| one.cmp(other));
    Request { path: request.path.clone(), query: query.join("&"), headers, body: request.body }
}

fn changed(mut request: Request, change: u8) -> Request {
    match change % 6 {
        0 => request.path.push_str("/more"),
        1 => request.query.push_str("&more=1"),
        2 => request.body = sha256(b"another body"),
        3 => request.headers.retain(|(name, _)| name != "Host"),
        4 => request.headers.push(("X-Amz-Target".into(), "AmazonSSM.DeleteEverything".into())),
        _ => {
            for (name, value) in &mut request.headers {
                if name == "Host" {
                    value.push_str(".evil");
                }
            }
        }
    }
    request
}
