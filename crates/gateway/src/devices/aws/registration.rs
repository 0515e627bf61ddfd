//! RegisterManagedInstance: an RSA key and an activation become a device.
//!
//! # Invariants
//! - The activation is judged as for our own agent, by the same code and within the same bounds.
//! - Nothing proves the key here: who registers another's public key has a device that it cannot
//!   use.

use std::net::IpAddr;

use serde_json::Value;
use towline_host::clock::UnixMillis;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::sigv4::RsaPublicKey;
use towline_ssm::vendor::calls::{Register, registered};
use towline_store::AgentKind;

use super::agents::VendorAgents;
use super::proof::internal;
use crate::devices::enrollment::{EnrollmentError, EnrollmentRequest};

impl VendorAgents {
    /// Registers a device.
    pub(super) async fn register(
        &self,
        asked: Register,
        source: IpAddr,
        now: UnixMillis,
    ) -> Result<Value, ApiError> {
        let key = RsaPublicKey::from_base64(&asked.public_key)
            .map_err(|error| ApiError::validation(error.to_string()))?;
        let request = EnrollmentRequest {
            activation_id: asked.activation_id,
            code: asked.activation_code,
            agent_kind: AgentKind::Vendor,
            machine: asked.fingerprint,
            ..EnrollmentRequest::default()
        };
        match self.parts.enrollment.enroll(key.spki(), request, source, now).await {
            Ok(done) => {
                tracing::info!(device = %done.device_id, pending = done.pending, %source,
                    "a device with amazon-ssm-agent was registered");
                Ok(registered(done.device_id.as_str()))
            }
            Err(error) => Err(refusal(&error)),
        }
    }
}

fn refusal(error: &EnrollmentError) -> ApiError {
    let code = match error {
        EnrollmentError::Internal(_) => return internal("a registration failed", error),
        EnrollmentError::Throttled => ErrorCode::ThrottlingException,
        EnrollmentError::Malformed(_) => ErrorCode::ValidationException,
        _ => ErrorCode::InvalidActivation,
    };
    ApiError::new(code, error.to_string())
}
