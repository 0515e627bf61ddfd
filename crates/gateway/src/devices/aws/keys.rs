//! Keys that are issued to devices: sealed tokens, of which nothing is stored.
//!
//! # Invariants
//! - A token is bound to its access key, its device and the device's own key. It opens for no
//!   other, and ends with the device, with its own key, or after [`VENDOR_KEY_LIFE`].
//! - Tokens of operators are sealed for another name: neither opens as the other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::{AccessKeyId, SecretAccessKey};
use towline_ssm::vendor::calls::IssuedKeys;
use towline_store::{DeviceStatus, fingerprint};

use super::agents::VendorAgents;
use super::proof::{ByOwnKey, internal};
use crate::limits::{MAX_VENDOR_TOKEN, VENDOR_KEY_LIFE, VENDOR_WAITING_KEY_LIFE};

/// What a token says.
#[derive(Serialize, Deserialize)]
pub(super) struct Issued {
    secret: String,
    /// The device.
    pub(super) device: String,
    /// Fingerprint of the device's own key.
    pub(super) own_key: String,
    expires_at: i64,
}

impl Issued {
    /// The secret half.
    pub(super) fn secret(&self) -> SecretAccessKey {
        SecretAccessKey::new(self.secret.clone())
    }
}

impl VendorAgents {
    /// Issues keys to a device that proved its own key. One that waits for a person gets short
    /// ones, so that it comes again soon.
    pub(super) fn issue(&self, proven: &ByOwnKey, now: UnixMillis) -> Result<IssuedKeys, ApiError> {
        let id = entropy::random().map_err(|error| internal("no access key id", &error))?;
        let id = AccessKeyId::temporary_from_random(id);
        let secret = entropy::random().map_err(|error| internal("no secret", &error))?;
        let secret = SecretAccessKey::from_random(secret);
        let life = match proven.device.status {
            DeviceStatus::Active => VENDOR_KEY_LIFE,
            _ => VENDOR_WAITING_KEY_LIFE,
        };
        let expires_at = now.plus(life).0;
        let issued = Issued {
            secret: secret.expose().to_owned(),
            device: proven.device.id.clone(),
            own_key: fingerprint(proven.key.spki()),
            expires_at,
        };
        let text = serde_json::to_vec(&issued).map_err(|error| internal("a token", &error))?;
        let sealed = self.parts.vault.seal(&self.sealed_for(id.as_str()), &text);
        let sealed = sealed.map_err(|error| internal("a token cannot be sealed", &error))?;
        Ok(IssuedKeys {
            access_key_id: id.to_string(),
            secret_access_key: issued.secret,
            session_token: STANDARD_NO_PAD.encode(sealed),
            token_expiration_date: expires_at.div_euclid(1000),
            update_key_pair: proven.device.key_wanted,
        })
    }

    fn sealed_for(&self, access_key: &str) -> String {
        self.parts.vault.given_out(&format!("device keys {access_key}"))
    }

    /// Whether a token is one of a device, by this access key. It may be past its time.
    pub(super) fn is_issued(&self, access_key: &str, token: &str) -> bool {
        self.open(access_key, token).is_some()
    }

    fn open(&self, access_key: &str, token: &str) -> Option<Issued> {
        if token.len() > MAX_VENDOR_TOKEN {
            return None;
        }
        let sealed = STANDARD_NO_PAD.decode(token).ok()?;
        let opened = self.parts.vault.open(&self.sealed_for(access_key), &sealed).ok()?;
        serde_json::from_slice(&opened).ok()
    }

    /// Opens a token that came with this access key.
    ///
    /// # Errors
    /// `UnrecognizedClientException` for what was not issued here, `ExpiredTokenException`.
    pub(super) fn issued(
        &self,
        access_key: &str,
        token: &str,
        now: UnixMillis,
    ) -> Result<Issued, ApiError> {
        let issued = self.open(access_key, token).ok_or_else(|| {
            let message = "the access key or security token is not valid here";
            ApiError::new(ErrorCode::UnrecognizedClientException, message)
        })?;
        if now.0 >= issued.expires_at {
            let message = "The security token included in the request is expired";
            return Err(ApiError::new(ErrorCode::ExpiredTokenException, message));
        }
        Ok(issued)
    }
}
