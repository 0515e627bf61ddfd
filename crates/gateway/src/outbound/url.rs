//! The URL of a request: scheme, host, port, path.
//!
//! # Invariants
//! - `http` is for hosts that the setting names as addresses: in plain text a token endpoint or key
//!   set is whatever the network says.

use hyper::Uri;

use super::client::OutboundError;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) is_tls: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// `Host` of the request.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, OutboundError> {
        let bad = || OutboundError::Url(url.chars().take(200).collect());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?;
        if authority.as_str().contains('@') {
            return Err(bad());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(bad());
        }
        let port = match (authority.port_u16(), authority.as_str().rsplit_once(':')) {
            (Some(0), _) => return Err(bad()),
            (Some(port), _) => port,
            // `[::1]` has colons and no port; a number beyond 65535 is no other port.
            (None, Some((_, port))) if !port.is_empty() && !port.ends_with(']') => {
                return Err(bad());
            }
            (None, _) if is_tls => 443,
            (None, _) => 80,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { is_tls, host, port, authority: authority.to_string(), path })
    }
}

/// The host of a URL that can be asked.
///
/// # Errors
/// [`OutboundError::Url`].
pub fn host_of(url: &str) -> Result<String, OutboundError> {
    Target::parse(url).map(|target| target.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("https://[::1]:8443/a/b?c=d").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.is_tls), ("::1", 8443, true));
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("[::1]:8443", "/a/b?c=d"));
        for (url, port) in [
            ("http://x.example", 80),
            ("https://x.example:/", 443),
            ("https://[::1]", 443),
            ("https://x.example:65535", 65535),
        ] {
            assert_eq!(Target::parse(url).unwrap().port, port, "{url}");
        }
    }

    #[test]
    fn other_schemes_users_and_numbers_that_are_no_port_are_refused() {
        let ports = ["https://x:65536/", "https://x:99999/", "https://[::1]:65536", "https://x:0"];
        let others = ["file:///etc/passwd", "ftp://x", "https://u:p@x/", "x", "", "https://"];
        for url in ports.into_iter().chain(others) {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
