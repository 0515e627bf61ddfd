//! Signed calls of AWS services that `object_store` does not cover: CloudWatch Logs, and the
//! retention of an object.
//!
//! # Invariants
//! - Every request is signed. The secret itself is never sent.
//! - A response is read up to [`RESPONSE`] bytes; a call takes at most
//!   [`CALL`](crate::limits::CALL).
//!
//! # Not here
//! - Retries: the caller knows what a second try costs.

use towline_ssm::ids::{SecretAccessKey, hex_lower};
use towline_ssm::sigv4::{Credentials, RequestParts, sha256, sign};

use super::error::SinkError;
use crate::limits::{MAX_SECRET_FILE, RESPONSE};
use towline_host::clock::Clock;
use towline_host::files;

/// The server to call, and the credentials.
pub(crate) struct Target<'a> {
    /// URL of the server, without a path.
    pub(crate) endpoint: String,
    /// Region in signatures.
    pub(crate) region: &'a str,
    /// Access key and the file of its secret; otherwise the environment's `AWS_ACCESS_KEY_ID`.
    pub(crate) key: Option<(&'a str, &'a std::path::Path)>,
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) service: &'a str,
    pub(crate) method: reqwest::Method,
    /// The path as sent, without percent-encoding.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) body: Vec<u8>,
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No response.
    #[error("no response: {0}")]
    Away(String),
    /// The server refused; the text names the error, such as `ResourceAlreadyExistsException`.
    #[error("refused with {status}: {text}")]
    Refused { status: u16, text: String },
    /// The request could not be built, or the response is too large.
    #[error("cannot call: {0}")]
    Invalid(String),
}

impl CallError {
    /// Whether the server's response names this error.
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Refused { text, .. } if text.contains(name))
    }
}

/// A client of one service in one region.
pub(crate) struct Client {
    http: reqwest::Client,
    endpoint: String,
    host: String,
    region: String,
    access_key: String,
    secret: SecretAccessKey,
    token: Option<String>,
    clock: Clock,
}

impl Client {
    pub(crate) fn new(target: &Target<'_>, clock: &Clock) -> Result<Self, SinkError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wrong = |what: String| SinkError::Settings(what);
        let url = reqwest::Url::parse(&target.endpoint)
            .map_err(|e| wrong(format!("{}: {e}", target.endpoint)))?;
        let name =
            url.host_str().ok_or_else(|| wrong(format!("{} names no host", target.endpoint)))?;
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let (access_key, secret, token) = credentials(target)?;
        let http = reqwest::Client::builder()
            .timeout(crate::limits::CALL)
            .build()
            .map_err(|e| wrong(e.to_string()))?;
        let (endpoint, region) =
            (target.endpoint.trim_end_matches('/').to_owned(), target.region.to_owned());
        let secret = SecretAccessKey::new(secret);
        Ok(Self { http, endpoint, host, region, access_key, secret, token, clock: clock.clone() })
    }

    /// Makes a call and returns the response's body.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Vec<u8>, CallError> {
        let digest = sha256(&call.body);
        let hash = hex_lower(&digest);
        let mut headers: Vec<(&str, &str)> =
            vec![("host", &self.host), ("x-amz-content-sha256", &hash)];
        headers.extend(call.headers.iter().map(|(name, value)| (*name, value.as_str())));
        let parts = RequestParts {
            method: call.method.as_str(),
            path: call.path,
            query: call.query,
            headers: &headers,
        };
        let credentials = Credentials {
            access_key: &self.access_key,
            secret: &self.secret,
            session_token: self.token.as_deref(),
            region: &self.region,
            service: call.service,
        };
        let now = self.clock.now().0.div_euclid(1000);
        let added = sign(&parts, &digest, &credentials, now)
            .map_err(|e| CallError::Invalid(e.to_string()))?;
        let mark = if call.query.is_empty() { "" } else { "?" };
        let url = format!("{}{}{mark}{}", self.endpoint, call.path, call.query);
        let mut request = self.http.request(call.method.clone(), url).body(call.body);
        for (name, value) in headers.iter().skip(1) {
            request = request.header(*name, *value);
        }
        for (name, value) in &added {
            request = request.header(*name, value);
        }
        let away = |error: reqwest::Error| CallError::Away(error.to_string());
        let mut response = request.send().await.map_err(away)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(away)? {
            if body.len() + piece.len() > RESPONSE {
                return Err(CallError::Invalid(format!(
                    "a response of more than {RESPONSE} bytes"
                )));
            }
            body.extend_from_slice(&piece);
        }
        if status.is_success() {
            return Ok(body);
        }
        Err(CallError::Refused {
            status: status.as_u16(),
            text: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

fn credentials(target: &Target<'_>) -> Result<(String, String, Option<String>), SinkError> {
    if let Some((id, file)) = target.key {
        let secret =
            files::read(file, MAX_SECRET_FILE).map_err(|e| SinkError::Settings(e.to_string()))?;
        return Ok((id.to_owned(), String::from_utf8_lossy(&secret).trim().to_owned(), None));
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let none = || {
        SinkError::Settings(
            "no access key: set access_key_id and secret_access_key_file, or AWS_ACCESS_KEY_ID"
                .into(),
        )
    };
    let id = variable("AWS_ACCESS_KEY_ID").ok_or_else(none)?;
    let secret = variable("AWS_SECRET_ACCESS_KEY").ok_or_else(none)?;
    Ok((id, secret, variable("AWS_SESSION_TOKEN")))
}
