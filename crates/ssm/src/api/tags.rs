//! Tags: what policies and filters go by.
//!
//! Data flow: as in [`super`]. [`resource_of`] turns type and id into a thing the gateway can look
//! up.
//!
//! # Invariants
//! - A tag that passed has 1 to 128 characters of key and 0 to 256 of value, of AWS's characters.
//! - No two keys of a request differ in letter case only.

use serde::{Deserialize, Serialize};
use towline_policy::fold;

use super::{Request, Violations};
use crate::error::{ApiError, ErrorCode};
use crate::ids::DeviceId;

/// Most tags of one resource, as at AWS.
pub const MAX_TAGS_PER_RESOURCE: usize = 50;
/// Most tags in one request, of AWS's model.
const MAX_TAGS_IN_REQUEST: usize = 1000;

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// 1 to 128 characters.
    pub key: String,
    /// 0 to 256 characters.
    pub value: String,
}

/// Checks a list of tags in any request.
pub(super) fn check_tags(v: &mut Violations, tags: &[Tag]) {
    v.items("Tags", tags.len(), 0, MAX_TAGS_IN_REQUEST);
    v.distinct("Tags", tags.iter().map(|tag| tag.key.as_str()));
    for tag in tags {
        check_key(v, "Tags Key", &tag.key);
        v.length("Tags Value", &tag.value, 0, 256);
        v.tag_characters("Tags Value", &tag.value);
    }
}

/// What is wrong with tags that come by another way than a request, such as those of a device: the
/// rules for requests hold for them.
///
/// # Errors
/// A sentence that names the rules that are broken.
pub fn check_foreign_tags(tags: &[Tag]) -> Result<(), ApiError> {
    let mut violations = Violations::default();
    violations.items("Tags", tags.len(), 0, MAX_TAGS_PER_RESOURCE);
    check_tags(&mut violations, tags);
    violations.into_result()
}

/// Checks the keys of tags.
pub(super) fn check_keys(v: &mut Violations, member: &str, keys: &[String]) {
    v.distinct(member, keys.iter().map(String::as_str));
    keys.iter().for_each(|key| check_key(v, member, key));
}

pub(super) fn check_key(v: &mut Violations, member: &str, key: &str) {
    v.length(member, key, 1, 128);
    v.tag_characters(member, key);
    v.require(!fold(key).starts_with("aws:"), member, "not begin with aws:");
}

/// Values of `ResourceType`. Most of these things do not exist here; see [`resource_of`].
pub const RESOURCE_TYPES: &[&str] = &[
    "Document",
    "ManagedInstance",
    "MaintenanceWindow",
    "Parameter",
    "PatchBaseline",
    "OpsItem",
    "OpsMetadata",
    "Automation",
    "Association",
    "CloudConnector",
];

/// A thing that can have tags here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaggedResource {
    /// A device.
    Device(DeviceId),
    /// A document, by its name.
    Document(String),
}

/// The thing that `ResourceType` and `ResourceId` name.
///
/// # Errors
/// `InvalidResourceType` for types without tags here, `InvalidResourceId` for an id that cannot
/// exist.
pub fn resource_of(resource_type: &str, resource_id: &str) -> Result<TaggedResource, ApiError> {
    let invalid = |message: &str| ApiError::new(ErrorCode::InvalidResourceId, message);
    match resource_type {
        "ManagedInstance" => {
            let device = resource_id.parse();
            let device = device.map_err(|_| {
                invalid("ResourceId must be the id of a device: `mi-` and 17 hex digits")
            })?;
            Ok(TaggedResource::Device(device))
        }
        "Document" => {
            let name = crate::ids::bare_name(resource_id);
            let name = name.map_err(|_| invalid("ResourceId must be the name of a document"))?;
            Ok(TaggedResource::Document(name.to_owned()))
        }
        _ => {
            let message = "only ManagedInstance and Document resources have tags here";
            Err(ApiError::new(ErrorCode::InvalidResourceType, message))
        }
    }
}

/// Sets tags. A key that is there, in whatever letter case, gets the new spelling and value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AddTagsToResourceRequest {
    /// One of [`RESOURCE_TYPES`].
    pub resource_type: String,
    /// Its id.
    pub resource_id: String,
    /// The tags.
    pub tags: Vec<Tag>,
}

impl Request for AddTagsToResourceRequest {
    fn check(&self, v: &mut Violations) {
        v.one_of("ResourceType", &self.resource_type, RESOURCE_TYPES);
        v.length("ResourceId", &self.resource_id, 1, 400);
        check_tags(v, &self.tags);
    }
}

/// Removes tags by key, in whatever letter case; unknown keys do not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemoveTagsFromResourceRequest {
    /// One of [`RESOURCE_TYPES`].
    pub resource_type: String,
    /// Its id.
    pub resource_id: String,
    /// The keys.
    pub tag_keys: Vec<String>,
}

impl Request for RemoveTagsFromResourceRequest {
    fn check(&self, v: &mut Violations) {
        v.one_of("ResourceType", &self.resource_type, RESOURCE_TYPES);
        v.length("ResourceId", &self.resource_id, 1, 400);
        v.items("TagKeys", self.tag_keys.len(), 0, MAX_TAGS_IN_REQUEST);
        check_keys(v, "TagKeys", &self.tag_keys);
    }
}

/// Asks for the tags of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTagsForResourceRequest {
    /// One of [`RESOURCE_TYPES`].
    pub resource_type: String,
    /// Its id.
    pub resource_id: String,
}

impl Request for ListTagsForResourceRequest {
    fn check(&self, v: &mut Violations) {
        v.one_of("ResourceType", &self.resource_type, RESOURCE_TYPES);
        v.length("ResourceId", &self.resource_id, 1, 400);
    }
}

/// The tags of a resource, sorted by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTagsForResourceResult {
    /// The tags.
    #[serde(default)]
    pub tag_list: Vec<Tag>,
}
