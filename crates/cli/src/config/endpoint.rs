//! Addresses: of the gateway (`https://`), and of a session's stream (`wss://`).
//!
//! # Invariants
//! - Only TLS: a plain address is refused, since the access key's signature and the session would
//!   be open to all.

use std::fmt;

/// Port of https and wss.
const DEFAULT_PORT: u16 = 443;

/// Why a URL is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadUrl {
    /// No scheme, or another one.
    #[error("the address must begin with https://")]
    Scheme,
    /// The address would not be encrypted.
    #[error(
        "the address must begin with https://: without TLS, the network could read and change the \
         session"
    )]
    Plain,
    /// No host.
    #[error("the address has no valid host name")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// `user@` in it.
    #[error("the address must not contain a user name or a password")]
    User,
}

/// A host and a port, and the path there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query, beginning with a slash.
    pub path: String,
}

impl Endpoint {
    /// Reads `https://HOST[:PORT][/PATH]`, or the same with `wss`.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub(crate) fn parse(url: &str) -> Result<Self, BadUrl> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(BadUrl::Scheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "https" | "wss" => {}
            "http" | "ws" => return Err(BadUrl::Plain),
            _ => return Err(BadUrl::Scheme),
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or_default();
        if authority.contains('@') {
            return Err(BadUrl::User);
        }
        let (host, port) = split_port(authority)?;
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || !host.chars().all(good) {
            return Err(BadUrl::Host);
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { host: host.to_owned(), port, path })
    }

    /// Value of the `Host` header: with the port unless it is the usual one.
    #[must_use]
    pub(crate) fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == DEFAULT_PORT { host } else { format!("{host}:{}", self.port) }
    }

    /// Whether one connection serves both.
    #[must_use]
    pub(crate) fn same_server(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(&other.host) && self.port == other.port
    }
}

impl fmt::Display for Endpoint {
    /// Host and port; a path may hold what is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, u16), BadUrl> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(BadUrl::Host)?;
            let port = if after.is_empty() {
                None
            } else {
                Some(after.strip_prefix(':').ok_or(BadUrl::Port)?)
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let Some(port) = port else { return Ok((host, DEFAULT_PORT)) };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits && port != 0 => Ok((host, port)),
        _ => Err(BadUrl::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, host: &str, port: u16, path: &str, authority: &str) {
        let endpoint = Endpoint::parse(url).unwrap();
        assert_eq!(
            (endpoint.host.as_str(), endpoint.port, endpoint.path.as_str()),
            (host, port, path)
        );
        assert_eq!(endpoint.authority(), authority);
    }

    #[test]
    fn addresses_are_taken_apart() {
        check("https://g.example", "g.example", 443, "/", "g.example");
        check("https://g.example:8443/", "g.example", 8443, "/", "g.example:8443");
        check(
            "wss://[::1]:8443/v1/data-channel/x?a=b",
            "::1",
            8443,
            "/v1/data-channel/x?a=b",
            "[::1]:8443",
        );
        check("HTTPS://127.0.0.1?x", "127.0.0.1", 443, "/?x", "127.0.0.1");
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        for (url, why) in [
            ("localhost:8443", BadUrl::Scheme),
            ("http://g", BadUrl::Plain),
            ("https://", BadUrl::Host),
            ("https://a b", BadUrl::Host),
            ("https://g:0", BadUrl::Port),
            ("https://g:+80", BadUrl::Port),
            ("https://[::1]8443", BadUrl::Port),
            ("https://u:p@g", BadUrl::User),
        ] {
            assert_eq!(Endpoint::parse(url), Err(why), "{url}");
        }
    }
}
