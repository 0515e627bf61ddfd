//! Which device a request is of: by its own RSA key, or by keys that were issued to it.
//!
//! # Invariants
//! - The device is the key's. What path or body say is compared with it by the caller.
//! - A device that is gone or revoked proves nothing; one that waits for a person, or is
//!   quarantined, proves itself and [`active`] refuses it.
//! - A request that is signed by a device's own key is taken once, at all gateways together: its
//!   answer holds keys. The agent signs each attempt afresh, so there is no grace for a second one.

use std::fmt::Display;

use axum::http::request;
use towline_host::clock::UnixMillis;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::DeviceId;
use towline_ssm::sigv4::{
    self, ALLOWED_SKEW_SECS, Authorization, Expected, RequestParts, RsaAuthorization, RsaPublicKey,
    SignatureError, Verified,
};
use towline_store::{AgentKind, Device, DeviceStatus, KeyStatus, SeenRequest};

use super::agents::VendorAgents;

/// The header of issued keys.
pub(super) const SECURITY_TOKEN: &str = "x-amz-security-token";

/// A request that was signed by the device's own key.
pub(super) struct ByOwnKey {
    pub(super) device: Device,
    pub(super) key: RsaPublicKey,
}

/// A failure of ours: written to the log, and told without its cause.
pub(super) fn internal(what: &str, error: &dyn Display) -> ApiError {
    tracing::error!(%error, "{what}");
    ApiError::new(ErrorCode::InternalServerError, "an internal error: see the gateway's log")
}

/// What a device that is gone is told. The agent goes quiet by it.
fn gone() -> ApiError {
    let message = "this device is not registered here: register it with an activation";
    ApiError::new(ErrorCode::AccessDeniedException, message)
}

/// Whether the device may do more than say what it is.
///
/// # Errors
/// Why not. It is none of the errors that make the agent sleep for half an hour.
pub(super) fn active(device: &Device) -> Result<(), ApiError> {
    let why = match device.status {
        DeviceStatus::Active => return Ok(()),
        DeviceStatus::Pending => "the device waits for a person's approval",
        DeviceStatus::Quarantined => "the device is quarantined: two processes have used its key",
        DeviceStatus::Revoked => return Err(gone()),
    };
    Err(ApiError::new(ErrorCode::ThrottlingException, why))
}

impl VendorAgents {
    /// The device whose own key signed a request.
    pub(super) async fn by_own_key(
        &self,
        head: &request::Parts,
        body: &[u8],
        now: UnixMillis,
    ) -> Result<ByOwnKey, ApiError> {
        let headers = text_headers(head);
        let claim = RsaAuthorization::from_headers(&headers)?;
        let id: DeviceId = claim.device.parse().map_err(|_| gone())?;
        let device = self.device(id.as_str()).await?;
        let keys = self.parts.store.device_keys().active_of(&device.id).await;
        let keys = keys.map_err(|error| internal("cannot read a device's keys", &error))?;
        let (parts, sum) = (parts(head, &headers), sigv4::sha256(body));
        let expected = self.expected("ssm", now);
        let mut refused = None;
        for key in keys.into_iter().filter_map(|spki| RsaPublicKey::from_spki(spki).ok()) {
            match sigv4::verify_rsa(&claim, &parts, &sum, &key, &expected) {
                Ok(verified) => {
                    self.take_once(&verified).await?;
                    return Ok(ByOwnKey { device, key });
                }
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.map_or_else(gone, ApiError::from))
    }

    /// Notes a request before anything comes of it.
    async fn take_once(&self, verified: &Verified) -> Result<(), ApiError> {
        let (signature, forget_at) = (verified.replay_key, verified.forget_at);
        let seen = SeenRequest { signature, forget_at };
        match self.takes.write(seen).await.flatten() {
            Some(true) => return Ok(()),
            Some(false) => {}
            None => return Err(internal("a device's request cannot be taken", &"see above")),
        }
        let message = "this request was already received: sign it anew";
        Err(ApiError::new(ErrorCode::InvalidSignatureException, message))
    }

    /// The device whose issued key signed a request to this service.
    pub(super) async fn by_issued_key(
        &self,
        head: &request::Parts,
        body: &[u8],
        service: &str,
        now: UnixMillis,
    ) -> Result<Device, ApiError> {
        let headers = text_headers(head);
        let claim = Authorization::from_headers(&headers)?;
        let token =
            security_token(&headers).ok_or(SignatureError::Header { name: SECURITY_TOKEN })?;
        let issued = self.issued(&claim.access_key, token, now)?;
        let (parts, sum) = (parts(head, &headers), sigv4::sha256(body));
        sigv4::verify(&claim, &parts, &sum, &issued.secret(), &self.expected(service, now))?;
        let device = self.device(&issued.device).await?;
        let keys = self.parts.store.device_keys().of(&device.id).await;
        let keys = keys.map_err(|error| internal("cannot read a device's keys", &error))?;
        // One that was replaced meanwhile is no reason to refuse what it got.
        let stands = keys
            .iter()
            .any(|key| key.fingerprint == issued.own_key && key.status != KeyStatus::Revoked);
        if stands { Ok(device) } else { Err(gone()) }
    }

    /// Whether a request is signed by a key that was issued to a device. Nothing is proven yet.
    pub(super) fn claims_device(&self, head: &request::Parts) -> bool {
        let headers = text_headers(head);
        let claim = Authorization::from_headers(&headers).ok();
        claim
            .zip(security_token(&headers))
            .is_some_and(|(claim, token)| self.is_issued(&claim.access_key, token))
    }

    async fn device(&self, id: &str) -> Result<Device, ApiError> {
        let device = self.parts.store.devices().get(id).await;
        let device = device.map_err(|error| internal("cannot read a device", &error))?;
        let device = device.filter(|device| device.agent_kind == AgentKind::Vendor);
        device.filter(|device| device.status != DeviceStatus::Revoked).ok_or_else(gone)
    }

    fn expected<'a>(&'a self, service: &'a str, now: UnixMillis) -> Expected<'a> {
        Expected {
            region: &self.parts.region,
            service,
            now: now.0.div_euclid(1000),
            allowed_skew: ALLOWED_SKEW_SECS,
        }
    }
}

fn security_token<'h>(headers: &[(&str, &'h str)]) -> Option<&'h str> {
    headers.iter().find(|(name, _)| *name == SECURITY_TOKEN).map(|(_, value)| *value)
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

/// Headers whose values are text; another one is missed by the check.
fn text_headers(head: &request::Parts) -> Vec<(&str, &str)> {
    let text = |value: &'_ axum::http::HeaderValue| std::str::from_utf8(value.as_bytes()).is_ok();
    head.headers
        .iter()
        .filter(|(_, value)| text(value))
        .map(|(name, value)| {
            (name.as_str(), std::str::from_utf8(value.as_bytes()).unwrap_or_default())
        })
        .collect()
}
