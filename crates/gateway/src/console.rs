//! The web console's files: one page, and the assets that it loads.
//!
//! Data flow: `crates/console/dist` -> the build script -> tables in this program -> `/console/`.
//!
//! # Invariants
//! - The page runs our script alone: its policy forbids everything else, inline scripts and strings
//!   as scripts included, and the page cannot be put into a frame.
//! - The name of an asset holds the hash of its content, so it may be kept for ever; the page is
//!   never kept.
//! - A browser is told to use https alone only where a public authority certifies each name: with a
//!   private one, a browser that has lost its trust could not get past its warning.
//! - A program that was built without the files says how to get them.
//!
//! # Not here
//! - Who may do what: the page calls the API as every client does. Sign-ins: `api::sign_in`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use towline_host::entropy;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// What stands in the page for the nonce of its styles.
const NONCE: &str = "{{nonce}}";
/// What stands in it for the region.
const REGION: &str = "{{region}}";
/// What a program that was built without the console shows.
const MISSING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<title>Towline console</title><p>This gateway was built without the web console. \
Install Node 18 or later, run <code>cargo xtask console</code>, and build the gateway again. \
The command line and the API work without it.</p></html>\n";

/// Headers of every answer here, and their values.
const HEADERS: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// What tells a browser to use https alone for this host, and for how long: a year.
const HTTPS_ALONE: &str = "max-age=31536000";

/// What the page is made of.
#[derive(Clone)]
struct Page {
    text: Arc<str>,
    https_alone: bool,
}

/// The console's routes; `region` is what its requests are signed for. `https_alone`: browsers must
/// not use http for this host any more, and trust its certificate.
pub fn routes(region: &str, https_alone: bool) -> Router {
    let text = PAGE.unwrap_or(MISSING).replace(REGION, region).into();
    let page_routes =
        Router::new().route("/console/", get(page)).with_state(Page { text, https_alone });
    Router::new()
        .route("/console", get(redirect))
        .route("/console/assets/{name}", get(asset))
        .merge(page_routes)
}

async fn redirect() -> Response<Body> {
    let mut response = answer(StatusCode::PERMANENT_REDIRECT, "text/plain", Body::empty());
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/console/"));
    response
}

async fn page(State(Page { text, https_alone }): State<Page>) -> Response<Body> {
    let Ok(nonce) = entropy::uuid() else {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", Body::empty());
    };
    let text = text.replace(NONCE, &nonce);
    let mut response = answer(StatusCode::OK, "text/html; charset=utf-8", Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if https_alone {
        let value = HeaderValue::from_static(HTTPS_ALONE);
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    if let Ok(policy) = HeaderValue::try_from(policy(&nonce)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// What the page may load and do. `connect-src 'self'` covers the data channels on its own host.
/// The one policy of Trusted Types makes the address of the console's worker, and of nothing else.
fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; \
         connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types towline-worker"
    )
}

/// What a script of ours may load and do when it runs as a worker, apart from the page: nothing.
const ASSET_POLICY: &str =
    "default-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    let Some((name, bytes)) = ASSETS.iter().find(|(known, _)| *known == name) else {
        let text = "there is no such file in this version of the console: load the page again\n";
        return answer(StatusCode::NOT_FOUND, "text/plain", Body::from(text));
    };
    if !takes_brotli(&headers) {
        let text = "this file is kept brotli-compressed: send Accept-Encoding: br\n";
        return answer(StatusCode::NOT_ACCEPTABLE, "text/plain", Body::from(text));
    }
    let mut response = answer(StatusCode::OK, kind(name), Body::from(*bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(ASSET_POLICY));
    let forever = "public, max-age=31536000, immutable";
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(forever));
    response
}

fn takes_brotli(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok()).any(
        |line| line.split(',').any(|one| one.split(';').next().is_some_and(|c| c.trim() == "br")),
    )
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "txt")) => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn answer(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_page_has_a_policy_with_a_nonce_of_its_own() {
        let policy = |response: &Response<Body>| {
            response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
        };
        let page = || page(State(Page { text: Arc::from(""), https_alone: false }));
        let (one, two) = (policy(&page().await), policy(&page().await));
        assert_ne!(one, two);
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "'nonce-",
            "require-trusted-types-for 'script'; trusted-types towline-worker",
        ] {
            assert!(one.contains(part), "{part}: {one}");
        }
        assert!(!one.contains("unsafe"), "{one}");
    }

    #[tokio::test]
    async fn https_alone_is_demanded_only_when_it_is_told_to() {
        for https_alone in [false, true] {
            let response = page(State(Page { text: Arc::from(""), https_alone })).await;
            let told = response.headers().contains_key(header::STRICT_TRANSPORT_SECURITY);
            assert_eq!(told, https_alone);
        }
    }

    #[tokio::test]
    async fn an_asset_that_is_not_there_says_what_to_do() {
        let response = asset(Path("gone-00000000.js".into()), HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }

    #[test]
    fn brotli_is_found_among_other_encodings() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, text.parse().unwrap());
            takes_brotli(&headers)
        };
        assert!(asked("gzip, deflate, br, zstd") && asked("br;q=1.0"));
        assert!(!asked("gzip, deflate") && !asked(""));
    }
}
