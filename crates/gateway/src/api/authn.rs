//! SigV4 authentication: which principal signed a request.
//!
//! Data flow: headers -> the claim (access key) -> the key's secret from the store, opened for this check
//! -> the signature over the request as it arrived -> the replay window -> [`Caller`].
//!
//! # Invariants
//! - An unknown key, one switched off and one whose user is gone give the same answer.
//! - A security token goes with its own access key only, and is believed because it was sealed
//!   here.
//! - A failure counts against its source, but for a wrong clock: that one tests no secret.
//!
//! # Not here
//! - The algorithm: `towline_ssm::sigv4`. What is in a security token: [`super::tokens`].

use std::net::IpAddr;

use axum::http::request;
use towline_host::clock::UnixMillis;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::SecretAccessKey;
use towline_ssm::operation::Operation;
use towline_ssm::sigv4::{
    self, ALLOWED_SKEW_SECS, Authorization, Expected, RequestParts, SignatureError, Verified,
};
use towline_store::AccessKey;

use super::call::Caller;
use super::internal::{OrInternal as _, internal};
use super::service::Api;
use crate::plane::Person;

/// The header of temporary credentials.
const SECURITY_TOKEN: &str = "x-amz-security-token";
/// A request that cannot be told whose it is, with the key it claims, for the audit line.
pub(super) struct Unproven {
    /// The answer.
    pub(super) error: ApiError,
    /// The access key as claimed.
    pub(super) access_key: String,
}

impl Api {
    /// Who signed this request.
    pub(super) async fn authenticate(
        &self,
        operation: Operation,
        head: &request::Parts,
        body: &[u8],
        source: IpAddr,
        now: UnixMillis,
    ) -> Result<Caller, Unproven> {
        let headers = text_headers(head);
        let claim = Authorization::from_headers(&headers);
        let access_key =
            claim.as_ref().map_or_else(|_| String::new(), |claim| claim.access_key.clone());
        let proven = match claim {
            Ok(claim) => self.prove(operation, &claim, head, &headers, body, now).await,
            Err(error) => Err(Failure::of(error)),
        };
        proven.map_err(|failure| {
            self.parts.metrics.authentication_failed.add(1);
            if failure.counts && self.failures.failed(source, now) {
                tracing::warn!(%source, "too many failed signatures: requests from there are turned away for a while");
            }
            Unproven { error: failure.error, access_key }
        })
    }

    /// ARN and id of the user behind a caller.
    pub(super) fn person_of(&self, caller: &Caller) -> (String, String) {
        let Person { id, name } = &caller.person;
        (format!("arn:aws:iam::{}:user/{name}", self.realm().account), id.clone())
    }

    async fn prove(
        &self,
        operation: Operation,
        claim: &Authorization,
        head: &request::Parts,
        headers: &[(&str, &str)],
        body: &[u8],
        now: UnixMillis,
    ) -> Result<Caller, Failure> {
        if let Some(token) = head.headers.get(SECURITY_TOKEN) {
            let token = token.to_str().map_err(|_| Failure::unknown_key())?;
            let token =
                self.open_token(&claim.access_key, token, now).map_err(Failure::of_token)?;
            let secret = SecretAccessKey::new(token.secret().to_owned());
            let verified =
                self.check_signature(operation, claim, &secret, head, headers, body, now)?;
            self.admit_once(operation, &verified, now)?;
            return self.holder(token, claim.access_key.clone()).await.map_err(Failure::of_token);
        }
        let key = self
            .store()
            .principals()
            .key(&claim.access_key)
            .await
            .or_internal("cannot read an access key")?;
        let key = key.filter(|key| key.active).ok_or_else(Failure::unknown_key)?;
        let secret = self.opened(&key)?;
        let verified = self.check_signature(operation, claim, &secret, head, headers, body, now)?;
        self.admit_once(operation, &verified, now)?;
        if self.last_used.is_due(&key.id, now) {
            self.store()
                .principals()
                .key_used(&key.id, now)
                .await
                .or_internal("cannot note the use of an access key")?;
        }
        let person = Person { id: key.principal_id, name: key.principal };
        Ok(self.user(person, key.id, None).await?)
    }

    /// A request that changes something is taken once.
    fn admit_once(
        &self,
        operation: Operation,
        verified: &Verified,
        now: UnixMillis,
    ) -> Result<(), Failure> {
        if operation.read_only() || self.replays.admit(verified, now) {
            return Ok(());
        }
        let message = "this request was already received: sign it anew";
        Err(Failure::of_code(ErrorCode::InvalidSignatureException, message))
    }

    /// The secret of a long-lived key.
    fn opened(&self, key: &AccessKey) -> Result<SecretAccessKey, Failure> {
        let opened = self
            .parts
            .vault
            .open(&key.id, &key.sealed)
            .or_internal("cannot open the secret of an access key")?;
        let text = String::from_utf8(opened.to_vec())
            .map_err(|error| Failure::ours(internal("a stored secret", &error)))?;
        Ok(SecretAccessKey::new(text))
    }

    #[allow(clippy::too_many_arguments)] // all of them are what a signature covers
    fn check_signature(
        &self,
        operation: Operation,
        claim: &Authorization,
        secret: &SecretAccessKey,
        head: &request::Parts,
        headers: &[(&str, &str)],
        body: &[u8],
        now: UnixMillis,
    ) -> Result<Verified, Failure> {
        let parts = RequestParts {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            headers,
        };
        let expected = Expected {
            region: &self.realm().region,
            service: operation.service().signing_name(),
            now: now.0.div_euclid(1000),
            allowed_skew: ALLOWED_SKEW_SECS,
        };
        sigv4::verify(claim, &parts, &sigv4::sha256(body), secret, &expected).map_err(Failure::of)
    }
}

/// Headers whose values are text. One that is not cannot be signed by any client we know, and is
/// then missed by the check.
fn text_headers(head: &request::Parts) -> Vec<(&str, &str)> {
    head.headers
        .iter()
        .filter_map(|(name, value)| {
            Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?))
        })
        .collect()
}

/// A failure and whether it counts against its source.
struct Failure {
    error: ApiError,
    counts: bool,
}

impl Failure {
    fn of(error: SignatureError) -> Self {
        let counts =
            !matches!(error, SignatureError::Expired { .. } | SignatureError::NotYetCurrent { .. });
        Self { error: error.into(), counts }
    }

    fn of_code(code: ErrorCode, message: &str) -> Self {
        Self { error: ApiError::new(code, message), counts: true }
    }

    fn unknown_key() -> Self {
        Self::of_code(
            ErrorCode::UnrecognizedClientException,
            "the access key or security token is not valid here",
        )
    }

    /// A token that was made here and is over tests no secret; one that was not made here does.
    fn of_token(error: ApiError) -> Self {
        let counts = error.code == ErrorCode::UnrecognizedClientException;
        Self { error, counts }
    }

    const fn ours(error: ApiError) -> Self {
        Self { error, counts: false }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::ours(error)
    }
}
