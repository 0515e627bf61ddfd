//! Any bytes as a discovery document: endpoints are URLs, and the issuer is the one that was asked
//! for.

use towline_oidc::Discovery;

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(read) = Discovery::parse(bytes, "https://id.example") {
        let endpoints = [Some(read.jwks_uri), read.token_endpoint, read.authorization_endpoint];
        for url in endpoints.into_iter().flatten() {
            assert!(url.starts_with("https://") || url.starts_with("http://"), "{url}");
            assert!(!url.contains(['\n', '\r', ' ', '@', '#']), "{url}");
        }
    }
}
