//! Answers to browsers: a redirect, or a page of one sentence.
//!
//! # Invariants
//! - A text of others is escaped; the page loads and runs nothing, and no frame shows it.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use towline_wire::text::is_plain;

const POLICY: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// A redirect, with cookies that it sets.
pub(super) fn redirect(to: &str, cookies: &[String]) -> Response<Body> {
    let Ok(to) = HeaderValue::try_from(to) else {
        return page(StatusCode::INTERNAL_SERVER_ERROR, "the redirect cannot be written", &[]);
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, to);
    finish(response, cookies)
}

/// A page of one sentence.
pub(super) fn page(status: StatusCode, sentence: &str, cookies: &[String]) -> Response<Body> {
    page_with_link(status, sentence, None, cookies)
}

/// The same with a link: its address, which needs no escape, and its words.
pub(super) fn page_with_link(
    status: StatusCode,
    sentence: &str,
    link: Option<(&str, &str)>,
    cookies: &[String],
) -> Response<Body> {
    let text: String = sentence
        .chars()
        .take(1000)
        .map(|c| match c {
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '&' => "&amp;".to_owned(),
            c if !is_plain(c) => " ".to_owned(),
            c => c.to_string(),
        })
        .collect();
    let link = link.map(|(to, words)| format!("<p><a href=\"{to}\">{words}</a></p>"));
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Towline sign-in</title>\
         <h1>Towline sign-in</h1><p>{text}</p>{}<p><a href=\"/console/\">Console</a></p></html>\n",
        link.unwrap_or_default()
    );
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    finish(response, cookies)
}

fn finish(mut response: Response<Body>, cookies: &[String]) -> Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for cookie in cookies {
        if let Ok(mut value) = HeaderValue::try_from(cookie) {
            value.set_sensitive(true);
            headers.append(header::SET_COOKIE, value);
        }
    }
    response
}
