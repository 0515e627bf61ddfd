//! Administration (`Towline.<Operation>`): users, groups, roles, access keys, policies. Keys of
//! devices: [`super::device_keys`].
//!
//! Data flow: as in [`super`]; our own operations in AWS's form, so that one client and one
//! dispatch serve all.
//!
//! # Invariants
//! - A secret access key is in exactly one shape, [`CreatedAccessKey`], and not in its `Debug`.
//!
//! # Not here
//! - No judgement about a policy's text: the policy crate parses it, the gateway refuses what does
//!   not parse.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::tags::{Tag, check_tags};
use super::{Request, Violations};
use crate::clock::EpochSeconds;
use crate::ids::{AccessKeyId, UserName};

/// Longest policy text in bytes: the size IAM allows for a managed policy, without white space.
pub const MAX_POLICY_DOCUMENT: usize = 6144 * 4;
/// Access keys a user may have: two, as at AWS, so that one can be replaced by another.
pub const MAX_ACCESS_KEYS_PER_USER: usize = 2;
/// Policies a user may have.
pub const MAX_POLICIES_PER_USER: usize = 20;

fn check_user(v: &mut Violations, name: &str) {
    v.require(
        name.parse::<UserName>().is_ok(),
        "PrincipalName",
        "be 1 to 64 letters, digits or any of +=,.@_-",
    );
}

fn check_policy_name(v: &mut Violations, name: &str) {
    v.length("PolicyName", name, 1, 128);
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b));
    v.require(good, "PolicyName", "consist of letters, digits and +=,.@_-");
}

fn check_access_key(v: &mut Violations, id: &str) {
    v.require(id.parse::<AccessKeyId>().is_ok(), "AccessKeyId", "be 20 capital letters or digits");
}

fn check_page(v: &mut Violations, max_results: Option<i64>) {
    v.range("MaxResults", max_results, 1, 1000);
}

/// What kind of principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// Signs with access keys.
    User,
    /// Gives its policies to its members.
    Group,
    /// Is assumed for a time.
    Role,
}

impl PrincipalKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::User, Self::Group, Self::Role];

    /// The word in `PrincipalType`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::Role => "Role",
        }
    }

    /// The kind that a request names; a user when it names none. A checked request names no other
    /// word.
    #[must_use]
    pub fn of(word: Option<&String>) -> Self {
        Self::ALL
            .into_iter()
            .find(|kind| word.is_some_and(|word| kind.as_str() == word))
            .unwrap_or(Self::User)
    }
}

fn check_kind(v: &mut Violations, kind: Option<&String>) {
    if let Some(kind) = kind {
        v.one_of("PrincipalType", kind, &PrincipalKind::ALL.map(PrincipalKind::as_str));
    }
}

/// Longest life of a role's credentials that a role may have, seconds, and the shortest; 12 hours
/// and an hour, as at AWS.
pub const ROLE_SECONDS: core::ops::RangeInclusive<i64> = 3600..=43_200;

/// Asks for a new user, group or role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatePrincipalRequest {
    /// Its name.
    pub principal_name: String,
    /// `User`, `Group` or `Role`; a user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_type: Option<String>,
    /// Who may assume the role; wanted for a role, and for nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_policy_document: Option<String>,
    /// Longest life of the role's credentials, seconds, 3600 to 43200; 3600 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_session_duration: Option<i64>,
    /// Its tags, for policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

impl Request for CreatePrincipalRequest {
    fn check(&self, v: &mut Violations) {
        check_user(v, &self.principal_name);
        check_kind(v, self.principal_type.as_ref());
        let role = PrincipalKind::of(self.principal_type.as_ref()) == PrincipalKind::Role;
        v.require(
            self.trust_policy_document.is_some() == role,
            "TrustPolicyDocument",
            "be there for a role, and only then",
        );
        v.optional_length(
            "TrustPolicyDocument",
            self.trust_policy_document.as_ref(),
            1,
            MAX_POLICY_DOCUMENT,
        );
        v.require(
            role || self.max_session_duration.is_none(),
            "MaxSessionDuration",
            "be left out for all but roles",
        );
        v.range(
            "MaxSessionDuration",
            self.max_session_duration,
            *ROLE_SECONDS.start(),
            *ROLE_SECONDS.end(),
        );
        check_tags(v, &self.tags);
    }
}

/// Changes a role: who may assume it, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateRoleRequest {
    /// The role's name.
    pub principal_name: String,
    /// Who may assume it; as before when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_policy_document: Option<String>,
    /// Longest life of its credentials, seconds; as before when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_session_duration: Option<i64>,
    /// End the sessions that were opened with the rights that go; as the gateway is set when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl Request for UpdateRoleRequest {
    fn check(&self, v: &mut Violations) {
        check_user(v, &self.principal_name);
        v.optional_length(
            "TrustPolicyDocument",
            self.trust_policy_document.as_ref(),
            1,
            MAX_POLICY_DOCUMENT,
        );
        v.range(
            "MaxSessionDuration",
            self.max_session_duration,
            *ROLE_SECONDS.start(),
            *ROLE_SECONDS.end(),
        );
    }
}

/// Puts a user into a group, or takes it out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GroupMemberRequest {
    /// The group's name.
    pub group_name: String,
    /// The user's name.
    pub principal_name: String,
    /// End the sessions that were opened with the rights that go; as the gateway is set when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl Request for GroupMemberRequest {
    fn check(&self, v: &mut Violations) {
        v.require(
            self.group_name.parse::<UserName>().is_ok(),
            "GroupName",
            "be 1 to 64 letters, digits or any of +=,.@_-",
        );
        check_user(v, &self.principal_name);
    }
}

/// Sets the most that a user or role can be granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutBoundaryRequest {
    /// Whose.
    pub principal_name: String,
    /// `User` or `Role`; a user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_type: Option<String>,
    /// The policy as JSON text.
    pub policy_document: String,
    /// End the sessions that were opened with the rights that go; as the gateway is set when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl Request for PutBoundaryRequest {
    fn check(&self, v: &mut Violations) {
        check_user(v, &self.principal_name);
        check_bounded(v, self.principal_type.as_ref());
        v.length("PolicyDocument", &self.policy_document, 1, MAX_POLICY_DOCUMENT);
    }
}

/// Names whose boundary: the request of GetPrincipalBoundary and DeletePrincipalBoundary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BoundaryRequest {
    /// Whose.
    pub principal_name: String,
    /// `User` or `Role`; a user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_type: Option<String>,
}

impl Request for BoundaryRequest {
    fn check(&self, v: &mut Violations) {
        check_user(v, &self.principal_name);
        check_bounded(v, self.principal_type.as_ref());
    }
}

/// A boundary. The same members as [`PutBoundaryRequest`].
pub type GetBoundaryResult = PutBoundaryRequest;

fn check_bounded(v: &mut Violations, kind: Option<&String>) {
    if let Some(kind) = kind {
        v.one_of("PrincipalType", kind, &["User", "Role"]);
    }
}

/// What goes on after rights were removed: the answer of the operations that can remove some.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RightsRemoved {
    /// Sessions that were opened with these rights, or others of the same principal, and go on.
    #[serde(default)]
    pub live_sessions: u64,
    /// Sessions that were ended.
    #[serde(default)]
    pub ended_sessions: u64,
    /// Commands of Run Command that were sent with these rights, and go on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub towline_open_commands: u64,
}

/// Clients of before know no such member: it stands only where it says something.
pub(super) const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What is known of a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Principal {
    /// Its name.
    pub principal_name: String,
    /// `Group` or `Role`; absent for a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_type: Option<String>,
    /// Its ARN.
    pub arn: String,
    /// Since when.
    pub created_date: EpochSeconds,
    /// Groups of a user, users of a group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// Who may assume the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_policy_document: Option<String>,
    /// Longest life of the role's credentials, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_session_duration: Option<i64>,
    /// Whether it has a permission boundary.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub has_boundary: bool,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// A user that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatePrincipalResult {
    /// The user.
    pub principal: Principal,
}

/// Asks for a list of users.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListPrincipalsRequest {
    /// `User`, `Group` or `Role`; users when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_type: Option<String>,
    /// Page size, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

impl Request for ListPrincipalsRequest {
    fn check(&self, v: &mut Violations) {
        check_kind(v, self.principal_type.as_ref());
        check_page(v, self.max_results);
    }
}

/// A page of users.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListPrincipalsResult {
    /// The users, by name.
    #[serde(default)]
    pub principals: Vec<Principal>,
    /// Where the next page goes on; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// Names a user: the request of DeletePrincipal, CreateAccessKey, ListAccessKeys and
/// ListPrincipalPolicies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PrincipalRequest {
    /// The user.
    pub principal_name: String,
    /// `User`, `Group` or `Role`; a user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_type: Option<String>,
    /// End the sessions that were opened with the rights that go; as the gateway is set when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl Request for PrincipalRequest {
    fn check(&self, v: &mut Violations) {
        check_user(v, &self.principal_name);
        check_kind(v, self.principal_type.as_ref());
    }
}

/// A new access key. The secret is shown this once.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatedAccessKey {
    /// Whose.
    pub principal_name: String,
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// Since when.
    pub created_date: EpochSeconds,
}

impl fmt::Debug for CreatedAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedAccessKey")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// An access key that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateAccessKeyResult {
    /// The key.
    pub access_key: CreatedAccessKey,
}

/// Whether requests signed with a key are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessKeyStatus {
    /// They are.
    Active,
    /// They are not.
    Inactive,
}

/// What is known of an access key; never its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKeyMetadata {
    /// Whose.
    pub principal_name: String,
    /// The public half.
    pub access_key_id: String,
    /// On or off.
    pub status: AccessKeyStatus,
    /// Since when.
    pub created_date: EpochSeconds,
    /// Last accepted request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_date: Option<EpochSeconds>,
}

/// The access keys of a user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAccessKeysResult {
    /// The keys.
    #[serde(default)]
    pub access_keys: Vec<AccessKeyMetadata>,
}

/// Switches an access key on or off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateAccessKeyRequest {
    /// Whose.
    pub principal_name: String,
    /// Which.
    pub access_key_id: String,
    /// `Active` or `Inactive`; text, so that another word is a broken limit and not broken JSON.
    pub status: String,
    /// End the sessions that were opened with the rights that go; as the gateway is set when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl UpdateAccessKeyRequest {
    /// The status as a type; a checked request has no third one.
    #[must_use]
    pub fn wanted(&self) -> AccessKeyStatus {
        if self.status == "Active" { AccessKeyStatus::Active } else { AccessKeyStatus::Inactive }
    }
}

impl Request for UpdateAccessKeyRequest {
    fn check(&self, v: &mut Violations) {
        check_user(v, &self.principal_name);
        check_access_key(v, &self.access_key_id);
        v.one_of("Status", &self.status, &["Active", "Inactive"]);
    }
}

/// Removes an access key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteAccessKeyRequest {
    /// Whose.
    pub principal_name: String,
    /// Which.
    pub access_key_id: String,
    /// End the sessions that were opened with the rights that go; as the gateway is set when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl Request for DeleteAccessKeyRequest {
    fn check(&self, v: &mut Violations) {
        check_user(v, &self.principal_name);
        check_access_key(v, &self.access_key_id);
    }
}

/// Stores a policy under a name; an existing one is replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutPrincipalPolicyRequest {
    /// Whose.
    pub principal_name: String,
    /// `User`, `Group` or `Role`; a user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_type: Option<String>,
    /// Its name, 1 to 128 characters.
    pub policy_name: String,
    /// The policy as JSON text.
    pub policy_document: String,
    /// End the sessions that were opened with the rights that go; as the gateway is set when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl Request for PutPrincipalPolicyRequest {
    fn check(&self, v: &mut Violations) {
        check_user(v, &self.principal_name);
        check_kind(v, self.principal_type.as_ref());
        check_policy_name(v, &self.policy_name);
        v.length("PolicyDocument", &self.policy_document, 1, MAX_POLICY_DOCUMENT);
    }
}

/// Names a policy: the request of GetPrincipalPolicy and DeletePrincipalPolicy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyRequest {
    /// Whose.
    pub principal_name: String,
    /// `User`, `Group` or `Role`; a user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_type: Option<String>,
    /// Its name.
    pub policy_name: String,
    /// End the sessions that were opened with the rights that go; as the gateway is set when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl Request for PolicyRequest {
    fn check(&self, v: &mut Violations) {
        check_user(v, &self.principal_name);
        check_kind(v, self.principal_type.as_ref());
        check_policy_name(v, &self.policy_name);
    }
}

/// A policy. The same members as [`PutPrincipalPolicyRequest`].
pub type GetPrincipalPolicyResult = PutPrincipalPolicyRequest;

/// The names of a user's policies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListPrincipalPoliciesResult {
    /// The names, sorted.
    #[serde(default)]
    pub policy_names: Vec<String>,
}
