//! Devices: connection status, list, deregistration.
//!
//! Data flow: as in [`super`].
//!
//! # Invariants
//! - The two filter lists of DescribeInstanceInformation (old and new style) are checked alike and
//!   become one list of [`DeviceFilter`]s, so that the gateway has one thing to match.

use serde::{Deserialize, Serialize};

use super::{Request, Violations};
use crate::clock::EpochSeconds;
use crate::error::{ApiError, ErrorCode};
use crate::ids::DeviceId;

/// Asks whether a device is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetConnectionStatusRequest {
    /// The device.
    pub target: String,
}

impl Request for GetConnectionStatusRequest {
    fn check(&self, v: &mut Violations) {
        v.length("Target", &self.target, 1, 400);
    }
}

/// Whether a device is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetConnectionStatusResponse {
    /// The device.
    pub target: String,
    /// Its link.
    pub status: ConnectionStatus,
}

/// State of a device's link, in lower case on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionStatus {
    /// Its agent is here.
    Connected,
    /// It is not.
    NotConnected,
}

/// Asks for a list of devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstanceInformationRequest {
    /// Old style filters with a closed list of keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_information_filter_list: Option<Vec<InstanceInformationFilter>>,
    /// New style filters; keys as before and `tag:<key>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<InstanceInformationStringFilter>>,
    /// Page size, 5 to 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// Old style filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceInformationFilter {
    /// One of [`DEVICE_FILTER_KEYS`].
    pub key: String,
    /// 1 to 100 values, any of which may match.
    pub value_set: Vec<String>,
}

/// New style filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceInformationStringFilter {
    /// One of [`DEVICE_FILTER_KEYS`], `tag-key`, or `tag:` and a tag's key.
    pub key: String,
    /// 1 to 100 values, any of which may match.
    pub values: Vec<String>,
}

/// Keys that devices can be filtered by, besides tags.
pub const DEVICE_FILTER_KEYS: &[&str] = &[
    "InstanceIds",
    "AgentVersion",
    "PingStatus",
    "PlatformTypes",
    "ActivationIds",
    "IamRole",
    "ResourceType",
    "AssociationStatus",
];
/// Most filters in one list. AWS gives no number; one more than all keys with as many tags as a
/// device may have.
const MAX_FILTERS: usize = 60;

impl Request for DescribeInstanceInformationRequest {
    fn check(&self, v: &mut Violations) {
        v.range("MaxResults", self.max_results, 5, 50);
        let old = self.instance_information_filter_list.as_deref().unwrap_or_default();
        v.items("InstanceInformationFilterList", old.len(), 0, MAX_FILTERS);
        for filter in old {
            v.one_of("InstanceInformationFilterList key", &filter.key, DEVICE_FILTER_KEYS);
            check_values(v, "InstanceInformationFilterList valueSet", &filter.value_set);
        }
        let new = self.filters.as_deref().unwrap_or_default();
        v.items("Filters", new.len(), 0, MAX_FILTERS);
        for filter in new {
            v.length("Filters Key", &filter.key, 1, 132);
            check_values(v, "Filters Values", &filter.values);
        }
    }
}

fn check_values(v: &mut Violations, member: &str, values: &[String]) {
    v.items(member, values.len(), 1, 100);
    values.iter().for_each(|value| v.length(member, value, 1, 1024));
}

/// One condition on devices, from either style of filter. Any of the values may match; all
/// conditions must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceFilter<'a> {
    /// A property, one of [`DEVICE_FILTER_KEYS`].
    Property(&'a str, &'a [String]),
    /// The value of the tag with this key.
    Tag(&'a str, &'a [String]),
    /// A tag with one of these keys exists.
    TagKey(&'a [String]),
}

impl DescribeInstanceInformationRequest {
    /// Both lists of filters as one.
    ///
    /// # Errors
    /// `InvalidFilterKey` for a new style key that is not known; `ValidationException` when both
    /// lists are given.
    pub fn conditions(&self) -> Result<Vec<DeviceFilter<'_>>, ApiError> {
        let old = self.instance_information_filter_list.as_deref().unwrap_or_default();
        let new = self.filters.as_deref().unwrap_or_default();
        if !old.is_empty() && !new.is_empty() {
            return Err(ApiError::validation(
                "give either Filters or InstanceInformationFilterList, not both",
            ));
        }
        let mut all: Vec<_> =
            old.iter().map(|f| DeviceFilter::Property(&f.key, &f.value_set)).collect();
        for filter in new {
            all.push(match filter.key.split_once(':') {
                Some(("tag", key)) if !key.is_empty() => DeviceFilter::Tag(key, &filter.values),
                None if filter.key == "tag-key" => DeviceFilter::TagKey(&filter.values),
                None if DEVICE_FILTER_KEYS.contains(&filter.key.as_str()) => {
                    DeviceFilter::Property(&filter.key, &filter.values)
                }
                _ => {
                    let known = format!(
                        "filter keys are tag:<key>, tag-key and {}",
                        DEVICE_FILTER_KEYS.join(", ")
                    );
                    return Err(ApiError::new(ErrorCode::InvalidFilterKey, known));
                }
            });
        }
        Ok(all)
    }
}

/// A page of devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstanceInformationResult {
    /// The devices.
    #[serde(default)]
    pub instance_information_list: Vec<InstanceInformation>,
    /// Where the next page goes on; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// How fresh the last sign of life of a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PingStatus {
    /// Connected.
    Online,
    /// Was connected, is not.
    ConnectionLost,
    /// Never connected since it was enrolled, or waiting for approval.
    Inactive,
}

/// What is known of a device. Absent members are left out, as AWS does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceInformation {
    /// The device.
    pub instance_id: String,
    /// Whether it is there.
    pub ping_status: PingStatus,
    /// Last sign of life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ping_date_time: Option<EpochSeconds>,
    /// Four dotted numbers: clients compare them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// Whether that is the newest the gateway knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_latest_version: Option<bool>,
    /// `Linux`, `MacOS` or `Windows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_type: Option<String>,
    /// Name of the distribution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_name: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    /// The activation it was enrolled with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_id: Option<String>,
    /// The role named in that activation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iam_role: Option<String>,
    /// When it was enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_date: Option<EpochSeconds>,
    /// Always `ManagedInstance` here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address as the gateway saw it.
    #[serde(rename = "IPAddress", default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// Its host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer_name: Option<String>,
    /// Our extension: its tags, so that a list of devices needs no further call. Other clients
    /// ignore it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub towline_tags: Vec<super::tags::Tag>,
    /// Our extension: the target triple of its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_target: Option<String>,
    /// Our extension: `towline`, or `vendor` for amazon-ssm-agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_agent_kind: Option<String>,
    /// Our extension: `separate` when a process without rights reads the network on the device,
    /// `off` when its settings want none, `impossible: WHY` when it cannot have one. Absent while
    /// it is not connected, or has not said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_separation: Option<String>,
    /// Our extension: `pending`, `quarantined` or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_state: Option<String>,
}

/// Answers the removal of a device, or of its keys: what became of its sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceRemoved {
    /// Our extension: keys that were revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_keys_revoked: Option<u32>,
    /// Our extension: keys of the device that still count; without one it must be enrolled again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_keys_left: Option<u32>,
    /// Our extension: sessions and commands that the device was told to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_sessions_ended: Option<u32>,
    /// Our extension: sessions and commands whose end could not be told to the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_sessions_not_reached: Option<u32>,
}

/// Asks to forget a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeregisterManagedInstanceRequest {
    /// The device.
    pub instance_id: String,
}

impl Request for DeregisterManagedInstanceRequest {
    fn check(&self, v: &mut Violations) {
        let good = self.instance_id.parse::<DeviceId>();
        v.require(good.is_ok(), "InstanceId", "be `mi-` and 17 lower-case hex digits");
    }
}
