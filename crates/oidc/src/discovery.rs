//! The document under `/.well-known/openid-configuration` (OpenID Connect Discovery 1.0).
//!
//! # Invariants
//! - The document's issuer is the one that was asked for, byte by byte: a provider speaks for
//!   itself alone.

use serde_json::Value;

use crate::limits::{MAX_DISCOVERY, MAX_URL};

/// Why bytes are no discovery document of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// Too many bytes.
    #[error("the discovery document has {0} bytes, at most {MAX_DISCOVERY} are read")]
    TooLarge(usize),
    /// Not JSON, or a member is missing.
    #[error("the discovery document lacks a usable `{0}`")]
    Lacks(&'static str),
    /// It speaks of another issuer.
    #[error("the discovery document is of the issuer {found}, expected is {wanted}")]
    Issuer {
        /// What it says.
        found: String,
        /// What was asked for.
        wanted: String,
    },
}

/// Where a provider's endpoints are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Its keys.
    pub jwks_uri: String,
    /// Where browsers sign in; a provider for jobs has none.
    pub authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    pub token_endpoint: Option<String>,
    /// More claims of a person.
    pub userinfo_endpoint: Option<String>,
    /// Whether its token endpoint takes a client's secret in a header (`client_secret_basic`): so
    /// also where the document does not say how.
    pub takes_secret_in_header: bool,
    /// Whether it takes the secret in the form (`client_secret_post`).
    pub takes_secret_in_form: bool,
    /// Whether its answers to browsers name it as `iss` (RFC 9207).
    pub names_itself: bool,
}

/// Whether a text can be an issuer: a URL with a host, without query, fragment, user and white
/// space.
#[must_use]
pub fn is_issuer(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"?#@\"'<>\\^`{|}*".contains(&b);
    let host = rest.and_then(|rest| rest.split('/').next());
    text.len() <= MAX_URL && text.bytes().all(is_plain) && host.is_some_and(|h| !h.is_empty())
}

impl Discovery {
    /// Where the document of an issuer is: a final slash of the issuer is not doubled.
    #[must_use]
    pub fn url(issuer: &str) -> String {
        format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
    }

    /// Reads the document of an issuer.
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub fn parse(bytes: &[u8], issuer: &str) -> Result<Self, DiscoveryError> {
        if bytes.len() > MAX_DISCOVERY {
            return Err(DiscoveryError::TooLarge(bytes.len()));
        }
        let value: Value =
            serde_json::from_slice(bytes).map_err(|_| DiscoveryError::Lacks("issuer"))?;
        let text = |name: &'static str| value.get(name).and_then(Value::as_str);
        let found = text("issuer").ok_or(DiscoveryError::Lacks("issuer"))?;
        if found != issuer {
            return Err(DiscoveryError::Issuer {
                found: found.chars().take(MAX_URL).collect(),
                wanted: issuer.to_owned(),
            });
        }
        let endpoint = |name: &'static str| match text(name) {
            None => Ok(None),
            Some(url) if is_endpoint(url) => Ok(Some(url.to_owned())),
            Some(_) => Err(DiscoveryError::Lacks(name)),
        };
        let methods = value.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
        let takes = |method: &str| methods.map(|all| all.iter().any(|one| one == method));
        Ok(Self {
            jwks_uri: endpoint("jwks_uri")?.ok_or(DiscoveryError::Lacks("jwks_uri"))?,
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?,
            userinfo_endpoint: endpoint("userinfo_endpoint")?,
            takes_secret_in_header: takes("client_secret_basic").unwrap_or(true),
            takes_secret_in_form: takes("client_secret_post").unwrap_or(false),
            names_itself: value.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
        })
    }
}

/// An endpoint may have a query, unlike an issuer. What readers of URLs disagree about, such as `@`
/// behind a host without a path, is in neither.
fn is_endpoint(text: &str) -> bool {
    let (base, query) = text.split_once('?').unwrap_or((text, ""));
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"#@\"'<>\\^`{|}".contains(&b);
    text.len() <= MAX_URL && is_issuer(base) && query.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"issuer":"https://id.example/a","jwks_uri":"https://id.example/keys",
        "authorization_endpoint":"https://id.example/auth?tenant=1","token_endpoint":"https://id.example/t"}"#;

    #[test]
    fn an_endpoint_is_the_same_place_for_every_reader() {
        for good in ["https://id.example/auth?tenant=1&p=b2c_1", "https://id.example?a=b%40c"] {
            assert!(is_endpoint(good), "{good}");
        }
        let long = format!("https://id.example/?{}", "a".repeat(MAX_URL));
        for bad in [
            "https://id.example?@eve.example/", // found by the fuzz target
            "https://id.example/?a#b",
            "https://id.example/?a\\b",
            "https://id.example/?a`b",
            "https://id.example/?a b",
            &long,
        ] {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }

    #[test]
    fn the_document_of_the_issuer_is_read() {
        let read = Discovery::parse(GOOD.as_bytes(), "https://id.example/a").unwrap();
        assert_eq!(read.jwks_uri, "https://id.example/keys");
        assert_eq!(read.authorization_endpoint.unwrap(), "https://id.example/auth?tenant=1");
        assert_eq!(read.userinfo_endpoint, None);
        for issuer in ["https://id.example/a", "https://id.example/a/"] {
            let wanted = "https://id.example/a/.well-known/openid-configuration";
            assert_eq!(Discovery::url(issuer), wanted);
        }
    }

    #[test]
    fn a_provider_says_where_it_reads_a_clients_secret() {
        for (said, header, form) in [
            ("", true, false),
            (r#""token_endpoint_auth_methods_supported":["client_secret_post"],"#, false, true),
            (r#""token_endpoint_auth_methods_supported":["client_secret_basic"],"#, true, false),
            (r#""token_endpoint_auth_methods_supported":["private_key_jwt"],"#, false, false),
            (r#""token_endpoint_auth_methods_supported":7,"#, true, false),
        ] {
            let text = GOOD.replacen('{', &format!("{{{said}"), 1);
            let read = Discovery::parse(text.as_bytes(), "https://id.example/a").unwrap();
            let takes = (read.takes_secret_in_header, read.takes_secret_in_form);
            assert_eq!(takes, (header, form), "{said}");
        }
    }

    #[test]
    fn another_issuer_and_a_missing_or_bad_member_are_named() {
        let issuer = Discovery::parse(GOOD.as_bytes(), "https://id.example/a/").unwrap_err();
        assert!(matches!(issuer, DiscoveryError::Issuer { .. }));
        for (from, to, lacks) in [
            ("\"jwks_uri\":\"https://id.example/keys\",", "", "jwks_uri"),
            ("https://id.example/keys", "file:///etc/passwd", "jwks_uri"),
            ("https://id.example/t", "https://u:p@id.example/t", "token_endpoint"),
            ("\"issuer\"", "\"Issuer\"", "issuer"),
        ] {
            let text = GOOD.replace(from, to);
            let error = Discovery::parse(text.as_bytes(), "https://id.example/a").unwrap_err();
            assert_eq!(error, DiscoveryError::Lacks(lacks), "{text}");
        }
        let large = vec![b' '; MAX_DISCOVERY + 1];
        let error = Discovery::parse(&large, "https://id.example/a").unwrap_err();
        assert_eq!(error, DiscoveryError::TooLarge(MAX_DISCOVERY + 1));
    }

    #[test]
    fn an_issuer_is_a_plain_url() {
        for good in ["https://id.example", "https://id.example:8443/realms/x", "http://[::1]:80/"] {
            assert!(is_issuer(good), "{good}");
        }
        for bad in
            ["", "https://", "ftp://x", "https://x?y", "https://x#y", "https://u@x", "https://x y"]
        {
            assert!(!is_issuer(bad), "{bad}");
        }
    }
}
