//! Access requests: requests for temporary access, and the decisions about them.
//!
//! # Invariants
//! - A request is its requester's by id; a later user of the same name has no part in it. It is
//!   made and approved only while the requester exists.
//! - A request is decided once: only a pending one is approved or rejected, only an approved one is
//!   revoked.
//! - Approvals are counted in the transaction that adds one: each person once, while she may still
//!   approve ([`crate::access_standing`]), and the last one that is needed opens the access.
//! - Of the requests that have expired, half of [`limits::MAX_ACCESS_REQUESTS`] are kept at the
//!   most.

use crate::access_standing::{Table, settle, standing};
use crate::engine::{self, Row, Tx};
use crate::error::StoreError;
use crate::identity_providers::person_is_let_in;
use crate::limits;
use crate::notifications::{self, Message};
use crate::store::{Store, within};
use towline_host::clock::UnixMillis;
use towline_ssm::documents::approval::Level;

/// What a request needs, as its policy said when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// `Manual`, `Auto` or `BreakGlass`.
    pub kind: String,
    /// Name and version of the policy, `NAME:VERSION`; empty without one.
    pub policy: String,
    /// The levels; none is one approval by anybody with the right to decide.
    pub levels: Vec<Level>,
    /// When access holds: JSON of the policy's windows.
    pub windows: String,
    /// Minutes for which access can hold at the most.
    pub most_minutes: i64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            kind: "Manual".to_owned(),
            policy: String::new(),
            levels: Vec::new(),
            windows: "[]".to_owned(),
            most_minutes: *towline_ssm::api::access::MINUTES.end(),
        }
    }
}

impl Terms {
    /// The level of this number, from 0.
    #[must_use]
    pub fn level(&self, number: usize) -> Option<Level> {
        let anybody = || Level { approvers: Vec::new(), required: 1 };
        let none = self.levels.is_empty() && number == 0;
        self.levels.get(number).cloned().or_else(|| none.then(anybody))
    }
}

/// One approval of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Id of the person.
    pub person_id: String,
    /// ARN under which the person approved.
    pub arn: String,
    /// The level, from 0.
    pub level: usize,
    /// For how many minutes; 0 when an older version stored it.
    pub minutes: i64,
    /// When.
    pub approved_at: UnixMillis,
    /// By what the gateway judged the person, in a form of its own; empty when an older version
    /// stored it.
    pub judged: String,
}

/// An approval that is to be counted.
#[derive(Debug, Clone)]
pub struct NewApproval<'a> {
    /// The request.
    pub request: &'a str,
    /// Id of the person.
    pub person: &'a str,
    /// ARN under which the person approves.
    pub arn: &'a str,
    /// For how many minutes.
    pub minutes: i64,
    /// Whether the person may approve each level.
    pub levels: &'a [bool],
    /// By what the person was judged.
    pub judged: &'a str,
    /// Earlier approvals whose persons could not give them any more: they count no more.
    pub fallen: &'a [Approval],
    /// When access ends at the latest, if it is the last approval.
    pub latest: UnixMillis,
    /// What is told, by what becomes of it.
    pub tell: &'a [(Counted, Message)],
}

/// What became of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// It was the last one: access is given.
    Approved,
    /// It counts, and more are needed.
    More,
    /// The person has approved already.
    Twice,
    /// The person is no approver of the level that has its turn, counted from 0.
    NotHers(usize),
    /// The request is not pending, has expired, or its requester does not exist.
    Closed,
}

/// A request as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// `oi-` and 12 hex digits.
    pub id: String,
    /// Name of the requester, or `role/NAME` for one who asked in a role.
    pub principal: String,
    /// Id of the requester: a user or a person of a provider; empty when not known.
    pub principal_id: String,
    /// ARN of the requester.
    pub principal_arn: String,
    /// Why.
    pub reason: String,
    /// The targets: JSON of the API's type.
    pub targets: String,
    /// Tags of the request: JSON of a map.
    pub tags: String,
    /// `Pending`, `Approved`, `Rejected` or `Revoked`; whether it has expired is in `expires_at`.
    pub status: String,
    /// ARN of the approver; empty before a decision.
    pub decided_by: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Deadline of the decision; after an approval, its end.
    pub expires_at: UnixMillis,
    /// What it needs.
    pub terms: Terms,
    /// Minutes that its approvers agreed to with the last approval; 0 before the first one.
    pub minutes: i64,
}

/// Operations on access requests.
pub struct AccessRequests<'a> {
    pub(crate) store: &'a Store,
}

impl Store {
    /// Access requests.
    #[must_use]
    pub const fn access_requests(&self) -> AccessRequests<'_> {
        AccessRequests { store: self }
    }
}

pub(crate) const COLUMNS: &str = "SELECT id, principal, principal_id, principal_arn, reason, \
                                  targets, tags, status, decided_by, created_at, \
     expires_at, kind, policy, levels, windows, most_minutes, minutes FROM access_requests";

pub(crate) fn request(row: &Row) -> Result<AccessRequest, sqlx::Error> {
    Ok(AccessRequest {
        id: row.try_get("id")?,
        principal: row.try_get("principal")?,
        principal_id: row.try_get("principal_id")?,
        principal_arn: row.try_get("principal_arn")?,
        reason: row.try_get("reason")?,
        targets: row.try_get("targets")?,
        tags: row.try_get("tags")?,
        status: row.try_get("status")?,
        decided_by: row.try_get("decided_by")?,
        created_at: UnixMillis(row.try_get("created_at")?),
        expires_at: UnixMillis(row.try_get("expires_at")?),
        terms: Terms {
            kind: row.try_get("kind")?,
            policy: row.try_get("policy")?,
            levels: serde_json::from_str(row.try_get("levels")?)
                .map_err(|error| sqlx::Error::Decode(error.into()))?,
            windows: row.try_get("windows")?,
            most_minutes: row.try_get("most_minutes")?,
        },
        minutes: row.try_get("minutes")?,
    })
}

impl AccessRequests<'_> {
    /// Stores a new request.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the principal has [`limits::MAX_PENDING_REQUESTS`] undecided
    /// requests, or the table is full of requests that have not expired; [`StoreError::Missing`]
    /// when the requester was removed.
    pub async fn create(
        &self,
        new: &AccessRequest,
        tell: Option<&Message>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        may_wait(&mut tx, new, now).await?;
        engine::query(
            "DELETE FROM access_requests WHERE id IN (SELECT id FROM access_requests WHERE \
             expires_at <= ? \
             ORDER BY created_at DESC LIMIT ? OFFSET ?)",
        )
        .bind(now.0)
        .bind(i64::MAX)
        .bind(limits::MAX_ACCESS_REQUESTS / 2)
        .execute(&mut *tx)
        .await?;
        let count = "SELECT COUNT(*) FROM access_requests WHERE id <> ?";
        within(&mut tx, count, &new.id, "access requests", limits::MAX_ACCESS_REQUESTS).await?;
        let levels = serde_json::to_string(&new.terms.levels)
            .map_err(|error| sqlx::Error::Encode(error.into()))?;
        let made = engine::query(concat!(
            "INSERT INTO access_requests (id, principal, principal_id, principal_arn, reason, \
             targets, tags, status, decided_by, \
             created_at, expires_at, kind, policy, levels, windows, most_minutes, minutes) \
             SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? \
             WHERE EXISTS (SELECT 1 FROM principals WHERE unique_id = ?) OR ",
            person_is_let_in!("?")
        ))
        .bind(&new.id)
        .bind(&new.principal)
        .bind(&new.principal_id)
        .bind(&new.principal_arn)
        .bind(&new.reason)
        .bind(&new.targets)
        .bind(&new.tags)
        .bind(&new.status)
        .bind(&new.decided_by)
        .bind(new.created_at.0)
        .bind(new.expires_at.0)
        .bind(&new.terms.kind)
        .bind(&new.terms.policy)
        .bind(levels)
        .bind(&new.terms.windows)
        .bind(new.terms.most_minutes)
        .bind(new.minutes)
        .bind(&new.principal_id)
        .bind(&new.principal_id)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("access request"))?;
        if made.rows_affected() == 0 {
            return Err(StoreError::Missing("principal"));
        }
        if let Some(message) = tell {
            notifications::add(&mut tx, message, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The request of this id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, id: &str) -> Result<Option<AccessRequest>, StoreError> {
        let row = engine::query(&format!("{COLUMNS} WHERE id = ?"))
            .bind(id)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(request).transpose()?)
    }

    /// Up to `limit` requests before that time and id, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(
        &self,
        before: Option<(UnixMillis, &str)>,
        limit: i64,
    ) -> Result<Vec<AccessRequest>, StoreError> {
        let (at, id) = before.unwrap_or((UnixMillis(i64::MAX), ""));
        let sql = format!(
            "{COLUMNS} WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?"
        );
        let rows =
            engine::query(&sql).bind(at.0).bind(id).bind(limit).fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(request).collect::<Result<_, _>>()?)
    }

    /// Rejects or revokes: moves a request from one status to another. `false`: its status is
    /// another one, or it has expired.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn close(
        &self,
        id: &str,
        (from, to): (&str, &str),
        by: &str,
        tell: &Message,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.writing().await?;
        let done = engine::query(
            "UPDATE access_requests SET status = ?, decided_by = ? \
             WHERE id = ? AND status = ? AND expires_at > ?",
        )
        .bind(to)
        .bind(by)
        .bind(id)
        .bind(from)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        told(tx, done.rows_affected(), tell, now).await
    }
}

impl AccessRequests<'_> {
    /// Counts an approval.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn approve(
        &self,
        new: &NewApproval<'_>,
        now: UnixMillis,
    ) -> Result<Counted, StoreError> {
        let mut tx = self.store.writing().await?;
        let row = engine::query(&format!(
            "{COLUMNS} WHERE id = ? AND status = 'Pending' AND expires_at > ? \
             AND {REQUESTER_IS_THERE}"
        ))
        .bind(new.request)
        .bind(now.0)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row.as_ref().map(request).transpose()? else { return Ok(Counted::Closed) };
        let before = approvals_of(&mut tx, new.request).await?;
        let before = settle(&mut tx, Table::Approvals, &row, before, new.fallen).await?;
        let (current, last) = match turn(&row.terms, &before, new) {
            Ok(turn) => turn,
            Err(not_counted) => return Ok(not_counted),
        };
        engine::query(
            "INSERT INTO access_approvals \
             (request_id, person_id, arn, level, minutes, approved_at, judged) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(new.request)
        .bind(new.person)
        .bind(new.arn)
        .bind(i64::try_from(current).unwrap_or(i64::MAX))
        .bind(new.minutes)
        .bind(now.0)
        .bind(new.judged)
        .execute(&mut *tx)
        .await?;
        let agreed = least(&before, row.minutes).map_or(new.minutes, |had| had.min(new.minutes));
        let agreed = agreed.min(row.terms.most_minutes);
        let until = now.0.saturating_add(agreed.saturating_mul(60_000)).min(new.latest.0);
        engine::query(
            "UPDATE access_requests SET minutes = ?, decided_by = ?, status = ?, expires_at = ? \
             WHERE id = ?",
        )
        .bind(agreed)
        .bind(if last { new.arn } else { "" })
        .bind(if last { "Approved" } else { "Pending" })
        .bind(if last { until } else { row.expires_at.0 })
        .bind(new.request)
        .execute(&mut *tx)
        .await?;
        let counted = if last { Counted::Approved } else { Counted::More };
        for (_, message) in new.tell.iter().filter(|(when, _)| *when == counted) {
            notifications::add(&mut tx, message, now).await?;
        }
        tx.commit().await?;
        Ok(counted)
    }

    /// Whether the requester still exists, and is not blocked.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn has_requester(&self, id: &str) -> Result<bool, StoreError> {
        let sql = format!("SELECT 1 FROM access_requests WHERE id = ? AND {REQUESTER_IS_THERE}");
        let found: Option<i64> =
            engine::query_scalar(&sql).bind(id).fetch_optional(&self.store.pool).await?;
        Ok(found.is_some())
    }

    /// The approvals of a request, in their order: while it is not decided, those that count.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn approvals(&self, of: &AccessRequest) -> Result<Vec<Approval>, StoreError> {
        let mut tx = self.store.pool.reading().await?;
        let all = approvals_of(&mut tx, &of.id).await?;
        if of.status == "Pending" { standing(&mut tx, &of.terms, all).await } else { Ok(all) }
    }
}

/// Tells of a change and commits it, if a row was changed; whether one was.
pub(crate) async fn told(
    mut tx: Tx,
    changed: u64,
    tell: &Message,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    if changed == 0 {
        return Ok(false);
    }
    notifications::add(&mut tx, tell, now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Whether the requester of a row is a user who exists, or a person of a provider who is let in.
pub(crate) const REQUESTER_IS_THERE: &str = concat!(
    "(EXISTS (SELECT 1 FROM principals p WHERE p.unique_id = access_requests.principal_id) OR ",
    person_is_let_in!("access_requests.principal_id"),
    ")"
);

/// The level that an approval counts for, and whether it is the last one that is needed; else why
/// it does not count.
pub(crate) fn turn(
    terms: &Terms,
    before: &[Approval],
    new: &NewApproval<'_>,
) -> Result<(usize, bool), Counted> {
    if before.iter().any(|approval| approval.person_id == new.person) {
        return Err(Counted::Twice);
    }
    let current = current_level(terms, before);
    let level = terms.level(current).ok_or(Counted::Closed)?;
    if !new.levels.get(current).copied().unwrap_or(false) {
        return Err(Counted::NotHers(current));
    }
    let given = before.iter().filter(|approval| approval.level == current).count() + 1;
    Ok((current, given >= level.required as usize && terms.level(current + 1).is_none()))
}

/// The least number of minutes that these approvals gave; nothing without an approval. `stored`:
/// what stands at the request, for approvals of an older version.
pub(crate) fn least(approvals: &[Approval], stored: i64) -> Option<i64> {
    let given = |approval: &Approval| match approval.minutes {
        0 => stored,
        minutes => minutes,
    };
    approvals.iter().map(given).filter(|minutes| *minutes > 0).min()
}

/// The level that has its turn, from 0: the first one that lacks approvals.
#[must_use]
pub fn current_level(terms: &Terms, approvals: &[Approval]) -> usize {
    let given = |number| approvals.iter().filter(|approval| approval.level == number).count();
    let lacks = |number: &usize| {
        terms.level(*number).is_none_or(|level| given(*number) < level.required as usize)
    };
    (0..=terms.levels.len()).find(lacks).unwrap_or_default()
}

/// Refuses a request that would wait beside another one for the same devices, or beside too many.
async fn may_wait(tx: &mut Tx, new: &AccessRequest, now: UnixMillis) -> Result<(), StoreError> {
    let pending = "SELECT COUNT(*) FROM access_requests WHERE principal_id = ? AND status = \
                   'Pending' AND expires_at > ";
    let pending: i64 = engine::query_scalar(&format!("{pending}?"))
        .bind(&new.principal_id)
        .bind(now.0)
        .fetch_one(&mut **tx)
        .await?;
    let same = "SELECT COUNT(*) FROM access_requests WHERE principal_id = ? AND status = 'Pending' \
                AND expires_at > ? AND targets = ?";
    let same: i64 = engine::query_scalar(same)
        .bind(&new.principal_id)
        .bind(now.0)
        .bind(&new.targets)
        .fetch_one(&mut **tx)
        .await?;
    let count = "SELECT COUNT(*) FROM access_requests WHERE principal_id = ? AND expires_at > ?";
    let own: i64 = engine::query_scalar(count)
        .bind(&new.principal_id)
        .bind(now.0)
        .fetch_one(&mut **tx)
        .await?;
    if own >= limits::MAX_REQUESTS_OF_PERSON {
        return Err(StoreError::Full {
            what: "access requests of this principal",
            limit: limits::MAX_REQUESTS_OF_PERSON,
        });
    }
    if new.status == "Pending" && same > 0 {
        return Err(StoreError::Exists("request for these devices, which waits for approval,"));
    }
    if new.status == "Pending" && pending >= limits::MAX_PENDING_REQUESTS {
        return Err(StoreError::Full {
            what: "undecided requests of this principal",
            limit: limits::MAX_PENDING_REQUESTS,
        });
    }
    Ok(())
}

/// The columns of an approval.
pub(crate) type ApprovalRow = (String, String, i64, i64, i64, String);

/// An approval of its columns.
pub(crate) fn approval((person_id, arn, level, minutes, at, judged): ApprovalRow) -> Approval {
    let level = usize::try_from(level).unwrap_or(usize::MAX);
    Approval { person_id, arn, level, minutes, approved_at: UnixMillis(at), judged }
}

async fn approvals_of(tx: &mut Tx, id: &str) -> Result<Vec<Approval>, StoreError> {
    let rows: Vec<ApprovalRow> = engine::query_as(
        "SELECT person_id, arn, level, minutes, approved_at, judged FROM access_approvals \
         WHERE request_id = ? ORDER BY approved_at, person_id",
    )
    .bind(id)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(approval).collect())
}

#[cfg(test)]
mod tests;
