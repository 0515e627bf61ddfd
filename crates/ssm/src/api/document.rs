//! Documents: create, read, update, list, delete, their versions and their default.
//!
//! Data flow: as in [`super`]; the text inside is judged by [`crate::documents`].
//!
//! # Invariants
//! - Members that the model has and that mean nothing here (`Requires`, `Attachments`) are refused
//!   when they are used.

use serde::{Deserialize, Serialize};

pub use super::document_list::{
    DocumentFilter, DocumentIdentifier, DocumentKeyValuesFilter, DocumentVersionInfo,
    ListDocumentVersionsRequest, ListDocumentVersionsResult, ListDocumentsRequest,
    ListDocumentsResult,
};
use super::tags::{Tag, check_tags};
use super::{Request, Violations};
use crate::clock::EpochSeconds;
use crate::documents::content::Kind;
use crate::ids::is_plain_name;

/// A document that another one wants; always empty here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DocumentRequires {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The kind of need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_type: Option<String>,
    /// Its version, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_name: Option<String>,
}

/// A file beside a document; always refused here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttachmentsSource {
    /// The kind of source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Makes a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateDocumentRequest {
    /// Its text.
    pub content: String,
    /// Its name.
    pub name: String,
    /// Refused when not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<DocumentRequires>,
    /// Refused when not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachmentsSource>,
    /// A name for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A name of the first version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_name: Option<String>,
    /// `Session`, `Command`, `ManualApprovalPolicy` or `AutoApprovalPolicy`; `Command` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_type: Option<String>,
    /// `JSON` or `YAML`; `JSON` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_format: Option<String>,
    /// On what it can run; kept and shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_type: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

impl Request for CreateDocumentRequest {
    fn check(&self, v: &mut Violations) {
        check_text(v, &self.content);
        check_plain_name(v, &self.name);
        let (display, version) = (self.display_name.as_deref(), self.version_name.as_deref());
        check_names(v, display, version, self.target_type.as_deref());
        check_type(v, self.document_type.as_deref());
        check_format(v, self.document_format.as_deref());
        v.require(
            self.requires.is_empty(),
            "Requires",
            "be left out: documents do not need each other here",
        );
        v.require(
            self.attachments.is_empty(),
            "Attachments",
            "be left out: documents have no files here",
        );
        check_tags(v, &self.tags);
    }
}

/// Adds a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateDocumentRequest {
    /// Its text.
    pub content: String,
    /// Refused when not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachmentsSource>,
    /// The document.
    pub name: String,
    /// A name for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A name of the new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_name: Option<String>,
    /// The version that is updated: the latest, by number or as `$LATEST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_version: Option<String>,
    /// `JSON` or `YAML`; `JSON` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_format: Option<String>,
    /// On what it can run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_type: Option<String>,
}

impl Request for UpdateDocumentRequest {
    fn check(&self, v: &mut Violations) {
        check_text(v, &self.content);
        check_plain_name(v, &self.name);
        let (display, version) = (self.display_name.as_deref(), self.version_name.as_deref());
        check_names(v, display, version, self.target_type.as_deref());
        check_version(v, self.document_version.as_deref());
        check_format(v, self.document_format.as_deref());
        v.require(
            self.attachments.is_empty(),
            "Attachments",
            "be left out: documents have no files here",
        );
    }
}

/// Chooses the version that is used when none is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateDocumentDefaultVersionRequest {
    /// The document.
    pub name: String,
    /// A number.
    pub document_version: String,
}

impl Request for UpdateDocumentDefaultVersionRequest {
    fn check(&self, v: &mut Violations) {
        check_plain_name(v, &self.name);
        v.require(is_number(&self.document_version), "DocumentVersion", "be a number from 1 on");
    }
}

/// The answer to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateDocumentDefaultVersionResult {
    /// What is the default now.
    pub description: DocumentDefaultVersionDescription,
}

/// A document's default version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DocumentDefaultVersionDescription {
    /// The document.
    pub name: String,
    /// Its default version.
    pub default_version: String,
    /// That version's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_version_name: Option<String>,
}

/// Asks for a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetDocumentRequest {
    /// The document, by name or ARN.
    pub name: String,
    /// A version, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_name: Option<String>,
    /// A version: a number, `$LATEST` or `$DEFAULT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_version: Option<String>,
    /// The format that is wanted; `JSON` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_format: Option<String>,
}

impl Request for GetDocumentRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.name);
        check_names(v, None, self.version_name.as_deref(), None);
        check_version(v, self.document_version.as_deref());
        check_format(v, self.document_format.as_deref());
    }
}

/// A text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetDocumentResult {
    /// The document.
    pub name: String,
    /// When this version was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_date: Option<EpochSeconds>,
    /// Its name for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// This version's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_name: Option<String>,
    /// This version's number.
    pub document_version: String,
    /// `Active`.
    pub status: String,
    /// The text.
    pub content: String,
    /// `Session` or `Command`.
    pub document_type: String,
    /// The format of the text.
    pub document_format: String,
}

/// Asks what is known of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeDocumentRequest {
    /// The document, by name or ARN.
    pub name: String,
    /// A version: a number, `$LATEST` or `$DEFAULT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_version: Option<String>,
    /// A version, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_name: Option<String>,
}

impl Request for DescribeDocumentRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.name);
        check_names(v, None, self.version_name.as_deref(), None);
        check_version(v, self.document_version.as_deref());
    }
}

/// Asks which accounts share a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeDocumentPermissionRequest {
    /// The document, by name or ARN.
    pub name: String,
    /// `Share`.
    pub permission_type: String,
    /// Page size; the answer is one page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on; the answer is one page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

impl Request for DescribeDocumentPermissionRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.name);
        v.range("MaxResults", self.max_results, 1, 200);
    }
}

/// The answer to it: a gateway has one account, so the lists are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeDocumentPermissionResponse {
    /// Accounts.
    #[serde(default)]
    pub account_ids: Vec<String>,
    /// The same with versions.
    #[serde(default)]
    pub account_sharing_info_list: Vec<serde_json::Value>,
}

/// The answer to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeDocumentResult {
    /// What is known.
    pub document: DocumentDescription,
}

/// The answer to CreateDocument and UpdateDocument.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DocumentDescriptionResult {
    /// What is known.
    pub document_description: DocumentDescription,
}

/// What is known of one version of a document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DocumentDescription {
    /// SHA-256 of the text, hex.
    pub hash: String,
    /// `Sha256`.
    pub hash_type: String,
    /// Its name.
    pub name: String,
    /// Its name for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// This version's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_name: Option<String>,
    /// The account, or `Amazon` for built-in documents.
    pub owner: String,
    /// When this version was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_date: Option<EpochSeconds>,
    /// `Active`.
    pub status: String,
    /// This version's number.
    pub document_version: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<DocumentParameter>,
    /// `Linux`.
    pub platform_types: Vec<String>,
    /// `Session` or `Command`.
    pub document_type: String,
    /// `1.0` or `2.2`.
    pub schema_version: String,
    /// The latest version.
    pub latest_version: String,
    /// The version that is used when none is named.
    pub default_version: String,
    /// How it is written.
    pub document_format: String,
    /// On what it can run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_type: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// One parameter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DocumentParameter {
    /// Its name.
    pub name: String,
    /// `String` or `StringList`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
}

/// Removes a document, or one version of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteDocumentRequest {
    /// The document.
    pub name: String,
    /// A version alone: a number, `$LATEST` or `$DEFAULT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_version: Option<String>,
    /// A version alone, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_name: Option<String>,
    /// For document types that are not kept here; taken and not needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

impl Request for DeleteDocumentRequest {
    fn check(&self, v: &mut Violations) {
        check_plain_name(v, &self.name);
        check_names(v, None, self.version_name.as_deref(), None);
        check_version(v, self.document_version.as_deref());
    }
}

/// Document types of AWS's model; [`crate::documents::content::Kind`] has those that are kept here.
const TYPES_NOT_KEPT: &[&str] = &[
    "Policy",
    "Automation",
    "Package",
    "ApplicationConfiguration",
    "ApplicationConfigurationSchema",
    "DeploymentStrategy",
    "ChangeCalendar",
    "Automation.ChangeTemplate",
    "ProblemAnalysis",
    "ProblemAnalysisTemplate",
    "CloudFormation",
    "ConformancePackTemplate",
    "QuickSetup",
];

const KEPT: &str = "be Session, Command, ManualApprovalPolicy or AutoApprovalPolicy";
const KEPT_ALONE: &str = "be Session, Command, ManualApprovalPolicy or AutoApprovalPolicy: other \
                          types are not kept \
     here";

fn is_number(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn check_text(v: &mut Violations, content: &str) {
    v.require(!content.is_empty(), "Content", "not be empty");
}

fn check_plain_name(v: &mut Violations, name: &str) {
    v.require(is_plain_name(name), "Name", "be 3 to 128 letters, digits or any of _-.");
}

pub(super) fn check_name(v: &mut Violations, name: &str) {
    let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte));
    v.length("Name", name, 3, 128);
    v.require(good, "Name", "consist of letters, digits and _-.:/");
}

fn check_names(
    v: &mut Violations,
    display: Option<&str>,
    version: Option<&str>,
    target: Option<&str>,
) {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:/".contains(&byte);
    if let Some(display) = display {
        let good = display.len() <= 1024 && display.bytes().all(|byte| word(byte) || byte == b' ');
        v.require(good, "DisplayName", "be at most 1024 letters, digits, spaces or any of _.-:/");
    }
    if let Some(version) = version {
        let good =
            version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        v.require(
            good && (1..=128).contains(&version.len()),
            "VersionName",
            "be 1 to 128 letters, digits or any of _-.",
        );
    }
    if let Some(target) = target.filter(|target| !target.is_empty()) {
        let good = target.len() <= 200 && target.starts_with('/') && target.bytes().all(word);
        v.require(good, "TargetType", "be a slash and up to 199 letters, digits or any of _.-:/");
    }
}

fn check_version(v: &mut Violations, version: Option<&str>) {
    if let Some(version) = version {
        let good = matches!(version, "$LATEST" | "$DEFAULT") || is_number(version);
        v.require(good, "DocumentVersion", "be $LATEST, $DEFAULT or a number from 1 on");
    }
}

fn check_type(v: &mut Violations, kind: Option<&str>) {
    match kind {
        None => {}
        Some(kind) if Kind::parse(kind).is_some() => {}
        Some(kind) if TYPES_NOT_KEPT.contains(&kind) => v.add("DocumentType", KEPT_ALONE),
        Some(_) => v.add("DocumentType", KEPT),
    }
}

fn check_format(v: &mut Violations, format: Option<&str>) {
    match format {
        None | Some("JSON" | "YAML") => {}
        Some("TEXT") => v.add(
            "DocumentFormat",
            "be JSON or YAML: TEXT is for document types that are not kept here",
        ),
        Some(_) => v.add("DocumentFormat", "be JSON or YAML"),
    }
}
