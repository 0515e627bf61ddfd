//! Extension of granted access: as many persons agree to it as to the request itself.
//!
//! Data flow: an approver extends -> her approval is counted under the levels of the request -> the
//! last one moves the end, and the approvals of the extension are removed.
//!
//! # Invariants
//! - Approvals of an extension are counted in the transaction that adds one, and count for one
//!   extension.
//! - Access holds for the least that those approvers of the extension gave whose approvals count,
//!   and never ends earlier by an extension.

use crate::access::{
    AccessRequest, AccessRequests, Approval, ApprovalRow, COLUMNS, Counted, NewApproval,
    REQUESTER_IS_THERE, approval, least, request, turn,
};
use crate::access_standing::{Table, settle};
use crate::engine;
use crate::engine::Tx;
use crate::error::StoreError;
use crate::notifications;
use towline_host::clock::UnixMillis;

impl AccessRequests<'_> {
    /// Counts an approval of an extension. [`Counted::Approved`]: access holds longer from now on.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn extend(
        &self,
        new: &NewApproval<'_>,
        now: UnixMillis,
    ) -> Result<Counted, StoreError> {
        let mut tx = self.store.writing().await?;
        let row = engine::query(&format!(
            "{COLUMNS} WHERE id = ? AND status = 'Approved' AND expires_at > ? \
             AND {REQUESTER_IS_THERE}"
        ))
        .bind(new.request)
        .bind(now.0)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row.as_ref().map(request).transpose()? else { return Ok(Counted::Closed) };
        let before = approvals_of(&mut tx, new.request).await?;
        let before = settle(&mut tx, Table::Extensions, &row, before, new.fallen).await?;
        let (current, last) = match turn(&row.terms, &before, new) {
            Ok(turn) => turn,
            Err(not_counted) => return Ok(not_counted),
        };
        let minutes = least(&before, 0).map_or(new.minutes, |had| had.min(new.minutes));
        let counted = if last {
            let until = now.0.saturating_add(minutes.saturating_mul(60_000)).min(new.latest.0);
            if !hold(&mut tx, &row, until).await? {
                return Ok(Counted::Closed);
            }
            Counted::Approved
        } else {
            add(&mut tx, new, current, now).await?;
            Counted::More
        };
        for (_, message) in new.tell.iter().filter(|(when, _)| *when == counted) {
            notifications::add(&mut tx, message, now).await?;
        }
        tx.commit().await?;
        Ok(counted)
    }

    /// The approvals of the extension that is under way, in their order.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn extensions(&self, of: &AccessRequest) -> Result<Vec<Approval>, StoreError> {
        let mut tx = self.store.pool.reading().await?;
        approvals_of(&mut tx, &of.id).await
    }
}

/// Lets access hold until a later time, and forgets the approvals of the extension. `false`: it
/// ends later already.
async fn hold(tx: &mut Tx, row: &AccessRequest, until: i64) -> Result<bool, StoreError> {
    if until <= row.expires_at.0 {
        return Ok(false);
    }
    engine::query("UPDATE access_requests SET expires_at = ? WHERE id = ?")
        .bind(until)
        .bind(&row.id)
        .execute(&mut **tx)
        .await?;
    engine::query("DELETE FROM access_extensions WHERE request_id = ?")
        .bind(&row.id)
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

async fn add(
    tx: &mut Tx,
    new: &NewApproval<'_>,
    level: usize,
    now: UnixMillis,
) -> Result<(), StoreError> {
    engine::query(
        "INSERT INTO access_extensions \
         (request_id, person_id, arn, level, minutes, approved_at, judged) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.request)
    .bind(new.person)
    .bind(new.arn)
    .bind(i64::try_from(level).unwrap_or(i64::MAX))
    .bind(new.minutes)
    .bind(now.0)
    .bind(new.judged)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The approvals of an extension so far.
async fn approvals_of(tx: &mut Tx, id: &str) -> Result<Vec<Approval>, StoreError> {
    let rows: Vec<ApprovalRow> = engine::query_as(
        "SELECT person_id, arn, level, minutes, approved_at, judged FROM access_extensions \
         WHERE request_id = ? ORDER BY approved_at, person_id",
    )
    .bind(id)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(approval).collect())
}
