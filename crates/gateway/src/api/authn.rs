//! Authentication: which principal makes a request, by SigV4 or by the cookie of a sign-in.
//!
//! Data flow: headers -> [`Api::claim`] (form, scope and time of the signature, the access key and
//! its secret: all that can be told without the body) -> the body -> [`Api::prove`] (the signature
//! over the request as it arrived, the replay window) -> [`Caller`].
//!
//! # Invariants
//! - An unknown key, one switched off and one whose user is gone give the same answer.
//! - A security token goes with its own access key only, and is believed because it was sealed
//!   here.
//! - No body is read for a head that cannot be right.
//! - A signature wins: the cookie of a signed request is not looked at.
//!
//! # Not here
//! - The algorithm: `towline_ssm::sigv4`. What is in a security token: [`super::tokens`]. What a
//!   cookie proves: [`super::sign_in`]. What a failure costs its source: [`super::http`].

use std::time::Duration;

use axum::http::{header, request};
use towline_host::clock::UnixMillis;
use towline_ssm::Operation;
use towline_ssm::error::{ApiError, ErrorCode, Remedy};
use towline_ssm::ids::{AccessKeyId, SecretAccessKey};
use towline_ssm::operation::Service;
use towline_ssm::sigv4::{
    self, ALLOWED_SKEW_SECS, Authorization, Expected, RequestParts, Verified,
};
use towline_store::{AccessKey, SeenRequest};

use super::call::Caller;
use super::elsewhere::is_passed_on;
use super::internal::{OrInternal as _, internal};
use super::service::Api;
use super::token::Token;
use crate::limits::REPLAY_GRACE;
use crate::plane::Person;

/// What a client is told whose request was taken before.
const REPLAYED: &str = "this request was already received: sign it anew";
/// The header of temporary credentials.
const SECURITY_TOKEN: &str = "x-amz-security-token";

/// A head that may be right: only the signature itself is not yet judged.
pub(super) struct Claim<'h> {
    authorization: Authorization,
    headers: Vec<(&'h str, &'h str)>,
    service: Service,
    secret: SecretAccessKey,
    credential: Credential,
}

/// How often one signature is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It changes nothing.
    Always,
    /// Once, and again in the first moment: equal requests of one second may be meant.
    Meant,
    /// Once. Each sign-in of a browser displaces an older one, so an equal request is never meant.
    Once,
}

impl Taken {
    /// Requests for an operation; `None` for one that there is not.
    pub(super) fn of(operation: Option<Operation>) -> Self {
        match operation {
            Some(Operation::CreateSignIn) => Self::Once,
            Some(operation) if !operation.read_only() => Self::Meant,
            _ => Self::Always,
        }
    }
}

/// Whose secret it is.
enum Credential {
    Key(AccessKey),
    Token(Box<Token>),
}

/// Why a request proves nobody.
pub(super) struct Failure {
    /// What the client is told.
    pub(super) error: ApiError,
    /// Whether it counts against its source: it tested a secret.
    pub(super) counts: bool,
}

impl Failure {
    /// One that tests no secret.
    pub(super) const fn uncounted(error: ApiError) -> Self {
        Self { error, counts: false }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { error, counts: true }
    }
}

impl Api {
    /// The cookie of this gateway's console, in a request without a signature.
    pub(super) fn unsigned_cookie<'h>(&self, head: &'h request::Parts) -> Option<&'h str> {
        let is_signed = head.headers.contains_key(header::AUTHORIZATION);
        self.sign_in_cookie(&head.headers).filter(|_| !is_signed)
    }

    /// Judges the head of a request. The access key goes to `access_key` as claimed, for the audit
    /// line. `service`: whose operation it is, if that is known.
    pub(super) async fn claim<'h>(
        &self,
        head: &'h request::Parts,
        service: Option<Service>,
        access_key: &mut String,
        now: UnixMillis,
    ) -> Result<Claim<'h>, ApiError> {
        let headers = text_headers(head);
        let authorization = Authorization::from_headers(&headers)?;
        *access_key = noted_key(&authorization.access_key);
        // The name of an operation that there is not tells no service; the signature's scope does.
        let signed = &authorization.scope.service;
        let service = service.or_else(|| SERVICES.into_iter().find(|s| s.signing_name() == signed));
        let service = service.unwrap_or(Service::Ssm);
        sigv4::check_head(&authorization, &parts(head, &headers), &self.expected(service, now))?;
        let (secret, credential) = self.credential(&authorization.access_key, head, now).await?;
        Ok(Claim { authorization, headers, service, secret, credential })
    }

    /// ARN and id of the user behind a caller; for one of an identity provider, the provider's ARN
    /// and the subject.
    pub(super) fn person_of(&self, caller: &Caller) -> (String, String) {
        let Person { id, name } = &caller.person;
        if let Some(federated) = caller.temporary.as_ref().and_then(|t| t.federated.as_ref()) {
            return (format!("{}:{}", federated.provider_arn, federated.subject), id.clone());
        }
        (format!("arn:aws:iam::{}:user/{name}", self.realm().account), id.clone())
    }

    /// Judges the signature of a whole request. `taken`: how often it is; what has to be remembered
    /// of it comes back.
    pub(super) async fn prove(
        &self,
        claim: Claim<'_>,
        head: &request::Parts,
        body: &[u8],
        taken: Taken,
        now: UnixMillis,
    ) -> Result<(Caller, Option<SeenRequest>), ApiError> {
        let Claim { authorization, headers, service, secret, credential } = claim;
        let verified = sigv4::verify(
            &authorization,
            &parts(head, &headers),
            &sigv4::sha256(body),
            &secret,
            &self.expected(service, now),
        )?;
        let seen = match (taken, is_passed_on(head)) {
            (Taken::Always, _) => None,
            (Taken::Meant, false) => Some(self.admit_once(&verified, REPLAY_GRACE, now).await?),
            (Taken::Once, false) => Some(self.admit_once(&verified, Duration::ZERO, now).await?),
            (Taken::Meant | Taken::Once, true) => {
                let (signature, forget_at) = (verified.replay_key, verified.forget_at);
                Some(SeenRequest { signature, forget_at })
            }
        };
        let caller = match credential {
            Credential::Token(token) => self.holder(*token, authorization.access_key).await?,
            Credential::Key(key) => {
                if self.last_used.is_due(&key.id, now) {
                    self.store()
                        .principals()
                        .key_used(&key.id, now)
                        .await
                        .or_internal("cannot note the use of an access key")?;
                }
                let person = Person { id: key.principal_id, name: key.principal };
                self.user(person, key.id, None).await?
            }
        };
        Ok((caller, seen))
    }

    async fn credential(
        &self,
        access_key: &str,
        head: &request::Parts,
        now: UnixMillis,
    ) -> Result<(SecretAccessKey, Credential), ApiError> {
        if let Some(token) = head.headers.get(SECURITY_TOKEN) {
            let token = token.to_str().map_err(|_| unknown_key())?;
            let token = self.open_token(access_key, token, now)?;
            let secret = SecretAccessKey::new(token.secret.clone());
            return Ok((secret, Credential::Token(Box::new(token))));
        }
        let key = self
            .store()
            .principals()
            .key(access_key)
            .await
            .or_internal("cannot read an access key")?;
        let key = key.filter(|key| key.active).ok_or_else(unknown_key)?;
        Ok((self.opened(&key)?, Credential::Key(key)))
    }

    /// A request that changes something is taken once.
    async fn admit_once(
        &self,
        verified: &Verified,
        grace: Duration,
        now: UnixMillis,
    ) -> Result<SeenRequest, ApiError> {
        let (signature, forget_at) = (verified.replay_key, verified.forget_at);
        let again = || {
            let error = ApiError::new(ErrorCode::InvalidSignatureException, REPLAYED);
            error.with_remedy(Remedy::SignAgain)
        };
        // Memory forgets the oldest when there are too many; the table does not. Where several
        // gateways work together, the table alone knows what another one has taken.
        if !self.replays.knows(&signature) {
            let seen = SeenRequest { signature, forget_at };
            let stored = match self.store().node() {
                Some(_) => self.store().seen_requests().take(&seen).await.map(|first| !first),
                None if self.replays.is_full() => {
                    self.store().seen_requests().contains(&signature).await
                }
                None => Ok(false),
            };
            if stored.or_internal("cannot look for an earlier request")? {
                return Err(again());
            }
        }
        if self.replays.admit(verified, grace, now) {
            return Ok(SeenRequest { signature, forget_at });
        }
        Err(again())
    }

    /// The secret of a long-lived key.
    fn opened(&self, key: &AccessKey) -> Result<SecretAccessKey, ApiError> {
        let opened = self
            .parts
            .vault
            .open(&key.id, &key.sealed)
            .or_internal("cannot open the secret of an access key")?;
        let text = String::from_utf8(opened.to_vec())
            .map_err(|error| internal("a stored secret", &error))?;
        Ok(SecretAccessKey::new(text))
    }

    fn expected(&self, service: Service, now: UnixMillis) -> Expected<'_> {
        Expected {
            region: &self.realm().region,
            service: service.signing_name(),
            now: now.0.div_euclid(1000),
            allowed_skew: ALLOWED_SKEW_SECS,
        }
    }
}

/// An access key id as it is noted. A text of another form is not: people who mix the two up send
/// the secret in its place.
fn noted_key(claimed: &str) -> String {
    let is_id = AccessKeyId::try_from(claimed.to_owned()).is_ok();
    if is_id { claimed } else { "not of the form of an access key id" }.to_owned()
}

const SERVICES: [Service; 4] = [Service::Ssm, Service::Sts, Service::Towline, Service::CloudTrail];

pub(super) fn unknown_key() -> ApiError {
    ApiError::new(
        ErrorCode::UnrecognizedClientException,
        "the access key or security token is not valid here",
    )
}

/// The request as its signature covers it.
fn parts<'a>(head: &'a request::Parts, headers: &'a [(&'a str, &'a str)]) -> RequestParts<'a> {
    RequestParts {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers,
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
