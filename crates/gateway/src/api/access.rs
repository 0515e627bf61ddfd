//! Access for a time, with approval.
//!
//! Data flow: StartAccessRequest -> approval policies say what it needs
//! ([`super::approval_policies`]) -> others decide ([`super::access_decisions`]) -> GetAccessToken
//! gives the requester temporary credentials that may, beside what she may anyway, start sessions
//! on the devices of the request.
//!
//! # Invariants
//! - Nobody decides about her own request, in whatever role: the persons are compared, by id.
//! - A request is its requester's, not her name's: with her it is void ([`towline_store::Change`]).
//!   Who asks in a role gets the credentials in that role, and nobody else in it does.
//! - An explicit deny and a permission boundary of the requester hold with such credentials, too.
//! - Credentials of access outlive temporary ones by an hour at the most, and those of access by
//!   nothing: who signed in has to do so again.
//! - Access of an emergency is stored and told in one transaction; no receiver can hold it up.
//! - Taken back, or past its time, a request gives nothing from the next call on. A session that
//!   runs then goes on, unless it is ended with the revocation ([`super::removal`]).

use std::collections::BTreeMap;
use std::time::Duration;

use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_ssm::api::access::{
    AccessCredentials, AccessRequest, AccessRequestStatus, ApprovalLevel, BreakGlassRequest,
    BreakGlassResult, GetAccessTokenRequest, GetAccessTokenResponse, ListAccessRequestsRequest,
    ListAccessRequestsResult, StartAccessRequestRequest, StartAccessRequestResponse, Target,
};
use towline_ssm::api::tags::Tag;
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::hex_lower;
use towline_store::Terms;

use super::access_letters::{BROKEN, CREATED, GRANTED};
use super::access_policy::targets;
use super::authz::Question;
use super::call::Call;
use super::internal::{OrInternal as _, internal};
use super::paging::page;
use super::service::Api;
use super::tags::request_tags;
use super::token::{Holder, Token};
use crate::limits;

/// Minutes of access in an emergency when the request names none.
const EMERGENCY_MINUTES: i64 = 60;
/// Page size when none is asked for.
const PAGE: i64 = 100;

fn not_found() -> ApiError {
    ApiError::new(ErrorCode::ResourceNotFoundException, "there is no such access request of yours")
}

impl Api {
    /// Goes on only if the caller may do this operation on all targets, as a user.
    async fn authorize_targets(
        &self,
        call: &Call,
        targets: &[Target],
        tags: &[Tag],
    ) -> Result<(), ApiError> {
        for target in targets {
            let tag = target.key.strip_prefix("tag:");
            for value in &target.values {
                let mut question = match tag {
                    None => self.about_device(value).await?,
                    Some(key) => {
                        let tag = BTreeMap::from([(key.to_owned(), value.clone())]);
                        self.about_tagged("*", tag, None)
                    }
                };
                question.facts.extend(request_tags(tags));
                self.authorize(call, &question).await?;
            }
            if let Some(key) = tag {
                self.authorize_each(call, key, &target.values, tags).await?;
            }
        }
        let held = call.caller.temporary.as_ref();
        if held.is_some_and(|temporary| temporary.access.is_some()) {
            return Err(ApiError::validation(
                "these credentials are of granted access: ask with those that you had before",
            ));
        }
        Ok(())
    }

    /// The same for each device that has one of these tags now, by all of its tags: a deny for some
    /// of them is not passed by naming them by another tag.
    async fn authorize_each(
        &self,
        call: &Call,
        key: &str,
        values: &[String],
        tags: &[Tag],
    ) -> Result<(), ApiError> {
        let rows = self.store().tags().of_devices_with(key, values).await;
        let mut devices: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (id, key, value) in rows.or_internal("cannot read tags")? {
            devices.entry(id).or_default().insert(key, value);
        }
        let ids: Vec<String> = devices.keys().cloned().collect();
        for some in ids.chunks(limits::TARGETS_AT_ONCE) {
            let kinds = self.store().devices().agent_kinds(some).await;
            let mut kinds = kinds.or_internal("cannot read devices")?;
            for id in some {
                let own = devices.remove(id).unwrap_or_default();
                let mut question = self.about_tagged(id, own, kinds.remove(id));
                question.facts.extend(request_tags(tags));
                if !self.would_allow(call, &question).await? {
                    // Who may not ask for a device need not learn that it exists.
                    call.asked("*", false);
                    let message = format!(
                        "User: {} is not authorized to perform: {} on some of the devices with the \
                         tag {key}: name the devices that you may ask for",
                        call.caller.arn,
                        call.operation.iam_action()
                    );
                    return Err(ApiError::new(ErrorCode::AccessDeniedException, message));
                }
            }
        }
        Ok(())
    }

    /// Opens access in an emergency: nobody approves, and everybody is told in the same
    /// transaction.
    pub(super) async fn break_glass(
        &self,
        call: &Call,
        request: BreakGlassRequest,
    ) -> Result<BreakGlassResult, ApiError> {
        self.authorize_targets(call, &request.targets, &[]).await?;
        let random: [u8; 6] = entropy::random().or_internal("no request id")?;
        let minutes = request.minutes.unwrap_or(EMERGENCY_MINUTES);
        let text = |error| internal("a request cannot be written", &error);
        let row = towline_store::AccessRequest {
            id: format!("oi-{}", hex_lower(&random)),
            principal: call.caller.principal.clone(),
            principal_id: call.caller.person.id.clone(),
            principal_arn: call.caller.arn.clone(),
            reason: request.reason,
            targets: serde_json::to_string(&request.targets).map_err(text)?,
            tags: "{}".to_owned(),
            status: "Approved".to_owned(),
            decided_by: call.caller.arn.clone(),
            created_at: call.now,
            expires_at: UnixMillis(call.now.0.saturating_add(minutes.saturating_mul(60_000))),
            terms: Terms {
                kind: "BreakGlass".to_owned(),
                most_minutes: minutes,
                ..Terms::default()
            },
            minutes,
        };
        call.note("accessRequestId", &*row.id);
        call.note("reason", &*row.reason);
        let letter = self.letter(call, BROKEN, &row)?;
        let made = self.store().access_requests().create(&row, Some(&letter), call.now).await;
        made.or_internal("cannot store a request")?;
        self.parts.bell.ring();
        tracing::warn!(
            request = row.id,
            by = row.principal_arn,
            "access was opened in an emergency"
        );
        let credentials = self.credentials_of(call, &row, call.now)?;
        Ok(BreakGlassResult { access_request_id: row.id, credentials })
    }

    /// Credentials of a request that is approved.
    fn credentials_of(
        &self,
        call: &Call,
        row: &towline_store::AccessRequest,
        now: UnixMillis,
    ) -> Result<AccessCredentials, ApiError> {
        let left = life(call, row, now);
        let held = call.caller.temporary.as_ref().map(|temporary| &temporary.token);
        let token = match held.map(|token| (token, &token.holder)) {
            Some((
                token,
                Holder::Role { role, unique_id, session }
                | Holder::RoleAccess { role, unique_id, session, .. },
            )) => {
                let holder = Holder::RoleAccess {
                    role: role.clone(),
                    unique_id: unique_id.clone(),
                    session: session.clone(),
                    request: row.id.clone(),
                };
                let new = Token::new(holder, call.caller.root(), now, left);
                // What limits and names the role's session goes on to do so.
                Token {
                    policy: token.policy.clone(),
                    tags: token.tags.clone(),
                    transitive: token.transitive.clone(),
                    source_identity: token.source_identity.clone(),
                    ..new
                }
            }
            _ => {
                let holder =
                    Holder::Access { name: row.principal.clone(), request: row.id.clone() };
                Token::new(holder, call.caller.root(), now, left)
            }
        };
        let made = self.mint(token)?;
        call.note("issuedAccessKeyId", &*made.access_key_id);
        Ok(AccessCredentials {
            access_key_id: made.access_key_id,
            secret_access_key: made.secret_access_key,
            session_token: made.session_token,
            expiration_time: made.expiration,
        })
    }

    pub(super) async fn start_access_request(
        &self,
        call: &Call,
        request: StartAccessRequestRequest,
    ) -> Result<StartAccessRequestResponse, ApiError> {
        self.authorize_targets(call, &request.targets, &request.tags).await?;
        let terms = self.terms_of(call, &request.targets).await?;
        let random: [u8; 6] = entropy::random().or_internal("no request id")?;
        let id = format!("oi-{}", hex_lower(&random));
        let tags: BTreeMap<_, _> =
            request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        let text = |error| internal("a request cannot be written", &error);
        let new = towline_store::AccessRequest {
            id: id.clone(),
            principal: call.caller.principal.clone(),
            principal_id: call.caller.person.id.clone(),
            principal_arn: call.caller.arn.clone(),
            reason: request.reason,
            targets: serde_json::to_string(&request.targets).map_err(text)?,
            tags: serde_json::to_string(&tags).map_err(text)?,
            status: terms.opens.map_or("Pending", |_| "Approved").to_owned(),
            decided_by: terms.opens_by,
            created_at: call.now,
            expires_at: terms.opens.unwrap_or(call.now.plus(limits::ACCESS_DECISION)),
            terms: terms.stored,
            minutes: 0,
        };
        call.note("approvalPolicy", &*new.terms.policy);
        let event = if terms.opens.is_some() { GRANTED } else { CREATED };
        let letter = self.letter(call, event, &new)?;
        let made = self.store().access_requests().create(&new, Some(&letter), call.now).await;
        made.or_internal("cannot store a request")?;
        self.parts.bell.ring();
        call.note("accessRequestId", &*id);
        Ok(StartAccessRequestResponse { access_request_id: id })
    }

    /// A request, once policy has said yes to this operation on it.
    pub(super) async fn permitted_request(
        &self,
        call: &Call,
        id: &str,
    ) -> Result<Option<towline_store::AccessRequest>, ApiError> {
        call.note("accessRequestId", id);
        let row =
            self.store().access_requests().get(id).await.or_internal("cannot read a request")?;
        let question = self.about_request(id, row.as_ref())?;
        self.authorize(call, &question).await?;
        Ok(row)
    }

    /// What policy is asked about a request.
    pub(super) fn about_request(
        &self,
        id: &str,
        row: Option<&towline_store::AccessRequest>,
    ) -> Result<Question, ApiError> {
        let mut question = Question::about(self.realm().access_request_arn(id))
            .with("ssm:AccessRequestId", [id.to_owned()]);
        if let Some(row) = row {
            question.tags = serde_json::from_str(&row.tags)
                .map_err(|error| internal("a stored request", &error))?;
        }
        Ok(question)
    }

    pub(super) async fn get_access_token(
        &self,
        call: &Call,
        request: GetAccessTokenRequest,
    ) -> Result<GetAccessTokenResponse, ApiError> {
        let id = &request.access_request_id;
        let wait = Duration::from_secs(
            u64::try_from(request.towline_wait_seconds.unwrap_or(0)).unwrap_or(0),
        );
        let until = tokio::time::Instant::now() + wait;
        let mut changes = self.parts.audit.changes().watch();
        let mut row = self.permitted_request(call, id).await?;
        loop {
            changes.borrow_and_update();
            // A role that several people hold gets nothing of each other's requests.
            let caller = &call.caller;
            let hers = row.filter(|row| {
                row.principal_id == caller.person.id && row.principal == caller.principal
            });
            let known = hers.ok_or_else(not_found)?;
            let now = self.parts.clock.now();
            let access_request_status = status(&known, now);
            if access_request_status == AccessRequestStatus::Approved {
                self.root_stands(caller).await?; // it may have waited for a while
                let credentials = Some(self.credentials_of(call, &known, now)?);
                return Ok(GetAccessTokenResponse { credentials, access_request_status });
            }
            let changed = tokio::time::timeout_at(until, changes.changed());
            let pending = access_request_status == AccessRequestStatus::Pending;
            if !pending || wait.is_zero() || !matches!(changed.await, Ok(Ok(()))) {
                return Ok(GetAccessTokenResponse { credentials: None, access_request_status });
            }
            let read = self.store().access_requests().get(id).await;
            row = read.or_internal("cannot read a request")?;
        }
    }

    pub(super) async fn list_access_requests(
        &self,
        call: &Call,
        request: ListAccessRequestsRequest,
    ) -> Result<ListAccessRequestsResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let cursor = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let before =
            cursor.split_once(' ').and_then(|(at, id)| Some((UnixMillis(at.parse().ok()?), id)));
        let size = request.max_results.unwrap_or(PAGE);
        let rows = self
            .store()
            .access_requests()
            .list(before, size + 1)
            .await
            .or_internal("cannot list requests")?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let at = |row: &towline_store::AccessRequest| format!("{} {}", row.created_at.0, row.id);
        let (rows, next_token) = page(rows, size, &self.pages, call.operation, at);
        let mut access_requests = Vec::with_capacity(rows.len());
        for row in rows {
            access_requests.push(self.shown_request(call, row).await?);
        }
        Ok(ListAccessRequestsResult { access_requests, next_token })
    }

    async fn shown_request(
        &self,
        call: &Call,
        row: towline_store::AccessRequest,
    ) -> Result<AccessRequest, ApiError> {
        let approvals = self.store().access_requests().approvals(&row).await;
        let mut approvals = approvals.or_internal("cannot read approvals")?;
        if row.status == "Pending" {
            let fallen = self.fallen(approvals.clone()).await?;
            approvals.retain(|approval| !fallen.contains(approval));
        }
        let by_people = row.terms.kind == "Manual";
        let level = |number| {
            let level = row.terms.level(number).filter(|_| by_people)?;
            let of = approvals.iter().filter(|approval| approval.level == number);
            Some(ApprovalLevel {
                approvers: level.approvers,
                min_required_approvals: level.required,
                approved_by: of.map(|approval| approval.arn.clone()).collect(),
            })
        };
        Ok(AccessRequest {
            status: status(&row, call.now),
            targets: targets(&row)?,
            levels: (0..).map_while(level).collect(),
            access_request_id: row.id,
            requester: row.principal_arn,
            reason: row.reason,
            created_date: EpochSeconds::from_millis(row.created_at.0),
            expires_date: EpochSeconds::from_millis(row.expires_at.0),
            decided_by: Some(row.decided_by).filter(|by| !by.is_empty()),
            kind: row.terms.kind,
            policy: Some(row.terms.policy).filter(|policy| !policy.is_empty()),
        })
    }
}

/// How long credentials of access hold: as long as the access, for who has a key. Temporary
/// credentials do not become lasting ones by it: they hold all rights of a role, which its person
/// may have lost where she signs in.
fn life(call: &Call, row: &towline_store::AccessRequest, now: UnixMillis) -> Duration {
    let until =
        |at: i64| Duration::from_millis(u64::try_from(at.saturating_sub(now.0)).unwrap_or(0));
    let left = until(row.expires_at.0);
    let Some(held) = &call.caller.temporary else { return left };
    let least = if held.access.is_some() { Duration::ZERO } else { limits::ACCESS_CREDENTIALS };
    left.min(until(held.token.expires_at).max(least))
}

/// Where a request stands at this moment.
pub(super) fn status(row: &towline_store::AccessRequest, now: UnixMillis) -> AccessRequestStatus {
    let stored = AccessRequestStatus::parse(&row.status).unwrap_or(AccessRequestStatus::Rejected);
    let ends = matches!(stored, AccessRequestStatus::Pending | AccessRequestStatus::Approved);
    if ends && row.expires_at <= now { AccessRequestStatus::Expired } else { stored }
}
