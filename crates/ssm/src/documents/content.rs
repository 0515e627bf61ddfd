//! A document's text: its format, its kind, and the outline that listings and policies need.
//!
//! Data flow: text of a request -> [`Content::outline`] (size, format, schema version, members of
//! the outline) -> [`Content::read`], which judges it by its kind -> what is stored.
//!
//! # Invariants
//! - What [`Content::read`] returned can be listed, described and started (sessions) or handed on
//!   (commands): nothing of it has to be checked again but what its own kind adds.
//!
//! # Not here
//! - The meaning of documents: [`super::own`], [`super::approval`] and [`crate::command_document`],
//!   whose readers judge a text when it is stored and when it is used.

use serde_json::{Map, Value};

use super::yaml;
use crate::api::check::as_shown;
use crate::command_document::SCHEMAS;
use crate::error::{ApiError, ErrorCode};
use crate::json;

/// Largest text of a document, bytes. AWS's limit.
pub const MAX_CONTENT: usize = 64 * 1024;
/// Most parameters of a document. AWS's limit.
pub const MAX_PARAMETERS: usize = 200;

/// The kinds of document that are kept here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What a session is to do, or the preferences of all sessions: schema 1.0.
    Session,
    /// What Run Command runs: schemas 2.2, 2.0 and 1.2.
    Command,
    /// Which requests for access need which approvals: schema 1.0.
    ManualApproval,
    /// Which requests for access need none: schema 1.0.
    AutoApproval,
}

impl Kind {
    /// The name in the API's `DocumentType`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "Session",
            Self::Command => "Command",
            Self::ManualApproval => "ManualApprovalPolicy",
            Self::AutoApproval => "AutoApprovalPolicy",
        }
    }

    /// All kinds.
    pub const ALL: [Self; 4] =
        [Self::Session, Self::Command, Self::ManualApproval, Self::AutoApproval];

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether it says which requests for access need which approvals.
    #[must_use]
    pub const fn is_approval(self) -> bool {
        matches!(self, Self::ManualApproval | Self::AutoApproval)
    }

    /// The schema versions it may have.
    const fn schemas(self) -> &'static [&'static str] {
        match self {
            Self::Session | Self::ManualApproval | Self::AutoApproval => &["1.0"],
            Self::Command => SCHEMAS,
        }
    }
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// The name in the API's `DocumentFormat`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
        }
    }

    /// The format of that name; `TEXT` is none that is kept here.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Json, Self::Yaml].into_iter().find(|format| format.as_str() == name)
    }
}

/// One parameter, as DescribeDocument shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterOutline {
    /// Its name.
    pub name: String,
    /// `String` or `StringList`; what else a command document has counts as `String`.
    pub list: bool,
    /// For people.
    pub description: Option<String>,
    /// Its default, lists as JSON.
    pub default: Option<String>,
}

/// A document that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// Its kind.
    pub kind: Kind,
    /// Its schema version.
    pub schema_version: String,
    /// For people.
    pub description: Option<String>,
    /// Its parameters, by name.
    pub parameters: Vec<ParameterOutline>,
    /// All of it.
    pub tree: Map<String, Value>,
}

impl Content {
    /// The outline alone, for a text that was checked when it was stored.
    ///
    /// # Errors
    /// As [`Content::read`].
    pub fn outline(kind: Kind, format: Format, text: &str) -> Result<Self, ApiError> {
        let tree = tree(format, text)?;
        let schema_version = match tree.get("schemaVersion") {
            Some(Value::String(version)) => version.clone(),
            Some(_) => return Err(invalid("schemaVersion must be a text, in quotes")),
            None => return Err(invalid("schemaVersion is missing")),
        };
        if !kind.schemas().contains(&schema_version.as_str()) {
            let message = format!(
                "a document of type {} must have schemaVersion {}",
                kind.as_str(),
                kind.schemas().join(" or ")
            );
            return Err(ApiError::new(ErrorCode::InvalidDocumentSchemaVersion, message));
        }
        let description = text_of(&tree, "description")?.map(as_shown);
        let parameters = match tree.get("parameters") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(parameters)) => outlines(parameters)?,
            Some(_) => return Err(invalid("parameters must be an object")),
        };
        Ok(Self { kind, schema_version, description, parameters, tree })
    }
}

/// The text in another format than it was written in.
///
/// # Errors
/// `InvalidDocumentContent` when it does not read as `from`.
pub fn converted(from: Format, to: Format, text: &str) -> Result<String, ApiError> {
    if from == to {
        return Ok(text.to_owned());
    }
    let tree = Value::Object(tree(from, text)?);
    Ok(match to {
        Format::Yaml => yaml::write(&tree),
        Format::Json => format!("{tree:#}"),
    })
}

fn tree(format: Format, text: &str) -> Result<Map<String, Value>, ApiError> {
    if text.len() > MAX_CONTENT {
        let message = format!("a document has at most {MAX_CONTENT} bytes");
        return Err(ApiError::new(ErrorCode::MaxDocumentSizeExceeded, message));
    }
    let value = match format {
        Format::Json => {
            json::read(text.as_bytes()).map_err(|error| invalid(&format!("not JSON: {error}")))?
        }
        Format::Yaml => yaml::read(text)
            .map_err(|error| invalid(&format!("not YAML that is taken here: {error}")))?,
    };
    match value {
        Value::Object(tree) => Ok(tree),
        _ => Err(invalid("a document must be an object")),
    }
}

fn outlines(parameters: &Map<String, Value>) -> Result<Vec<ParameterOutline>, ApiError> {
    if parameters.len() > MAX_PARAMETERS {
        return Err(invalid(&format!("a document has at most {MAX_PARAMETERS} parameters")));
    }
    let outline = |(name, parameter): (&String, &Value)| {
        let at = format!("parameters.{name}");
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        {
            return Err(invalid("the names of parameters must consist of letters, digits and _-."));
        }
        let Value::Object(parameter) = parameter else {
            return Err(invalid(&format!("{at} must be an object")));
        };
        let Some(Value::String(kind)) = parameter.get("type") else {
            return Err(invalid(&format!("{at}.type is missing: String, for example")));
        };
        let default = parameter.get("default").map(|default| match default {
            Value::String(text) => as_shown(text),
            other => as_shown(&other.to_string()),
        });
        let description = text_of(parameter, "description")
            .map_err(|_| invalid(&format!("{at}.description must be a text")))?;
        Ok(ParameterOutline {
            name: name.clone(),
            list: kind == "StringList",
            description: description.map(as_shown),
            default,
        })
    };
    parameters.iter().map(outline).collect()
}

/// A member that may be absent, and must be a text when it is there.
pub(super) fn text_of<'a>(
    tree: &'a Map<String, Value>,
    key: &str,
) -> Result<Option<&'a str>, ApiError> {
    match tree.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(&format!("{key} must be a text"))),
    }
}

/// Refuses members that are not known.
pub(super) fn known(
    members: &Map<String, Value>,
    at: &str,
    names: &[&str],
) -> Result<(), ApiError> {
    match members.keys().find(|key| !names.contains(&key.as_str())) {
        None => Ok(()),
        Some(other) if names.is_empty() => {
            Err(invalid(&format!("{at}{other} has no meaning in a document of this type")))
        }
        Some(other) => {
            Err(invalid(&format!("{at}{other} is not known: there is {}", names.join(", "))))
        }
    }
}

pub(super) fn invalid(message: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidDocumentContent, message)
}
