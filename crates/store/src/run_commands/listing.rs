//! Reading commands and invocations.

use super::command_store::CommandStore;
use super::rows::{
    COMMAND, INVOCATION, InvocationRow, OutputHeads, SentCommand, command, invocation,
};
use crate::engine::{self, QueryBuilder, Row};
use crate::error::StoreError;
use crate::limits;
use crate::store::one_of;
use towline_host::clock::UnixMillis;

/// Which commands or invocations to list. `None` or empty: any.
#[derive(Debug, Clone, Default)]
pub struct CommandFilter {
    /// This command.
    pub command: Option<String>,
    /// On this device.
    pub device: Option<String>,
    /// Status or details.
    pub statuses: Vec<String>,
    /// Ended ones, or the others.
    pub ended: Option<bool>,
    /// Documents.
    pub documents: Vec<String>,
    /// Sent at or after this.
    pub invoked_after: Option<UnixMillis>,
    /// Sent before this.
    pub invoked_before: Option<UnixMillis>,
}

impl CommandStore<'_> {
    /// Ids of the commands that have not ended, of persons of these ids or of principals of these
    /// ARNs. One that ends with `/` stands for the sessions of a role; one of a user for commands
    /// of an older version, which have no id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn open_of(
        &self,
        ids: &[String],
        arns: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let mut found: Vec<String> = Vec::new();
        for some in ids.chunks(limits::INVOCATIONS_AT_ONCE) {
            let mut query = QueryBuilder::new(
                "SELECT id FROM commands WHERE ended_at IS NULL AND person_id <> ''",
            );
            one_of(&mut query, "person_id", some);
            let rows = query.build().persistent(false).fetch_all(&self.store.pool).await?;
            for row in rows {
                found.push(row.try_get("id")?);
            }
        }
        for arn in arns {
            let sql = if arn.ends_with('/') {
                "SELECT id FROM commands WHERE ended_at IS NULL AND principal_arn >= ? AND \
                 principal_arn < ?"
            } else {
                "SELECT id FROM commands WHERE ended_at IS NULL AND person_id = '' AND \
                 principal_arn >= ? AND principal_arn <= ?"
            };
            let last = if arn.ends_with('/') { format!("{arn}{}", char::MAX) } else { arn.clone() };
            let rows: Vec<String> =
                engine::query_scalar(sql).bind(arn).bind(last).fetch_all(&self.store.pool).await?;
            found.extend(rows);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Ids of the commands that have not ended, of persons of these ids, sent in a role whose
    /// sessions have an ARN that begins so.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn open_in_role(
        &self,
        ids: &[String],
        role_arn: &str,
    ) -> Result<Vec<String>, StoreError> {
        let mut found: Vec<String> = Vec::new();
        for some in ids.chunks(limits::INVOCATIONS_AT_ONCE) {
            let mut query =
                QueryBuilder::new("SELECT id FROM commands WHERE ended_at IS NULL AND ");
            query.push("principal_arn >= ").push_bind(role_arn.to_owned());
            query.push(" AND principal_arn < ").push_bind(format!("{role_arn}{}", char::MAX));
            one_of(&mut query, "person_id", some);
            let rows = query.build().persistent(false).fetch_all(&self.store.pool).await?;
            for row in rows {
                found.push(row.try_get("id")?);
            }
        }
        Ok(found)
    }

    /// One command.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, id: &str) -> Result<Option<SentCommand>, StoreError> {
        let row = engine::query(&format!("{COMMAND} WHERE id = ?"))
            .bind(id)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(command).transpose()?)
    }

    /// One command on one device.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn invocation(
        &self,
        id: &str,
        device: &str,
    ) -> Result<Option<InvocationRow>, StoreError> {
        let row =
            engine::query(&format!("{INVOCATION} WHERE i.command_id = ? AND i.device_id = ?"))
                .bind(id)
                .bind(device)
                .fetch_optional(&self.store.pool)
                .await?;
        Ok(row.as_ref().map(invocation).transpose()?)
    }

    /// All commands that have not ended.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn open(&self) -> Result<Vec<SentCommand>, StoreError> {
        let rows =
            engine::query(&format!("{COMMAND} WHERE ended_at IS NULL ORDER BY requested_at, id"))
                .fetch_all(&self.store.pool)
                .await?;
        Ok(rows.iter().map(command).collect::<Result<_, _>>()?)
    }

    /// All invocations of a command.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn invocations_of(&self, id: &str) -> Result<Vec<InvocationRow>, StoreError> {
        let rows =
            engine::query(&format!("{INVOCATION} WHERE i.command_id = ? ORDER BY i.device_id"))
                .bind(id)
                .fetch_all(&self.store.pool)
                .await?;
        Ok(rows.iter().map(invocation).collect::<Result<_, _>>()?)
    }

    /// The beginning of a step's output, once the step has ended.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn heads(
        &self,
        id: &str,
        device: &str,
        step: i64,
    ) -> Result<Option<OutputHeads>, StoreError> {
        let row = engine::query(
            "SELECT stdout, stderr FROM command_outputs WHERE command_id = ? AND device_id = ? \
             AND step = ?",
        )
        .bind(id)
        .bind(device)
        .bind(step)
        .fetch_optional(&self.store.pool)
        .await?;
        let heads = |row: Row| {
            Ok::<_, sqlx::Error>(OutputHeads {
                step,
                stdout: row.try_get(0)?,
                stderr: row.try_get(1)?,
            })
        };
        Ok(row.map(heads).transpose()?)
    }

    /// Up to `limit` commands that match, newest first, after the last one of the previous page
    /// (its time and id).
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(
        &self,
        filter: &CommandFilter,
        after: Option<(UnixMillis, &str)>,
        limit: i64,
    ) -> Result<Vec<SentCommand>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(COMMAND);
        query.push(" WHERE 1 = 1");
        if let Some(id) = &filter.command {
            query.push(" AND c.id = ").push_bind(id);
        }
        if let Some(device) = &filter.device {
            query.push(" AND EXISTS (SELECT 1 FROM command_invocations i WHERE i.command_id = c.id AND i.device_id = ");
            query.push_bind(device).push(")");
        }
        narrow(&mut query, filter, "c.");
        one_of(&mut query, "c.document", &filter.documents);
        if let Some((at, id)) = after {
            query.push(" AND (c.requested_at < ").push_bind(at.0);
            query
                .push(" OR (c.requested_at = ")
                .push_bind(at.0)
                .push(" AND c.id > ")
                .push_bind(id)
                .push("))");
        }
        query.push(" ORDER BY c.requested_at DESC, c.id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(command).collect::<Result<_, _>>()?)
    }

    /// Up to `limit` invocations that match, newest first, after the last one of the page before
    /// (its time, command, device).
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list_invocations(
        &self,
        filter: &CommandFilter,
        after: Option<(UnixMillis, &str, &str)>,
        limit: i64,
    ) -> Result<Vec<InvocationRow>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(INVOCATION);
        query.push(" WHERE 1 = 1");
        if let Some(id) = &filter.command {
            query.push(" AND i.command_id = ").push_bind(id);
        }
        if let Some(device) = &filter.device {
            query.push(" AND i.device_id = ").push_bind(device);
        }
        narrow(&mut query, filter, "i.");
        if !filter.documents.is_empty() {
            query.push(" AND i.command_id IN (SELECT c.id FROM commands c WHERE 1 = 1");
            one_of(&mut query, "c.document", &filter.documents);
            query.push(")");
        }
        if let Some((at, id, device)) = after {
            query.push(" AND (i.requested_at < ").push_bind(at.0);
            query
                .push(" OR (i.requested_at = ")
                .push_bind(at.0)
                .push(" AND (i.command_id > ")
                .push_bind(id);
            query
                .push(" OR (i.command_id = ")
                .push_bind(id)
                .push(" AND i.device_id > ")
                .push_bind(device)
                .push("))))");
        }
        query
            .push(" ORDER BY i.requested_at DESC, i.command_id, i.device_id LIMIT ")
            .push_bind(limit);
        let rows = query.build().fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(invocation).collect::<Result<_, _>>()?)
    }
}

/// Adds the conditions that both lists share. `table`: a literal of this file.
fn narrow(query: &mut QueryBuilder, filter: &CommandFilter, table: &'static str) {
    if !filter.statuses.is_empty() {
        query.push(" AND (1 = 0");
        for status in &filter.statuses {
            query.push(" OR ").push(table).push("status = ").push_bind(status);
            query.push(" OR ").push(table).push("details = ").push_bind(status);
        }
        query.push(")");
    }
    if let Some(ended) = filter.ended {
        query.push(" AND ").push(table).push(if ended {
            "ended_at IS NOT NULL"
        } else {
            "ended_at IS NULL"
        });
    }
    if let Some(at) = filter.invoked_after {
        query.push(" AND ").push(table).push("requested_at >= ").push_bind(at.0);
    }
    if let Some(at) = filter.invoked_before {
        query.push(" AND ").push(table).push("requested_at < ").push_bind(at.0);
    }
}
