//! The one spelling of a request that both ends can derive, whatever proxies did to case, order and
//! spaces.
//!
//! Data flow: [`RequestParts`] and the names of the signed headers -> canonical request text -> its
//! hash is what is signed.
//!
//! # Invariants
//! - Two requests that a server would treat differently (path, query, a signed header, body) never
//!   share a text.
//! - Time and memory are linear in the size of the request head.

use core::fmt::Write as _;

use super::error::SignatureError;
use crate::ids::hex_lower;

/// The parts of an HTTP request that a signature covers, as they came over the wire.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// Method in capital letters.
    pub method: &'a str,
    /// Path as received, with its percent signs, without query. Empty counts as `/`.
    pub path: &'a str,
    /// Query as received, without the question mark. May be empty.
    pub query: &'a str,
    /// All headers, names in any case. With HTTP/2 the caller puts `:authority` in as `host`.
    pub headers: &'a [(&'a str, &'a str)],
}

impl<'a> RequestParts<'a> {
    /// The only value of a header, or nothing when it is absent.
    ///
    /// # Errors
    /// [`SignatureError::Header`] when it is there more than once.
    pub(super) fn single(&self, name: &'static str) -> Result<Option<&'a str>, SignatureError> {
        let mut values = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let first = values.next().map(|(_, value)| value.trim());
        if values.next().is_some() {
            return Err(SignatureError::Header { name });
        }
        Ok(first)
    }
}

/// Writes the canonical request for these signed headers (lower case, sorted).
///
/// # Errors
/// [`SignatureError::SignedHeaderAbsent`] when one of them did not arrive.
pub(super) fn canonical_request(
    parts: &RequestParts<'_>,
    signed_headers: &[String],
    body_sha256: &[u8; 32],
) -> Result<String, SignatureError> {
    let mut text = String::with_capacity(512);
    text.push_str(parts.method);
    text.push('\n');
    encode_into(&mut text, &normal_path(parts.path), true);
    text.push('\n');
    text.push_str(&canonical_query(parts.query));
    text.push('\n');
    for name in signed_headers {
        let mut values =
            parts.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).peekable();
        if values.peek().is_none() {
            return Err(SignatureError::SignedHeaderAbsent);
        }
        text.push_str(name);
        for (i, (_, value)) in values.enumerate() {
            text.push(if i == 0 { ':' } else { ',' });
            push_collapsed(&mut text, value);
        }
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&signed_headers.join(";"));
    text.push('\n');
    text.push_str(&hex_lower(body_sha256));
    Ok(text)
}

/// Outer spaces go, inner runs of them become one.
fn push_collapsed(text: &mut String, value: &str) {
    for (i, word) in value.split_ascii_whitespace().enumerate() {
        if i > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
}

/// Resolves `.`, `..` and doubled slashes, as AWS does for all services but S3.
fn normal_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut out = format!("/{}", segments.join("/"));
    if path.ends_with('/') && !segments.is_empty() {
        out.push('/');
    }
    out
}

/// Every name and value in one spelling, sorted by name and then by value.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (respell(name), respell(value))
        })
        .collect();
    pairs.sort();
    let spelled: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    spelled.join("&")
}

/// Takes percent signs and plus signs out and puts the AWS spelling in. A broken percent sign
/// stands for itself.
fn respell(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten();
        match escaped
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
        {
            Some(byte) => {
                plain.push(byte);
                i += 3;
            }
            None => {
                plain.push(if bytes[i] == b'+' { b' ' } else { bytes[i] });
                i += 1;
            }
        }
    }
    let mut out = String::with_capacity(text.len());
    encode_bytes_into(&mut out, &plain, false);
    out
}

fn encode_into(out: &mut String, text: &str, keep_slash: bool) {
    encode_bytes_into(out, text.as_bytes(), keep_slash);
}

/// Percent-encodes all but letters, digits and `-_.~`.
fn encode_bytes_into(out: &mut String, bytes: &[u8], keep_slash: bool) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || (keep_slash && byte == b'/') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_resolved_and_encoded_once_more() {
        for (path, normal) in
            [("", "/"), ("/", "/"), ("//a//b/", "/a/b/"), ("/a/../b/./c", "/b/c"), ("/../..", "/")]
        {
            assert_eq!(normal_path(path), normal);
        }
        let mut encoded = String::new();
        encode_into(&mut encoded, "/a%20b/~x", true);
        assert_eq!(encoded, "/a%2520b/~x");
    }

    #[test]
    fn a_query_has_one_spelling() {
        assert_eq!(canonical_query(""), "");
        assert_eq!(canonical_query("b=2&a=x+y&a=%7e&c&&a=%zz"), "a=%25zz&a=x%20y&a=~&b=2&c=");
        assert_eq!(canonical_query("t=a=b"), "t=a%3Db");
    }

    #[test]
    fn a_repeated_signed_header_is_joined_in_order_of_arrival() {
        let headers = [("X-A", "  one   two "), ("Host", "h"), ("x-a", "three")];
        let parts = RequestParts { method: "GET", path: "/", query: "", headers: &headers };
        let text = canonical_request(&parts, &["host".into(), "x-a".into()], &[0; 32]).unwrap();
        assert!(text.contains("host:h\nx-a:one two,three\n\nhost;x-a\n"), "{text}");
    }
}
