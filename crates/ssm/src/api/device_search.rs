//! Our search of devices: by text, name, tags and state, in pages of up to 1,000 with the number of
//! all matches.
//!
//! Data flow: as in [`super`]. The answer has devices in the form of DescribeInstanceInformation.
//!
//! # Not here
//! - The filters of AWS's list: [`super::device`].

use serde::{Deserialize, Serialize};

use super::device::InstanceInformation;
use super::{Request, Violations};

/// States that can be searched for. `offline` is every device that is not connected.
pub const STATES: &[&str] = &["online", "offline", "pending", "quarantined", "revoked"];
/// Most devices on a page.
pub const MAX_PAGE: i64 = 1000;
/// Most tags in one search: as many as a device may have.
const MAX_TAGS: usize = 50;
/// Most devices that a page may begin behind: more than a gateway keeps.
const MAX_SKIP: i64 = 10_000_000;

/// Asks for devices. All conditions must hold; without any, all devices match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SearchDevicesRequest {
    /// Words. Each stands somewhere in a device's id, name, host name, platform, address, or in
    /// `key=value` of a tag, whatever the letter case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The exact name; the host name of a device without a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_filters: Option<Vec<TagFilter>>,
    /// One of [`STATES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Matches that stand before the page: the place in the list that a window scrolled to. With a
    /// token it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<i64>,
    /// Page size, 1 to [`MAX_PAGE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// A tag that a device must have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagFilter {
    /// Its key, whatever the letter case.
    pub key: String,
    /// Values, any of which may match; none: the key alone counts.
    #[serde(default)]
    pub values: Vec<String>,
}

impl Request for SearchDevicesRequest {
    fn check(&self, v: &mut Violations) {
        v.optional_length("Query", self.query.as_ref(), 0, 256);
        v.optional_length("Name", self.name.as_ref(), 1, 256);
        let tags = self.tag_filters.as_deref().unwrap_or_default();
        v.items("TagFilters", tags.len(), 0, MAX_TAGS);
        for tag in tags {
            v.length("TagFilters Key", &tag.key, 1, 128);
            v.items("TagFilters Values", tag.values.len(), 0, 100);
            tag.values.iter().for_each(|value| v.length("TagFilters Values", value, 0, 256));
        }
        if let Some(state) = &self.state {
            v.one_of("State", state, STATES);
        }
        v.range("Skip", self.skip, 0, MAX_SKIP);
        let both = self.skip.is_some() && self.next_token.is_some();
        v.require(!both, "Skip", "be absent beside NextToken");
        v.range("MaxResults", self.max_results, 1, MAX_PAGE);
    }
}

/// A page of devices, by id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SearchDevicesResult {
    /// The devices, with their tags.
    #[serde(default)]
    pub instance_information_list: Vec<InstanceInformation>,
    /// Devices on all pages, as they were counted for the first one.
    pub total_count: i64,
    /// Where the next page goes on; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}
