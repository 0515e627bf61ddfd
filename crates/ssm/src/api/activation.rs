//! Activations: the id and code that let a new device in.
//!
//! Data flow: as in [`super`]. Besides AWS's members, CreateActivation takes
//! `TowlineRequireApproval`, `TowlineSourceCidr` and `TowlineDeviceTagKeys`.
//!
//! # Invariants
//! - [`CreateActivationResult`] shows no code in `Debug`; no other shape has one.
//!
//! # Not here
//! - No clock: that an expiry lies in the future, and at most how far, is judged by the gateway.

use core::fmt;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::tags::{MAX_TAGS_PER_RESOURCE, Tag, check_keys, check_tags};
use super::{Request, Violations};
use crate::clock::EpochSeconds;

/// Asks for a new activation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateActivationRequest {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Name that its devices get when they bring none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_instance_name: Option<String>,
    /// Required by AWS; a label here, up to 64 characters.
    pub iam_role: String,
    /// How many devices, 1 to 1000; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_limit: Option<i64>,
    /// Until when; a day from now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_date: Option<EpochSeconds>,
    /// Tags that its devices get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Taken as AWS takes it; nothing reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registration_metadata: Vec<RegistrationMetadataItem>,
    /// Our extension: devices wait until an administrator lets them in.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub towline_require_approval: bool,
    /// Our extension: only from addresses in this range, `10.0.0.0/8` or `2001:db8::/32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_source_cidr: Option<String>,
    /// Our extension: keys of tags that a device may bring. None: it may bring no tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub towline_device_tag_keys: Vec<String>,
}

/// One item of registration metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegistrationMetadataItem {
    /// 1 to 128 characters.
    pub key: String,
    /// 1 to 2048 characters.
    pub value: String,
}

/// Most metadata items; AWS's model has no number.
const MAX_METADATA: usize = 50;

impl Request for CreateActivationRequest {
    fn check(&self, v: &mut Violations) {
        v.optional_length("Description", self.description.as_ref(), 0, 256);
        v.shown("Description", self.description.as_deref().unwrap_or_default(), true);
        if let Some(name) = &self.default_instance_name {
            v.length("DefaultInstanceName", name, 0, 256);
            v.tag_characters("DefaultInstanceName", name);
        }
        v.length("IamRole", &self.iam_role, 1, 64);
        v.shown("IamRole", &self.iam_role, false);
        v.range("RegistrationLimit", self.registration_limit, 1, 1000);
        check_tags(v, &self.tags);
        let keys = &self.towline_device_tag_keys;
        v.items("TowlineDeviceTagKeys", keys.len(), 0, MAX_TAGS_PER_RESOURCE);
        check_keys(v, "TowlineDeviceTagKeys", keys);
        let all = self.tags.iter().map(|tag| &tag.key).chain(keys).map(String::as_str);
        v.require(
            towline_policy::first_clash(all).is_none(),
            "TowlineDeviceTagKeys",
            "name no key of Tags: a tag is set by the activation or brought by the device",
        );
        v.items("RegistrationMetadata", self.registration_metadata.len(), 0, MAX_METADATA);
        for item in &self.registration_metadata {
            v.length("RegistrationMetadata Key", &item.key, 1, 128);
            v.length("RegistrationMetadata Value", &item.value, 1, 2048);
            v.shown("RegistrationMetadata Key", &item.key, false);
            v.shown("RegistrationMetadata Value", &item.value, false);
            let blank = item.key.trim().is_empty() || item.value.trim().is_empty();
            v.require(!blank, "RegistrationMetadata", "not be blank");
        }
        if let Some(cidr) = &self.towline_source_cidr {
            v.require(
                parse_cidr(cidr).is_some(),
                "TowlineSourceCidr",
                "be an address, a slash and a prefix length",
            );
        }
    }
}

/// Bits in front of an IPv4 address that is mapped into IPv6.
const MAPPED_BITS: u8 = 96;

/// Reads `ADDRESS/PREFIX`. A bare address counts as the range of itself.
#[must_use]
pub fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix: u8 = match prefix {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
        None => bits,
    };
    if prefix > bits {
        return None;
    }
    // `::ffff:10.0.0.0/104` is 10.0.0.0/8.
    Some(match (address.to_canonical(), prefix.checked_sub(MAPPED_BITS)) {
        (four @ IpAddr::V4(_), Some(prefix)) if address.is_ipv6() => (four, prefix),
        _ => (address, prefix),
    })
}

/// Whether an address lies in a range of [`parse_cidr`]. IPv4 addresses mapped into IPv6 count as
/// IPv4.
#[must_use]
pub fn cidr_contains(range: (IpAddr, u8), address: IpAddr) -> bool {
    let (base, prefix) = (range.0.to_canonical(), u32::from(range.1));
    match (base, address.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (u32::from(a) ^ u32::from(b)).checked_shr(32_u32.saturating_sub(prefix)).unwrap_or(0)
                == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (u128::from(a) ^ u128::from(b)).checked_shr(128_u32.saturating_sub(prefix)).unwrap_or(0)
                == 0
        }
        _ => false,
    }
}

/// A new activation. The code is shown this once.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateActivationResult {
    /// A lower-case UUID.
    pub activation_id: String,
    /// The secret, 20 to 250 characters.
    pub activation_code: String,
    /// Ours: SHA-256 of the key that signs grants, 64 hex digits. An older gateway names none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub towline_authority: String,
}

impl fmt::Debug for CreateActivationResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateActivationResult")
            .field("activation_id", &self.activation_id)
            .finish_non_exhaustive()
    }
}

/// Asks for a list of activations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeActivationsRequest {
    /// All must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<DescribeActivationsFilter>>,
    /// Page size, 1 to 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// One filter; AWS requires neither member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DescribeActivationsFilter {
    /// One of [`ACTIVATION_FILTER_KEYS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_key: Option<String>,
    /// Any may match.
    pub filter_values: Vec<String>,
}

/// Keys that activations can be filtered by.
pub const ACTIVATION_FILTER_KEYS: &[&str] = &["ActivationIds", "DefaultInstanceName", "IamRole"];
/// Most filters, and most values in one; AWS's model has no numbers.
const MAX_FILTER_ITEMS: usize = 50;

impl Request for DescribeActivationsRequest {
    fn check(&self, v: &mut Violations) {
        v.range("MaxResults", self.max_results, 1, 50);
        let filters = self.filters.as_deref().unwrap_or_default();
        v.items("Filters", filters.len(), 0, MAX_FILTER_ITEMS);
        for filter in filters {
            if let Some(key) = &filter.filter_key {
                v.one_of("Filters FilterKey", key, ACTIVATION_FILTER_KEYS);
            }
            v.items("Filters FilterValues", filter.filter_values.len(), 0, MAX_FILTER_ITEMS);
        }
    }
}

/// A page of activations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeActivationsResult {
    /// The activations.
    #[serde(default)]
    pub activation_list: Vec<Activation>,
    /// Where the next page goes on; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// What is known of an activation; never its code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Activation {
    /// A lower-case UUID.
    pub activation_id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Name that its devices get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_instance_name: Option<String>,
    /// The label given at its making.
    pub iam_role: String,
    /// How many devices it lets in.
    pub registration_limit: i64,
    /// How many it has let in.
    pub registrations_count: i64,
    /// Until when.
    pub expiration_date: EpochSeconds,
    /// Whether that is past.
    pub expired: bool,
    /// Since when.
    pub created_date: EpochSeconds,
    /// Tags that its devices get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Our extension: devices wait for approval.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub towline_require_approval: bool,
    /// Our extension: only from these addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_source_cidr: Option<String>,
    /// Our extension: keys of tags that its devices may bring.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub towline_device_tag_keys: Vec<String>,
}

/// Asks to remove an activation. Devices that came in with it stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteActivationRequest {
    /// A lower-case UUID.
    pub activation_id: String,
}

impl Request for DeleteActivationRequest {
    fn check(&self, v: &mut Violations) {
        v.require(
            is_uuid(&self.activation_id),
            "ActivationId",
            "be a UUID in lower-case hex digits",
        );
    }
}

/// Whether a text has the form of an activation's id.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.splitn(6, '-').collect();
    groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|g| g.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn contains(range: &str, address: &str) -> bool {
        cidr_contains(parse_cidr(range).unwrap(), address.parse().unwrap())
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        assert!(contains("10.0.0.0/8", "10.255.1.2"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7/32", "192.0.2.6"));
        assert!(contains("::ffff:10.0.0.0/104", "10.255.1.2"));
        assert!(contains("::ffff:10.0.0.7", "10.0.0.7"));
        assert!(!contains("::ffff:10.0.0.0/104", "11.0.0.0"));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/+8", "10.0.0.0/", "::/129", "host/8"] {
            assert_eq!(parse_cidr(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_activation_id_is_a_lower_case_uuid() {
        assert!(is_uuid("0123abcd-0123-abcd-0123-0123456789ab"));
        for bad in [
            "",
            "0123ABCD-0123-abcd-0123-0123456789ab",
            "0123abcd-0123-abcd-0123-0123456789ab-",
            "0123abcd0123abcd01230123456789ab",
        ] {
            assert!(!is_uuid(bad), "{bad}");
        }
    }
}
