//! The operations of devices on `POST /`, in front of the API's own.
//!
//! Data flow: a request whose `X-Amz-Target` is a [`DeviceOperation`] -> proof -> answer. Every
//! other request goes on to the API.
//!
//! # Invariants
//! - A body has at most [`FREE_BODY`] bytes, which every connection may have.
//! - Failed proofs count against their source; beyond a bound they get no reason, and a right
//!   signature is always taken.
//! - A long poll holds its connection and a timer, no thread and no lock.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, header, request};
use axum::middleware::Next;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::sigv4::RsaPublicKey;
use towline_ssm::vendor::calls::{GetMessages, NewKey, no_associations};
use towline_ssm::vendor::{DeviceOperation, DeviceProof};
use towline_store::{StoreError, fingerprint};

use super::agents::VendorAgents;
use super::proof::{ByOwnKey, active, internal};
use crate::error_response::{JSON, error_response};
use crate::limits::{BODY_TIMEOUT, FREE_BODY, VENDOR_LONG_POLL};
use crate::plane::{Peer, Visitor};

/// Answers operations of devices; other requests go on.
pub async fn calls(
    State(agents): State<Arc<VendorAgents>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
    let operation = target.and_then(DeviceOperation::parse);
    match operation.filter(|_| request.method() == Method::POST) {
        Some(operation) => agents.answer(operation, request).await,
        None => next.run(request).await,
    }
}

impl VendorAgents {
    async fn answer(&self, operation: DeviceOperation, request: Request) -> Response<Body> {
        let now = self.parts.clock.now();
        let (head, body) = request.into_parts();
        let source = source_of(&head).ip();
        let outcome = match read(body).await {
            Ok(body) => self.operate(operation, &head, &body, source, now).await,
            Err(error) => Err(error),
        };
        let mut response = match outcome {
            Ok(answer) => {
                let mut response = Response::new(Body::from(answer.to_string()));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
                response
            }
            Err(error) => {
                tracing::debug!(
                    %source, operation = operation.target(), %error,
                    "a device's call was refused"
                );
                let error = match operation.proof() {
                    DeviceProof::Activation => error, // counted by the activation's own bounds
                    _ => self.refused(error, source, now),
                };
                let status = StatusCode::from_u16(error.status());
                error_response(status.unwrap_or(StatusCode::BAD_REQUEST), &error)
            }
        };
        if let Ok(id) = entropy::uuid().map(HeaderValue::try_from)
            && let Ok(id) = id
        {
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        response
    }

    /// What a failed proof costs its source, and what the caller is told.
    pub(super) fn refused(&self, error: ApiError, source: IpAddr, now: UnixMillis) -> ApiError {
        use ErrorCode::{ExpiredTokenException, InternalServerError, ThrottlingException};
        let ours =
            matches!(error.code, InternalServerError | ThrottlingException | ExpiredTokenException);
        if ours {
            return error; // it tested no secret
        }
        let blocked = self.failures.blocks(source, now);
        if self.failures.failed(source, now) {
            tracing::warn!(%source, "too many failed calls of devices from there");
        }
        if !blocked {
            return error;
        }
        let seconds = self.failures.again_in(source, now);
        let message =
            format!("too many failed requests from this address: try again in {seconds} s");
        ApiError::new(ErrorCode::ThrottlingException, message)
    }

    async fn operate(
        &self,
        operation: DeviceOperation,
        head: &request::Parts,
        body: &[u8],
        source: IpAddr,
        now: UnixMillis,
    ) -> Result<Value, ApiError> {
        match operation {
            DeviceOperation::RegisterManagedInstance => {
                self.register(parsed(body)?, source, now).await
            }
            DeviceOperation::RequestManagedInstanceRoleToken => {
                let proven = self.by_own_key(head, body, now).await?;
                let keys = self.issue(&proven, now)?;
                prove(head, &proven.device.id);
                serde_json::to_value(&keys).map_err(|error| internal("issued keys", &error))
            }
            DeviceOperation::UpdateManagedInstancePublicKey => {
                let proven = self.by_own_key(head, body, now).await?;
                // Who has a copy of a quarantined key must not get a key of its own.
                active(&proven.device)?;
                prove(head, &proven.device.id);
                self.replace_key(&proven, &parsed(body)?, source, now).await
            }
            DeviceOperation::UpdateInstanceInformation => {
                let device = self.issued_to(operation, head, body, now).await?;
                self.health(&device, &parsed(body)?, source, now).await?;
                prove(head, &device.id);
                Ok(json!({}))
            }
            DeviceOperation::ListInstanceAssociations => {
                let device = self.issued_to(operation, head, body, now).await?;
                active(&device)?;
                prove(head, &device.id);
                Ok(no_associations())
            }
            DeviceOperation::GetMessages => {
                let device = self.issued_to(operation, head, body, now).await?;
                active(&device)?;
                let asked: GetMessages = parsed(body)?;
                prove(head, &device.id); // while it waits it must not count as a stranger's
                tokio::time::sleep(VENDOR_LONG_POLL).await;
                Ok(asked.nothing())
            }
        }
    }

    async fn issued_to(
        &self,
        operation: DeviceOperation,
        head: &request::Parts,
        body: &[u8],
        now: UnixMillis,
    ) -> Result<towline_store::Device, ApiError> {
        self.by_issued_key(head, body, operation.signing_name(), now).await
    }

    /// Puts a new key in the place of the one that signed.
    async fn replace_key(
        &self,
        proven: &ByOwnKey,
        asked: &NewKey,
        source: IpAddr,
        now: UnixMillis,
    ) -> Result<Value, ApiError> {
        let new = RsaPublicKey::from_base64(&asked.new_public_key)
            .map_err(|error| ApiError::validation(error.to_string()))?;
        let id = &proven.device.id;
        let keys = (proven.key.spki(), new.spki());
        match self.parts.store.device_keys().replace(id, keys, now).await {
            Ok(()) => {}
            Err(StoreError::Missing(_) | StoreError::Exists(_)) => {
                let message = "the new key is or was a device's: make another one";
                return Err(ApiError::validation(message));
            }
            Err(error) => return Err(internal("a device's key cannot be replaced", &error)),
        }
        let facts = vec![("keyFingerprint", fingerprint(new.spki()))];
        self.event("DeviceKeyReplaced", id, source, facts).await;
        Ok(json!({}))
    }
}

/// The address that a request comes from.
pub(super) fn source_of(head: &request::Parts) -> SocketAddr {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    head.extensions.get::<Peer>().map_or(unknown, |Peer(peer)| *peer)
}

/// The connection is this device's, and no stranger's any more.
pub(super) fn prove(head: &request::Parts, device: &str) {
    if let Some(Visitor(standing)) = head.extensions.get::<Visitor>() {
        standing.prove(Some(device));
    }
}

/// A body within its bounds.
pub(super) async fn read(body: Body) -> Result<Bytes, ApiError> {
    let whole = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, FREE_BODY)).await;
    let whole = whole.map_err(|_| ApiError::validation("the body did not arrive in time"))?;
    whole.map_err(|_| ApiError::validation("the body is not whole, or larger than it may be"))
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|_| {
        let message = "the body is not the JSON that this operation takes";
        ApiError::new(ErrorCode::SerializationException, message)
    })
}
