//! Access for a time, with approval: StartAccessRequest, GetAccessToken, and our operations for
//! those who decide.
//!
//! Data flow: as in [`super`]. `Towline.ApproveAccessRequest` and `Towline.ListAccessRequests` are
//! ours; AWS decides by documents.
//!
//! # Invariants
//! - [`AccessCredentials`] shows no secret in `Debug`.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::tags::{Tag, check_tags};
use super::{Request, Violations};
use crate::clock::EpochSeconds;
use crate::documents::approval::HOURS;
use crate::ids::DeviceId;

/// Minutes for which access without an approval policy can be given: a quarter of an hour to twelve
/// hours; an hour when absent. A policy sets its own most, up to [`LONGEST`].
pub const MINUTES: core::ops::RangeInclusive<i64> = 15..=720;

/// Minutes for which an approval policy can give access: 336 hours, as at AWS.
pub const LONGEST: i64 = *HOURS.end() as i64 * 60;

/// Devices that are asked for: `InstanceIds` with ids, or `tag:KEY` with values of the tag. The
/// shape is that of commands.
pub use super::command::Target;

/// Asks for access.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartAccessRequestRequest {
    /// Why.
    pub reason: String,
    /// To what.
    pub targets: Vec<Target>,
    /// Tags of the request, for the policies of those who decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

impl Request for StartAccessRequestRequest {
    fn check(&self, v: &mut Violations) {
        v.length("Reason", &self.reason, 1, 256);
        v.shown("Reason", &self.reason, true);
        v.items("Targets", self.targets.len(), 1, 5);
        for target in &self.targets {
            v.items("Targets Values", target.values.len(), 1, 50);
            let tag = target.key.strip_prefix("tag:");
            let known = target.key == "InstanceIds"
                || tag.is_some_and(|key| (1..=128).contains(&key.len()));
            v.require(known, "Targets Key", "be InstanceIds or tag:KEY");
            v.tag_characters("Targets Key", tag.unwrap_or_default());
            for value in &target.values {
                match tag {
                    None => v.require(
                        value.parse::<DeviceId>().is_ok(),
                        "Targets Values",
                        "be ids of devices",
                    ),
                    Some(_) => {
                        v.length("Targets Values", value, 0, 256);
                        v.tag_characters("Targets Values", value);
                    }
                }
            }
        }
        check_tags(v, &self.tags);
    }
}

/// The answer to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartAccessRequestResponse {
    /// `oi-` and 12 hex digits.
    pub access_request_id: String,
}

fn check_id(v: &mut Violations, id: &str) {
    let hex = id.strip_prefix("oi-").unwrap_or_default();
    let good = hex.len() == 12 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    v.require(good, "AccessRequestId", "be `oi-` and 12 lower-case hex digits");
}

/// Asks for the credentials of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetAccessTokenRequest {
    /// Which.
    pub access_request_id: String,
    /// Of ours: how many seconds the answer waits for a decision, at most 20; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_wait_seconds: Option<i64>,
}

impl Request for GetAccessTokenRequest {
    fn check(&self, v: &mut Violations) {
        check_id(v, &self.access_request_id);
        v.range("TowlineWaitSeconds", self.towline_wait_seconds, 0, 20);
    }
}

/// Opens access at once, in an emergency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BreakGlassRequest {
    /// Why.
    pub reason: String,
    /// To what.
    pub targets: Vec<Target>,
    /// For how many minutes, 15 to 240; 60 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<i64>,
}

/// Minutes for which access of an emergency can be opened.
pub const EMERGENCY: core::ops::RangeInclusive<i64> = 15..=240;

impl Request for BreakGlassRequest {
    fn check(&self, v: &mut Violations) {
        let request = StartAccessRequestRequest {
            reason: self.reason.clone(),
            targets: self.targets.clone(),
            tags: Vec::new(),
        };
        request.check(v);
        // Nobody approves it: the reason is what everybody is told.
        let says_something = self.reason.chars().any(char::is_alphanumeric);
        v.require(says_something, "Reason", "say why");
        v.range("Minutes", self.minutes, *EMERGENCY.start(), *EMERGENCY.end());
    }
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BreakGlassResult {
    /// The request that was made and approved with it: who decides can revoke it.
    pub access_request_id: String,
    /// The credentials.
    pub credentials: AccessCredentials,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessRequestStatus {
    /// Access is given.
    Approved,
    /// It is not given.
    Rejected,
    /// It was given and taken back.
    Revoked,
    /// It is over, or nobody decided in time.
    Expired,
    /// Nobody has decided.
    Pending,
}

impl AccessRequestStatus {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::Revoked => "Revoked",
            Self::Expired => "Expired",
            Self::Pending => "Pending",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Approved, Self::Rejected, Self::Revoked, Self::Expired, Self::Pending];
        all.into_iter().find(|status| status.as_str() == word)
    }
}

/// Credentials of an approved request.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessCredentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// Goes with each request.
    pub session_token: String,
    /// Until when.
    pub expiration_time: EpochSeconds,
}

impl fmt::Debug for AccessCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessCredentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// The answer to GetAccessToken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetAccessTokenResponse {
    /// Once the request is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AccessCredentials>,
    /// Where the request stands.
    pub access_request_status: AccessRequestStatus,
}

/// Decides about a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApproveAccessRequestRequest {
    /// Which.
    pub access_request_id: String,
    /// `Approve`, `Reject`, or `Revoke` and `Extend` for one that was approved; `Approve` when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// For how many minutes: 15 to 720, or to what the approval policy allows; when absent, 60, or
    /// what the approval policy allows. Access holds for the least that its approvers gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<i64>,
    /// With `Revoke`: end the sessions that approved access of the requester opened; as the gateway
    /// is set when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl Request for ApproveAccessRequestRequest {
    fn check(&self, v: &mut Violations) {
        check_id(v, &self.access_request_id);
        if let Some(decision) = &self.decision {
            v.one_of("Decision", decision, &["Approve", "Reject", "Revoke", "Extend"]);
        }
        v.range("Minutes", self.minutes, *MINUTES.start(), LONGEST);
    }
}

/// The answer to a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApproveAccessRequestResult {
    /// Where the request stands now.
    pub access_request_status: AccessRequestStatus,
    /// With `Revoke`: sessions of the requester that go on.
    #[serde(default)]
    pub live_sessions: u64,
    /// With `Revoke`: sessions of the requester that were ended.
    #[serde(default)]
    pub ended_sessions: u64,
    /// With `Extend`: access ends as before, until more persons agree to the extension.
    #[serde(default)]
    pub more_approvals_needed: bool,
}

/// A level of approvals, and how far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApprovalLevel {
    /// Who may approve; everybody with the right to decide when empty.
    #[serde(default)]
    pub approvers: Vec<String>,
    /// How many persons must approve.
    pub min_required_approvals: u32,
    /// ARNs of who has approved.
    #[serde(default)]
    pub approved_by: Vec<String>,
}

/// Lists requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAccessRequestsRequest {
    /// Page size, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

impl Request for ListAccessRequestsRequest {
    fn check(&self, v: &mut Violations) {
        v.range("MaxResults", self.max_results, 1, 1000);
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessRequest {
    /// Its id.
    pub access_request_id: String,
    /// ARN of who asks.
    pub requester: String,
    /// Why.
    pub reason: String,
    /// To what.
    pub targets: Vec<Target>,
    /// Where it stands.
    pub status: AccessRequestStatus,
    /// Since when.
    pub created_date: EpochSeconds,
    /// Until when the decision may be made, or holds.
    pub expires_date: EpochSeconds,
    /// ARN of who decided; of the policy, if it was approved automatically.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// `Manual`, `Auto` or `BreakGlass`.
    #[serde(default)]
    pub kind: String,
    /// Name and version of the approval policy, `NAME:VERSION`; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The levels, one after the other. One level without approvers when there is no policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<ApprovalLevel>,
}

/// A page of requests, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAccessRequestsResult {
    /// The requests.
    #[serde(default)]
    pub access_requests: Vec<AccessRequest>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}
