//! Sign-ins of browsers (`Towline.CreateSignIn`, `Towline.GetSignIn`, `Towline.DeleteSignIn`,
//! `Towline.RedeemSignInLink`, `Towline.ProveSecondFactor`), and requests of programs for one
//! (`Towline.GetSignInRequest`, `Towline.DecideSignInRequest`).
//!
//! Way: as of [`super`]; operations of ours. The first three have an empty request: an access key
//! signs CreateSignIn, the cookie that its answer sets proves the others. RedeemSignInLink is
//! proved by what it sends.

use serde::{Deserialize, Serialize};

use super::check::Violations;
use super::codec::Request;
use super::second_factor::check_code;

/// What a link that signs in holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RedeemSignInLinkRequest {
    /// Name of the user that the link signs in, as the page has shown it.
    pub principal_name: String,
    /// The link's secret.
    pub secret: String,
}

impl Request for RedeemSignInLinkRequest {
    fn check(&self, violations: &mut Violations) {
        violations.length("principalName", &self.principal_name, 1, 64);
        violations.length("secret", &self.secret, 1, 64);
    }
}

impl core::fmt::Debug for RedeemSignInLinkRequest {
    /// Without the secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("RedeemSignInLinkRequest");
        shown.field("principal_name", &self.principal_name).finish_non_exhaustive()
    }
}

/// Names a program's sign-in request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetSignInRequestRequest {
    /// The code that the program shows.
    pub user_code: String,
}

impl Request for GetSignInRequestRequest {
    fn check(&self, violations: &mut Violations) {
        violations.length("userCode", &self.user_code, 1, 32);
    }
}

/// What a program asks for, as the person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetSignInRequestResult {
    /// Where the request came from.
    pub source_ip_address: String,
    /// Where the person's own request came from.
    pub own_ip_address: String,
    /// What the program calls itself.
    pub client: String,
    /// The role that it wants, if it named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Seconds since it asked.
    pub age_seconds: u64,
    /// Seconds until the request ends.
    pub remaining_seconds: u64,
}

/// A decision about a program's sign-in request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignInDecision {
    /// The program gets the person's rights.
    Approve,
    /// It gets nothing.
    Reject,
}

impl SignInDecision {
    /// The word of requests and audit lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "Approve",
            Self::Reject => "Reject",
        }
    }
}

/// Decides about a program's sign-in request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DecideSignInRequestRequest {
    /// The code that the program shows.
    pub user_code: String,
    /// The decision.
    pub decision: SignInDecision,
}

impl Request for DecideSignInRequestRequest {
    fn check(&self, violations: &mut Violations) {
        violations.length("userCode", &self.user_code, 1, 32);
    }
}

/// Proves a second factor of the user whose sign-in the request's cookie is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProveSecondFactorRequest {
    /// Six digits.
    pub token_code: String,
}

impl Request for ProveSecondFactorRequest {
    fn check(&self, violations: &mut Violations) {
        check_code(violations, &self.token_code);
    }
}

impl core::fmt::Debug for ProveSecondFactorRequest {
    /// Without the code.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ProveSecondFactorRequest").finish_non_exhaustive()
    }
}

/// A sign-in, as the page needs it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SignedIn {
    /// Name of the user.
    pub principal_name: String,
    /// The user's ARN.
    pub arn: String,
    /// The value of the header `X-Towline-Csrf` in each further request: a secret of the page.
    pub csrf_token: String,
    /// Seconds without a request of the user after which the sign-in ends.
    pub idle_seconds: u64,
    /// Seconds until the sign-in ends, whatever the user does.
    pub remaining_seconds: u64,
    /// Whether the user has one-time codes.
    #[serde(default)]
    pub has_one_time_codes: bool,
    /// Whether a second factor was proved for this sign-in.
    #[serde(default)]
    pub second_factor_proved: bool,
}

impl core::fmt::Debug for SignedIn {
    /// Without the token.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SignedIn").field("arn", &self.arn).finish_non_exhaustive()
    }
}
