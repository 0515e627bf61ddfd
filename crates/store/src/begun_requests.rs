//! Requests that change something, from before they do until their audit line is stored.
//!
//! Data flow: a proven request -> [`BegunRequests::begin`] -> the operation -> the transaction of
//! its audit line removes the row ([`crate::AuditTrail::append`]). A row that a killed gateway left
//! -> [`BegunRequests::close_left`] -> a line of the trail.
//!
//! # Invariants
//! - Nothing that a request changed is missing in the trail: its row is stored before it begins.
//! - Its signature is stored in the same transaction: a request whose gateway was killed is not
//!   taken a second time.
//! - A node's rows are closed by its next process, or by the node that declares it dead; a gateway
//!   that works alone closes all.

use crate::audit::{self, AuditRow, TrailRoom};
use crate::engine::{self, Tx};
use crate::error::StoreError;
use crate::seen_requests::{self, SeenRequest};
use crate::store::Store;
use towline_host::clock::UnixMillis;

/// The end of a request, stored together with its audit line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestEnd {
    /// Its id, as the client got it.
    pub id: String,
    /// Its signature, if it has one.
    pub seen: Option<SeenRequest>,
}

/// Operations on requests that have begun.
pub struct BegunRequests<'a> {
    store: &'a Store,
}

impl Store {
    /// Requests that have begun and not ended.
    #[must_use]
    pub const fn begun_requests(&self) -> BegunRequests<'_> {
        BegunRequests { store: self }
    }
}

impl BegunRequests<'_> {
    /// Notes a request before it changes anything. `unknown` is its audit line if no other one
    /// follows.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn begin(&self, begun: &RequestEnd, unknown: &AuditRow) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        engine::query(
            "INSERT INTO begun_requests (request_id, node, at, principal, action, outcome, line) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&begun.id)
        .bind(&*self.store.node)
        .bind(unknown.at.0)
        .bind(&unknown.principal)
        .bind(&unknown.action)
        .bind(&unknown.outcome)
        .bind(&unknown.line)
        .execute(&mut *tx)
        .await?;
        seen_requests::insert(&mut tx, begun.seen.as_slice()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes audit lines of what an earlier process of this gateway left. Returns the lines.
    ///
    /// # Errors
    /// [`StoreError::Database`]; nothing has changed then.
    pub async fn close_left(&self) -> Result<Vec<String>, StoreError> {
        let mut tx = self.store.writing().await?;
        let closed = close(&mut tx, self.store.node()).await?;
        tx.commit().await?;
        Ok(closed)
    }
}

/// Makes audit lines of the rows of one node, or of all.
pub(crate) async fn close(tx: &mut Tx, node: Option<&str>) -> Result<Vec<String>, StoreError> {
    let (all, node) = (node.is_none(), node.unwrap_or_default());
    let left: Vec<(i64, String, String, String, String)> = engine::query_as(
        "SELECT at, principal, action, outcome, line FROM begun_requests \
         WHERE ? OR node = ? ORDER BY at, request_id",
    )
    .bind(all)
    .bind(node)
    .fetch_all(&mut **tx)
    .await?;
    let rows: Vec<AuditRow> = left
        .into_iter()
        .map(|(at, principal, action, outcome, line)| AuditRow {
            at: UnixMillis(at),
            principal,
            action,
            outcome,
            line,
            room: TrailRoom::Changes,
            whose: String::new(),
        })
        .collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    audit::insert(tx, &rows).await?;
    engine::query("DELETE FROM begun_requests WHERE ? OR node = ?")
        .bind(all)
        .bind(node)
        .execute(&mut **tx)
        .await?;
    Ok(rows.into_iter().map(|row| row.line).collect())
}

/// Ends requests in the transaction of their audit lines.
pub(crate) async fn end(tx: &mut Tx, ends: &[RequestEnd]) -> Result<(), StoreError> {
    for end in ends {
        engine::query("DELETE FROM begun_requests WHERE request_id = ?")
            .bind(&end.id)
            .execute(&mut **tx)
            .await?;
        seen_requests::insert(tx, end.seen.as_slice()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    fn unknown(number: i64) -> AuditRow {
        AuditRow {
            at: UnixMillis(number),
            principal: "arn".into(),
            action: "towline:CreatePrincipal".into(),
            outcome: "OutcomeUnknown".into(),
            line: format!("unknown {number}"),
            room: TrailRoom::Changes,
            whose: String::new(),
        }
    }

    #[tokio::test]
    async fn a_request_without_an_end_becomes_a_line_and_is_not_taken_again() {
        let (store, _dir) = scratch().await;
        let request = |number: u8| RequestEnd {
            id: format!("request-{number}"),
            seen: Some(SeenRequest { signature: [number; 32], forget_at: 100 }),
        };
        for number in 1..=3 {
            let row = unknown(number.into());
            store.begun_requests().begin(&request(number), &row).await.unwrap();
            assert!(store.seen_requests().contains(&[number; 32]).await.unwrap());
        }
        let done = AuditRow { line: "done".into(), ..unknown(2) };
        store.audit().append(&[done], &[request(2)]).await.unwrap();

        let left = store.begun_requests().close_left().await.unwrap();
        assert_eq!(left, ["unknown 1", "unknown 3"]);
        let lines = store.audit().list(0, 10).await.unwrap();
        let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, ["done", "unknown 1", "unknown 3"]);
        assert!(store.begun_requests().close_left().await.unwrap().is_empty(), "each once");
    }
}
