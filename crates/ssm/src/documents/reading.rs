//! Reads a document as its kind wants it.
//!
//! Data flow: text of a request -> [`Content::outline`] -> the reader of its kind -> [`Content`].
//!
//! # Not here
//! - What each kind means: [`super::own`], [`super::approval`], [`crate::command_document`].

use serde_json::Value;

use super::approval::windows_of;
use super::content::{Content, Format, Kind};
use super::own::OwnDocument;
use crate::command_document::CommandDocument;
use crate::error::ApiError;

impl Content {
    /// Reads a text and checks it as a document of this kind.
    ///
    /// # Errors
    /// `MaxDocumentSizeExceeded`, `InvalidDocumentSchemaVersion`, `InvalidDocumentContent`; each
    /// says where it is wrong.
    pub fn read(kind: Kind, format: Format, text: &str) -> Result<Self, ApiError> {
        let content = Self::outline(kind, format, text)?;
        match kind {
            Kind::Session => OwnDocument::read(&content).map(drop)?,
            Kind::Command => {
                CommandDocument::parse(&Value::Object(content.tree.clone()))?.check_names()?;
            }
            Kind::ManualApproval | Kind::AutoApproval => {
                windows_of(&content).map(drop)?;
            }
        }
        Ok(content)
    }
}
