//! Decisions about requests for access: approve, reject, revoke.
//!
//! Data flow: ApproveAccessRequest -> policy on the request and its tags -> the person and the
//! levels that are hers -> the store, which counts.
//!
//! # Invariants
//! - Nobody decides about her own request, in whatever role: the persons are compared, by id.
//! - One person counts once for a request, in whatever role and level.
//! - Approvals of who could not give them any more do not count: [`super::approver_standing`].
//! - Who is no approver of a level that has its turn changes nothing; to reject, a right to decide
//!   is enough.

use towline_host::clock::UnixMillis;
use towline_ssm::api::access::{
    AccessRequestStatus, ApproveAccessRequestRequest, ApproveAccessRequestResult,
};
use towline_ssm::api::admin::RightsRemoved;
use towline_ssm::documents::approval::{Level, Window};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{Counted, NewApproval};

use super::access::status;
use super::access_letters::{APPROVED, COUNTED, EXTENDED, EXTENSION_COUNTED, REJECTED, REVOKED};
use super::call::Call;
use super::internal::{OrInternal as _, internal};
use super::removal::Left;
use super::service::Api;
use super::windows::open_until;

/// Minutes of access when neither the decision nor a policy names some.
const DEFAULT_MINUTES: i64 = 60;

type Row = towline_store::AccessRequest;

impl Api {
    pub(super) async fn approve_access_request(
        &self,
        call: &Call,
        request: ApproveAccessRequestRequest,
    ) -> Result<ApproveAccessRequestResult, ApiError> {
        let row = self.permitted_request(call, &request.access_request_id).await?;
        let row = row.ok_or_else(|| {
            ApiError::new(ErrorCode::ResourceNotFoundException, "there is no such access request")
        })?;
        if row.principal_id == call.caller.person.id {
            return Err(ApiError::validation(
                "nobody decides about her own request, in no role: let somebody else do it",
            ));
        }
        let decision = request.decision.as_deref().unwrap_or("Approve");
        call.note("decision", decision);
        match decision {
            "Reject" => self.close(call, &row, ("Pending", "Rejected")).await,
            "Revoke" => {
                let mut answer = self.close(call, &row, ("Approved", "Revoked")).await?;
                let removed = self.revoked(call, &row, request.end_sessions).await?;
                answer.live_sessions = removed.live_sessions;
                answer.ended_sessions = removed.ended_sessions;
                Ok(answer)
            }
            "Extend" => self.extend(call, &row, request.minutes).await,
            _ => self.approve(call, &row, request.minutes).await,
        }
    }

    async fn approve(
        &self,
        call: &Call,
        row: &Row,
        minutes: Option<i64>,
    ) -> Result<ApproveAccessRequestResult, ApiError> {
        let most = row.terms.most_minutes;
        let usual = if row.terms.policy.is_empty() { DEFAULT_MINUTES } else { most };
        let minutes = minutes.unwrap_or(usual);
        if minutes > most {
            return Err(ApiError::validation(format!(
                "access can be given for {most} minutes here"
            )));
        }
        let latest = self.window_of(row, call.now)?;
        let levels = self.levels_of(call, row).await?;
        let before = self.store().access_requests().approvals(row).await;
        let fallen = self.fallen(before.or_internal("cannot read approvals")?).await?;
        let judged = self.judged(call, &self.about_request(&row.id, Some(row))?)?;
        let new = NewApproval {
            request: &row.id,
            person: &call.caller.person.id,
            arn: &call.caller.arn,
            minutes,
            levels: &levels,
            judged: &judged,
            fallen: &fallen,
            latest,
            tell: &[
                (Counted::Approved, self.letter(call, APPROVED, row)?),
                (Counted::More, self.letter(call, COUNTED, row)?),
            ],
        };
        let counted = self.store().access_requests().approve(&new, call.now).await;
        let access_request_status = match counted.or_internal("cannot count an approval")? {
            Counted::Approved => AccessRequestStatus::Approved,
            Counted::More => AccessRequestStatus::Pending,
            Counted::Twice => {
                return Err(ApiError::validation(
                    "you have approved this request already: another person must approve it",
                ));
            }
            Counted::NotHers(level) => return Err(not_hers(row, level)),
            Counted::Closed => return Err(self.closed(call, row, "Pending").await?),
        };
        self.parts.bell.ring();
        Ok(answer(access_request_status))
    }

    /// Lets access hold longer, when as many agree as the request needed.
    async fn extend(
        &self,
        call: &Call,
        row: &Row,
        minutes: Option<i64>,
    ) -> Result<ApproveAccessRequestResult, ApiError> {
        if row.terms.kind != "Manual" {
            return Err(ApiError::validation(
                "this access was not approved by a person: make a new request",
            ));
        }
        let most = row.terms.most_minutes;
        let minutes = minutes.unwrap_or(DEFAULT_MINUTES.min(most));
        if minutes > most {
            return Err(ApiError::validation(format!(
                "access can be given for {most} minutes here"
            )));
        }
        let levels = self.levels_of(call, row).await?;
        let before = self.store().access_requests().extensions(row).await;
        let fallen = self.fallen(before.or_internal("cannot read approvals")?).await?;
        let judged = self.judged(call, &self.about_request(&row.id, Some(row))?)?;
        let new = NewApproval {
            request: &row.id,
            person: &call.caller.person.id,
            arn: &call.caller.arn,
            minutes,
            levels: &levels,
            judged: &judged,
            fallen: &fallen,
            latest: self.window_of(row, call.now)?,
            tell: &[
                (Counted::Approved, self.letter(call, EXTENDED, row)?),
                (Counted::More, self.letter(call, EXTENSION_COUNTED, row)?),
            ],
        };
        let counted = self.store().access_requests().extend(&new, call.now).await;
        let counted = counted.or_internal("cannot extend access")?;
        match counted {
            Counted::Approved | Counted::More => {}
            Counted::Twice => {
                return Err(ApiError::validation(
                    "you have agreed to this extension already: another person must agree to it",
                ));
            }
            Counted::NotHers(level) => return Err(not_hers(row, level)),
            Counted::Closed => {
                self.requester_is_there(row, "revoked").await?;
                let now = status(row, call.now).as_str();
                return Err(ApiError::validation(format!(
                    "this request is {now}: only access that is Approved, and ends earlier, is \
                     extended"
                )));
            }
        }
        self.parts.bell.ring();
        let mut answer = answer(AccessRequestStatus::Approved);
        answer.more_approvals_needed = counted == Counted::More;
        Ok(answer)
    }

    async fn close(
        &self,
        call: &Call,
        row: &Row,
        steps: (&str, &str),
    ) -> Result<ApproveAccessRequestResult, ApiError> {
        let event = if steps.1 == "Revoked" { REVOKED } else { REJECTED };
        let letter = self.letter(call, event, row)?;
        let store = self.store().access_requests();
        let done = store.close(&row.id, steps, &call.caller.arn, &letter, call.now).await;
        if !done.or_internal("cannot decide about a request")? {
            return Err(self.closed(call, row, steps.0).await?);
        }
        self.parts.bell.ring();
        let now = AccessRequestStatus::parse(steps.1).unwrap_or(AccessRequestStatus::Rejected);
        Ok(answer(now))
    }

    async fn revoked(
        &self,
        call: &Call,
        row: &Row,
        end_sessions: Option<bool>,
    ) -> Result<RightsRemoved, ApiError> {
        let live = self.store().sessions().live_by_approval(&row.principal_id, &row.id).await;
        let end = end_sessions.unwrap_or(self.parts.removal_ends_sessions);
        let sessions = live.or_internal("cannot read sessions")?;
        self.end_or_count(call, &Left { sessions, ..Left::default() }, end).await
    }

    /// Why a request cannot be decided so any more.
    async fn closed(&self, call: &Call, row: &Row, wanted: &str) -> Result<ApiError, ApiError> {
        let row = self.store().access_requests().get(&row.id).await;
        let row = row.or_internal("cannot read a request")?;
        let now = row.as_ref().map_or(AccessRequestStatus::Expired, |row| status(row, call.now));
        if let Some(row) = row.filter(|_| wanted == "Pending" && now.as_str() == wanted) {
            self.requester_is_there(&row, "rejected").await?;
        }
        Ok(ApiError::validation(format!(
            "this request is {}: only one that is {wanted} can be decided so",
            now.as_str()
        )))
    }

    /// Goes on only if the requester still exists, and is not blocked. `only`: what may become of
    /// the request else.
    async fn requester_is_there(&self, row: &Row, only: &str) -> Result<(), ApiError> {
        let there = self.store().access_requests().has_requester(&row.id).await;
        if there.or_internal("cannot read a requester")? {
            return Ok(());
        }
        Err(ApiError::validation(format!(
            "the user who made this request does not exist any more, or is blocked: it can only be \
             {only}"
        )))
    }

    /// Which levels of a request the caller is an approver of.
    async fn levels_of(&self, call: &Call, row: &Row) -> Result<Vec<bool>, ApiError> {
        let names = self.names_of(call).await?;
        let is_hers = |level: Level| {
            level.approvers.is_empty() || level.approvers.iter().any(|name| names.has(name))
        };
        Ok((0..).map_while(|number| row.terms.level(number)).map(is_hers).collect())
    }

    /// Until when access of a request can hold, by the windows of its policy.
    fn window_of(&self, row: &Row, now: UnixMillis) -> Result<UnixMillis, ApiError> {
        let windows: Vec<Window> = serde_json::from_str(&row.terms.windows)
            .map_err(|error| internal("windows of a request", &error))?;
        open_until(&windows, now)
    }
}

fn not_hers(row: &Row, level: usize) -> ApiError {
    let approvers = row.terms.level(level).map(|level| level.approvers.join(", "));
    ApiError::validation(format!(
        "level {} of this request has its turn, and you are none of its approvers: {}",
        level + 1,
        approvers.unwrap_or_default()
    ))
}

const fn answer(access_request_status: AccessRequestStatus) -> ApproveAccessRequestResult {
    ApproveAccessRequestResult {
        access_request_status,
        live_sessions: 0,
        ended_sessions: 0,
        more_approvals_needed: false,
    }
}
