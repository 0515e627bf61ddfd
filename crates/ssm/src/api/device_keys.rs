//! Keys of devices (`Towline.<Operation>`): listed, rotated, revoked; devices let in, and renamed.
//!
//! Way: as of [`super`].
//!
//! # Invariants
//! - A key is named by its fingerprint; the key itself is in no shape.

use serde::{Deserialize, Serialize};

use super::{Request, Violations};
use crate::clock::EpochSeconds;
use crate::ids::DeviceId;

fn check_device(v: &mut Violations, id: &str) {
    v.require(
        id.parse::<DeviceId>().is_ok(),
        "InstanceId",
        "be `mi-` and 17 lower-case hex digits",
    );
}

/// Names a device: the request of RotateDeviceKey, ListDeviceKeys and ApproveDevice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceRequest {
    /// The device.
    pub instance_id: String,
}

impl Request for DeviceRequest {
    fn check(&self, v: &mut Violations) {
        check_device(v, &self.instance_id);
    }
}

/// Gives a device another name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RenameDeviceRequest {
    /// The device.
    pub instance_id: String,
    /// Its new name for people, at most 256 characters; an empty one removes the name.
    pub name: String,
}

impl Request for RenameDeviceRequest {
    fn check(&self, v: &mut Violations) {
        check_device(v, &self.instance_id);
        v.length("Name", &self.name, 0, 256);
        v.tag_characters("Name", &self.name);
    }
}

/// Bans a key of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RevokeDeviceKeyRequest {
    /// The device.
    pub instance_id: String,
    /// SHA-256 of the public key, 64 lower-case hex digits; every key of the device when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_fingerprint: Option<String>,
}

impl Request for RevokeDeviceKeyRequest {
    fn check(&self, v: &mut Violations) {
        check_device(v, &self.instance_id);
        if let Some(fingerprint) = &self.key_fingerprint {
            let good = fingerprint.len() == 64
                && fingerprint.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            v.require(good, "KeyFingerprint", "be 64 lower-case hex digits");
        }
    }
}

/// The stage a device key is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKeyStatus {
    /// Waits for an administrator.
    Pending,
    /// Lets the device in.
    Active,
    /// Was replaced by a newer one.
    Retired,
    /// Banned.
    Revoked,
    /// Seen on two live connections at once.
    Quarantined,
}

/// What is known of a device key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceKey {
    /// SHA-256 of the public key, 64 lower-case hex digits.
    pub key_fingerprint: String,
    /// Its stage.
    pub status: DeviceKeyStatus,
    /// Since when.
    pub created_date: EpochSeconds,
    /// Since when it is no longer accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_date: Option<EpochSeconds>,
}

/// The keys of a device, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDeviceKeysResult {
    /// The keys.
    #[serde(default)]
    pub device_keys: Vec<DeviceKey>,
}
