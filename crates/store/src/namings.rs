//! What names principals beside their own rows: approval policies, open requests for access, and
//! the settings of identity providers. Read in the transaction that makes a principal.

use towline_host::clock::UnixMillis;
use towline_ssm::documents::approval::Level;

use crate::change::Change;
use crate::engine;
use crate::error::StoreError;

/// The text of an approval policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalText {
    /// The document's name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// `JSON` or `YAML`.
    pub format: String,
    /// The default version's text.
    pub content: String,
}

impl Change {
    /// The default versions of all approval policies, by name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn approval_texts(&mut self) -> Result<Vec<ApprovalText>, StoreError> {
        let rows: Vec<(String, String, String, String)> = engine::query_as(
            "SELECT d.name, d.kind, v.format, v.content FROM documents d \
             JOIN document_versions v ON v.name = d.name AND v.version = d.default_version \
             WHERE d.kind IN ('ManualApprovalPolicy', 'AutoApprovalPolicy') ORDER BY d.name",
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let text = |(name, kind, format, content)| ApprovalText { name, kind, format, content };
        Ok(rows.into_iter().map(text).collect())
    }

    /// Ids and levels of the requests for access that wait or give access, and whose levels name
    /// approvers.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn open_levels(
        &mut self,
        now: UnixMillis,
    ) -> Result<Vec<(String, Vec<Level>)>, StoreError> {
        let rows: Vec<(String, String)> = engine::query_as(
            "SELECT id, levels FROM access_requests WHERE status IN ('Pending', 'Approved') \
             AND expires_at > ? AND levels <> '[]' ORDER BY id",
        )
        .bind(now.0)
        .fetch_all(&mut *self.tx)
        .await?;
        let read = |(id, levels): (String, String)| {
            let levels =
                serde_json::from_str(&levels).map_err(|error| sqlx::Error::Decode(error.into()))?;
            Ok((id, levels))
        };
        rows.into_iter().map(read).collect()
    }

    /// Names and settings of all identity providers.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn provider_settings(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT name, settings FROM identity_providers ORDER BY name";
        Ok(engine::query_as(sql).fetch_all(&mut *self.tx).await?)
    }
}
