//! Documents in lists, and what DescribeDocument shows.
//!
//! # Invariants
//! - Built-in and own documents stand in one list, by name; an own shell document stands in the
//!   built-in one's place.

use std::collections::BTreeMap;

use towline_ssm::api::document::{
    DescribeDocumentPermissionRequest, DescribeDocumentPermissionResponse, DocumentDescription,
    DocumentIdentifier, DocumentParameter, ListDocumentsRequest, ListDocumentsResult,
};
use towline_ssm::api::tags::Tag;
use towline_ssm::command_document::{CommandDocument, Platform};
use towline_ssm::documents::built_in;
use towline_ssm::documents::content::{Content, Kind};
use towline_ssm::documents::own::OwnDocument;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{Document, TagKind, Version};

use super::authz::Question;
use super::call::Call;
use super::documents::{PAGE, built_in_document, date, format_of, kind_of, some};
use super::internal::OrInternal as _;
use super::paging::page;
use super::service::Api;

/// Owner of built-in documents, as clients know it.
const BUILT_IN_OWNER: &str = "Amazon";

impl Api {
    pub(super) async fn list_documents(
        &self,
        call: &Call,
        request: ListDocumentsRequest,
    ) -> Result<ListDocumentsResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let after = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let filters = filters(&request)?;
        let mut all: BTreeMap<String, Document> = built_in::names()
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), built_in_document(name)?)))
            .collect();
        for own in self.store().documents().list().await.or_internal("cannot list documents")? {
            all.insert(own.name.clone(), own);
        }
        let size = usize::try_from(request.max_results.unwrap_or(PAGE)).unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        for (name, document) in all {
            if name <= after {
                continue;
            }
            // Which systems it is for stands in its text, which a list has not read.
            let stands_in_text =
                !document.unique_id.is_empty() && !kind_of(&document)?.is_approval();
            let document = match stands_in_text {
                true => self.existing_document(&name, &Version::Default).await?,
                false => document,
            };
            let identifier = self.identifier(document).await?;
            if filters.iter().all(|filter| filter.takes(&identifier, &self.realm().account)) {
                rows.push(identifier);
            }
            if rows.len() > size {
                break;
            }
        }
        let (document_identifiers, next_token) =
            page(rows, size, &self.pages, call.operation, |row| row.name.clone());
        Ok(ListDocumentsResult { document_identifiers, next_token })
    }

    async fn identifier(&self, document: Document) -> Result<DocumentIdentifier, ApiError> {
        Ok(DocumentIdentifier {
            created_date: date(&document),
            owner: self.owner(&document),
            tags: self.tags_of_document(&document.name).await?,
            platform_types: platform_types(&document)?,
            name: document.name,
            display_name: some(document.text.display_name),
            version_name: some(document.text.version_name),
            document_version: document.version.to_string(),
            document_type: document.kind,
            schema_version: document.text.schema_version,
            document_format: document.text.format,
            target_type: some(document.target_type),
        })
    }

    /// All that is known of a document's version.
    pub(super) async fn described(
        &self,
        document: Document,
    ) -> Result<DocumentDescription, ApiError> {
        let format = format_of(Some(&document.text.format));
        let content = Content::outline(kind_of(&document)?, format, &document.text.content)?;
        let platforms = platform_types(&document)?;
        let parameter =
            |parameter: towline_ssm::documents::content::ParameterOutline| DocumentParameter {
                name: parameter.name,
                kind: if parameter.list { "StringList" } else { "String" }.to_owned(),
                description: parameter.description,
                default_value: parameter.default,
            };
        Ok(DocumentDescription {
            created_date: date(&document),
            owner: self.owner(&document),
            tags: self.tags_of_document(&document.name).await?,
            hash: document.text.hash,
            hash_type: "Sha256".to_owned(),
            name: document.name,
            display_name: some(document.text.display_name),
            version_name: some(document.text.version_name),
            status: "Active".to_owned(),
            document_version: document.version.to_string(),
            description: content.description,
            parameters: content.parameters.into_iter().map(parameter).collect(),
            platform_types: platforms,
            document_type: document.kind,
            schema_version: content.schema_version,
            latest_version: document.latest_version.to_string(),
            default_version: document.default_version.to_string(),
            document_format: document.text.format,
            target_type: some(document.target_type),
        })
    }

    /// The accounts that share a document: none, a gateway has one account.
    pub(super) async fn describe_document_permission(
        &self,
        call: &Call,
        request: DescribeDocumentPermissionRequest,
    ) -> Result<DescribeDocumentPermissionResponse, ApiError> {
        let name = self.realm().document_name(&request.name)?;
        self.may(call, name).await?;
        if request.permission_type != "Share" {
            let message = "PermissionType must be Share";
            return Err(ApiError::new(ErrorCode::InvalidPermissionType, message));
        }
        self.existing_document(name, &Version::Default).await?;
        Ok(DescribeDocumentPermissionResponse::default())
    }

    /// Built-in documents belong to nobody here.
    fn owner(&self, document: &Document) -> String {
        let built_in = document.created_at.0 == 0;
        if built_in { BUILT_IN_OWNER.to_owned() } else { self.realm().account.clone() }
    }

    async fn tags_of_document(&self, name: &str) -> Result<Vec<Tag>, ApiError> {
        let tags = self
            .store()
            .tags()
            .of(TagKind::Document, name)
            .await
            .or_internal("cannot read tags")?;
        Ok(tags.into_iter().map(|(key, value)| Tag { key, value }).collect())
    }
}

/// The systems that a document is for.
fn platform_types(document: &Document) -> Result<Vec<String>, ApiError> {
    let names =
        |platforms: &[Platform]| platforms.iter().map(|one| one.name().to_owned()).collect();
    let kind = kind_of(document)?;
    if kind.is_approval() {
        return Ok(names(&Platform::ALL));
    }
    let format = format_of(Some(&document.text.format));
    let content = Content::outline(kind, format, &document.text.content)?;
    if kind == Kind::Session {
        let read = OwnDocument::read(&content);
        return Ok(names(&read.map(|document| document.platforms()).unwrap_or_default()));
    }
    // A text that was stored before its present rules runs nowhere.
    let read = CommandDocument::parse(&serde_json::Value::Object(content.tree));
    Ok(names(&read.map(|document| document.platforms()).unwrap_or_default()))
}

/// One filter: any of its values.
struct Filter {
    key: Key,
    values: Vec<String>,
}

enum Key {
    Name,
    Owner,
    Platform,
    Type,
    Target,
    Keyword,
    Tag(String),
}

fn filters(request: &ListDocumentsRequest) -> Result<Vec<Filter>, ApiError> {
    let old = request
        .document_filter_list
        .iter()
        .map(|filter| (filter.key.as_str(), vec![filter.value.clone()]));
    let new = request.filters.iter().map(|filter| (filter.key.as_str(), filter.values.clone()));
    old.chain(new)
        .map(|(key, values)| {
            let key = match key {
                "Name" => Key::Name,
                "Owner" => Key::Owner,
                "PlatformTypes" => Key::Platform,
                "DocumentType" => Key::Type,
                "TargetType" => Key::Target,
                "SearchKeyword" => Key::Keyword,
                _ => match key.strip_prefix("tag:") {
                    Some(tag) if !tag.is_empty() => Key::Tag(tag.to_owned()),
                    _ => {
                        let message = "documents are filtered by Name, Owner, PlatformTypes, \
                                       DocumentType, TargetType, \
                                       SearchKeyword or tag:KEY";
                        return Err(ApiError::new(ErrorCode::InvalidFilterKey, message));
                    }
                },
            };
            Ok(Filter { key, values })
        })
        .collect()
}

impl Filter {
    fn takes(&self, document: &DocumentIdentifier, account: &str) -> bool {
        self.values.iter().any(|value| match &self.key {
            Key::Name => document.name.starts_with(value.as_str()),
            Key::Owner => match value.as_str() {
                "Amazon" | "Public" => document.owner == BUILT_IN_OWNER,
                "Self" | "Private" => document.owner == account,
                "All" => true,
                other => document.owner == other,
            },
            Key::Platform => document.platform_types.iter().any(|platform| platform == value),
            Key::Type => document.document_type == *value,
            Key::Target => document.target_type.as_ref() == Some(value),
            Key::Keyword => document.name.to_lowercase().contains(&value.to_lowercase()),
            Key::Tag(key) => document.tags.iter().any(|tag| tag.key == *key && tag.value == *value),
        })
    }
}
