//! Questions to the stored policies: may a principal do that, and who may do what on a device.
//!
//! Data flow: as in [`super`]; operations of ours. The answers are made by the policy crate at the
//! gateway.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Request, Violations};
use crate::ids::DeviceId;

/// Most context keys of one question.
const MAX_KEYS: usize = 50;
/// Most values of one context key.
const MAX_VALUES: usize = 50;

/// Asks whether a principal may do something, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExplainAccessRequest {
    /// ARN, or name of a user; `PROVIDER-ARN:SUBJECT` for a subject of an identity provider.
    pub principal: String,
    /// For example `ssm:StartSession`.
    pub action: String,
    /// An ARN, the id of a device, or `*`.
    pub resource: String,
    /// Condition keys with their values, beyond what the gateway knows of principal and resource.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Vec<String>>,
}

impl Request for ExplainAccessRequest {
    fn check(&self, v: &mut Violations) {
        v.length("Principal", &self.principal, 1, 2048);
        v.length("Action", &self.action, 3, 128);
        v.require(self.action.contains(':'), "Action", "be SERVICE:ACTION");
        v.length("Resource", &self.resource, 1, 2048);
        v.items("Context", self.context.len(), 0, MAX_KEYS);
        for (key, values) in &self.context {
            v.length("Context key", key, 1, 256);
            v.items("Context values", values.len(), 0, MAX_VALUES);
            values.iter().for_each(|value| v.length("Context value", value, 0, 2048));
        }
    }
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExplainAccessResult {
    /// `Allowed`, `ExplicitlyDenied` or `ImplicitlyDenied`.
    pub decision: String,
    /// Which statement, or what is missing.
    pub reason: String,
    /// One block for each statement that speaks of the action: what matched, and which condition
    /// failed.
    #[serde(default)]
    pub statements: Vec<String>,
}

/// Asks who may do what on a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDeviceAccessRequest {
    /// The device.
    pub instance_id: String,
}

impl Request for ListDeviceAccessRequest {
    fn check(&self, v: &mut Violations) {
        v.require(
            self.instance_id.parse::<DeviceId>().is_ok(),
            "InstanceId",
            "be `mi-` and 17 lower-case hex digits",
        );
    }
}

/// What one principal may do on the device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceAccess {
    /// ARN of the user or role.
    pub principal: String,
    /// Actions that are allowed.
    #[serde(default)]
    pub actions: Vec<String>,
    /// Session documents that it may start there.
    #[serde(default)]
    pub documents: Vec<String>,
    /// Actions that are allowed only under conditions that are not known now (address, time,
    /// parameters).
    #[serde(default)]
    pub conditional: Vec<String>,
    /// For a role: what gives it to people and jobs of identity providers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<String>,
}

/// Who may do what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDeviceAccessResult {
    /// Principals that may do anything at all there.
    #[serde(default)]
    pub access: Vec<DeviceAccess>,
    /// Whether there are more principals than were looked at.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub truncated: bool,
}
