//! Documents in lists: all of them with filters, and the versions of one.
//!
//! Data flow: as in [`super`]; reached through [`super::document`].

use serde::{Deserialize, Serialize};

use super::document::check_name;
use super::tags::Tag;
use super::{Request, Violations};
use crate::clock::EpochSeconds;

/// Lists documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDocumentsRequest {
    /// The old form of filters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub document_filter_list: Vec<DocumentFilter>,
    /// The new form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<DocumentKeyValuesFilter>,
    /// 1 to 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// A filter of the old form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentFilter {
    /// `Name`, `Owner`, `PlatformTypes` or `DocumentType`.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A filter of the new form: any of the values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DocumentKeyValuesFilter {
    /// As in the old form, or `TargetType`, `SearchKeyword`, `tag:<key>`.
    #[serde(default)]
    pub key: String,
    /// Its values.
    #[serde(default)]
    pub values: Vec<String>,
}

impl Request for ListDocumentsRequest {
    fn check(&self, v: &mut Violations) {
        for filter in &self.document_filter_list {
            v.one_of(
                "DocumentFilterList key",
                &filter.key,
                &["Name", "Owner", "PlatformTypes", "DocumentType"],
            );
            v.length("DocumentFilterList value", &filter.value, 1, 256);
        }
        v.items("DocumentFilterList", self.document_filter_list.len(), 0, 6);
        v.items("Filters", self.filters.len(), 0, 6);
        for filter in &self.filters {
            v.length("Filters Key", &filter.key, 1, 128);
            v.items("Filters Values", filter.values.len(), 1, 50);
            filter.values.iter().for_each(|value| v.length("Filters Values", value, 1, 256));
        }
        v.range("MaxResults", self.max_results, 1, 50);
    }
}

/// One page of documents.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDocumentsResult {
    /// By name.
    #[serde(default)]
    pub document_identifiers: Vec<DocumentIdentifier>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// A document in a list: its default version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DocumentIdentifier {
    /// Its name.
    pub name: String,
    /// When the version was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_date: Option<EpochSeconds>,
    /// Its name for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The account, or `Amazon`.
    pub owner: String,
    /// The version's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_name: Option<String>,
    /// `Linux`.
    pub platform_types: Vec<String>,
    /// The version.
    pub document_version: String,
    /// `Session` or `Command`.
    pub document_type: String,
    /// Its schema version.
    pub schema_version: String,
    /// How it is written.
    pub document_format: String,
    /// On what it can run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_type: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// Lists the versions of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDocumentVersionsRequest {
    /// The document, by name or ARN.
    pub name: String,
    /// 1 to 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

impl Request for ListDocumentVersionsRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.name);
        v.range("MaxResults", self.max_results, 1, 50);
    }
}

/// One page of versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDocumentVersionsResult {
    /// Latest first.
    #[serde(default)]
    pub document_versions: Vec<DocumentVersionInfo>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// One version in a list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DocumentVersionInfo {
    /// The document.
    pub name: String,
    /// Its name for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The number.
    pub document_version: String,
    /// The version's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_name: Option<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_date: Option<EpochSeconds>,
    /// Whether it is used when none is named.
    pub is_default_version: bool,
    /// How it is written.
    pub document_format: String,
    /// `Active`.
    pub status: String,
}
