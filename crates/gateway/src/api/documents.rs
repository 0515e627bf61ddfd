//! Documents: the built-in ones, and own ones with their versions.
//!
//! Data flow: a request -> policy on the document's ARN with its tags and type -> the store.
//! Sessions and commands ask [`Api::document`] for what is to run.
//!
//! # Invariants
//! - A built-in document cannot be changed, removed or hidden. The shell document can be replaced:
//!   its `inputs` are the preferences of all sessions; removing it brings the built-in one back.
//! - What is stored was read and checked as a document of its kind.
//! - A change is made to the document, and by the tags, that were judged: the store compares them
//!   in the transaction that writes.
//!
//! # Not here
//! - What documents mean: `towline_ssm::documents`.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use towline_host::clock::UnixMillis;
use towline_ssm::api::Empty;
use towline_ssm::api::document::{
    CreateDocumentRequest, DeleteDocumentRequest, DescribeDocumentRequest, DescribeDocumentResult,
    DocumentDefaultVersionDescription, DocumentDescriptionResult, DocumentVersionInfo,
    GetDocumentRequest, GetDocumentResult, ListDocumentVersionsRequest, ListDocumentVersionsResult,
    UpdateDocumentDefaultVersionRequest, UpdateDocumentDefaultVersionResult, UpdateDocumentRequest,
};
use towline_ssm::api::tags::MAX_TAGS_PER_RESOURCE;
use towline_ssm::clock::EpochSeconds;
use towline_ssm::documents::approval::windows_of;
use towline_ssm::documents::content::{Content, Format, Kind, converted};
use towline_ssm::documents::{RUN_SHELL, built_in};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::hex_lower;
use towline_ssm::operation::MANAGE_APPROVAL_POLICIES;
use towline_store::{
    Document, DocumentAsRead, DocumentText, NewDocument, SAME_NAME, SAME_TEXT, StoreError, TagKind,
    Version,
};

use super::authz::Question;
use super::call::Call;
use super::internal::{OrInternal as _, internal};
use super::paging::page;
use super::service::Api;
use super::tags::request_tags;

/// Page size when none is asked for, and the greatest, as in AWS's model.
pub(super) const PAGE: i64 = 50;

impl Api {
    /// A document's version, built-in or own; `None`: there is no such document, or it has no such
    /// version.
    pub(super) async fn document(
        &self,
        name: &str,
        version: &Version,
    ) -> Result<Option<Document>, ApiError> {
        let stored = self
            .store()
            .documents()
            .get(name, version)
            .await
            .or_internal("cannot read a document")?;
        let is_default = matches!(version, Version::Default); // then the same was asked just now
        if stored.is_some() || (!is_default && self.is_stored(name).await?) {
            return Ok(stored);
        }
        let first = matches!(version, Version::Default | Version::Latest | Version::Number(1));
        Ok(if first { built_in_document(name) } else { None })
    }

    /// The same for a request that cannot go on without it.
    pub(super) async fn existing_document(
        &self,
        name: &str,
        version: &Version,
    ) -> Result<Document, ApiError> {
        match self.document(name, version).await? {
            Some(document) => Ok(document),
            None if self.document(name, &Version::Default).await?.is_some() => Err(ApiError::new(
                ErrorCode::InvalidDocumentVersion,
                "the document has no such version",
            )),
            None => Err(ApiError::new(
                ErrorCode::InvalidDocument,
                "no document of this name exists here",
            )),
        }
    }

    /// Whether the store has a document of this name.
    async fn is_stored(&self, name: &str) -> Result<bool, ApiError> {
        let stored = self
            .store()
            .documents()
            .get(name, &Version::Default)
            .await
            .or_internal("cannot read a document")?;
        Ok(stored.is_some())
    }

    /// The question about a document: its ARN, its tags and its type.
    pub(super) async fn about_document(&self, name: &str) -> Result<Question, ApiError> {
        self.about_read_document(name, None).await
    }

    /// The same, where the default version may have been read before.
    pub(super) async fn about_read_document(
        &self,
        name: &str,
        read: Option<&Document>,
    ) -> Result<Question, ApiError> {
        let mut question = Question::about(self.realm().document_arn(name));
        question.tags = self
            .store()
            .tags()
            .of(TagKind::Document, name)
            .await
            .or_internal("cannot read tags")?;
        let kind = match read {
            Some(document) => Some(document.kind.clone()),
            None => self.document(name, &Version::Default).await?.map(|document| document.kind),
        };
        Ok(match kind {
            Some(kind) => question.with("ssm:DocumentType", [kind]),
            None => question,
        })
    }

    /// Authorises a request about a document. Returns the tags that it was judged by.
    pub(super) async fn may(
        &self,
        call: &Call,
        name: &str,
    ) -> Result<BTreeMap<String, String>, ApiError> {
        call.note("documentName", name);
        let question = self.about_document(name).await?;
        self.authorize(call, &question).await?;
        Ok(question.tags)
    }

    pub(super) async fn create_document(
        &self,
        call: &Call,
        request: CreateDocumentRequest,
    ) -> Result<DocumentDescriptionResult, ApiError> {
        let name = request.name;
        call.note("documentName", &*name);
        let kind = request.document_type.as_deref().and_then(Kind::parse).unwrap_or(Kind::Command);
        let mut question = Question::about(self.realm().document_arn(&name))
            .with("ssm:DocumentType", [kind.as_str().to_owned()]);
        question.facts.extend(request_tags(&request.tags));
        self.authorize(call, &question).await?;
        self.may_have_kind(call, kind, &question).await?;
        if built_in::is_reserved(&name) {
            let message = format!(
                "names that begin with {} belong to built-in documents",
                built_in::RESERVED_PREFIXES.join(", ")
            );
            return Err(ApiError::validation(message));
        }
        if name == RUN_SHELL && kind != Kind::Session {
            return Err(ApiError::validation(
                "the preferences of sessions are a document of type Session",
            ));
        }
        if request.tags.len() > MAX_TAGS_PER_RESOURCE {
            return Err(ApiError::validation(format!(
                "a document can have {MAX_TAGS_PER_RESOURCE} tags"
            )));
        }
        let format = format_of(request.document_format.as_deref());
        let text =
            checked(kind, format, request.content, request.version_name, request.display_name)?;
        self.principals_exist(kind, &text.format, &text.content).await?;
        let new = NewDocument {
            name: name.clone(),
            kind: kind.as_str().to_owned(),
            target_type: request.target_type.unwrap_or_default(),
            text,
        };
        let tags: Vec<_> = request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        self.store()
            .documents()
            .create(&new, &tags, call.now)
            .await
            .map_err(|error| refused(&error))?;
        let made = self.existing_document(&name, &Version::Latest).await?;
        Ok(DocumentDescriptionResult { document_description: self.described(made).await? })
    }

    pub(super) async fn update_document(
        &self,
        call: &Call,
        request: UpdateDocumentRequest,
    ) -> Result<DocumentDescriptionResult, ApiError> {
        let name = request.name;
        let tags = self.may(call, &name).await?;
        let latest = self.changeable(&name, &Version::Latest).await?;
        let meant = match version_of(request.document_version.as_deref(), None) {
            Version::Default if request.document_version.is_some() => Some(latest.default_version),
            Version::Number(number) => Some(number),
            Version::Default | Version::Latest | Version::Named(_) => None,
        };
        let outdated = |latest: i64| {
            let message = format!("only the latest version can be updated: {latest}, or $LATEST");
            ApiError::new(ErrorCode::InvalidDocumentVersion, message)
        };
        if meant.is_some_and(|meant| meant != latest.latest_version) {
            return Err(outdated(latest.latest_version));
        }
        let kind = kind_of(&latest)?;
        self.may_have_kind(call, kind, &self.about_document(&name).await?).await?;
        let format = format_of(request.document_format.as_deref());
        let text =
            checked(kind, format, request.content, request.version_name, request.display_name)?;
        self.principals_exist(kind, &text.format, &text.content).await?;
        let unique_id = self.own_id(latest, call.now).await?;
        let read = DocumentAsRead { name, unique_id, tags, latest_version: meant };
        let target_type = request.target_type.as_deref();
        let added = self.store().documents().add_version(&read, target_type, &text, call.now).await;
        let version = match added {
            Ok(version) => version,
            Err(StoreError::Changed("document")) => {
                let now = self.existing_document(&read.name, &Version::Latest).await?;
                return Err(outdated(now.latest_version));
            }
            Err(error) => return Err(refused(&error)),
        };
        let made = self.existing_document(&read.name, &Version::Number(version)).await?;
        Ok(DocumentDescriptionResult { document_description: self.described(made).await? })
    }

    /// The id of an own document. The built-in shell document is first written down as version 1 of
    /// the preferences.
    async fn own_id(&self, document: Document, now: UnixMillis) -> Result<String, ApiError> {
        if !document.unique_id.is_empty() {
            return Ok(document.unique_id);
        }
        let Document { name, kind, target_type, text, .. } = document;
        let new = NewDocument { name, kind, target_type, text };
        match self.store().documents().create(&new, &[], now).await {
            Ok(()) | Err(StoreError::Exists(_)) => {} // somebody else was faster
            Err(error) => return Err(refused(&error)),
        }
        Ok(self.existing_document(&new.name, &Version::Latest).await?.unique_id)
    }

    pub(super) async fn update_document_default_version(
        &self,
        call: &Call,
        request: UpdateDocumentDefaultVersionRequest,
    ) -> Result<UpdateDocumentDefaultVersionResult, ApiError> {
        let name = request.name;
        let tags = self.may(call, &name).await?;
        let version = version_of(Some(&request.document_version), None);
        let document = self.changeable(&name, &version).await?;
        let question = self.about_document(&name).await?;
        self.may_have_kind(call, kind_of(&document)?, &question).await?;
        let read = as_read(&document, tags);
        let set = match read.unique_id.is_empty() {
            true => true, // built in: it has one version
            false => self
                .store()
                .documents()
                .set_default(&read, document.version)
                .await
                .map_err(|error| refused(&error))?,
        };
        if !set {
            return Err(ApiError::new(
                ErrorCode::InvalidDocumentVersion,
                "the document has no such version",
            ));
        }
        Ok(UpdateDocumentDefaultVersionResult {
            description: DocumentDefaultVersionDescription {
                name,
                default_version: document.version.to_string(),
                default_version_name: some(document.text.version_name),
            },
        })
    }

    pub(super) async fn get_document(
        &self,
        call: &Call,
        request: GetDocumentRequest,
    ) -> Result<GetDocumentResult, ApiError> {
        let name = self.realm().document_name(&request.name)?;
        self.may(call, name).await?;
        let version = version_of(request.document_version.as_deref(), request.version_name);
        let document = self.existing_document(name, &version).await?;
        let stored = format_of(Some(&document.text.format));
        let wanted = format_of(request.document_format.as_deref()); // JSON by default, as at AWS
        Ok(GetDocumentResult {
            created_date: date(&document),
            display_name: some(document.text.display_name),
            version_name: some(document.text.version_name),
            document_version: document.version.to_string(),
            status: ACTIVE.to_owned(),
            content: converted(stored, wanted, &document.text.content)?,
            document_type: document.kind,
            document_format: wanted.as_str().to_owned(),
            name: document.name,
        })
    }

    pub(super) async fn describe_document(
        &self,
        call: &Call,
        request: DescribeDocumentRequest,
    ) -> Result<DescribeDocumentResult, ApiError> {
        let name = self.realm().document_name(&request.name)?;
        self.may(call, name).await?;
        let version = version_of(request.document_version.as_deref(), request.version_name);
        let document = self.existing_document(name, &version).await?;
        Ok(DescribeDocumentResult { document: self.described(document).await? })
    }

    pub(super) async fn list_document_versions(
        &self,
        call: &Call,
        request: ListDocumentVersionsRequest,
    ) -> Result<ListDocumentVersionsResult, ApiError> {
        let name = self.realm().document_name(&request.name)?;
        self.may(call, name).await?;
        let document = self.existing_document(name, &Version::Default).await?;
        let cursor = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let before = cursor.parse().unwrap_or(i64::MAX);
        let size = request.max_results.unwrap_or(PAGE);
        let rows = if !document.unique_id.is_empty() {
            self.store()
                .documents()
                .versions(name, before, size + 1)
                .await
                .or_internal("cannot list versions")?
        } else {
            vec![document]
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let (rows, next_token) =
            page(rows, size, &self.pages, call.operation, |row| row.version.to_string());
        let shown = |row: Document| DocumentVersionInfo {
            created_date: date(&row),
            is_default_version: row.version == row.default_version,
            name: row.name,
            display_name: some(row.text.display_name),
            document_version: row.version.to_string(),
            version_name: some(row.text.version_name),
            document_format: row.text.format,
            status: ACTIVE.to_owned(),
        };
        Ok(ListDocumentVersionsResult {
            document_versions: rows.into_iter().map(shown).collect(),
            next_token,
        })
    }

    pub(super) async fn delete_document(
        &self,
        call: &Call,
        request: DeleteDocumentRequest,
    ) -> Result<Empty, ApiError> {
        let name = request.name;
        let tags = self.may(call, &name).await?;
        let named = request.document_version.is_some() || request.version_name.is_some();
        let version = version_of(request.document_version.as_deref(), request.version_name);
        let document = self.existing_document(&name, &version).await?;
        let question = self.about_document(&name).await?;
        self.may_have_kind(call, kind_of(&document)?, &question).await?;
        let read = as_read(&document, tags);
        if read.unique_id.is_empty() {
            return Err(ApiError::new(
                ErrorCode::InvalidDocumentOperation,
                "a built-in document cannot be removed",
            ));
        }
        let documents = self.store().documents();
        if !named {
            documents.delete(&read).await.map_err(|error| refused(&error))?;
            return Ok(Empty {});
        }
        let removed = documents.delete_version(&read, document.version).await;
        if removed.map_err(|error| refused(&error))? {
            return Ok(Empty {});
        }
        let message = "the default version cannot be removed alone: choose another default first, \
                       or remove the document";
        Err(ApiError::new(ErrorCode::InvalidDocumentOperation, message))
    }

    /// Goes on only if the caller may decide which approvals are needed, for documents that do.
    async fn may_have_kind(
        &self,
        call: &Call,
        kind: Kind,
        question: &Question,
    ) -> Result<(), ApiError> {
        if kind.is_approval() {
            self.authorize_action(call, MANAGE_APPROVAL_POLICIES, question).await?;
        }
        Ok(())
    }

    /// A document that may get other versions: an own one, or the shell document.
    async fn changeable(&self, name: &str, version: &Version) -> Result<Document, ApiError> {
        let document = self.existing_document(name, version).await?;
        if name != RUN_SHELL && document.unique_id.is_empty() {
            let message = "a built-in document cannot be changed: make one of your own";
            return Err(ApiError::new(ErrorCode::InvalidDocumentOperation, message));
        }
        Ok(document)
    }
}

/// A stored document as a change of it was decided.
fn as_read(document: &Document, tags: BTreeMap<String, String>) -> DocumentAsRead {
    DocumentAsRead {
        name: document.name.clone(),
        unique_id: document.unique_id.clone(),
        tags,
        latest_version: None,
    }
}

/// The only status there is: what was answered is in force.
const ACTIVE: &str = "Active";

/// A built-in document as if it were stored.
pub(super) fn built_in_document(name: &str) -> Option<Document> {
    let (kind, content) = built_in::text(name)?;
    let schema_version = if kind == Kind::Session { "1.0" } else { "2.2" };
    Some(Document {
        name: name.to_owned(),
        unique_id: String::new(),
        kind: kind.as_str().to_owned(),
        target_type: String::new(),
        default_version: 1,
        latest_version: 1,
        version: 1,
        text: DocumentText {
            format: Format::Json.as_str().to_owned(),
            hash: hash(&content),
            content,
            schema_version: schema_version.to_owned(),
            ..DocumentText::default()
        },
        created_at: UnixMillis(0),
    })
}

/// A text that was checked, ready to be stored.
fn checked(
    kind: Kind,
    format: Format,
    content: String,
    version_name: Option<String>,
    display_name: Option<String>,
) -> Result<DocumentText, ApiError> {
    let read = Content::read(kind, format, &content)?;
    super::windows::check(&windows_of(&read)?)?;
    Ok(DocumentText {
        version_name: version_name.unwrap_or_default(),
        display_name: display_name.unwrap_or_default(),
        format: format.as_str().to_owned(),
        hash: hash(&content),
        content,
        schema_version: read.schema_version,
    })
}

fn hash(content: &str) -> String {
    hex_lower(digest(&SHA256, content.as_bytes()).as_ref())
}

pub(super) fn format_of(name: Option<&str>) -> Format {
    name.and_then(Format::parse).unwrap_or(Format::Json)
}

/// The kind of a stored document.
pub(super) fn kind_of(document: &Document) -> Result<Kind, ApiError> {
    Kind::parse(&document.kind).ok_or_else(|| internal("a stored document's type", &document.kind))
}

/// The version that a request names; the default one when it names none.
pub(super) fn version_of(number: Option<&str>, named: Option<String>) -> Version {
    match (number, named) {
        (Some("$LATEST"), _) => Version::Latest,
        (Some("$DEFAULT") | None, None) => Version::Default,
        (Some(number), None) => Version::Number(number.parse().unwrap_or(i64::MAX)),
        (_, Some(named)) => Version::Named(named),
    }
}

/// Nobody made built-in documents at a time that this gateway knows.
pub(super) fn date(document: &Document) -> Option<EpochSeconds> {
    Some(EpochSeconds::from_millis(document.created_at.0)).filter(|_| document.created_at.0 > 0)
}

pub(super) fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// What the store refused, in the codes of documents.
fn refused(error: &StoreError) -> ApiError {
    let code = match error {
        StoreError::Exists(what) if *what == SAME_TEXT => ErrorCode::DuplicateDocumentContent,
        StoreError::Exists(what) if *what == SAME_NAME => ErrorCode::DuplicateDocumentVersionName,
        StoreError::Exists(_) => ErrorCode::DocumentAlreadyExists,
        StoreError::Full { what: "documents" | "documents of this type", .. } => {
            ErrorCode::DocumentLimitExceeded
        }
        StoreError::Full { what: "versions of this document", .. } => {
            ErrorCode::DocumentVersionLimitExceeded
        }
        StoreError::Full { .. } => ErrorCode::ServiceQuotaExceededException,
        StoreError::Missing(_) => ErrorCode::InvalidDocument,
        StoreError::Changed(_) => ErrorCode::TooManyUpdates,
        StoreError::NoRandom
        | StoreError::Row(_)
        | StoreError::NotWhole(_)
        | StoreError::TagClashes(_)
        | StoreError::Address(_)
        | StoreError::Server(_)
        | StoreError::OnServer(_)
        | StoreError::Transfer(_)
        | StoreError::Held
        | StoreError::WaitsForApproval
        | StoreError::Database(_)
        | StoreError::Migrate(_) => {
            return internal("cannot store a document", error);
        }
    };
    ApiError::new(code, error.to_string())
}
