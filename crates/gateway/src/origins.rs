//! The origins of pages that may use a browser's sign-in or open a data channel: those that the
//! configuration names, never what a request's `Host` header says.
//!
//! Data flow: `gateway.toml` -> [`Origins`] -> the API (cookies) and the data channels
//! (websockets).
//!
//! # Invariants
//! - Origins are compared as browsers write them: scheme and host in lower case, no default port.
//! - A request without an `Origin` header is not from a page's script; whether it is let in is up
//!   to the asker.

use axum::http::{HeaderMap, header};

/// The allowed origins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

/// Where a request says that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A page of this gateway.
    Ours,
    /// A page of somebody else, or more than one origin.
    Foreign,
    /// No browser's script, or one that hides its origin by leaving the header out.
    Absent,
}

impl Origins {
    /// These origins; each in the form that [`canonical`] gives.
    #[must_use]
    pub const fn new(origins: Vec<String>) -> Self {
        Self(origins)
    }

    /// Where this request comes from.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> Origin {
        let mut named = headers.get_all(header::ORIGIN).iter();
        let Some(first) = named.next() else { return Origin::Absent };
        let ours = first.to_str().is_ok_and(|origin| self.0.iter().any(|own| own == origin));
        if ours && named.next().is_none() { Origin::Ours } else { Origin::Foreign }
    }

    /// The first one: where a person finds the console.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }
}

/// An origin as browsers write it, from the URL of a page: `https://HOST` or `https://HOST:PORT`.
/// `None`: it is not the URL of an https page.
#[must_use]
pub fn canonical(url: &str) -> Option<String> {
    let url = url.to_ascii_lowercase();
    let rest = url.strip_prefix("https://")?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let host = host.strip_suffix(":443").unwrap_or(host);
    let fits = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    (!host.is_empty() && host.len() <= 260 && host.bytes().all(fits))
        .then(|| format!("https://{host}"))
}

/// The host of an origin, without its port.
#[must_use]
pub fn host(origin: &str) -> Option<&str> {
    let rest = origin.strip_prefix("https://")?;
    let end = rest.rfind(']').map_or(0, |at| at + 1);
    let port = rest.get(end..)?.find(':').map_or(rest.len(), |at| end + at);
    rest.get(..port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_origin_has_no_port() {
        for (origin, want) in [
            ("https://gw.example:8443", "gw.example"),
            ("https://gw.example", "gw.example"),
            ("https://[::1]:8443", "[::1]"),
        ] {
            assert_eq!(host(origin), Some(want));
        }
    }

    #[test]
    fn an_origin_has_the_form_that_browsers_send() {
        for (url, want) in [
            ("https://GW.example", Some("https://gw.example")),
            ("https://gw.example:443/", Some("https://gw.example")),
            ("https://gw.example:8443", Some("https://gw.example:8443")),
            ("https://[::1]:8443", Some("https://[::1]:8443")),
            ("http://gw.example", None),
            ("https://gw.example/console", None),
            ("https://", None),
        ] {
            assert_eq!(canonical(url).as_deref(), want, "{url}");
        }
    }

    #[test]
    fn only_an_exact_single_origin_is_ours() {
        let origins = Origins::new(vec!["https://gw.example:8443".into()]);
        for (sent, want) in [
            (&[][..], Origin::Absent),
            (&["https://gw.example:8443"], Origin::Ours),
            (&["https://gw.example"], Origin::Foreign),
            (&["https://gw.example:8443.evil.example"], Origin::Foreign),
            (&["null"], Origin::Foreign),
            (&["https://gw.example:8443", "https://evil.example"], Origin::Foreign),
        ] {
            let mut headers = HeaderMap::new();
            for origin in sent {
                headers.append(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(origins.of(&headers), want, "{sent:?}");
        }
    }
}
